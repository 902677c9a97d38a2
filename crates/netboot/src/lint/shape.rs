//! What a value has to look like: kinds, keys, allowed words; and the one function that compares a tree with it.
//!
//! In: a [`Shape`] and a value. Out: a finding for each part that differs. Meaning beyond the form is the business of
//! the modules beside this one.

use std::ops::Range;

use super::report::Report;
use super::yaml::{Entry, Node, Value};
use crate::suggest::nearest;

/// The form of a value.
#[derive(Debug)]
pub(super) enum Shape {
    Any,
    /// A mapping with any keys.
    Mapping,
    Text,
    TextOrNull,
    Bool,
    /// As netplan has it: quotes do no harm.
    Switch,
    Int,
    /// `true`, `false` or this one word.
    BoolOr(&'static str),
    Choice(&'static [&'static str]),
    /// A list of anything.
    List,
    ListOf(&'static Shape),
    /// A shell command, or its words as a list.
    Command,
    Keys(&'static Keys),
    /// A mapping from names that the author chooses.
    Named(&'static Shape),
    /// A key that its reader does not know, where what is meant is known better than by its spelling.
    Unknown(&'static str, fn(&Node) -> String),
}

/// What a mapping may hold.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) known: &'static [Key],
    pub(super) others: Others,
}

#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) required: bool,
}

/// What becomes of a key that is not in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// Who reads it (the installer, netplan) stops.
    Refused(&'static str),
    /// The installer goes on as if it were not there.
    Ignored,
    /// It has a meaning for somebody else (curtin, netplan, cloud-init).
    Passed,
}

pub(super) const fn key(name: &'static str, shape: Shape) -> Key {
    Key { name, shape, required: false }
}

pub(super) const fn required(name: &'static str, shape: Shape) -> Key {
    Key { name, shape, required: true }
}

/// "'a', 'b' or 'c'".
pub(super) fn words(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => format!("'{one}'"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|word| format!("'{word}'")).collect();
            format!("{} or '{last}'", first.join(", "))
        }
    }
}

/// "did you mean 'x'?", or all of them where none is near.
pub(super) fn meant(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!("write {}", words(known)),
    }
}

/// A text of the document in a message: on one line, without control characters, cut where it is long.
pub(super) fn shown(text: &str) -> String {
    let mut letters = text.chars();
    let short: String = letters.by_ref().take(60).collect();
    let dots = if letters.next().is_some() { "..." } else { "" };
    format!("{}{dots}", short.escape_debug())
}

/// Key of an entry as a message names it.
pub(super) fn key_shown(entry: &Entry) -> String {
    match entry.name() {
        Some(name) => shown(name),
        None => entry.key.kind().to_owned(),
    }
}

/// Compares `node` with `shape`; `path` is what messages call it, `at` where a finding on the whole of it belongs.
pub(super) fn check(report: &mut Report<'_>, path: &str, at: &Range<usize>, node: &Node, shape: &Shape) {
    let differs = |report: &mut Report<'_>, wanted: &str| {
        let place = if matches!(node.value, Value::Null) { at } else { &node.range };
        let help = match (&node.value, shape) {
            (Value::Null, _) => Some("write a value, or leave the key out"),
            (Value::Map(_), Shape::Text | Shape::Command) => Some("a text that has ': ' in it needs quotes"),
            (Value::List(_) | Value::Map(_) | Value::Binary, _) => None,
            (_, Shape::List | Shape::ListOf(_)) => Some("write it as a list, also where it has one entry: '[...]'"),
            (Value::Text(_), Shape::Bool | Shape::Switch | Shape::BoolOr(_)) => {
                Some("write true or false, without quotes")
            }
            (Value::Text(_), Shape::Int) => Some("write a number without quotes"),
            (_, Shape::Text | Shape::TextOrNull | Shape::Command) => {
                Some("put it in quotes: as it stands, YAML 1.1 reads it so")
            }
            _ => None,
        };
        report.error(place, format!("'{path}' is {}, and must be {wanted}", node.kind())).maybe_help(help);
    };
    match shape {
        Shape::Any => {}
        Shape::Mapping => {
            if node.map().is_none() {
                differs(report, "a mapping");
            }
        }
        Shape::Text => {
            if node.text().is_none() {
                differs(report, "a text");
            }
        }
        Shape::TextOrNull => {
            if node.text().is_none() && node.value != Value::Null {
                differs(report, "a text");
            }
        }
        Shape::Bool => {
            if !matches!(node.value, Value::Bool(_)) {
                differs(report, "true or false");
            }
        }
        Shape::Switch => {
            let word = |text: &str| matches!(text, "true" | "on" | "yes" | "y" | "false" | "off" | "no" | "n");
            if !matches!(node.value, Value::Bool(_)) && !node.text().is_some_and(|text| word(&text.to_lowercase())) {
                differs(report, "true or false");
            }
        }
        Shape::Int => {
            if node.integer().is_none() {
                differs(report, "a whole number");
            }
        }
        Shape::BoolOr(word) => {
            if !matches!(node.value, Value::Bool(_)) && node.text() != Some(*word) {
                differs(report, &format!("true, false or '{word}'"));
            }
        }
        Shape::Choice(known) => match node.text() {
            Some(text) if known.contains(&text) => {}
            Some(text) => {
                let message = format!("'{path}' cannot be '{}'", shown(text));
                report.error(&node.range, message).help(meant(text, known));
            }
            None => differs(report, &words(known)),
        },
        Shape::List => {
            if node.list().is_none() {
                differs(report, "a list");
            }
        }
        Shape::ListOf(inner) => match node.list() {
            Some(items) => {
                let path = format!("{path}[]");
                items.iter().for_each(|item| check(report, &path, &item.range, item, inner));
            }
            None => differs(report, "a list"),
        },
        Shape::Command => match node.list() {
            Some(_) => check(report, path, at, node, &Shape::ListOf(&Shape::Text)),
            None if node.text().is_none() => differs(report, "a text or a list of texts"),
            None => {}
        },
        Shape::Named(inner) => match node.map() {
            Some(entries) => {
                for entry in entries {
                    let path = format!("{path}.{}", key_shown(entry));
                    check(report, &path, &entry.key.range, &entry.value, inner);
                }
            }
            None => differs(report, "a mapping"),
        },
        Shape::Keys(keys) => match node.map() {
            Some(_) => check_keys(report, path, at, node, keys),
            None => differs(report, "a mapping"),
        },
        Shape::Unknown(reader, help) => {
            let (path, name) = path.rsplit_once('.').unwrap_or(("", path));
            report.error(at, unknown_to(reader, path, name)).help(help(node));
        }
    }
}

/// Compares a mapping's keys with the table, and each value with its shape.
pub(super) fn check_keys(report: &mut Report<'_>, path: &str, at: &Range<usize>, node: &Node, keys: &Keys) {
    for entry in node.map().unwrap_or_default() {
        match keys.known.iter().find(|key| entry.name() == Some(key.name)) {
            Some(key) => {
                let path = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
                check(report, &path, &entry.key.range, &entry.value, &key.shape);
            }
            None => unknown(report, path, entry, keys),
        }
    }
    for key in keys.known.iter().filter(|key| key.required && node.entry(key.name).is_none()) {
        let message = match path {
            "" => format!("'{}' is missing", key.name),
            _ => format!("'{path}' has no '{}'", key.name),
        };
        report.error(at, message).help(format!("add '{}: ...'", key.name));
    }
}

fn unknown(report: &mut Report<'_>, path: &str, entry: &Entry, keys: &Keys) {
    let known = keys.known.iter().filter(|key| !matches!(key.shape, Shape::Unknown(..)));
    let known: Vec<&str> = known.map(|key| key.name).collect();
    let name = key_shown(entry);
    let message = match keys.others {
        Others::Passed => return,
        Others::Refused(reader) => unknown_to(reader, path, &name),
        Others::Ignored => format!("'{path}' knows no key '{name}': the installer ignores it"),
    };
    report.error(&entry.key.range, message).help(meant(&name, &known));
}

fn unknown_to(reader: &str, path: &str, name: &str) -> String {
    format!("'{path}' knows no key '{name}': {reader} refuses it")
}
