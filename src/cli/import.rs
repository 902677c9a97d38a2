//! `provbuild import`: an older JSON inventory -> nodes.toml, on stdout or in a new file.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
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
                // Aside first: whatever ends this process, no half of an inventory lies there under its name.
                let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
                // As any file that is written: the umask decides who reads it.
                let mode = Permissions::from_mode(0o666);
                let mut file = tempfile::Builder::new().prefix(".import-").permissions(mode).tempfile_in(directory)?;
                file.write_all(imported.nodes.as_bytes())?;
                file.persist_noclobber(path).map(drop).map_err(|error| error.error)
            };
            write().map_err(|error| Failure::Surroundings(format!("write {}", path.display()), error))?;
        }
    }
    let place = output.map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
    eprintln!("{}: {} nodes to {place}; none is installed until it has `install`", file.display(), imported.count);
    Ok(())
}
