//! TOML as a tree of values that know where they stand, and the merge of an import with its importer.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Fault;
use super::source::Span;

#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) span: Span,
    pub(super) kind: ValueKind,
}

#[derive(Debug, Clone)]
pub(super) enum ValueKind {
    Text(String),
    Integer(i64),
    Flag(bool),
    /// Something that no option takes, by its name ("float").
    Foreign(&'static str),
    /// `replace`: takes the place of what imports gave instead of adding to it.
    List {
        items: Vec<Value>,
        replace: bool,
    },
    Table(Table),
    /// Found faulty and reported; nothing more is said about it.
    Invalid,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub(super) entries: BTreeMap<String, Entry>,
    /// Something was written here that was found faulty, reported and taken out.
    pub(super) damaged: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Place of the key.
    pub(super) key: Span,
    pub(super) value: Value,
}

impl Value {
    pub(super) fn type_name(&self) -> &'static str {
        match &self.kind {
            ValueKind::Text(_) => "a text",
            ValueKind::Integer(_) => "a whole number",
            ValueKind::Flag(_) => "true or false",
            ValueKind::Foreign(name) => name,
            ValueKind::List { .. } => "a list",
            ValueKind::Table(_) => "a table",
            ValueKind::Invalid => "something faulty",
        }
    }
}

/// The parser's message of a key or a table that stands twice.
pub(super) const DUPLICATE: &str = "duplicate key";

/// Reads one file's text; what can be recovered of a faulty text is in the table, every syntax error in the faults.
/// `advise` has the remedy of an error's message, the text that it is about and the line where it stands.
pub(super) fn parse(
    file: usize,
    text: &str,
    advise: impl Fn(&str, &str, &str) -> Option<String>,
) -> (Table, Vec<Fault>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut faults = Vec::new();
    // The options below a header that stands twice are not looked at: they seem to stand twice with it.
    let mut below = 0;
    for error in &errors {
        let range = error.span().unwrap_or(0..0);
        let range = floor(text, range.start)..floor(text, range.end.max(range.start));
        let start = text[..range.start].rfind('\n').map_or(0, |before| before + 1);
        let line = text[start..].lines().next().unwrap_or_default();
        if error.message() == DUPLICATE {
            if range.start < below {
                continue;
            }
            if line.trim_start().starts_with('[') {
                below = text[range.start..].find("\n[").map_or(text.len(), |next| range.start + next);
            }
        }
        let help = advise(error.message(), &text[range.clone()], line);
        faults.push(Fault::at(Span::new(file, range), error.message()).maybe_help(help));
    }
    (table(file, document.into_inner()), faults)
}

/// The nearest character boundary at or before an offset.
fn floor(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// A value written in provbuild's own table of options.
pub(super) fn literal(text: &str, span: Span) -> Value {
    let value = DeValue::parse(text).unwrap_or_else(|error| panic!("default value {text}: {error}"));
    let mut value = self::value(span.file, value);
    relocate(&mut value, span);
    value
}

fn relocate(value: &mut Value, span: Span) {
    value.span = span;
    if let ValueKind::List { items, .. } = &mut value.kind {
        items.iter_mut().for_each(|item| relocate(item, span));
    }
}

fn table(file: usize, table: DeTable<'_>) -> Table {
    let entry = |(key, value): (Spanned<std::borrow::Cow<'_, str>>, Spanned<DeValue<'_>>)| {
        let span = Span::new(file, key.span());
        (key.into_inner().into_owned(), Entry { key: span, value: self::value(file, value) })
    };
    Table { entries: table.into_iter().map(entry).collect(), damaged: false }
}

fn value(file: usize, value: Spanned<DeValue<'_>>) -> Value {
    let span = Span::new(file, value.span());
    let kind = match value.into_inner() {
        DeValue::String(text) => ValueKind::Text(text.into_owned()),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(integer) => ValueKind::Integer(integer),
            Err(_) => ValueKind::Foreign("a number beyond 64 bits"),
        },
        DeValue::Boolean(flag) => ValueKind::Flag(flag),
        DeValue::Float(_) => ValueKind::Foreign("a fraction"),
        DeValue::Datetime(_) => ValueKind::Foreign("a date or time"),
        DeValue::Array(items) => {
            let items = items.into_iter().map(|item| self::value(file, item)).collect();
            ValueKind::List { items, replace: false }
        }
        DeValue::Table(entries) => ValueKind::Table(table(file, entries)),
    };
    Value { span, kind }
}

/// Lays `over` on `base`: tables merge key by key, lists follow one another (or replace), of anything else `over` wins.
pub(super) fn merge(base: Table, over: Table) -> Table {
    let mut merged = base;
    merged.damaged |= over.damaged;
    for (name, entry) in over.entries {
        let entry = match merged.entries.remove(&name) {
            Some(before) => Entry { key: entry.key, value: merge_values(before.value, entry.value) },
            None => entry,
        };
        merged.entries.insert(name, entry);
    }
    merged
}

fn merge_values(base: Value, over: Value) -> Value {
    let kind = match (base.kind, over.kind) {
        (ValueKind::Table(base), ValueKind::Table(over)) => ValueKind::Table(merge(base, over)),
        (ValueKind::List { mut items, replace }, ValueKind::List { items: added, replace: false }) => {
            items.extend(added);
            ValueKind::List { items, replace }
        }
        (_, over) => over,
    };
    Value { span: over.span, kind }
}
