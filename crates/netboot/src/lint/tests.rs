//! Each trap by itself, with its message; the sound examples; hostile texts.

mod corpus;
mod hostile;
#[path = "../../tests/judges/mod.rs"]
mod judges;
mod traps;

use super::{Finding, Severity, lint};
use crate::Release;

/// A sound document of these sections; those that a document needs and that are not given come from elsewhere.
fn document(sections: &[&str]) -> String {
    let mut text = "#cloud-config\nautoinstall:\n".to_owned();
    let given = |name: &str| sections.iter().any(|section| section.starts_with(name));
    let needed = [
        ("version:", "version: 1\n"),
        ("apt:", "apt: {fallback: abort}\n"),
        ("storage:", "storage: {layout: {name: direct, match: {serial: '*1234'}}}\n"),
        ("identity:", IDENTITY),
    ];
    let added = needed.iter().filter(|(name, _)| !(given(name) || *name == "identity:" && given("user-data:")));
    for section in added.map(|(_, text)| text).chain(sections) {
        section.lines().for_each(|line| text += &format!("  {line}\n"));
    }
    text
}

const IDENTITY: &str = "identity:
  username: ops
  hostname: node1
  password: '$6$salt$bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb'
";

/// `LINE:COLUMN error: MESSAGE [the text that is meant]`, and the help below.
fn shown(text: &str, findings: &[Finding]) -> String {
    let one = |finding: &Finding| {
        let severity = if finding.severity == Severity::Error { "error" } else { "warning" };
        let place = &text[finding.range.clone()];
        let help = finding.help.as_ref().map_or(String::new(), |help| format!("    help: {help}\n"));
        format!("{}:{} {severity}: {} [{place}]\n{help}", finding.line, finding.column, finding.message)
    };
    findings.iter().map(one).collect()
}

fn found(text: &str) -> String {
    shown(text, &lint(text, Release::Ubuntu2404).findings)
}
