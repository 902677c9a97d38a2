//! `provbuild lint`: what is wrong with a file that an installer reads.
//!
//! Excerpts go to stderr as those of a profile's faults do; with `--json` one object per finding goes to stdout.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use annotate_snippets::Level;
use netboot::Release;
use netboot::lint::{LONGEST_TEXT, Linted, Severity, lint_bytes};

use super::commands::{Failure, print};
use super::exit::Exit;
use crate::diagnostic::fault::Fault;
use crate::diagnostic::source::{Sources, Span};

/// Checks autoinstall user-data; `-` is standard input. With `lenient` only errors fail.
pub(super) fn user_data(file: &Path, release: Release, lenient: bool, json: bool, color: bool) -> Result<(), Failure> {
    let input = file == Path::new("-");
    let name = if input { Path::new("standard input") } else { file };
    let bytes = read(file, input).map_err(|error| Failure::Surroundings(format!("read {}", name.display()), error))?;
    let (text, linted) = lint_bytes(&bytes, release);
    match json {
        true => print(&objects(name, &linted)?)?,
        false => eprint!("{}", excerpts(name, &text, &linted, color)),
    }
    let count = |severity| linted.findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if !json {
        eprintln!("{}: {}", name.display(), summary(errors, warnings));
    }
    match errors > 0 || !lenient && warnings > 0 {
        true => Err(Failure::Reported(Exit::Profile)),
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
    let counted = |count: usize, one: &str| match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    };
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

fn objects(name: &Path, linted: &Linted) -> Result<String, Failure> {
    let mut lines = String::new();
    for finding in &linted.findings {
        let mut object = serde_json::json!({ "file": name });
        let fields = serde_json::to_value(finding)
            .map_err(|error| Failure::Surroundings("write the findings".into(), error.into()))?;
        if let (Some(object), serde_json::Value::Object(fields)) = (object.as_object_mut(), fields) {
            object.extend(fields);
        }
        lines += &format!("{object}\n");
    }
    Ok(lines)
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
    fn objects_are_one_on_a_line() {
        let linted = netboot::lint::lint(TEXT, Release::Ubuntu2404);
        let text = objects(Path::new("user-data"), &linted).ok().unwrap();
        let first: serde_json::Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
        assert_eq!(
            first,
            serde_json::json!({
                "file": "user-data", "line": 5, "column": 28, "severity": "error",
                "message": "there is no layout 'lmv': the installer silently takes 'direct'",
                "help": "did you mean 'lvm'?",
            })
        );
        assert_eq!(text.lines().count(), 3);
        assert!(!text.contains("correct horse"));
    }

    #[test]
    fn summaries() {
        assert_eq!(summary(0, 0), "no faults");
        assert_eq!(summary(1, 2), "1 error, 2 warnings");
        assert_eq!(summary(0, 1), "1 warning");
    }
}
