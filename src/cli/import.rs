//! `provbuild import`: an older JSON inventory -> nodes.toml, on stdout or in a new file.

use std::path::Path;

use serde_json::json;

use super::failure::Failure;
use super::output::{self, Existing, counted, finding, object, print, tell};
use crate::build::BuildError;
use crate::profile;

/// An output file that exists is left as it is: it may be the one that a site works with.
pub(super) fn import(file: &Path, output: Option<&Path>, json: bool, color: bool) -> Result<(), Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::Surroundings(format!("read {}", file.display()), error))?;
    let imported = profile::import(file, &text).map_err(BuildError::Profile)?;
    tell(&imported.warnings.render(color));
    if let Some(path) = output {
        output::file(path, imported.nodes.as_bytes(), 0o666, Existing::Refused)
            .map_err(|error| Failure::Surroundings(format!("write {}", path.display()), error))?;
    }
    if json {
        imported.warnings.findings().try_for_each(|warning| object(&finding("warning", &warning)))?;
        object(&json!({
            "event": "imported",
            "nodes": imported.count,
            "bmcs": imported.bmcs,
            "file": output.map(|path| path.display().to_string()),
            // What stdout has otherwise.
            "text": output.is_none().then_some(&imported.nodes),
        }))?;
    } else if output.is_none() {
        print(&imported.nodes)?;
    }
    let place = output.map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
    let nodes = counted(imported.count, "node");
    tell(&format!("{}: {nodes} to {place}; none is installed until it has `install`\n", file.display()));
    if imported.bmcs > 0 {
        let bmcs = counted(imported.bmcs, "BMC");
        tell(&format!(
            "{bmcs} without `credentials`, which the old form does not have, and with `kind` left at \"redfish\": add both \
             (kind = \"supermicro\", ...) before `provbuild node` is used\n"
        ));
    }
    Ok(())
}
