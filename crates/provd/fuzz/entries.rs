//! What comes from outside, as functions of bytes: for libFuzzer (targets/), and for the quick tests (../tests/entries.rs),
//! which run them on the seeds and on what is near to them.
//!
//! Each one panics where something that must hold does not.

#![allow(dead_code, reason = "a fuzz target takes one of them")]

use axum::http::Method;
use netboot::Declared;
use provd::nodes::{Asked, ReportKind, asked, read};
use provd::registry::Report;

type Entry = fn(&[u8]);

/// Name and function of each; the seeds of each are in seeds/NAME.
pub(crate) const ALL: [(&str, Entry); 5] =
    [("webhook", webhook), ("first_boot", first_boot), ("failed", failed), ("path", path), ("declared", declared)];

/// The JSON of an installer's webhook.
pub(crate) fn webhook(bytes: &[u8]) {
    let Ok(Report::Progress(progress)) = read::report(ReportKind::Webhook, bytes) else { return };
    assert!(!progress.name.trim().is_empty());
    // JSON's escapes are never shorter than what they mean.
    assert!(progress.name.len() + progress.text.len() <= bytes.len());
    assert!(progress.at.is_none_or(|at| at.as_second() >= 0));
}

/// The JSON of an installed system, and the step of debian-installer.
pub(crate) fn first_boot(bytes: &[u8]) {
    if let Ok(Report::FirstBoot(system)) = read::report(ReportKind::FirstBoot, bytes) {
        assert!(system.ssh_host_keys.len() <= 16);
        assert!(system.ssh_host_keys.iter().all(|key| !key.contains(['\n', '\r', '\0']) && key.contains(' ')));
    }
    if let Ok(Report::Progress(step)) = read::report(ReportKind::Step, bytes) {
        assert!(!step.name.is_empty() && !step.name.contains('\n'));
    }
}

/// A reason and a log.
pub(crate) fn failed(bytes: &[u8]) {
    let Ok(Report::Failed { reason, log }) = read::report(ReportKind::Failed, bytes) else {
        panic!("every text is a failure")
    };
    assert!(!reason.trim().is_empty() && !reason.contains('\n'));
    // A byte that is no text becomes a character of three.
    assert!(reason.len() + log.unwrap_or_default().len() <= 3 * bytes.len() + 40);
}

/// A path: what is understood has one spelling, but for the case of a MAC address.
pub(crate) fn path(bytes: &[u8]) {
    let Ok(path) = std::str::from_utf8(bytes) else { return };
    for method in [Method::GET, Method::POST, Method::HEAD] {
        let Ok(found) = asked(&method, path) else { continue };
        let spelled = match found {
            Asked::Boot { mac, grub: false } => format!("/nodes/{}.ipxe", mac.hyphenated()),
            Asked::Boot { mac, grub: true } => format!("/grub/nodes/{}.cfg", mac.hyphenated()),
            Asked::Seed { token, file } => {
                assert!(!file.contains('/') && !matches!(file.as_str(), "" | "." | ".."));
                format!("/seed/{}/{file}", token.reveal())
            }
            Asked::Cd { token, head } => {
                assert_eq!(head, method == Method::HEAD);
                format!("/seed/{}/cidata.iso", token.reveal())
            }
            Asked::Report { token, kind: ReportKind::Webhook } => format!("/report/{}", token.reveal()),
            Asked::Report { token, kind } => format!("/report/{}/{}", token.reveal(), kind.name()),
        };
        let same = if spelled.contains("nodes/") { spelled.eq_ignore_ascii_case(path) } else { spelled == path };
        assert!(same, "{path:?} is taken for {spelled:?}");
        assert!(method != Method::HEAD || spelled.ends_with("/cidata.iso"));
    }
}

/// What the builder declares: read, written and read again it is the same.
pub(crate) fn declared(bytes: &[u8]) {
    let Ok(declared) = serde_json::from_slice::<Declared>(bytes) else { return };
    let again = serde_json::to_vec(&declared).expect("what was read can be written");
    assert_eq!(serde_json::from_slice::<Declared>(&again).expect("what was written can be read"), declared);
}
