//! `provbuild check`: every fault of a profile and its nodes, for people or, line by line, for a program.

use std::path::Path;

use serde_json::json;

use super::commands::{Failure, print};
use crate::build::BuildError;
use crate::profile::{self, Finding, Loaded};

/// People read stderr. With `json` stdout has one object per fault, warning and note, and one at the end that sums up.
pub(super) fn check(path: &Path, json: bool, color: bool) -> Result<(), Failure> {
    let loaded = match profile::load(path) {
        Ok(loaded) => loaded,
        Err(faults) => {
            if json {
                let mut lines: String = faults.findings().map(|finding| line("fault", &finding)).collect();
                lines.extend(faults.warnings().map(|finding| line("warning", &finding)));
                let warnings = faults.warnings().count();
                let sum = json!({ "event": "checked", "faults": faults.count(), "warnings": warnings });
                lines.push_str(&format!("{sum}\n"));
                print(&lines)?;
            }
            return Err(Failure::Build(BuildError::Profile(faults)));
        }
    };
    eprint!("{}{}", loaded.warnings.render(color), loaded.notes.render(color));
    match json {
        true => print(&sound(&loaded)),
        false => {
            eprintln!("{}: no faults ({} nodes)", path.display(), loaded.profile.inventory.nodes.len());
            Ok(())
        }
    }
}

fn sound(loaded: &Loaded) -> String {
    let mut lines: String = loaded.warnings.findings().map(|finding| line("warning", &finding)).collect();
    lines.extend(loaded.notes.findings().map(|finding| line("note", &finding)));
    let sum = json!({
        "event": "checked",
        "faults": 0,
        "warnings": loaded.warnings.count(),
        "profile": loaded.profile.name,
        "nodes": loaded.profile.inventory.nodes.len(),
        "digest": loaded.digest,
    });
    lines + &format!("{sum}\n")
}

fn line(event: &str, finding: &Finding<'_>) -> String {
    let Finding { path, line, column, message, help } = finding;
    // A path that is no UTF-8 is shown as people see it.
    let path = path.map(|path| path.display().to_string());
    let object = json!({
        "event": event, "path": path, "line": line, "column": column, "message": message, "help": help,
    });
    format!("{object}\n")
}
