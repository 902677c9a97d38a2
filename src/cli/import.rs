//! `provbuild import`: an older JSON inventory -> nodes.toml, on stdout or in a new file.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use super::commands::{Failure, print};
use crate::build::BuildError;
use crate::profile;

/// An output file that exists is left as it is: it may be the one that a site works with.
pub(super) fn import(file: &Path, output: Option<&Path>, color: bool) -> Result<(), Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::Surroundings(format!("read {}", file.display()), error))?;
    let imported = profile::import(file, &text).map_err(BuildError::Profile)?;
    eprint!("{}", imported.warnings.render(color));
    match output {
        None => print(&imported.nodes)?,
        Some(path) => {
            let write = || {
                let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
                // What cannot be written in full is not left behind.
                file.write_all(imported.nodes.as_bytes()).inspect_err(|_| drop(std::fs::remove_file(path)))
            };
            write().map_err(|error| Failure::Surroundings(format!("write {}", path.display()), error))?;
        }
    }
    let place = output.map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
    eprintln!("{}: {} nodes to {place}; none is installed until it has `install`", file.display(), imported.count);
    Ok(())
}
