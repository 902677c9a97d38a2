//! The frame of the document: first line, `autoinstall:` wrapper, sections.

use std::ops::Range;

use super::facts::Facts;
use super::keys::{LATER, MISPLACED, SECTIONS, names};
use super::report::Report;
use super::shape::{self, key_shown, shown};
use super::yaml::{self, Node, Value};
use super::{account, installer, network, secrets, storage};
use crate::suggest::nearest;

const HEADER: &str = "#cloud-config";
const TEMPLATE: &str = "## template: jinja";

/// The sections and where a finding on all of them belongs.
pub(super) struct Sections<'a> {
    pub(super) node: &'a Node,
    pub(super) at: Range<usize>,
}

impl Sections<'_> {
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        self.node.get(name)
    }

    /// Place of a section's key.
    pub(super) fn at(&self, name: &str) -> Range<usize> {
        self.node.entry(name).map_or_else(|| self.at.clone(), |entry| entry.key.range.clone())
    }

    /// Whether a person is asked about a section.
    pub(super) fn asks(&self, name: &str) -> bool {
        let listed = self.get("interactive-sections").and_then(Node::list).unwrap_or_default();
        listed.iter().any(|section| matches!(section.text(), Some(text) if text == "*" || text == name))
    }
}

pub(super) fn check<'t>(text: &'t str, facts: &Facts, report: &mut Report<'t>, hidden: &mut Vec<Range<usize>>) {
    header(text, report);
    let Some(root) = yaml::read(text, report) else {
        *hidden = secrets::of_text(text);
        return;
    };
    *hidden = secrets::of_tree(text, &root);
    let Some(sections) = wrapper(&root, facts, report) else { return };
    let at = sections.at.clone();
    shape::check_keys(report, "", &at, sections.node, &SECTIONS);
    unknown_sections(&sections, facts, report);
    installer::check(&sections, facts, report);
    storage::check(&sections, facts, report);
    account::check(&sections, facts, report);
    network::check(&sections, report);
}

/// cloud-init tells the kind of user-data by how it begins. Its reader skips blanks before the header and takes any case;
/// its own checker takes nothing but the text's very beginning. A remark may follow on the line.
fn header(text: &str, report: &mut Report<'_>) {
    let mut lines = text.lines();
    let mut first = lines.next().unwrap_or("");
    let begins = |text: &str, head: &str| text.get(..head.len()).is_some_and(|start| start.eq_ignore_ascii_case(head));
    let mut at = 0..first.len();
    if begins(first, TEMPLATE) {
        report
            .warning(&at, "this is a template: cloud-init fills it in before it is read as YAML")
            .help("what is found below may differ in the filled-in document");
        let second = lines.next().unwrap_or("");
        let start = text.find('\n').map_or(text.len(), |at| at + 1);
        (first, at) = (second, start..start + second.len());
    }
    if first.strip_prefix(HEADER).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t'])) {
        return;
    }
    let start = text[at.start..].trim_start();
    let other = ["#cloud-config-archive", "#cloud-config-jsonp"].into_iter().any(|kind| begins(start, kind));
    if begins(start, HEADER) && !other {
        report
            .error(
                &at,
                format!("the first line is not exactly '{HEADER}': not everything that reads the file takes it"),
            )
            .help(format!("write '{HEADER}' as the first line, with nothing before it"));
        return;
    }
    let near = first.trim_start_matches('\u{feff}').to_lowercase().replace([' ', '_'], "").starts_with("#cloud");
    let what = if near { "is not exactly" } else { "is not" };
    report
        .error(&at, format!("the first line {what} '{HEADER}': cloud-init ignores the file"))
        .help(format!("write '{HEADER}' as the first line, with nothing before it"));
}

fn wrapper<'a>(root: &'a Node, facts: &Facts, report: &mut Report<'_>) -> Option<Sections<'a>> {
    let Some(entries) = root.map() else {
        let message = match root.value {
            Value::Null => "the document is empty".to_owned(),
            _ => format!("the document is {}, and must be a mapping", root.kind()),
        };
        report.error(&root.range, message).help("write 'autoinstall:' and the sections below it");
        return None;
    };
    if let Some(entry) = root.entry("autoinstall") {
        for other in entries {
            let Some(name) = other.name().filter(|name| MISPLACED.contains(name)) else { continue };
            let consequence = if facts.refuses_misplaced { "the installer refuses it" } else { "it is ignored" };
            report
                .error(&other.key.range, format!("'{name}' stands beside 'autoinstall', not below it: {consequence}"))
                .help("indent it, so that it becomes a section of 'autoinstall'");
        }
        if entry.value.map().is_none() {
            report
                .error(&entry.key.range, format!("'autoinstall' is {}, and must be a mapping", entry.value.kind()))
                .help("write its sections below it, indented");
            return None;
        }
        return Some(Sections { node: &entry.value, at: entry.key.range.clone() });
    }
    let own = |name: &str| name == "version" || MISPLACED.contains(&name);
    let first = entries.iter().find(|entry| entry.name().is_some_and(own));
    let Some(first) = first else {
        let near = entries.iter().find(|entry| entry.name().and_then(|name| nearest(name, ["autoinstall"])).is_some());
        let at = near.map_or(&root.range, |entry| &entry.key.range);
        let help = near.map_or("write the sections below a key 'autoinstall'", |_| "did you mean 'autoinstall'?");
        report.error(at, "there is no key 'autoinstall': the installer asks a person for everything").help(help);
        return near
            .filter(|near| near.value.map().is_some())
            .map(|near| Sections { node: &near.value, at: near.key.range.clone() });
    };
    report
        .error(&first.key.range, "the sections stand at the top level: in user-data they belong below 'autoinstall'")
        .help(
            "write 'autoinstall:' before them and indent them; only an autoinstall.yaml on the medium may do without",
        );
    Some(Sections { node: root, at: root.range.clone() })
}

fn unknown_sections(sections: &Sections<'_>, facts: &Facts, report: &mut Report<'_>) {
    let known = names(SECTIONS.known);
    for entry in sections.node.map().unwrap_or_default() {
        let Some(name) = entry.name() else {
            report
                .error(&entry.key.range, format!("a section's name is {}, and must be a text", key_shown(entry)))
                .help("put it in quotes");
            continue;
        };
        if facts.unknown_sections.contains(&name) {
            report.warning(
                &entry.key.range,
                format!("the installers of the first {} media do not know '{name}' and ignore it", facts.version),
            );
        } else if LATER.contains(&name) {
            report
                .error(
                    &entry.key.range,
                    format!("the installer of {} does not know '{name}' and ignores it", facts.version),
                )
                .help("leave it out; newer releases know it");
        } else if !known.contains(&name) {
            report
                .error(
                    &entry.key.range,
                    format!("'autoinstall' has no section '{}': the installer ignores it", shown(name)),
                )
                .maybe_help(nearest(name, known.iter().copied()).map(|near| format!("did you mean '{near}'?")));
        }
    }
    if let Some(number) = sections.get("version").and_then(Node::integer)
        && number != 1
    {
        let at = sections.get("version").map_or(0..0, |node| node.range.clone());
        report.error(&at, format!("'version' is {number}: there is only version 1")).help("write 'version: 1'");
    }
    let asked = sections.get("interactive-sections").and_then(Node::list).unwrap_or_default();
    for section in asked {
        if let Some(name) = section.text().filter(|name| *name != "*" && !known.contains(name)) {
            report
                .warning(&section.range, format!("there is no section '{}' to ask a person about", shown(name)))
                .maybe_help(nearest(name, known.iter().copied()).map(|near| format!("did you mean '{near}'?")));
        }
    }
}
