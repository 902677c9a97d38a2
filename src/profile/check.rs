//! One file against the table of options: unknown keys, wrong types, bad values.
//!
//! Everything faulty is reported and taken out of the tree, so that later steps see only what is sound and say nothing
//! twice. Each file is checked by itself, before it is merged: a fault in an import shows even where it is overridden.

use std::collections::BTreeMap;

use super::advice;
use super::fault::Fault;
use super::options::{Kind, Shape, key_type};
use super::secrets;
use super::source::Span;
use super::suggest;
use super::value::{Entry, Table, Value, ValueKind};
use super::word::WordType;

/// What a check found beside the tree that it cleaned.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) faults: Vec<Fault>,
    /// Places that must not be shown.
    pub(super) hidden: Vec<Span>,
}

/// Checks a whole file's table.
pub(super) fn check(table: &mut Table, shape: &Shape) -> Findings {
    let mut findings = Findings::default();
    check_table(table, shape, "", &mut findings);
    findings
}

fn check_table(table: &mut Table, shape: &Shape, path: &str, findings: &mut Findings) {
    match shape {
        Shape::Table(children) => {
            let written = table.entries.len();
            table.entries.retain(|name, entry| match children.get(name.as_str()) {
                Some(shape) => {
                    check_value(&mut entry.value, shape, &join(path, name), findings);
                    true
                }
                None => {
                    unknown_key(name, entry, path, children, findings);
                    false
                }
            });
            table.damaged |= table.entries.len() < written;
        }
        Shape::Map { key, value: shape } => {
            let written = table.entries.len();
            table.entries.retain(|name, entry| match (key_type(key).check)(name) {
                Ok(()) => {
                    let name = if matches!(**shape, Shape::Leaf(_)) { format!("\"{name}\"") } else { name.clone() };
                    check_value(&mut entry.value, shape, &join(path, &name), findings);
                    true
                }
                Err(complaint) => {
                    let fault = Fault::new(complaint.message).label(entry.key, "this name");
                    findings.faults.push(fault.maybe_help(complaint.help));
                    // A table's place is its header, which holds nothing but names.
                    if matches!(**shape, Shape::Leaf(_)) {
                        secrets::inside(name, &entry.value, &mut findings.hidden);
                    }
                    // What stands below is checked before it is dropped: its faults show now, its secrets never.
                    check_value(&mut entry.value, shape, &join(path, &spelled(name)), findings);
                    false
                }
            });
            table.damaged |= table.entries.len() < written;
        }
        Shape::Leaf(_) | Shape::Tables(_) => {}
    }
}

/// A key as TOML takes it in a path.
fn spelled(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare { name.to_owned() } else { format!("{name:?}") }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Whether a secret, or what somebody takes for its place, can stand here.
fn holds_secret(shape: &Shape) -> bool {
    match shape {
        Shape::Leaf(spec) => {
            matches!(spec.kind, Kind::Word(word) | Kind::Scalar(word) | Kind::Plain(word) if word.hidden)
        }
        Shape::Table(children) => children.values().any(holds_secret),
        Shape::Map { value, .. } => holds_secret(value),
        Shape::Tables(item) => holds_secret(item),
    }
}

fn unknown_key(
    name: &str,
    entry: &Entry,
    path: &str,
    children: &BTreeMap<&'static str, Shape>,
    findings: &mut Findings,
) {
    secrets::inside(name, &entry.value, &mut findings.hidden);
    let known = children.keys().copied();
    let near = suggest::nearest(name, known.clone());
    if near
        .and_then(|near| children.get(near))
        .is_some_and(|shape| matches!(shape, Shape::Leaf(_)) && holds_secret(shape))
    {
        findings.hidden.push(entry.value.span);
    }
    let place = if path.is_empty() { "the top level".to_owned() } else { format!("`{path}`") };
    let help = match (near, advice::elsewhere(name, matches!(entry.value.kind, ValueKind::Table(_)), path, children)) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, Some(help)) => help,
        (None, None) => format!("known there: {}", known.collect::<Vec<_>>().join(", ")),
    };
    let fault = Fault::new(format!("unknown key '{name}' in {place}")).label(entry.key, "not an option");
    findings.faults.push(fault.help(help));
}

fn check_value(value: &mut Value, shape: &Shape, path: &str, findings: &mut Findings) {
    match (shape, &mut value.kind) {
        (Shape::Leaf(spec), _) => check_leaf(value, &spec.kind, path, findings),
        (Shape::Table(_) | Shape::Map { .. }, ValueKind::Table(table)) => check_table(table, shape, path, findings),
        (Shape::Table(_) | Shape::Map { .. }, _) => {
            if holds_secret(shape) {
                findings.hidden.push(value.span);
            }
            wrong_type_helped(value, "a table", path, advice::table(shape, path), findings);
        }
        (Shape::Tables(item), ValueKind::List { items, .. }) => {
            for each in items {
                match &mut each.kind {
                    ValueKind::Table(table) => check_table(table, item, path, findings),
                    _ => wrong_type_helped(each, "a table", path, Some(above_each(path)), findings),
                }
            }
        }
        (Shape::Tables(_), _) => {
            wrong_type_helped(value, "an array of tables", path, Some(above_each(path)), findings);
        }
    }
}

fn above_each(path: &str) -> String {
    format!("write [[{path}]] above each {}", path.rsplit('.').next().unwrap_or(path))
}

fn check_leaf(value: &mut Value, kind: &Kind, path: &str, findings: &mut Findings) {
    match (kind, &mut value.kind) {
        (Kind::Flag, ValueKind::Flag(_)) => {}
        (Kind::Flag, _) => wrong_type(value, "true or false", path, findings),
        (Kind::Integer { low, high }, ValueKind::Integer(number)) => {
            if *number < *low || *number > *high {
                let fault =
                    Fault::at(value.span, format!("`{path}` must lie between {low} and {high}, not at {number}"));
                findings.faults.push(fault);
                value.kind = ValueKind::Invalid;
            }
        }
        (Kind::Integer { .. }, _) => wrong_type(value, "a whole number", path, findings),
        (Kind::Scalar(word), ValueKind::Integer(_) | ValueKind::Flag(_)) => {
            value.kind = match &value.kind {
                ValueKind::Integer(number) => ValueKind::Text(number.to_string()),
                ValueKind::Flag(flag) => ValueKind::Text(u8::from(*flag).to_string()),
                _ => ValueKind::Invalid,
            };
            check_word(value, word, path, findings);
        }
        (Kind::Plain(_), ValueKind::Integer(_) | ValueKind::Flag(_)) => {}
        (Kind::Plain(_), kind) if !matches!(kind, ValueKind::Text(_)) => {
            wrong_type(value, "a text, a whole number, or true or false", path, findings);
        }
        (Kind::Word(word) | Kind::Scalar(word) | Kind::Plain(word), _) => check_word(value, word, path, findings),
        (Kind::List(kind), ValueKind::List { items, .. }) => {
            items.iter_mut().for_each(|item| check_leaf(item, kind, path, findings));
        }
        (Kind::List(kind), ValueKind::Table(table)) if table.entries.keys().eq(["replace"]) => {
            let Some(Entry { value: Value { kind: ValueKind::List { items, .. }, .. }, .. }) =
                table.entries.get_mut("replace")
            else {
                return wrong_type_helped(value, "a list", path, Some(advice::list(kind, path)), findings);
            };
            let mut items = std::mem::take(items);
            items.iter_mut().for_each(|item| check_leaf(item, kind, path, findings));
            value.kind = ValueKind::List { items, replace: true };
        }
        (Kind::List(kind), _) => wrong_type_helped(value, "a list", path, Some(advice::list(kind, path)), findings),
    }
}

fn check_word(value: &mut Value, word: &WordType, path: &str, findings: &mut Findings) {
    let ValueKind::Text(text) = &value.kind else {
        if word.hidden {
            findings.hidden.push(value.span);
        }
        let article = if word.name.starts_with(['a', 'e', 'i', 'o', 'I', 'S']) { "an" } else { "a" };
        let example = word.choices.first().copied().unwrap_or(word.example);
        let help = (!example.is_empty()).then(|| format!("for example {example:?}"));
        wrong_type_helped(value, &format!("{article} {} in quotes", word.name), path, help, findings);
        return;
    };
    if let Err(complaint) = (word.check)(text) {
        if word.hidden || secrets::is_private_key(text) {
            findings.hidden.push(value.span);
        }
        let fault = Fault::new(complaint.message).label(value.span, format!("in `{path}`"));
        findings.faults.push(fault.maybe_help(complaint.help));
        value.kind = ValueKind::Invalid;
    }
}

fn wrong_type(value: &mut Value, wanted: &str, path: &str, findings: &mut Findings) {
    let unquoted = matches!(value.kind, ValueKind::Text(_)) && matches!(wanted, "true or false" | "a whole number");
    let help = unquoted.then(|| format!("write {wanted}, without quotes"));
    wrong_type_helped(value, wanted, path, help, findings);
}

fn wrong_type_helped(value: &mut Value, wanted: &str, path: &str, help: Option<String>, findings: &mut Findings) {
    if !matches!(value.kind, ValueKind::Invalid) {
        let message = format!("`{path}` must be {wanted}, and is {}", value.type_name());
        findings.faults.push(Fault::at(value.span, message).maybe_help(help));
        value.kind = ValueKind::Invalid;
    }
}
