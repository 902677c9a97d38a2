//! From a body to a [`Report`]: nothing is trusted, and what is of no use is left out.

use jiff::Timestamp;
use serde::Deserialize;

use super::request::ReportKind;
use crate::registry::{FirstBoot, Phase, Progress, Report};

/// Public keys that one system gives.
const MOST_KEYS: usize = 16;
/// Bytes of one: RSA with 16384 bits has less than 3 KiB.
const LONGEST_KEY: usize = 4096;

/// curtin's ReportingEvent.as_dict (curtin/reporter/events.py). What else is in it (`files`, say) is left out.
#[derive(Deserialize)]
struct Event {
    name: String,
    #[serde(default)]
    description: String,
    event_type: EventType,
    #[serde(default)]
    #[expect(dead_code, reason = "its type is checked, and nothing depends on it")]
    origin: Option<String>,
    /// Seconds since 1970, by the installer's clock.
    #[serde(default)]
    timestamp: Option<f64>,
    #[serde(default)]
    level: Option<String>,
    #[serde(default)]
    result: Option<EventResult>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum EventType {
    Start,
    Finish,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum EventResult {
    Success,
    Warn,
    Fail,
}

/// Reads a body of a kind.
///
/// # Errors
/// Why it is none, in words of ours: nothing of the body is in them.
pub fn report(kind: ReportKind, body: &[u8]) -> Result<Report, &'static str> {
    match kind {
        ReportKind::Webhook => webhook(body).map(Report::Progress),
        ReportKind::Step => step(body).map(Report::Progress),
        ReportKind::Installed if body.iter().all(u8::is_ascii_whitespace) => Ok(Report::Installed),
        ReportKind::Installed => Err("this report has no body"),
        ReportKind::Failed => Ok(failed(body)),
        ReportKind::FirstBoot => first_boot(body).map(Report::FirstBoot),
    }
}

/// Whether an event's description is a command's whole text, in which a profile may have secrets: subiquity's `command_0` and so on, and whatever
/// curtin says at DEBUG, which its webhook sends too (it keeps `level` and never looks at it: curtin/reporter/handlers.py).
fn tells_a_command(event: &Event) -> bool {
    let last = event.name.rsplit('/').next().unwrap_or_default();
    last.starts_with("command_") || event.level.as_deref() == Some("DEBUG")
}

fn webhook(body: &[u8]) -> Result<Progress, &'static str> {
    let event: Event = serde_json::from_slice(body).map_err(|_| "this is no event of an installer")?;
    if event.name.trim().is_empty() {
        return Err("the event has no name");
    }
    let command = tells_a_command(&event);
    let (kind, result) = match (event.event_type, event.result) {
        (EventType::Start, None) => (Phase::Start, None),
        (EventType::Start, Some(_)) => return Err("an event that starts has no result"),
        (EventType::Finish, result) => (Phase::Finish, result),
    };
    let result = result.map(|result| match result {
        EventResult::Success => "SUCCESS".to_owned(),
        EventResult::Warn => "WARN".to_owned(),
        EventResult::Fail => "FAIL".to_owned(),
    });
    let at = event.timestamp.map(time).transpose()?;
    let text = if command { String::new() } else { event.description };
    Ok(Progress { kind, name: event.name, text, at, result })
}

/// A clock may be wrong (how far it is believed is the registry's question), but its time must be one.
fn time(seconds: f64) -> Result<Timestamp, &'static str> {
    const WRONG: &str = "the event's time is none";
    if !(0.0..253_402_214_400.0).contains(&seconds) {
        return Err(WRONG);
    }
    // In range: the cast only drops what is below a microsecond.
    Timestamp::from_microsecond((seconds * 1e6) as i64).map_err(|_| WRONG)
}

fn step(body: &[u8]) -> Result<Progress, &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| "the step is no text")?;
    let name = text.lines().next().unwrap_or_default().trim().to_owned();
    if name.is_empty() {
        return Err("the step has no name");
    }
    Ok(Progress { kind: Phase::Start, name, text: String::new(), at: None, result: None })
}

fn failed(body: &[u8]) -> Report {
    // A log may be cut in the middle of a character.
    let text = String::from_utf8_lossy(body);
    let (reason, log) = text.split_once('\n').unwrap_or((&text, ""));
    let reason = match reason.trim() {
        "" => "the installer has failed",
        reason => reason,
    };
    let log = (!log.trim().is_empty()).then(|| log.to_owned());
    Report::Failed { reason: reason.to_owned(), log }
}

fn first_boot(body: &[u8]) -> Result<FirstBoot, &'static str> {
    let system: FirstBoot = serde_json::from_slice(body).map_err(|_| "this is no report of a system")?;
    if system.ssh_host_keys.len() > MOST_KEYS {
        return Err("the system has too many ssh host keys");
    }
    if !system.ssh_host_keys.iter().all(|key| is_public_key(key)) {
        return Err("one of the ssh host keys is none");
    }
    Ok(system)
}

/// "TYPE BASE64", with or without a comment (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").
fn is_public_key(text: &str) -> bool {
    let mut words = text.split(' ');
    let kind = words.next().unwrap_or_default();
    let key = words.next().unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'@' | b'.' | b'_');
    let base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    text.len() <= LONGEST_KEY
        && !text.chars().any(char::is_control)
        && !kind.is_empty()
        && kind.bytes().all(plain)
        && !key.is_empty()
        && key.bytes().all(base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: ReportKind, text: &str) -> Result<Report, &'static str> {
        report(kind, text.as_bytes())
    }

    /// subiquity describes a command by its text.
    #[test]
    fn what_an_installer_says_of_its_commands_is_not_kept() {
        let command = |name: &str, level: &str| {
            let text = STARTS.replace("subiquity/Install/install", name).replace("INFO", level);
            let text = text.replace("installing system", "printf %s s3cret");
            let Ok(Report::Progress(progress)) = read(ReportKind::Webhook, &text) else { panic!() };
            progress.text
        };
        assert_eq!(command("subiquity/Early/run/command_0", "INFO"), "");
        assert_eq!(command("subiquity/Error/run", "DEBUG"), "");
        assert_ne!(command("subiquity/Early/run", "INFO"), "");
    }

    /// As subiquity sends it.
    const STARTS: &str = r#"{"name": "subiquity/Install/install", "description": "installing system", "event_type": "start",
        "origin": "curtin", "timestamp": 1800000000.25, "level": "INFO"}"#;

    #[test]
    fn a_webhook_of_subiquity() {
        let Ok(Report::Progress(progress)) = read(ReportKind::Webhook, STARTS) else { panic!() };
        assert_eq!((progress.kind, progress.name.as_str()), (Phase::Start, "subiquity/Install/install"));
        assert_eq!(progress.at, Some("2027-01-15T08:00:00.25Z".parse().unwrap()));
        let finish =
            STARTS.replace("\"start\"", "\"finish\", \"result\": \"WARN\", \"files\": [{\"content\": \"AAAA\"}]");
        let Ok(Report::Progress(progress)) = read(ReportKind::Webhook, &finish) else { panic!() };
        assert_eq!((progress.kind, progress.result.as_deref()), (Phase::Finish, Some("WARN")));
        assert!(read(ReportKind::Webhook, r#"{"name": "x", "event_type": "finish"}"#).is_ok());
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for (from, to) in [
            ("\"start\"", "\"begin\""),
            ("\"start\"", "3"),
            ("\"start\"", "\"start\", \"result\": \"SUCCESS\""),
            ("\"start\"", "\"finish\", \"result\": \"success\""),
            ("\"start\"", "\"finish\", \"result\": {}"),
            ("\"subiquity/Install/install\"", "\"  \""),
            ("\"subiquity/Install/install\"", "null"),
            ("\"subiquity/Install/install\"", "[\"a\"]"),
            ("\"installing system\"", "17"),
            ("\"curtin\"", "false"),
            ("\"INFO\"", "20"),
            ("1800000000.25", "\"1800000000.25\""),
            ("1800000000.25", "1e999"),
            ("1800000000.25", "-1"),
            ("1800000000.25", "1e18"),
            ("1800000000.25", "NaN"),
            ("\"level\"", "\"name\": \"again\", \"level\""),
        ] {
            let text = STARTS.replacen(from, to, 1);
            assert_ne!(text, STARTS);
            assert!(read(ReportKind::Webhook, &text).is_err(), "{text}");
        }
        for end in 0..STARTS.len() {
            assert!(read(ReportKind::Webhook, &STARTS[..end]).is_err(), "{end}");
        }
        for text in ["", "null", "[]", "{}", "\"x\"", &"[".repeat(60_000), &format!("{STARTS}{STARTS}")] {
            assert!(read(ReportKind::Webhook, text).is_err());
        }
    }

    #[test]
    fn a_first_boot() {
        let good =
            r#"{"hostname": "node1", "address": "10.10.1.21", "ssh-host-keys": ["ssh-ed25519 AAAA= root@node1"]}"#;
        assert!(read(ReportKind::FirstBoot, good).is_ok());
        assert!(read(ReportKind::FirstBoot, &good.replace("\"ssh-ed25519 AAAA= root@node1\"", "")).is_ok());
        for (from, to) in [
            ("10.10.1.21", "10.10.1.021"),
            ("10.10.1.21", "10.10.1.21/24"),
            ("\"node1\"", "null"),
            ("\"hostname\"", "\"more\": 1, \"hostname\""),
            ("ssh-ed25519 AAAA= root@node1", "ssh-ed25519"),
            ("ssh-ed25519 AAAA= root@node1", "ssh-ed25519  AAAA"),
            ("ssh-ed25519 AAAA= root@node1", "ssh-ed25519 AAAA\\n@cert-authority * ssh-rsa AAAA"),
            ("ssh-ed25519 AAAA= root@node1", "a\\\"b AAAA"),
        ] {
            let text = good.replacen(from, to, 1);
            assert_ne!(text, good);
            assert!(read(ReportKind::FirstBoot, &text).is_err(), "{text}");
        }
        let keys = |count: usize, key: &str| {
            good.replace("\"ssh-ed25519 AAAA= root@node1\"", &vec![format!("\"{key}\""); count].join(","))
        };
        assert!(read(ReportKind::FirstBoot, &keys(16, "a b")).is_ok());
        assert!(read(ReportKind::FirstBoot, &keys(17, "a b")).is_err());
        assert!(read(ReportKind::FirstBoot, &keys(1, &format!("a {}", "b".repeat(4096)))).is_err());
    }

    #[test]
    fn texts() {
        let Ok(Report::Progress(step)) = read(ReportKind::Step, " partman: x \nmore") else { panic!() };
        assert_eq!(step.name, "partman: x");
        for bad in ["", "\n", "  \nx"] {
            assert!(read(ReportKind::Step, bad).is_err(), "{bad:?}");
        }
        assert!(report(ReportKind::Step, b"\xff").is_err());
        assert_eq!(read(ReportKind::Installed, "\r\n"), Ok(Report::Installed));
        assert!(read(ReportKind::Installed, "x").is_err());
        let failed = |text: &[u8]| match report(ReportKind::Failed, text) {
            Ok(Report::Failed { reason, log }) => (reason, log),
            other => panic!("{other:?}"),
        };
        assert_eq!(failed(b"no disk\nlog\n"), ("no disk".to_owned(), Some("log\n".to_owned())));
        assert_eq!(failed(b""), ("the installer has failed".to_owned(), None));
        assert_eq!(failed(b"\xff\n\xfe").0, "\u{fffd}");
    }
}
