//! `provbuild lint`: what is wrong with a file that an installer reads.
//!
//! Excerpts go to stderr as those of a profile's faults do; with `--json` one object per finding goes to stdout instead.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use annotate_snippets::Level;
use netboot::Release;
use netboot::lint::{LONGEST_TEXT, Linted, Severity, lint_bytes};

use serde_json::{Value, json};

use super::exit::Exit;
use super::failure::Failure;
use super::output::{counted, object, tell};
use crate::diagnostic::fault::Fault;
use crate::diagnostic::source::{Sources, Span};

/// Checks autoinstall user-data; `-` is standard input. With `lenient` only errors fail.
pub(super) fn user_data(file: &Path, release: Release, lenient: bool, json: bool, color: bool) -> Result<(), Failure> {
    let input = file == Path::new("-");
    let name = if input { Path::new("standard input") } else { file };
    let bytes = read(file, input).map_err(|error| Failure::Surroundings(format!("read {}", name.display()), error))?;
    let (text, linted) = lint_bytes(&bytes, release);
    let count = |severity| linted.findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    match json {
        true => {
            objects(name, &linted).iter().try_for_each(object)?;
            object(&json!({ "event": "linted", "faults": errors, "warnings": warnings }))?;
        }
        false => {
            tell(&excerpts(name, &text, &linted, color));
            tell(&format!("{}: {}\n", name.display(), summary(errors, warnings)));
        }
    }
    match errors > 0 || !lenient && warnings > 0 {
        true => Err(Failure::Reported { exit: Exit::Profile, message: summary(errors, warnings) }),
        false => Ok(()),
    }
}

/// One byte more than is looked at, so that a longer file is known for one.
fn read(file: &Path, input: bool) -> io::Result<Vec<u8>> {
    let limit = LONGEST_TEXT as u64 + 1;
    let mut bytes = Vec::new();
    match input {
        true => io::stdin().lock().take(limit).read_to_end(&mut bytes)?,
        false => File::open(file)?.take(limit).read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}

fn summary(errors: usize, warnings: usize) -> String {
    match (errors, warnings) {
        (0, 0) => "no faults".to_owned(),
        (0, _) => counted(warnings, "warning"),
        (_, 0) => counted(errors, "error"),
        _ => format!("{}, {}", counted(errors, "error"), counted(warnings, "warning")),
    }
}

fn excerpts(name: &Path, text: &str, linted: &Linted, color: bool) -> String {
    let mut sources = Sources::default();
    let file = sources.add(name.to_owned(), text.to_owned());
    linted.secrets.iter().for_each(|secret| sources.hide(Span::new(file, secret.clone())));
    let one = |finding: &netboot::lint::Finding| {
        let level = match finding.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let fault = Fault::at(Span::new(file, finding.range.clone()), finding.message.as_str());
        let shown = fault.maybe_help(finding.help.clone()).render(level, &sources, color);
        format!("{}\n\n", shown.trim_end())
    };
    linted.findings.iter().map(one).collect()
}

/// As those of a profile's faults.
fn objects(name: &Path, linted: &Linted) -> Vec<Value> {
    let one = |finding: &netboot::lint::Finding| {
        let netboot::lint::Finding { line, column, severity, message, help, .. } = finding;
        let event = match severity {
            Severity::Error => "fault",
            Severity::Warning => "warning",
        };
        let path = name.display().to_string();
        json!({ "event": event, "path": path, "line": line, "column": column, "message": message, "help": help })
    };
    linted.findings.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "#cloud-config
autoinstall:
  version: 1
  apt: {}
  storage: {layout: {name: lmv, match: {serial: '*1'}}}
  identity: {username: ops, hostname: a, password: 'correct horse'}
";

    #[test]
    fn excerpts_show_places_and_no_secrets() {
        let linted = netboot::lint::lint(TEXT, Release::Ubuntu2404);
        insta::assert_snapshot!(excerpts(Path::new("user-data"), TEXT, &linted, false));
    }

    #[test]
    fn objects_are_those_of_a_profile() {
        let linted = netboot::lint::lint(TEXT, Release::Ubuntu2404);
        let objects = objects(Path::new("user-data"), &linted);
        assert_eq!(
            objects[1],
            json!({
                "event": "fault", "path": "user-data", "line": 5, "column": 28,
                "message": "there is no layout 'lmv': the installer silently takes 'direct'",
                "help": "did you mean 'lvm'?",
            })
        );
        assert_eq!(objects.len(), 3);
        assert!(!json!(objects).to_string().contains("correct horse"));
    }

    #[test]
    fn summaries() {
        assert_eq!(summary(0, 0), "no faults");
        assert_eq!(summary(1, 2), "1 error, 2 warnings");
        assert_eq!(summary(0, 1), "1 warning");
    }
}
