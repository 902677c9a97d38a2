//! A storage config: each action by its kind, and what the actions say of each other.

use crate::disk_choice::UEFI_PLACEHOLDER;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use super::actions::{self, COMMON, Kind};
use super::{boot, selector};
use crate::lint::facts::Facts;
use crate::lint::report::Report;
use crate::lint::shape::{self, key_shown, meant, shown};
use crate::lint::yaml::{Node, Value};
use crate::suggest::nearest;

/// File systems without owners, links or files at all.
const NO_ROOT: &[&str] = &["swap", "fat", "fat12", "fat16", "fat32", "vfat", "ntfs", "iso9660"];

/// An action that the installer understands.
pub(super) struct Action<'a> {
    pub(super) kind: &'static str,
    pub(super) id: &'a str,
    pub(super) node: &'a Node,
}

impl Action<'_> {
    /// The id of the action that a key names.
    pub(super) fn reference(&self, key: &str) -> Option<&str> {
        self.node.get(key)?.text()
    }

    pub(super) fn is(&self, key: &str) -> bool {
        self.node.get(key).is_some_and(|value| value.is(true) || value.text() == Some(UEFI_PLACEHOLDER))
    }
}

/// `counts` is false for a config that a layout hides: it need not install anything.
pub(super) fn check(list: &[Rc<Node>], at: &Range<usize>, counts: bool, facts: &Facts, report: &mut Report<'_>) {
    // In the order of the list: a reference to a later action is as good as none.
    let mut found: Vec<Action<'_>> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    // Another one may be hidden behind a kind that only curtin knows.
    let mut foreign = false;
    for node in list {
        let Some(kind) = kind_of(node, report) else {
            foreign |= node.map().is_some();
            continue;
        };
        check_keys(node, kind, report);
        check_references(node, kind, list, &places, report);
        if kind.name == "disk" {
            check_disk(node, facts, report);
        }
        let id = node.get("id").and_then(Node::text);
        match (id, node.entry("id")) {
            (Some(id), Some(entry)) => {
                if let Some(first) = places.get(id) {
                    let line = report.line(found[*first].node.range.start);
                    report
                        .error(
                            &entry.value.range,
                            format!("the id '{}' is already used by the action on line {line}", shown(id)),
                        )
                        .help("give each action its own id");
                } else {
                    places.insert(id, found.len());
                }
            }
            (None, None) => {
                report
                    .error(&node.range, format!("this {} has no 'id': the installer stops", kind.name))
                    .help("add 'id: ...'");
            }
            _ => {}
        }
        found.push(Action { kind: kind.name, id: id.unwrap_or(""), node });
    }
    check_sizes(&found, report);
    check_percents(&found, report);
    if counts && !foreign {
        check_root(&found, at, report);
        boot::check(&found, at, report);
    }
}

fn kind_of(node: &Node, report: &mut Report<'_>) -> Option<&'static Kind> {
    if node.map().is_none() {
        report.error(&node.range, format!("an action of 'config' is {}, and must be a mapping", node.kind()));
        return None;
    }
    let Some(kind) = node.entry("type") else {
        report
            .error(&node.range, "this action has no 'type': the installer stops")
            .help("add 'type: disk', 'type: partition' and so on");
        return None;
    };
    let Some(name) = kind.value.text() else {
        report.error(&kind.key.range, format!("'type' is {}, and must be a text", kind.value.kind()));
        return None;
    };
    let found = actions::find(name);
    if found.is_none() {
        report
            .error(
                &kind.value.range,
                format!("the installer knows no action of type '{}' and silently leaves it out", shown(name)),
            )
            .help(meant(name, &actions::names()));
    }
    found
}

fn check_keys(node: &Node, kind: &Kind, report: &mut Report<'_>) {
    for entry in node.map().unwrap_or_default() {
        if let Some(key) = kind.keys.iter().find(|key| entry.name() == Some(key.name)) {
            shape::check(report, &format!("{}.{}", kind.name, key.name), &entry.key.range, &entry.value, &key.shape);
            continue;
        }
        let name = key_shown(entry);
        if name == "id" {
            shape::check(report, "id", &entry.key.range, &entry.value, &shape::Shape::Text);
        } else if kind.name == "disk" && selector::OF_SELECTOR.contains(&name.as_str()) {
            report
                .error(
                    &entry.key.range,
                    format!("'{name}' selects no disk here: it is silently ignored, and any disk may be taken"),
                )
                .help(format!("write it below 'match', as in 'match: {{{name}: ...}}'"));
        } else if !COMMON.contains(&name.as_str()) {
            let known = kind.keys.iter().map(|key| key.name);
            report
                .warning(&entry.key.range, format!("'{name}' is no key of a {}: the installer ignores it", kind.name))
                .maybe_help(nearest(&name, known).map(|near| format!("did you mean '{near}'?")));
        }
    }
    for key in kind.keys.iter().filter(|key| key.required && node.entry(key.name).is_none()) {
        report
            .error(&node.range, format!("this {} has no '{}': the installer stops", kind.name, key.name))
            .help(format!("add '{}: ...'", key.name));
    }
}

fn check_references(
    node: &Node,
    kind: &Kind,
    list: &[Rc<Node>],
    before: &HashMap<&str, usize>,
    report: &mut Report<'_>,
) {
    for name in kind.references {
        let Some(entry) = node.entry(name) else { continue };
        let values: Vec<&Node> = match &entry.value.value {
            Value::List(items) => items.iter().map(AsRef::as_ref).collect(),
            _ => vec![&entry.value],
        };
        for value in values {
            let Some(id) = value.text().filter(|id| !before.contains_key(id)) else { continue };
            let later = list.iter().any(|action| action.get("id").and_then(Node::text) == Some(id));
            let (message, help) = match later {
                true => (
                    format!("'{}' is the id of a later action: the installer reads them in order", shown(id)),
                    Some("put that action before this one".to_owned()),
                ),
                false => (
                    format!("'{}' is not the id of an action", shown(id)),
                    nearest(id, before.keys().copied()).map(|near| format!("did you mean '{near}'?")),
                ),
            };
            report.error(&value.range, message).maybe_help(help);
        }
    }
}

fn check_disk(node: &Node, facts: &Facts, report: &mut Report<'_>) {
    let direct = ["serial", "path"].into_iter().find_map(|name| node.entry(name));
    let matched = node.entry("match");
    if let Some(entry) = matched {
        selector::check("disk.match", entry, facts, report);
    }
    match (direct, matched) {
        (Some(direct), Some(matched)) => {
            let name = key_shown(direct);
            report
                .error(&matched.key.range, format!("'match' is silently ignored, because '{name}' is there too"))
                .help(format!("put '{name}' below 'match', or leave 'match' out"));
        }
        (None, None) => match node.entry("wwn") {
            Some(wwn) => {
                report
                    .error(&wwn.key.range, "the installer selects no disk by 'wwn': any disk may be taken")
                    .help("add 'match' with the serial number of the disk");
            }
            None => {
                report
                    .warning(&node.range, "this disk has no 'match', 'serial' or 'path': the installer takes any disk")
                    .help("add 'match' with the serial number of the disk");
            }
        },
        _ => {}
    }
    if let Some(direct) = direct
        && let Some(text) = direct.value.text()
    {
        let name = key_shown(direct);
        let help = format!("write it below 'match', as in 'match: {{{name}: ...}}'");
        if selector::is_glob(text) {
            let message = format!("'{name}' is compared letter by letter here: '{}' fits no disk", shown(text));
            report.error(&direct.value.range, message).help(help);
        } else {
            selector::check_whole(&name, &direct.value, text, report);
        }
    }
}

fn check_sizes(actions: &[Action<'_>], report: &mut Report<'_>) {
    let mut last: HashMap<&str, usize> = HashMap::new();
    let sized = |action: &&(usize, &Action<'_>)| matches!(action.1.kind, "partition" | "lvm_partition");
    let all: Vec<(usize, &Action<'_>)> = actions.iter().enumerate().collect();
    for (index, action) in all.iter().filter(sized) {
        if let Some(device) = action.reference(parent(action.kind)) {
            last.insert(device, *index);
        }
    }
    for (index, action) in all.iter().filter(sized) {
        let Some(size) = action.node.get("size") else { continue };
        let name = action.kind;
        match &size.value {
            Value::Int(number) if *number < 0 => {
                let rest = action.reference(parent(action.kind)).and_then(|device| last.get(device));
                if rest.is_some_and(|rest| rest != index) && action.reference("flag") != Some("extended") {
                    report
                        .error(
                            &size.range,
                            "only the last partition of a device may have the size -1: the installer stops",
                        )
                        .help("put this partition last, or write its size");
                }
            }
            Value::Int(0) => {
                report.error(&size.range, format!("a {name} cannot have the size 0")).help("write a size, as in '1G'");
            }
            Value::Int(_) => {}
            Value::Text(text) if is_size(text) => {}
            Value::Text(text) => {
                report.error(&size.range, format!("the installer cannot read the size '{}'", shown(text))).help(
                    "write a number and one of B, K, M, G, T (powers of 1024), as in '512M', a percentage, or -1",
                );
            }
            _ => {
                report
                    .error(
                        &size.range,
                        format!("the size of a {name} is {}, and must be a text or a number of bytes", size.kind()),
                    )
                    .help("write it as in '512M', '50%' or -1");
            }
        }
    }
}

/// A number, whole or with a point, one of curtin's letters, and a `B` that changes nothing (curtin's human2bytes); or whole percents.
fn is_size(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if let Some(percent) = text.strip_suffix('%') {
        return digits(percent);
    }
    let number = text.strip_suffix('B').unwrap_or(text);
    let number = number.strip_suffix(['K', 'M', 'G', 'T']).unwrap_or(number);
    match number.split_once('.') {
        Some((whole, part)) => digits(whole) && digits(part),
        None => digits(number),
    }
}

/// Percents are of the whole device: together they are no more than it.
fn check_percents(actions: &[Action<'_>], report: &mut Report<'_>) {
    let mut sums: HashMap<&str, u64> = HashMap::new();
    for action in actions.iter().filter(|action| matches!(action.kind, "partition" | "lvm_partition")) {
        let Some(size) = action.node.get("size") else { continue };
        let Some(percent) = size.text().filter(|text| is_size(text)).and_then(|text| text.strip_suffix('%')) else {
            continue;
        };
        // What has too many digits is above 100 as well.
        let percent: u64 = percent.parse().unwrap_or(u64::MAX);
        if percent > 100 {
            report
                .error(&size.range, "the size is more than 100% of the device: partitioning fails")
                .help("write at most '100%', or -1 for the rest");
            continue;
        }
        let Some(device) = action.reference(parent(action.kind)) else { continue };
        let sum = sums.entry(device).or_default();
        if *sum <= 100 && *sum + percent > 100 {
            report
                .error(&size.range, format!("with this one the sizes on '{}' are more than 100%", shown(device)))
                .help("write -1 for the rest as the last one");
        }
        *sum += percent;
    }
}

/// The key that names what a partition is on.
fn parent(kind: &str) -> &'static str {
    match kind {
        "partition" => "device",
        _ => "volgroup",
    }
}

fn check_root(actions: &[Action<'_>], at: &Range<usize>, report: &mut Report<'_>) {
    let mounts = |action: &Action<'_>| match action.kind {
        "mount" => action.reference("path") == Some("/"),
        "zpool" => action.reference("mountpoint") == Some("/"),
        "zfs" => action.node.get("properties").and_then(|p| p.get("mountpoint")).and_then(Node::text) == Some("/"),
        _ => false,
    };
    if !actions.iter().any(mounts) {
        report
            .error(at, "no action mounts '/': there is nowhere to install to")
            .help("add 'type: mount' with 'path: /' and the id of a 'format' as its device");
    }
    let root = actions.iter().find(|action| action.kind == "mount" && mounts(action));
    let format = root.and_then(|root| root.reference("device")).and_then(|device| {
        actions.iter().find(|action| action.kind == "format" && action.id == device && !device.is_empty())
    });
    if let Some(fstype) = format.and_then(|format| format.node.get("fstype"))
        && let Some(name) = fstype.text().filter(|name| NO_ROOT.contains(name))
    {
        report
            .error(&fstype.range, format!("'/' is on '{name}', which cannot hold an installed system"))
            .help("write 'fstype: ext4'");
    }
    for action in actions.iter().filter(|action| action.kind == "mount") {
        let named = ["device", "spec"].iter().any(|key| action.node.entry(key).is_some());
        if !named {
            report
                .error(&action.node.range, "this mount has no 'device'")
                .help("add the id of a 'format' as its device");
        }
    }
}
