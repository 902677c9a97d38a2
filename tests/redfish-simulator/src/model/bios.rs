//! BIOS attributes: name, kind, bounds.
//!
//! Input: literals of the models; output: [`Attribute`] with what the attribute registry says of it, and [`Attribute::refusal`], which
//! judges a value. Invariant: the value that a model starts with is one that `refusal` accepts.

use serde_json::{Value, json};

use crate::messages::Message;

/// The type of an attribute, with its bounds.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Enumeration(Vec<String>),
    Integer { lower: i64, upper: i64, step: i64 },
    Text { longest: usize },
    Boolean,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    pub name: String,
    /// As the setup screen shows it.
    pub display: String,
    /// The setup menu, as in `./Boot`.
    pub menu: String,
    pub kind: Kind,
    pub value: Value,
    pub default: Value,
    pub read_only: bool,
}

impl Attribute {
    pub(super) fn new(name: &str, display: &str, menu: &str, kind: Kind, value: Value) -> Attribute {
        Attribute {
            name: name.into(),
            display: display.into(),
            menu: menu.into(),
            kind,
            default: value.clone(),
            value,
            read_only: false,
        }
    }

    pub(super) fn choice(name: &str, display: &str, menu: &str, options: &[&str], value: &str) -> Attribute {
        Attribute::new(name, display, menu, Kind::Enumeration(super::words(options)), json!(value))
    }

    pub(super) fn read_only(mut self) -> Attribute {
        self.read_only = true;
        self
    }

    /// Why this attribute cannot have this value.
    pub(crate) fn refusal(&self, value: &Value) -> Option<Message> {
        if self.read_only {
            return Some(Message::not_writable(&self.name));
        }
        let shown = shown(value);
        let mistyped = || Some(Message::value_type(&shown, &self.name));
        match (&self.kind, value) {
            (Kind::Enumeration(options), Value::String(text)) if options.contains(text) => None,
            (Kind::Enumeration(_), Value::String(text)) => Some(Message::not_in_list(text, &self.name)),
            (Kind::Integer { lower, upper, step }, Value::Number(number)) => match number.as_i64() {
                None => mistyped(),
                Some(n) if n < *lower || n > *upper => Some(Message::out_of_range(&shown, &self.name)),
                Some(n) if *step > 1 && (n - lower) % step != 0 => Some(Message::out_of_range(&shown, &self.name)),
                Some(_) => None,
            },
            (Kind::Text { longest }, Value::String(text)) if text.chars().count() <= *longest => None,
            (Kind::Text { .. }, Value::String(_)) => Some(Message::format(&shown, &self.name)),
            (Kind::Boolean, Value::Bool(_)) => None,
            _ => mistyped(),
        }
    }

    /// The entry in the attribute registry.
    pub(crate) fn registered(&self) -> Value {
        let mut entry = json!({
            "AttributeName": self.name,
            "DisplayName": self.display,
            "MenuPath": self.menu,
            "ReadOnly": self.read_only,
            "ResetRequired": true,
            "DefaultValue": self.default,
        });
        let (kind, more) = match &self.kind {
            Kind::Enumeration(options) => {
                let options: Vec<Value> =
                    options.iter().map(|option| json!({"ValueName": option, "ValueDisplayName": option})).collect();
                ("Enumeration", json!({"Value": options}))
            }
            Kind::Integer { lower, upper, step } => {
                ("Integer", json!({"LowerBound": lower, "UpperBound": upper, "ScalarIncrement": step}))
            }
            Kind::Text { longest } => ("String", json!({"MinLength": 0, "MaxLength": longest})),
            Kind::Boolean => ("Boolean", json!({})),
        };
        entry["Type"] = json!(kind);
        for (key, value) in more.as_object().into_iter().flatten() {
            entry[key] = value.clone();
        }
        entry
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map(str::to_string).unwrap_or_else(|| value.to_string())
}
