//! The storage section: a layout with a disk selector, or a list of actions.
//!
//! The installer's schema says no more than that it is a mapping. What is checked here follows from how the installer
//! reads it: by the keys that it knows, so that a mistyped one is as good as none, and another disk is taken.

mod actions;
mod boot;
mod config;
mod selector;

use super::document::Sections;
use super::facts::Facts;
use super::report::Report;
use super::shape::{self, Keys, Others, Shape, check_keys, key, meant, required, shown};
use super::yaml::Node;
use crate::disk_choice::PLACEHOLDER;

const STORAGE: Keys = Keys {
    known: &[
        key("layout", Shape::Mapping),
        key("config", Shape::List),
        key("swap", Shape::Mapping),
        key("grub", Shape::Mapping),
        // Of curtin's format.
        key("version", Shape::Int),
    ],
    others: Others::Ignored,
};

const LAYOUT: Keys = Keys {
    known: &[
        required("name", Shape::Text),
        // One selector, or a list of them.
        key("match", Shape::Any),
        key("mode", Shape::Choice(&["reformat_disk", "use_gap"])),
        key("ptable", Shape::Choice(&["gpt", "msdos"])),
        key("password", Shape::Text),
        key("recovery-key", Shape::Any),
        key("sizing-policy", Shape::Choice(&["scaled", "all"])),
        key("encrypted", Shape::Bool),
        key("reset-partition", Shape::Any),
        key("reset-partition-only", Shape::Bool),
    ],
    others: Others::Ignored,
};

pub(super) fn check(sections: &Sections<'_>, facts: &Facts, report: &mut Report<'_>) {
    let at = sections.at("storage");
    let Some(storage) = sections.get("storage") else {
        if !sections.asks("storage") {
            report
                .warning(&at, "there is no 'storage': the installer wipes the largest disk and puts LVM on it")
                .help("add 'storage' with a layout and a 'match' that fits one disk");
        }
        return;
    };
    if storage.map().is_none() {
        return;
    }
    check_keys(report, "storage", &at, storage, &STORAGE);
    let (layout, config) = (storage.entry("layout"), storage.entry("config"));
    match (layout, config) {
        (Some(_), Some(config)) => {
            report
                .error(&config.key.range, "'config' is silently ignored, because 'layout' is there too")
                .help("keep one of the two");
        }
        (None, None) if sections.asks("storage") => {}
        (None, None) => {
            report
                .error(&at, "'storage' has neither 'layout' nor 'config': the installer has no disk to install to")
                .help("add 'layout: {name: lvm, match: {...}}'");
        }
        _ => {}
    }
    if let Some(layout) = layout.filter(|layout| layout.value.map().is_some()) {
        check_layout(&layout.value, &layout.key.range, facts, report);
    }
    if let Some(config) = config
        && let Some(list) = config.value.list()
    {
        config::check(list, &config.key.range, layout.is_none(), facts, report);
    }
}

fn check_layout(layout: &Node, at: &std::ops::Range<usize>, facts: &Facts, report: &mut Report<'_>) {
    check_keys(report, "storage.layout", at, layout, &LAYOUT);
    let name = layout.get("name");
    if let Some(node) = name
        && let Some(text) = node.text()
    {
        if !facts.layouts.contains(&text) {
            report
                .error(&node.range, format!("there is no layout '{}': {}", shown(text), facts.unknown_layout))
                .help(meant(text, facts.layouts));
        } else if text == "hybrid" {
            report
                .warning(
                    &node.range,
                    "'hybrid' is for media with an encrypted core boot system: the server medium stops",
                )
                .help("write 'lvm' with a password for an encrypted server");
        } else if text == "dd" {
            report
                .warning(&node.range, "'dd' is for media that carry an image of a whole disk: the server medium stops")
                .help("write 'direct' or 'lvm'");
        }
        for (key, only) in [("sizing-policy", "lvm"), ("encrypted", "hybrid"), ("recovery-key", "lvm")] {
            if let Some(entry) = layout.entry(key).filter(|_| text != only) {
                report
                    .error(&entry.key.range, format!("'{key}' is ignored: only the layout '{only}' knows it"))
                    .help(format!("leave it out, or write 'name: {only}'"));
            }
        }
        if let Some(entry) = layout.entry("password").filter(|_| text == "direct") {
            report
                .error(&entry.key.range, "'password' is ignored: the layout 'direct' does not encrypt")
                .help("write 'name: lvm' to encrypt the disk");
        }
    }
    if let Some(key) = layout.entry("recovery-key").filter(|_| layout.entry("password").is_none()) {
        report.error(&key.key.range, "'recovery-key' needs 'password': the installer stops").help("add 'password'");
    }
    if let Some(policy) = layout.entry("sizing-policy").filter(|_| !facts.sizing_policy && !is_ours(layout)) {
        report
            .warning(
                &policy.key.range,
                format!(
                    "the installers of the first {} media do not know 'sizing-policy' and ignore it",
                    facts.version
                ),
            )
            .help("use a later medium, or leave it out: the volume is then a part of the disk");
    }
    match layout.entry("match") {
        Some(entry) => selector::check("storage.layout.match", entry, facts, report),
        None => {
            let rule = match layout.get("mode").and_then(Node::text) {
                Some("use_gap") => "the largest gap of any disk",
                _ => "the largest disk",
            };
            report.warning(at, format!("the layout has no 'match': the installer takes {rule}")).help(
                "add 'match' with the serial number of the disk, or 'match: {size: largest}' to say that it is meant",
            );
        }
    }
    if let Some(entry) = layout.entry("reset-partition")
        && entry.value.integer().is_none()
        && entry.value.text().is_none()
    {
        shape::check(report, "storage.layout.reset-partition", &entry.key.range, &entry.value, &Shape::Bool);
    }
}

/// What provbuild itself writes: it is for the medium that the profile names, and that one is known.
fn is_ours(layout: &Node) -> bool {
    layout.get("match").and_then(|matched| matched.get("path")).and_then(Node::text) == Some(PLACEHOLDER)
}
