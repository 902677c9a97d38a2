//! Checks a hand-written autoinstall user-data file: its form, and the traps that the installer does not report.
//!
//! In: a text of any origin and the release that will read it. Out: every finding at once, sorted by place, each inside
//! the text. Pure, and bounded in time and memory: the text may be hostile.
//!
//! ```text
//! text ─ yaml: PyYAML's reading, with places ─► tree ─ document: header, wrapper ─► autoinstall
//!      ─ shape + keys: form of each section ─ storage, account, network, installer: meaning ─► findings
//! ```

mod account;
mod document;
mod facts;
mod installer;
mod keys;
mod network;
mod report;
mod secrets;
mod shape;
mod ssh_key;
mod storage;
#[cfg(test)]
mod tests;
mod yaml;

use std::borrow::Cow;
use std::ops::Range;

pub use report::{Finding, Severity};

use crate::Release;

/// Bytes that a file may have; NoCloud seeds are a few KiB.
pub const LONGEST_TEXT: usize = 4 << 20;

/// What was found in a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Linted {
    /// Sorted by place.
    pub findings: Vec<Finding>,
    /// Where passwords and keys stand: an excerpt must not show them.
    pub secrets: Vec<Range<usize>>,
}

impl Linted {
    /// Whether the document must not be used.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// Checks an autoinstall document as the installer of `release` reads it.
///
/// Sources: subiquity's autoinstall reference and the behaviour of its 24.04 installer, cloud-init's user-data formats,
/// netplan's reference.
pub fn lint(text: &str, release: Release) -> Linted {
    let mut report = report::Report::new(text);
    let mut hidden = Vec::new();
    match facts::of(release) {
        None => {
            report
                .error(&(0..0), format!("{release} is not installed by autoinstall user-data"))
                .help("choose a release of Ubuntu");
            hidden = secrets::of_text(text);
        }
        Some(_) if text.len() > LONGEST_TEXT => {
            report.error(&(0..0), format!("the file is larger than {} MiB", LONGEST_TEXT >> 20));
            hidden = secrets::of_text(text);
        }
        Some(facts) => document::check(text, facts, &mut report, &mut hidden),
    }
    Linted { findings: report.finish(), secrets: hidden }
}

/// Whether Ubuntu's installer keeps a user name for the system and refuses it for a person.
pub fn is_reserved_user(name: &str) -> bool {
    facts::RESERVED_USERS.binary_search(&name).is_ok()
}

/// Whether a text is one line of authorized_keys(5), as sshd takes it; if not, why.
///
/// # Errors
/// What is wrong with it, in words, without the text itself.
pub fn ssh_public_key(line: &str) -> Result<(), String> {
    ssh_key::check(line).map_err(|bad| bad.to_string())
}

/// As [`lint`], of a file's bytes; with the text that the places are in.
pub fn lint_bytes(bytes: &[u8], release: Release) -> (Cow<'_, str>, Linted) {
    // More is not worth a copy; `lint` refuses it by its length.
    let bytes = &bytes[..bytes.len().min(LONGEST_TEXT + 1)];
    let text = String::from_utf8_lossy(bytes);
    let Err(error) = std::str::from_utf8(bytes) else {
        let linted = lint(&text, release);
        return (text, linted);
    };
    let mut report = report::Report::new(&text);
    let at = error.valid_up_to();
    report
        .error(&(at..at + char::REPLACEMENT_CHARACTER.len_utf8()), "the file is not UTF-8 from here on")
        .help("save it as UTF-8");
    let findings = report.finish();
    let secrets = secrets::of_text(&text);
    (text, Linted { findings, secrets })
}
