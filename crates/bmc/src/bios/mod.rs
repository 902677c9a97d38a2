//! BIOS settings: shown, compared with what is declared, changed where they differ, read back.
//!
//! In: a BMC, and the [`BiosSettings`](netboot::BiosSettings) of its node. Out: the four verbs' outcomes. Redfish comes first; where a board has no settings
//! resource or no licence for it, and the profile says so, Supermicro's SUM does it. Invariants: everything is checked before anything is
//! sent; nothing is sent where nothing differs; a setting counts as in force only when it was read back so.

mod apply;
mod board;
mod compare;
mod names;
mod outcome;
mod registry;

use netboot::{BiosSettings, BmcKind};
use serde_json::Value;

use crate::client::Message;
use crate::error::Error;
use crate::machine::Talk;
use crate::plain::plain;
use crate::quirks::Quirk;
use crate::sum::Sum;
use board::Board;

pub(crate) use apply::apply;
pub(crate) use compare::does_not_fit;
pub use outcome::{BiosApplied, BiosAttribute, BiosAttributes, BiosChange, BiosDiff, BiosPlan, Way};

/// Shows settings: those that are named, or all.
pub(crate) async fn get(talk: &Talk<'_>, wanted: &[String]) -> Result<BiosAttributes, Error> {
    let found = match Board::read(talk).await {
        Ok(board) => shown_by_redfish(&board),
        Err(error) if is_for_sum(&error) && sum_is_at_hand(talk) => {
            talk.step("reading the settings by SUM");
            Sum::of(talk)?.read().await?.attributes()
        }
        Err(error) => return Err(advised(talk, error)),
    };
    let suffixed = found.through == Way::Redfish && has_suffixes(talk);
    choose(found, wanted, suffixed)
}

/// Shows what applying would change.
pub(crate) async fn plan(talk: &Talk<'_>) -> Result<BiosPlan, Error> {
    let declared = declared(talk)?;
    if declared.settings.is_empty() {
        return Sum::of(talk)?.read().await?.plan(&declared.sum);
    }
    match planned(talk, declared).await {
        Ok((_, plan)) => Ok(plan),
        Err(error) if falls_back(talk, &error) => {
            talk.step("reading the settings by SUM");
            Sum::of(talk)?.read().await?.plan(&declared.sum)
        }
        Err(error) => Err(advised(talk, error)),
    }
}

/// Shows what the next restart changes, whoever asked for it.
pub(crate) async fn diff(talk: &Talk<'_>) -> Result<BiosDiff, Error> {
    let board = Board::read(talk).await.map_err(|error| advised_to_read(talk, error))?;
    let change = |(name, to): (&String, &Value)| BiosChange {
        name: plain(name),
        from: showable(board.current.get(name).unwrap_or(&Value::Null)),
        to: showable(to),
        pending: None,
    };
    let notes = board.notes.iter().filter(|note| note.contains("pending")).cloned().collect();
    Ok(BiosDiff { pending: board.pending.iter().map(change).collect(), notes })
}

/// The plan by Redfish, and the board that it was made with.
async fn planned(talk: &Talk<'_>, declared: &BiosSettings) -> Result<(Board, BiosPlan), Error> {
    let board = Board::read(talk).await?;
    let plan = compare::compare(&declared.settings, &board, has_suffixes(talk))?;
    if !plan.changes.is_empty() {
        board.writable()?;
    }
    Ok((board, plan))
}

/// What the profile wants of this node.
fn declared<'a>(talk: &Talk<'a>) -> Result<&'a BiosSettings, Error> {
    let declared = talk.machine.bios.as_ref();
    let declared = declared.filter(|declared| !declared.settings.is_empty() || !declared.sum.is_empty());
    declared.ok_or_else(|| Error::Input {
        message: "no BIOS settings are declared for this node".to_owned(),
        help: Some("bios = \"NAME\" in nodes.toml, and [bios.NAME.settings] in the profile".to_owned()),
    })
}

fn has_suffixes(talk: &Talk<'_>) -> bool {
    talk.service.quirks.has(Quirk::SuffixedAttributes)
}

/// Whether a failure is one that another interface of the board may not have.
fn is_for_sum(error: &Error) -> bool {
    matches!(error, Error::Unsupported { .. } | Error::Licence { .. })
}

fn sum_is_at_hand(talk: &Talk<'_>) -> bool {
    talk.machine.sum.is_some() && talk.machine.kind == BmcKind::Supermicro
}

/// Whether SUM is to do what Redfish could not.
fn falls_back(talk: &Talk<'_>, error: &Error) -> bool {
    let named = talk.machine.bios.as_ref().is_some_and(|declared| !declared.sum.is_empty());
    is_for_sum(error) && named && sum_is_at_hand(talk)
}

/// The failure, with what could be done instead.
fn advised(talk: &Talk<'_>, error: Error) -> Error {
    let advice = match (talk.machine.kind, talk.machine.sum.is_some()) {
        (BmcKind::Supermicro, false) => "SUM may be able to: give the profile its archive ([sum])",
        (BmcKind::Supermicro, true) => "SUM may be able to: name the settings in [bios.NAME.sum] of the profile",
        _ => "use the BIOS setup on its console",
    };
    with_advice(error, advice)
}

fn advised_to_read(talk: &Talk<'_>, error: Error) -> Error {
    match sum_is_at_hand(talk) {
        true => with_advice(error, "SUM does not show what is pending; `bios plan` compares with what is in force"),
        false => advised(talk, error),
    }
}

fn with_advice(error: Error, advice: &str) -> Error {
    match error {
        Error::Unsupported { what, reason } => Error::Unsupported { what, reason: format!("{reason}; {advice}") },
        Error::Licence { what, mut said } => {
            said.push(Message { id: String::new(), text: advice.to_owned(), resolution: None, about: Vec::new() });
            Error::Licence { what, said }
        }
        other => other,
    }
}

fn shown_by_redfish(board: &Board) -> BiosAttributes {
    let attribute = |(name, value): (&String, &Value)| {
        let entry = board.registry.as_ref().and_then(|registry| registry.get(name));
        BiosAttribute {
            name: plain(name),
            value: showable(value),
            pending: board.pending.get(name).map(showable),
            kind: entry.map(|entry| plain(&entry.kind)).filter(|kind| !kind.is_empty()),
            allowed: entry.map(registry::Entry::allowed).unwrap_or_default(),
            default: entry.and_then(|entry| entry.default.as_ref()).map(showable),
            read_only: entry.is_some_and(|entry| entry.read_only),
            display: entry.and_then(|entry| entry.display.clone()),
        }
    };
    let attributes = board.current.iter().map(attribute).collect();
    BiosAttributes { through: Way::Redfish, attributes, notes: board.notes.clone() }
}

/// Only what is wanted, in the order that it is wanted in.
fn choose(mut found: BiosAttributes, wanted: &[String], suffixed: bool) -> Result<BiosAttributes, Error> {
    if wanted.is_empty() {
        return Ok(found);
    }
    let known: Vec<&str> = found.attributes.iter().map(|attribute| attribute.name.as_str()).collect();
    let (mut chosen, mut faults) = (Vec::new(), Vec::new());
    for name in wanted {
        match names::resolve(name, &known, suffixed) {
            Ok(name) => chosen.extend(found.attributes.iter().find(|attribute| attribute.name == name).cloned()),
            Err(fault) => faults.push(fault),
        }
    }
    if !faults.is_empty() {
        return Err(Error::input(format!("this board's BIOS settings: {}", faults.join("; "))));
    }
    found.attributes = chosen;
    Ok(found)
}

/// A value as people write it.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        Value::Null => "nothing".to_owned(),
        other => plain(&other.to_string()),
    }
}

/// A value of the BMC as an outcome may hold it.
fn showable(value: &Value) -> Value {
    match value {
        Value::Array(_) | Value::Object(_) | Value::String(_) => Value::String(shown(value)),
        scalar => scalar.clone(),
    }
}

/// Whether two values are the same for a BMC: 5 is 5.0.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

/// A setting that is not as it was asked for.
pub(crate) struct Missing {
    pub(crate) name: String,
    pub(crate) asked: String,
    pub(crate) found: String,
}

/// One error for all of them, with what the BMC says about it.
pub(crate) fn not_applied(missing: &[Missing], said: &[String]) -> Error {
    let mut error = match missing {
        [only] => (plain(&only.name), only.asked.clone(), only.found.clone()),
        all => {
            let list = |of: fn(&Missing) -> &str| -> String {
                let pairs: Vec<_> = all.iter().map(|one| format!("{}={}", plain(&one.name), of(one))).collect();
                pairs.join(", ")
            };
            (format!("{} BIOS settings", all.len()), list(|one| &one.asked), list(|one| &one.found))
        }
    };
    for text in said {
        error.2 += &format!("; the BMC says: {text}");
    }
    Error::NotApplied { what: error.0, asked: error.1, found: error.2 }
}
