//! A YAML document as its reader sees it: values with their places, aliases and merge keys resolved.
//!
//! Shared parts (aliases) are shared here too; `weight` says how many values a walk over all of them meets.

use std::ops::Range;
use std::rc::Rc;

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::lint) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    /// A date, or a date and a time, as written.
    Timestamp(String),
    /// `!!binary`: bytes in Python, no text.
    Binary,
    Text(String),
    List(Vec<Rc<Node>>),
    /// Without the entries that a later one of the same key replaces.
    Map(Vec<Entry>),
}

/// A value and where it was written.
#[derive(Debug, PartialEq)]
pub(in crate::lint) struct Node {
    pub(in crate::lint) value: Value,
    /// Bytes of the text. Of a list or mapping: its first part.
    pub(in crate::lint) range: Range<usize>,
    /// Written without quotes: a text could have been read as something else.
    pub(in crate::lint) plain: bool,
    /// Values in it, itself included, with every alias followed.
    pub(super) weight: usize,
    /// Levels of lists and mappings in it.
    pub(super) depth: usize,
}

/// One entry of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::lint) struct Entry {
    pub(in crate::lint) key: Rc<Node>,
    pub(in crate::lint) value: Rc<Node>,
}

impl Entry {
    /// The key, where it is a text.
    pub(in crate::lint) fn name(&self) -> Option<&str> {
        self.key.text()
    }
}

impl Node {
    pub(in crate::lint) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(in crate::lint) fn map(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    pub(in crate::lint) fn list(&self) -> Option<&[Rc<Node>]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// An entry of a mapping; of anything else, none.
    pub(in crate::lint) fn entry(&self, name: &str) -> Option<&Entry> {
        self.map()?.iter().find(|entry| entry.name() == Some(name))
    }

    pub(in crate::lint) fn get(&self, name: &str) -> Option<&Node> {
        self.entry(name).map(|entry| entry.value.as_ref())
    }

    pub(in crate::lint) fn is(&self, value: bool) -> bool {
        self.value == Value::Bool(value)
    }

    /// A whole number: JSON Schema takes `1.0` for one.
    pub(in crate::lint) fn integer(&self) -> Option<i128> {
        match self.value {
            Value::Int(number) => Some(number),
            Value::Float(number) if number.fract() == 0.0 && number.abs() < 1e30 => Some(number as i128),
            _ => None,
        }
    }

    /// What it is, with the article.
    pub(in crate::lint) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "empty",
            Value::Bool(true) => "the boolean true",
            Value::Bool(false) => "the boolean false",
            Value::Int(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Timestamp(_) => "a date",
            Value::Binary => "binary data",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// As a JSON Schema sees it: Python's values, of which dates and bytes are no texts.
    #[cfg(test)]
    pub(in crate::lint) fn to_json(&self) -> serde_json::Value {
        use serde_json::{Value as Json, json};
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => json!(value),
            Value::Int(number) => i64::try_from(*number).map_or(json!(1e300), |number| json!(number)),
            Value::Float(number) => json!(number),
            Value::Timestamp(_) | Value::Binary => json!(0.5),
            Value::Text(text) => json!(text),
            Value::List(items) => items.iter().map(|item| item.to_json()).collect(),
            Value::Map(entries) => {
                let named = |entry: &Entry| {
                    (
                        entry.name().map_or_else(|| format!("{:?}", entry.key.value), str::to_owned),
                        entry.value.to_json(),
                    )
                };
                Json::Object(entries.iter().map(named).collect())
            }
        }
    }
}
