//! VMware's locks on disks: the directory X.vmdk.lck has files in it while a machine that has the disk is powered on. (X.vmx.lck only says
//! that a window shows the machine.)
//!
//! A host that has lost its power leaves them behind. VMware clears those itself when it powers a machine on; here they are passed over if
//! they are older than the host's boot, on a file system that no other host writes to. Invariant: no lock is ever removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::sys::statfs::{self, FsType, statfs};

use super::super::error::DeployError;
use super::layout::names_in;

/// File systems of one host's own disks. What is not in here may be shared: there a lock may be another host's, which runs for longer.
const LOCAL: [FsType; 6] = [
    // ext2 and ext3 as well.
    statfs::EXT4_SUPER_MAGIC,
    statfs::XFS_SUPER_MAGIC,
    statfs::BTRFS_SUPER_MAGIC,
    statfs::TMPFS_MAGIC,
    statfs::OVERLAYFS_SUPER_MAGIC,
    ZFS,
];
const ZFS: FsType = FsType(0x2fc1_2fc1);

/// When this host was booted, out of the text of /proc/stat.
pub fn boot_time(stat: &str) -> Option<SystemTime> {
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// The first lock in these directories that holds a disk.
pub(super) fn held_disk(directories: &[PathBuf], booted: Option<SystemTime>) -> Result<Option<PathBuf>, DeployError> {
    for directory in directories {
        for name in names_in(directory)?.iter().filter(|name| name.ends_with(".vmdk.lck")) {
            let lock = directory.join(name);
            let files = names_in(&lock)?;
            let mut files = files.iter().filter(|name| name.ends_with(".lck")).map(|name| lock.join(name));
            if files.any(|file| !booted.is_some_and(|booted| is_stale(&file, booted))) {
                return Ok(Some(lock));
            }
        }
    }
    Ok(None)
}

/// Nothing of before the boot runs any more. Both times are of one clock: the kernel counts its boot back from the present time.
fn is_stale(file: &Path, booted: SystemTime) -> bool {
    let made = fs::symlink_metadata(file).and_then(|metadata| metadata.modified());
    made.is_ok_and(|made| made < booted) && statfs(file).is_ok_and(|found| LOCAL.contains(&found.filesystem_type()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_is_told_by_the_kernel() {
        let stat = "cpu  1 2 3\nintr 5\nctxt 7\nbtime 1795385157\nprocesses 9\n";
        assert_eq!(boot_time(stat), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_385_157)));
        for nothing in ["", "cpu 1\nbtime\n", "btime x\n", "xbtime 5\n"] {
            assert_eq!(boot_time(nothing), None, "{nothing:?}");
        }
        let here = boot_time(&fs::read_to_string("/proc/stat").unwrap()).unwrap();
        assert!(here < SystemTime::now());
    }

    #[test]
    fn only_locks_of_before_the_boot_are_passed_over() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().to_owned();
        let lock = directory.join("state.vmdk.lck");
        let held = |booted| held_disk(std::slice::from_ref(&directory), booted).unwrap();
        fs::create_dir(&lock).unwrap();
        assert_eq!(held(None), None);
        let booted = SystemTime::now();
        let make = |name: &str, made| {
            let file = fs::File::create(lock.join(name)).unwrap();
            file.set_modified(made).unwrap();
        };
        make("M00001.lck", booted - Duration::from_secs(60));
        assert_eq!(held(None), Some(lock.clone()));
        assert_eq!(held(Some(booted)), None);
        assert_eq!(held(Some(booted - Duration::from_secs(61))), Some(lock.clone()));
        // One of them is enough.
        make("M00002.lck", booted + Duration::from_secs(1));
        assert_eq!(held(Some(booted)), Some(lock.clone()));
        // Nobody knows whose locks these are: /proc is no disk of this host.
        assert!(!is_stale(Path::new("/proc/stat"), SystemTime::now() + Duration::from_secs(3600)));
    }
}
