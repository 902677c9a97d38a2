//! What is declared against what is there: pure.
//!
//! Invariant: all faults of all settings are found before anything is sent, and told at once.

use std::collections::BTreeMap;

use netboot::BiosValue;
use serde_json::Value;

use super::board::Board;
use super::names::resolve;
use super::{BiosChange, BiosPlan, Way, same, showable, shown};
use crate::error::Error;
use crate::plain::plain;

/// Compares the declared settings with the board.
///
/// # Errors
/// `Input`, with everything that is wrong with them.
pub(super) fn compare(
    declared: &BTreeMap<String, BiosValue>,
    board: &Board,
    suffixed: bool,
) -> Result<BiosPlan, Error> {
    let known: Vec<&str> = board.current.keys().map(String::as_str).collect();
    let mut wanted: BTreeMap<&str, (&str, Value)> = BTreeMap::new();
    let mut faults = Vec::new();
    for (asked, value) in declared {
        let value = json(value);
        let name = match resolve(asked, &known, suffixed) {
            Ok(name) => name,
            Err(fault) => {
                faults.push(absent(asked, board, suffixed).unwrap_or(fault));
                continue;
            }
        };
        if let Some(fault) = objection(name, &value, board) {
            faults.push(format!("'{}' {fault}", plain(name)));
        } else if let Some((other, before)) = wanted.insert(name, (asked, value.clone()))
            && before != value
        {
            faults.push(format!("'{}' and '{}' are both '{}'", plain(other), plain(asked), plain(name)));
        }
    }
    if !faults.is_empty() {
        return Err(does_not_fit(faults));
    }
    let mut plan = BiosPlan { through: Way::Redfish, notes: board.notes.clone(), ..BiosPlan::default() };
    for (name, (_, value)) in wanted {
        let current = board.current.get(name).cloned().unwrap_or(Value::Null);
        let pending = board.pending.get(name);
        let change = BiosChange {
            name: name.to_owned(),
            from: showable(&current),
            to: value.clone(),
            pending: pending.map(showable),
        };
        match pending {
            Some(pending) if same(pending, &value) => plan.waiting.push(change),
            None if same(&current, &value) => plan.same.push(name.to_owned()),
            _ => plan.changes.push(change),
        }
    }
    Ok(plan)
}

/// One error for all faults.
pub(crate) fn does_not_fit(faults: Vec<String>) -> Error {
    Error::Input {
        message: format!("the declared BIOS settings do not fit this board: {}", faults.join("; ")),
        help: Some("`bios get` shows its settings; nothing was changed".to_owned()),
    }
}

/// An attribute that the registry knows and the board does not show.
fn absent(asked: &str, board: &Board, suffixed: bool) -> Option<String> {
    let registry = board.registry.as_ref()?;
    let names: Vec<&str> = registry.names().collect();
    let name = resolve(asked, &names, suffixed).ok()?;
    Some(format!("'{}' is not there now: it may depend on another setting", plain(name)))
}

fn objection(name: &str, value: &Value, board: &Board) -> Option<String> {
    if let Some(entry) = board.registry.as_ref().and_then(|registry| registry.get(name)) {
        return entry.objection(value);
    }
    // Without an entry, what is there now is the only hint.
    let now = board.current.get(name)?;
    let kind = match (now, value) {
        (Value::Bool(_), Value::Bool(_)) | (Value::String(_), Value::String(_)) => return None,
        (Value::Number(_), Value::Number(_)) | (Value::Null, _) => return None,
        (Value::Bool(_), _) => "true or false",
        (Value::Number(_), _) => "a number",
        (Value::String(_), _) => "a text",
        _ => return Some("is neither text nor number nor true or false".to_owned()),
    };
    Some(format!("is {kind}, and '{}' is none", shown(value)))
}

fn json(value: &BiosValue) -> Value {
    match value {
        BiosValue::Flag(value) => Value::from(*value),
        BiosValue::Number(value) => Value::from(*value),
        BiosValue::Text(value) => Value::from(value.as_str()),
    }
}
