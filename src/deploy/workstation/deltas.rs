//! Files that a snapshot has put over a disk: `state-000001.vmdk` has what was written since the snapshot was made, and state.vmdk has not.
//!
//! In: the deployment's directory. Out: the first such file. What NAME.vmx says does not matter: it may be lost, and these files are what
//! must not be. Workstation makes them beside the disk or beside NAME.vmx, as its settings say; both are looked at.

use std::path::PathBuf;

use super::super::error::DeployError;
use super::layout::{Layout, STATE, SYSTEM, directories, names_in};

/// The first file of a snapshot's, wherever it is.
pub(super) fn delta(layout: &Layout) -> Result<Option<PathBuf>, DeployError> {
    for directory in directories(layout)? {
        let names = names_in(&directory)?;
        if let Some(name) = names.iter().find(|name| [STATE, SYSTEM].iter().any(|disk| is_delta(name, disk))) {
            return Ok(Some(directory.join(name)));
        }
    }
    Ok(None)
}

/// `state-000001.vmdk`, or one of the pieces that it may be cut into (`state-000001-s001.vmdk`), for `state.vmdk`.
pub(super) fn is_delta(name: &str, disk: &str) -> bool {
    let rest = disk.strip_suffix(".vmdk").and_then(|disk| name.strip_prefix(disk)?.strip_prefix('-'));
    let Some((number, rest)) = rest.and_then(|rest| rest.split_at_checked(6)) else { return false };
    number.bytes().all(|byte| byte.is_ascii_digit())
        && rest.strip_suffix(".vmdk").is_some_and(|piece| piece.is_empty() || piece.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_snapshots_file_is_known_by_its_name() {
        for delta in ["state-000001.vmdk", "state-123456.vmdk", "state-000002-s003.vmdk", "state-000001-delta.vmdk"] {
            assert!(is_delta(delta, STATE), "{delta}");
        }
        for other in [
            "state.vmdk",
            "state-s001.vmdk",
            "state-00001.vmdk",
            "state-0000011.vmdk",
            "state-000001.vmdk.lck",
            "state-é",
        ] {
            assert!(!is_delta(other, STATE), "{other}");
        }
        assert!(!is_delta("state-000001.vmdk", SYSTEM));
    }

    #[test]
    fn it_is_found_beside_the_machine_and_beside_each_disk() {
        for place in ["state-000001.vmdk", "system-000002.vmdk", "generations/7/system-000001.vmdk"] {
            let scratch = tempfile::tempdir().unwrap();
            let layout = Layout::new(scratch.path(), "lab");
            assert_eq!(delta(&layout).unwrap(), None);
            let path = layout.root.join(place);
            fs::create_dir_all(layout.generation(7)).unwrap();
            fs::write(layout.state(), "").unwrap();
            fs::write(layout.generation(7).join(SYSTEM), "").unwrap();
            assert_eq!(delta(&layout).unwrap(), None);
            fs::write(&path, "").unwrap();
            assert_eq!(delta(&layout).unwrap(), Some(path));
        }
    }
}
