//! Reading checked values out of the merged tree by option, with the defaults of the table of options.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use super::fault::Fault;
use super::options::{self, Fallback, Kind, Spec};
use super::source::Span;
use super::value::{self, Table, Value, ValueKind};
use super::word::Word;

/// A value and where it was written: at its own place, or where its table stands for a default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// What decoding collects on its way.
#[derive(Debug, Default)]
pub(super) struct Decoding {
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Fault>,
    /// What is worth knowing and nothing wrong.
    pub(super) notes: Vec<Fault>,
    /// Some text could not be parsed: what seems to be missing may stand there.
    pub(super) partial: bool,
    /// Options that were read; a test compares them with those that are declared.
    pub(super) read: BTreeSet<&'static str>,
}

impl Decoding {
    pub(super) fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(super) fn warn(&mut self, fault: Fault) {
        self.warnings.push(fault);
    }

    pub(super) fn note(&mut self, fault: Fault) {
        self.notes.push(fault);
    }
}

/// A table of the tree, or the place where one could be.
#[derive(Debug, Clone)]
pub(super) struct Section<'a> {
    table: Option<&'a Table>,
    /// Path as options are declared ("appliance.users.<user>").
    path: String,
    /// Path as people read it ("appliance.users.ops").
    shown: String,
    pub(super) span: Span,
    /// Something faulty stands here and was reported.
    invalid: bool,
}

impl<'a> Section<'a> {
    pub(super) fn root(table: &'a Table, span: Span) -> Self {
        Section { table: Some(table), path: String::new(), shown: String::new(), span, invalid: false }
    }

    fn child(&self, declared: &str, shown: &str, value: Option<&'a Value>) -> Section<'a> {
        let join = |path: &str, name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let (table, invalid) = match value.map(|value| &value.kind) {
            Some(ValueKind::Table(table)) => (Some(table), false),
            Some(_) => (None, true),
            None => (None, false),
        };
        Section {
            table,
            path: join(&self.path, declared),
            shown: join(&self.shown, shown),
            span: value.map_or(self.span, |value| value.span),
            invalid: self.invalid || invalid,
        }
    }

    fn raw(&self, key: &str) -> Option<&'a Value> {
        self.table?.entries.get(key).map(|entry| &entry.value)
    }

    /// Place of a key, where it is written.
    pub(super) fn key(&self, key: &str) -> Option<Span> {
        self.table?.entries.get(key).map(|entry| entry.key)
    }

    /// Whether nothing is written here, nor was before the check took out what is faulty.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_some_and(|table| table.entries.is_empty() && !table.damaged)
    }

    /// Whether all that was written here is still here.
    pub(super) fn is_whole(&self) -> bool {
        self.table.is_some_and(|table| !table.damaged)
    }

    /// A table below this one; reading from one that is not written gives the defaults.
    pub(super) fn section(&self, key: &str) -> Section<'a> {
        self.child(key, key, self.raw(key))
    }

    /// A table below this one, where it is written.
    pub(super) fn written(&self, key: &str) -> Option<Section<'a>> {
        self.raw(key).map(|value| self.child(key, key, Some(value)))
    }

    /// The tables below `key`, each under a name that the user chose, with the place of the name.
    pub(super) fn named(&self, key: &str, word: &str) -> Vec<(At<&'a str>, Section<'a>)> {
        let map = self.section(key);
        let entries = map.table.into_iter().flat_map(|table| &table.entries);
        let section = |(name, entry): (&'a String, &'a value::Entry)| {
            let name = At { value: name.as_str(), span: entry.key };
            (name.clone(), map.child(&format!("<{word}>"), name.value, Some(&entry.value)))
        };
        entries.map(section).collect()
    }

    /// The texts below `key`, each under a name that the user chose.
    pub(super) fn map<T: Word>(&self, cx: &mut Decoding, key: &str, word: &str) -> BTreeMap<String, At<T>> {
        self.entries(cx, key, word, parse)
    }

    /// What `read` makes of the values below `key`, each under a name that the user chose.
    pub(super) fn entries<T>(
        &self,
        cx: &mut Decoding,
        key: &str,
        word: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> BTreeMap<String, T> {
        let map = self.section(key);
        let path = format!("{}.<{word}>", map.path);
        map.spec_at(cx, &path);
        let entries = map.table.into_iter().flat_map(|table| &table.entries);
        entries.filter_map(|(name, entry)| Some((name.clone(), read(&entry.value)?))).collect()
    }

    /// The tables of an array of tables.
    pub(super) fn tables(&self, key: &str) -> Vec<Section<'a>> {
        let items = match self.raw(key).map(|value| &value.kind) {
            Some(ValueKind::List { items, .. }) => items.as_slice(),
            _ => &[],
        };
        items.iter().map(|item| self.child(&format!("{key}[]"), key, Some(item))).collect()
    }

    fn spec_at(&self, cx: &mut Decoding, path: &str) -> &'static Spec {
        let spec = options::spec(path).unwrap_or_else(|| panic!("option {path} is not declared"));
        cx.read.insert(spec.path);
        spec
    }

    /// The written value, or the default; `None` where there is neither or where it was found faulty.
    fn value(&self, cx: &mut Decoding, key: &str) -> Option<std::borrow::Cow<'a, Value>> {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        let spec = self.spec_at(cx, &path);
        if let Some(value) = self.raw(key) {
            return Some(std::borrow::Cow::Borrowed(value));
        }
        match spec.default {
            Fallback::Value(text) => Some(std::borrow::Cow::Owned(value::literal(text, self.span))),
            Fallback::Required if !self.invalid && !cx.partial => {
                let place = if self.shown.is_empty() { "the profile".to_owned() } else { format!("`{}`", self.shown) };
                let fault =
                    Fault::new(format!("{place} has no `{key}`")).label(self.span, format!("`{key}` is required"));
                let example = match spec.kind {
                    Kind::Word(word) => word.choices.first().copied().unwrap_or(word.example),
                    _ => "",
                };
                let written = if example.is_empty() { key.to_owned() } else { format!("{key} = {example:?}") };
                cx.fault(fault.help(format!("add `{written}`: {}", spec.doc)));
                None
            }
            _ => None,
        }
    }

    pub(super) fn word<T: Word>(&self, cx: &mut Decoding, key: &str) -> Option<At<T>> {
        parse(&*self.value(cx, key)?)
    }

    pub(super) fn words<T: Word>(&self, cx: &mut Decoding, key: &str) -> Vec<At<T>> {
        self.items(cx, key).iter().filter_map(parse).collect()
    }

    /// The items of a list; empty where it is not written and has no default.
    fn items(&self, cx: &mut Decoding, key: &str) -> Vec<Value> {
        match self.value(cx, key).map(|value| value.into_owned().kind) {
            Some(ValueKind::List { items, .. }) => items,
            _ => Vec::new(),
        }
    }

    pub(super) fn flag(&self, cx: &mut Decoding, key: &str) -> Option<bool> {
        match self.value(cx, key)?.kind {
            ValueKind::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    pub(super) fn integer<T: TryFrom<i64>>(&self, cx: &mut Decoding, key: &str) -> Option<At<T>> {
        integer(&*self.value(cx, key)?)
    }

    pub(super) fn integers<T: TryFrom<i64>>(&self, cx: &mut Decoding, key: &str) -> Vec<At<T>> {
        self.items(cx, key).iter().filter_map(integer).collect()
    }
}

fn integer<T: TryFrom<i64>>(value: &Value) -> Option<At<T>> {
    match value.kind {
        ValueKind::Integer(number) => Some(At { value: T::try_from(number).ok()?, span: value.span }),
        _ => None,
    }
}

/// Parses a text again that the check has accepted.
fn parse<T: Word>(value: &Value) -> Option<At<T>> {
    match &value.kind {
        ValueKind::Text(text) => Some(At { value: T::parse(text).ok()?, span: value.span }),
        _ => None,
    }
}
