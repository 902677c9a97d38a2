//! `provbuild check`: every fault of a profile and its nodes, for people or, line by line, for a program.

use std::path::Path;

use serde_json::{Value, json};

use super::exit::Exit;
use super::failure::{Failure, named_file, objects};
use super::output::{counted, finding, object, tell};
use crate::profile::{self, Loaded};

/// People read stderr. With `json` stdout has one object per fault, warning and note, and one that sums up.
pub(super) fn check(path: &Path, json: bool, color: bool) -> Result<(), Failure> {
    named_file(path)?;
    let loaded = match profile::load(path) {
        Ok(loaded) => loaded,
        Err(faults) => {
            tell(&faults.render(color));
            if json {
                objects(&faults).iter().try_for_each(object)?;
                let warnings = faults.warnings().count();
                object(&json!({ "event": "checked", "faults": faults.count(), "warnings": warnings }))?;
            }
            return Err(Failure::Reported { exit: Exit::Profile, message: counted(faults.count(), "fault") });
        }
    };
    tell(&(loaded.warnings.render(color) + &loaded.notes.render(color)));
    match json {
        true => sound(&loaded).iter().try_for_each(object),
        false => {
            let nodes = counted(loaded.profile.inventory.nodes.len(), "node");
            tell(&format!("{}: no faults ({nodes})\n", path.display()));
            Ok(())
        }
    }
}

fn sound(loaded: &Loaded) -> Vec<Value> {
    let mut all: Vec<Value> = loaded.warnings.findings().map(|warning| finding("warning", &warning)).collect();
    all.extend(loaded.notes.findings().map(|note| finding("note", &note)));
    all.push(json!({
        "event": "checked",
        "faults": 0,
        "warnings": loaded.warnings.count(),
        "profile": loaded.profile.name,
        "nodes": loaded.profile.inventory.nodes.len(),
        "digest": loaded.digest,
    }));
    all
}
