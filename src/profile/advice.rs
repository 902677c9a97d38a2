//! Remedies that the table of options knows: what to write where a table or a list stands, where an unknown key belongs,
//! and what a text that is no TOML most likely was to be.
//!
//! Nothing of what was written is repeated: it may be a secret in the wrong place.

use std::collections::{BTreeMap, BTreeSet};

use super::options::{self, Fallback, Kind, NODES, PROFILE, Shape, Spec, key_type, specs};
use super::value::DUPLICATE;

/// More places than these are no help.
const MOST: usize = 3;

/// What to write at `path`, where a table is wanted.
pub(super) fn table(shape: &Shape, path: &str) -> Option<String> {
    let last = path.rsplit('.').next().unwrap_or(path);
    match shape {
        Shape::Table(children) if !path.contains('.') || children.values().any(|child| !is_leaf(child)) => {
            Some(format!("write [{path}] on a line of its own, and its options below"))
        }
        Shape::Map { value, .. } if !is_leaf(value) => {
            Some(format!("write [{path}.NAME] on a line of its own, and its options below"))
        }
        _ => Some(format!("for example {last} = {}", example(shape)?)),
    }
}

/// What to write at `path`, where a list is wanted.
pub(super) fn list(item: &Kind, path: &str) -> String {
    let last = path.rsplit('.').next().unwrap_or(path);
    format!("write it in brackets, for example {last} = [{}]", value(item))
}

fn is_leaf(shape: &Shape) -> bool {
    matches!(shape, Shape::Leaf(_))
}

/// A value in TOML.
fn example(shape: &Shape) -> Option<String> {
    match shape {
        Shape::Leaf(spec) => Some(value(&spec.kind)),
        Shape::Map { key, value } => Some(format!("{{ {} = {} }}", key_type(key).example, example(value)?)),
        Shape::Table(children) => {
            let leaves = || {
                children.iter().filter_map(|(name, child)| match child {
                    Shape::Leaf(spec) => Some((*name, *spec)),
                    _ => None,
                })
            };
            let mut shown: Vec<(&str, &Spec)> =
                leaves().filter(|(name, spec)| spec.default == Fallback::Required || *name == "url").collect();
            if shown.is_empty() {
                // The one that is described first is the most usual one.
                shown.extend(leaves().min_by_key(|(_, spec)| options::position(spec)));
            }
            let shown: Vec<_> = shown.iter().map(|(name, spec)| format!("{name} = {}", value(&spec.kind))).collect();
            Some(format!("{{ {} }}", shown.join(", "))).filter(|_| !shown.is_empty())
        }
        Shape::Tables(_) => None,
    }
}

fn value(kind: &Kind) -> String {
    match kind {
        Kind::Flag => "true".to_owned(),
        Kind::Integer { low, .. } => low.to_string(),
        Kind::Word(word) | Kind::Scalar(word) | Kind::Plain(word) => {
            match word.choices.first().copied().unwrap_or(word.example) {
                "" => "\"...\"".to_owned(),
                text => format!("{text:?}"),
            }
        }
        Kind::List(item) => format!("[{}]", value(item)),
    }
}

/// Where a key belongs that is not known at `path`, beside `children`. `is_table`: what was written there.
pub(super) fn elsewhere(
    name: &str,
    is_table: bool,
    path: &str,
    children: &BTreeMap<&'static str, Shape>,
) -> Option<String> {
    let mut found: BTreeSet<String> = BTreeSet::new();
    // `size` for `min-size`.
    found.extend(children.keys().filter(|key| key.split('-').any(|part| part == name)).map(|key| (*key).to_owned()));
    // `dhcp-range` for `dhcp.range`.
    for (at, _) in name.match_indices(['-', '_']) {
        let (head, tail) = (&name[..at], &name[at + 1..]);
        if let Some(Shape::Table(below)) = children.get(head)
            && below.contains_key(tail)
        {
            found.insert(format!("{head}.{tail}"));
        }
    }
    // `[provisioning]` for `[network.provisioning]`.
    if found.is_empty() {
        let file = if path.starts_with("node") || children.contains_key("node") { NODES } else { PROFILE };
        for spec in specs(file) {
            let parts: Vec<&'static str> = spec.path.split('.').collect();
            if let Some(at) = parts.iter().position(|part| part.trim_end_matches("[]") == name)
                && is_table == (at + 1 < parts.len())
            {
                found.insert(shown(&parts[..=at], path));
            }
        }
    }
    let found: Vec<_> = found.iter().map(|key| format!("`{key}`")).collect();
    (1..=MOST).contains(&found.len()).then(|| format!("did you mean {}?", found.join(" or ")))
}

/// A declared path as people write it, from where they are.
fn shown(parts: &[&'static str], path: &str) -> String {
    let part = |part: &&'static str| if part.starts_with('<') { "NAME" } else { part.trim_end_matches("[]") };
    let whole = parts.iter().map(part).collect::<Vec<_>>().join(".");
    match whole.strip_prefix(path).and_then(|rest| rest.strip_prefix('.')) {
        Some(rest) if !path.is_empty() => rest.to_owned(),
        _ => whole,
    }
}

/// What to do about a syntax error, where that is certain. `at`: the text that it is about; `line`: the line where it stands.
pub(super) fn syntax(message: &str, at: &str, line: &str, shape: &Shape) -> Option<String> {
    let header =
        line.trim().strip_prefix('[').filter(|rest| !rest.starts_with('[')).and_then(|rest| rest.split_once(']'));
    if message == DUPLICATE {
        return Some(match header {
            Some((name, _)) if is_tables(shape, name) => format!("write [[{}]] above each of them", name.trim()),
            Some(_) => "put the options of both below one of them".to_owned(),
            None => "keep one of them".to_owned(),
        });
    }
    if message.starts_with("string values must be quoted") {
        let odd = |c: char| c.is_whitespace() || "\"'[]{},=#".contains(c);
        return match at.trim() {
            "" => Some("write a value behind the '='".to_owned()),
            word if !word.contains(odd) => Some("put double quotes around it".to_owned()),
            _ => None,
        };
    }
    if message.starts_with("invalid basic string") && line.matches('"').count() % 2 == 1 && !line.contains('\\') {
        return Some("end the text with a double quote".to_owned());
    }
    (message.starts_with("unclosed table") && header.is_none()).then(|| "end the header with ']'".to_owned())
}

/// Whether a table's header, by its path, is that of an array of tables.
fn is_tables(shape: &Shape, header: &str) -> bool {
    let mut shape = shape;
    for part in header.split('.') {
        let next = match shape {
            Shape::Table(children) => children.get(part.trim()),
            Shape::Map { value, .. } => Some(&**value),
            Shape::Tables(item) => match &**item {
                Shape::Table(children) => children.get(part.trim()),
                _ => None,
            },
            Shape::Leaf(_) => None,
        };
        match next {
            Some(next) => shape = next,
            None => return false,
        }
    }
    matches!(shape, Shape::Tables(_))
}
