//! What a path asks for. It is judged as it came: nothing is decoded, and whatever is not exactly one of ours is refused.

use axum::http::{Method, StatusCode};
use netboot::MacAddr;

use super::refusal::Refusal;
use crate::store::Token;

/// Characters of the longest path that means something.
const LONGEST: usize = 128;

/// The seed CD's name: BMCs look at its end.
pub(crate) const CD: &str = "cidata.iso";

/// A request that is understood; whether it is granted is another question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    Boot {
        mac: MacAddr,
        grub: bool,
    },
    Seed {
        token: Token,
        file: String,
    },
    /// The answers as a CD; with `head` only how long it is.
    Cd {
        token: Token,
        head: bool,
    },
    Report {
        token: Token,
        kind: ReportKind,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportKind {
    /// JSON of curtin's and subiquity's webhook.
    Webhook,
    /// Text: what begins.
    Step,
    /// Nothing.
    Installed,
    /// Text: the reason in the first line, then a log.
    Failed,
    /// JSON of the installed system.
    FirstBoot,
}

impl ReportKind {
    pub const ALL: [ReportKind; 5] =
        [ReportKind::Webhook, ReportKind::Step, ReportKind::Installed, ReportKind::Failed, ReportKind::FirstBoot];

    pub fn name(self) -> &'static str {
        match self {
            ReportKind::Webhook => "webhook",
            ReportKind::Step => "step",
            ReportKind::Installed => "installed",
            ReportKind::Failed => "failed",
            ReportKind::FirstBoot => "first-boot",
        }
    }

    /// Bytes of a body.
    pub fn limit(self) -> usize {
        match self {
            ReportKind::Failed => 1024 * 1024,
            _ => 64 * 1024,
        }
    }
}

/// Understands a method and a path.
///
/// # Errors
/// It is none of ours: 400, 404 or 405.
pub fn asked(method: &Method, path: &str) -> Result<Asked, Refusal> {
    let not_found = || Refusal::new(StatusCode::NOT_FOUND, "there is nothing here");
    if path.len() > LONGEST {
        return Err(Refusal::new(StatusCode::URI_TOO_LONG, "the path is too long"));
    }
    if !path.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'.')) {
        return Err(Refusal::bad("the path has a character that none of ours has"));
    }
    let words: Vec<&str> = path.strip_prefix('/').ok_or_else(not_found)?.split('/').collect();
    if words.iter().any(|word| matches!(*word, "" | "." | "..")) {
        return Err(Refusal::bad("the path has an empty part or one of dots"));
    }
    let boot = |name: &str, suffix: &str, grub| {
        let mac = name.strip_suffix(suffix).and_then(hyphenated).ok_or(Refusal::bad("this is no MAC address"))?;
        Ok(Asked::Boot { mac, grub })
    };
    let token = |text: &str| text.parse().map_err(|_| Refusal::bad("this is no token"));
    let (wanted, asked) = match words[..] {
        ["nodes", name] => (Method::GET, boot(name, ".ipxe", false)?),
        ["grub", "nodes", name] => (Method::GET, boot(name, ".cfg", true)?),
        // A BMC asks how long a CD is before it reads any of it; neither uses anything up.
        ["seed", text, CD] if *method == Method::HEAD => (Method::HEAD, Asked::Cd { token: token(text)?, head: true }),
        ["seed", text, CD] => (Method::GET, Asked::Cd { token: token(text)?, head: false }),
        ["seed", text, file] => (Method::GET, Asked::Seed { token: token(text)?, file: file.to_owned() }),
        ["report", text] => (Method::POST, Asked::Report { token: token(text)?, kind: ReportKind::Webhook }),
        ["report", text, name] => {
            let named = ReportKind::ALL.into_iter().find(|kind| kind.name() == name && *kind != ReportKind::Webhook);
            (Method::POST, Asked::Report { token: token(text)?, kind: named.ok_or_else(not_found)? })
        }
        _ => return Err(not_found()),
    };
    // Elsewhere HEAD is no GET: it would use up what nobody reads.
    if *method != wanted {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method"));
    }
    Ok(asked)
}

/// The form in which loaders ask: six pairs of digits, of either case, with hyphens.
fn hyphenated(text: &str) -> Option<MacAddr> {
    let pairs: Vec<&str> = text.split('-').collect();
    let form = pairs.len() == 6 && pairs.iter().all(|pair| pair.len() == 2);
    text.parse().ok().filter(|_| form)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn status(method: Method, path: &str) -> u16 {
        asked(&method, path).map_or_else(|refusal| refusal.status.as_u16(), |_| 200)
    }

    #[test]
    fn ours_are_understood() {
        let mac: MacAddr = "52:54:00:ab:cd:ef".parse().unwrap();
        for path in ["/nodes/52-54-00-ab-cd-ef.ipxe", "/nodes/52-54-00-AB-CD-EF.ipxe"] {
            assert_eq!(asked(&Method::GET, path).unwrap(), Asked::Boot { mac, grub: false });
        }
        assert_eq!(asked(&Method::GET, "/grub/nodes/52-54-00-ab-cd-ef.cfg").unwrap(), Asked::Boot { mac, grub: true });
        let token: Token = TOKEN.parse().unwrap();
        let file = "user-data".to_owned();
        assert_eq!(
            asked(&Method::GET, &format!("/seed/{TOKEN}/user-data")).unwrap(),
            Asked::Seed { token: token.clone(), file }
        );
        for (method, head) in [(Method::GET, false), (Method::HEAD, true)] {
            let found = asked(&method, &format!("/seed/{TOKEN}/cidata.iso")).unwrap();
            assert_eq!(found, Asked::Cd { token: token.clone(), head });
        }
        for kind in ReportKind::ALL {
            let end = if kind == ReportKind::Webhook { String::new() } else { format!("/{}", kind.name()) };
            let found = asked(&Method::POST, &format!("/report/{TOKEN}{end}")).unwrap();
            assert_eq!(found, Asked::Report { token: token.clone(), kind });
        }
    }

    #[test]
    fn tricks_are_refused() {
        let upper = TOKEN.to_uppercase();
        for path in [
            "",
            "/",
            "nodes/52-54-00-ab-cd-ef.ipxe",
            "//nodes/52-54-00-ab-cd-ef.ipxe",
            "/nodes//52-54-00-ab-cd-ef.ipxe",
            "/nodes/52-54-00-ab-cd-ef.ipxe/",
            "/nodes/./52-54-00-ab-cd-ef.ipxe",
            "/x/../nodes/52-54-00-ab-cd-ef.ipxe",
            "/nodes/52:54:00:ab:cd:ef.ipxe",
            "/nodes/525400abcdef.ipxe",
            "/nodes/52-54-00-ab-cd.ipxe",
            "/nodes/52-54-00-ab-cd-ef-01.ipxe",
            "/nodes/52-54-00-ab-cd-e.ipxe",
            "/nodes/5-254-00-ab-cd-ef.ipxe",
            "/nodes/52-54-00-ab-cd-eg.ipxe",
            "/nodes/+2-54-00-ab-cd-ef.ipxe",
            "/nodes/52-54-00-ab-cd-ef.cfg",
            "/nodes/52-54-00-ab-cd-ef.ipxe.ipxe",
            "/nodes/.ipxe",
            "/nodes/52-54-00-ab-cd-ef.IPXE",
            "/grub/nodes/52-54-00-ab-cd-ef.ipxe",
            "/nodes/52%2d54-00-ab-cd-ef.ipxe",
            "/nodes/52-54-00-ab-cd-ef%00.ipxe",
            "/nodes/52-54-00-ab-cd-ef.ipxe\0",
            "/nodes/52-54-00-ab-cd-ef.ipxe;x",
            "/nodes/\u{fc}",
            &format!("/seed/{upper}/user-data"),
            &format!("/seed/{TOKEN}"),
            &format!("/seed/{TOKEN}/"),
            &format!("/seed/{TOKEN}/.."),
            &format!("/seed/{TOKEN}/../user-data"),
            &format!("/seed/{TOKEN}/%2e%2e/user-data"),
            &format!("/seed/{TOKEN}/a/b"),
            &format!("/seed/{}/user-data", &TOKEN[1..]),
            &format!("/seed/{TOKEN}0/user-data"),
            &format!("/SEED/{TOKEN}/user-data"),
        ] {
            let found = status(Method::GET, path);
            assert!((400..500).contains(&found), "{path}: {found}");
        }
        for end in ["/webhook", "/Step", "/step/", "/step/x", "/", "/..", "%2fstep"] {
            let found = status(Method::POST, &format!("/report/{TOKEN}{end}"));
            assert!((400..500).contains(&found), "{end}: {found}");
        }
        assert_eq!(status(Method::GET, &format!("/nodes/{}.ipxe", "a".repeat(10_000))), 414);
        for method in [Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            assert_eq!(status(method.clone(), "/nodes/52-54-00-ab-cd-ef.ipxe"), 405);
            assert_eq!(status(method, &format!("/seed/{TOKEN}/user-data")), 405);
        }
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            assert_eq!(status(method, &format!("/seed/{TOKEN}/cidata.iso")), 405);
        }
        for path in [format!("/seed/{TOKEN}/cidata.ISO"), format!("/seed/{TOKEN}/user-data")] {
            assert_eq!(status(Method::HEAD, &path), 405);
        }
        for method in [Method::HEAD, Method::GET, Method::PUT] {
            assert_eq!(status(method, &format!("/report/{TOKEN}")), 405);
        }
    }
}
