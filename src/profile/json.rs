//! JSON text -> a tree of values that know where they stand, as [`value`](super::value) has for TOML.
//!
//! serde_json judges the text; what it has accepted is walked once more for the places.

use std::collections::btree_map;

use super::fault::Fault;
use super::source::Span;
use super::value::{Entry, Table, Value, ValueKind};

/// Reads a whole file's text. A key that stands twice in one object is a fault: one of the two would get lost.
pub(super) fn parse(file: usize, text: &str) -> Result<Value, Vec<Fault>> {
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        let start = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
        let at = (start + error.column().saturating_sub(1)).min(text.len());
        let at = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let end = text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
        // The parser stops behind it, often lines later, with "expected value".
        let before = text[..at].trim_end_matches([' ', '\t', '\n', '\r']);
        if let (Some(closing @ ('}' | ']')), true) = (text[at..].chars().next(), before.ends_with(',')) {
            let comma = Span::new(file, before.len() - 1..before.len());
            let fault =
                Fault::at(comma, format!("not JSON: a comma with nothing between it and the closing '{closing}'"));
            return Err(vec![fault.help("remove the comma")]);
        }
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message);
        return Err(vec![Fault::at(Span::new(file, at..end), format!("not JSON: {message}"))]);
    }
    let mut walk = Walk { file, text, at: 0, faults: Vec::new() };
    let value = walk.value();
    match walk.faults.is_empty() {
        true => Ok(value),
        false => Err(walk.faults),
    }
}

/// A text that is known to be JSON, and how far it was walked.
struct Walk<'a> {
    file: usize,
    text: &'a str,
    at: usize,
    faults: Vec<Fault>,
}

impl Walk<'_> {
    /// The next character that is no blank.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text[self.at..].trim_start_matches([' ', '\t', '\n', '\r']);
        self.at = self.text.len() - rest.len();
        rest.bytes().next()
    }

    fn span(&self, start: usize) -> Span {
        Span::new(self.file, start..self.at)
    }

    fn value(&mut self) -> Value {
        let first = self.peek();
        let start = self.at;
        let kind = match first {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => ValueKind::Text(self.string()),
            _ => self.word(),
        };
        Value { span: self.span(start), kind }
    }

    fn object(&mut self) -> ValueKind {
        let mut table = Table::default();
        self.at += 1;
        while self.peek() == Some(b'"') {
            let start = self.at;
            let name = self.string();
            let key = self.span(start);
            self.peek();
            self.at += 1; // the colon
            let value = self.value();
            match table.entries.entry(name) {
                btree_map::Entry::Occupied(before) => {
                    let fault = Fault::new(format!("the key '{}' stands twice", before.key().escape_debug()));
                    self.faults.push(fault.label(key, "again").label(before.get().key, "first"));
                }
                btree_map::Entry::Vacant(place) => {
                    place.insert(Entry { key, value });
                }
            }
            if self.peek() == Some(b',') {
                self.at += 1;
            }
        }
        self.at += 1;
        ValueKind::Table(table)
    }

    fn array(&mut self) -> ValueKind {
        let mut items = Vec::new();
        self.at += 1;
        while self.peek() != Some(b']') {
            items.push(self.value());
            if self.peek() == Some(b',') {
                self.at += 1;
            }
        }
        self.at += 1;
        ValueKind::List { items, replace: false }
    }

    fn string(&mut self) -> String {
        let start = self.at;
        let mut escaped = false;
        let end = self.text[start + 1..].bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        self.at = end.map_or(self.text.len(), |end| start + 1 + end + 1);
        serde_json::from_str(&self.text[start..self.at]).unwrap_or_default()
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> ValueKind {
        let rest = &self.text[self.at..];
        let end = rest.find([',', '}', ']', ' ', '\t', '\n', '\r']).unwrap_or(rest.len());
        self.at += end;
        match &rest[..end] {
            "true" => ValueKind::Flag(true),
            "false" => ValueKind::Flag(false),
            "null" => ValueKind::Foreign("null"),
            number => number.parse().map_or(ValueKind::Foreign("a fraction or a large number"), ValueKind::Integer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value as Json;

    /// The tree without its places, as far as both can say it.
    fn plain(value: &Value) -> Json {
        match &value.kind {
            ValueKind::Text(text) => text.as_str().into(),
            ValueKind::Integer(number) => (*number).into(),
            ValueKind::Flag(flag) => (*flag).into(),
            ValueKind::List { items, .. } => items.iter().map(plain).collect(),
            ValueKind::Table(table) => {
                table.entries.iter().map(|(name, entry)| (name.clone(), plain(&entry.value))).collect()
            }
            ValueKind::Foreign(_) | ValueKind::Invalid => Json::Null,
        }
    }

    fn json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<String>().prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..6).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_reads_what_serde_json_reads(value in json(), pretty: bool) {
            let text = match pretty {
                true => serde_json::to_string_pretty(&value).unwrap(),
                false => value.to_string(),
            };
            prop_assert_eq!(plain(&parse(0, &text).unwrap()), value);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{}:,\"\\\\ \\n0-9a-zé]{0,60}") {
            let _ = parse(0, &text);
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_a_fault() {
        assert_eq!(parse(0, r#"{"a": 1, "b": {"a": 2, "a": 3}}"#).unwrap_err().len(), 1);
        assert!(parse(0, "{\"a\": 1,\n}").is_err());
        assert!(parse(0, "").is_err());
    }

    #[test]
    fn a_comma_too_many_is_named_where_it_stands() {
        for (text, at) in
            [("[1,\n\n]", 2), ("{\"a\": 1,\n}", 7), ("{\"a\": [1 , ], \"b\": 2}", 9), ("[{\"a\": 1},\n  ]", 9)]
        {
            let faults = parse(0, text).unwrap_err();
            assert_eq!(faults.iter().map(Fault::span).collect::<Vec<_>>(), [Some(Span::new(0, at..at + 1))], "{text}");
        }
        // The comma is part of a text, or is not what is wrong.
        for text in ["[\",\" ]]", "[1, x]", "[,1]", ",]"] {
            assert!(!format!("{:?}", parse(0, text).unwrap_err()).contains("nothing between"), "{text}");
        }
    }
}
