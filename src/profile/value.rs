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
    let document = table(file, document.into_inner());
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
        let span = Span::new(file, range);
        let first = (error.message() == DUPLICATE).then(|| first_place(&document, text, span)).flatten();
        let fault = Fault::at(span, error.message());
        faults.push(match first {
            Some(first) => fault.label(first, "first here").help(help.unwrap_or_else(|| "keep one of them".to_owned())),
            None => fault.maybe_help(help),
        });
    }
    (document, faults)
}

/// Where a key was written before: the nearest place above at which it stands in the same way.
fn first_place(document: &Table, text: &str, again: Span) -> Option<Span> {
    // What stands in front of a key, as in "node.bmc." or "[network.".
    let lead = |span: Span| {
        let line = text[..span.start].rfind(['\n', '{', ',']).map_or(0, |at| at + 1);
        text[line..span.start].split_whitespace().collect::<String>()
    };
    // A second header takes the first one's place in the tree: it is looked for in the text.
    let line = text[..again.start].rfind('\n').map_or(0, |at| at + 1);
    let header = &text[line..again.end];
    if header.starts_with('[') {
        let whole =
            |at: &usize| (*at == 0 || text[..*at].ends_with('\n')) && text[at + header.len()..].starts_with(']');
        let first = text[..line].match_indices(header).map(|(at, _)| at).filter(whole).last()?;
        return Some(Span::new(again.file, first + (again.start - line)..first + header.len()));
    }
    let key = text.get(again.start..again.end)?.trim_matches(['"', '\'']);
    let mut places = Vec::new();
    keys(document, key, again, &mut places);
    let above = |span: &Span| span.start < again.start && lead(*span) == lead(again);
    places.into_iter().filter(above).max_by_key(|span| span.start)
}

/// All places of a key, but those in inline tables that ended before `again`.
fn keys(table: &Table, key: &str, again: Span, places: &mut Vec<Span>) {
    for (name, entry) in &table.entries {
        if name == key {
            places.push(entry.key);
        }
        let values = match &entry.value.kind {
            ValueKind::List { items, .. } => items.as_slice(),
            _ => std::slice::from_ref(&entry.value),
        };
        for value in values {
            // An inline table's span is all of it; a table with a header has the header's.
            let inline = value.span.start > entry.key.start && value.span.end < again.start;
            if let ValueKind::Table(table) = &value.kind
                && !inline
            {
                keys(table, key, again, places);
            }
        }
    }
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
