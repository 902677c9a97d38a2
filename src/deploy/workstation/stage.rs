//! The system disk of a build, copied to its place and verified on the way.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::super::error::{DeployError, Kind, at};
use super::super::release::Release;
use super::layout::{
    BASE, Layout, SYSTEM, create_private, make_directory, part, remove_directory, remove_tree, sync_directory,
};
use crate::image::name_vmdk;
use crate::manifest::ArtifactRecord;
use crate::vocab::{ByteSize, Event, Hasher, Progress, Stage};

/// What is left free for the log and the first writes of the machine.
const RESERVE: u64 = 64 << 20;
const CHUNK: usize = 1 << 20;

/// Copies the disk and the configuration of a build to generations/N, which appears whole. `known` says that the record knows this
/// generation's disk as staged. Without that, what is there may be of another build, or a disk that was used: the record may have been
/// lost and its numbers begun anew. Nothing tells (a disk is changed by its machine, and by the name that it is given here), so it is copied
/// anew; nobody may be using it.
pub(super) fn stage(
    layout: &Layout,
    number: u32,
    known: bool,
    release: &Release,
    progress: &dyn Progress,
) -> Result<(), DeployError> {
    let target = layout.generation(number);
    let aside = part(&target);
    remove_tree(&aside)?;
    if known && layout.is_staged(number) {
        return Ok(());
    }
    let find = |suffix| {
        release.artifact("vmx", suffix).ok_or_else(|| {
            let message = format!("{} has no *{suffix} of the output \"vmx\"", release.directory.display());
            DeployError::new(Kind::Settings, message).help("add \"vmx\" to outputs.formats and build again")
        })
    };
    let files = [(find("-disk.vmdk")?, SYSTEM), (find(".vmx")?, BASE)];
    make_directory(&layout.generations())?;
    // First, for its space.
    remove_directory(&target)?;
    let bytes = files.iter().map(|(artifact, _)| artifact.size).sum();
    check_space(&layout.generations(), bytes)?;
    make_directory(&aside)?;
    progress.event(Event::TransferStarted { stage: Stage::Deploy, files: files.len(), bytes });
    let copied = files.iter().try_for_each(|(artifact, name)| copy(release, artifact, &aside.join(name), progress));
    let copied = copied.and_then(|()| {
        // A disk's own description names its file.
        let disk = aside.join(SYSTEM);
        name_vmdk(&disk, SYSTEM).map_err(|error| {
            DeployError::new(Kind::Settings, format!("{}: {error}", disk.display())).help("build the profile again")
        })
    });
    progress.event(Event::TransferFinished);
    if let Err(error) = copied {
        // The first failure is the one to tell; what is left is nobody's, and goes at the next attempt.
        let _ = remove_tree(&aside);
        return Err(error);
    }
    sync_directory(&aside)?;
    fs::rename(&aside, &target).map_err(at("write", &target))?;
    sync_directory(&layout.generations())
}

fn copy(release: &Release, artifact: &ArtifactRecord, to: &Path, progress: &dyn Progress) -> Result<(), DeployError> {
    let from = release.path(artifact);
    let mut source = File::open(&from).map_err(at("read", &from))?;
    let mut target = create_private(to).map_err(at("write", to))?;
    let mut hasher = Hasher::new();
    let mut length = 0;
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(DeployError::io("read", &from, &error)),
        };
        hasher.update(&buffer[..count]);
        target.write_all(&buffer[..count]).map_err(at("write", to))?;
        length += count as u64;
        progress.event(Event::TransferAdvanced { bytes: count as u64 });
    }
    target.sync_all().map_err(at("write", to))?;
    if length != artifact.size || hasher.finish() != artifact.sha256 {
        let message = format!("{} is not what {} says of it", from.display(), crate::manifest::FILE_NAME);
        return Err(DeployError::new(Kind::Settings, message).help("build the profile again"));
    }
    progress.event(Event::TransferFile { name: artifact.file.clone(), bytes: length });
    Ok(())
}

fn check_space(directory: &Path, bytes: u64) -> Result<(), DeployError> {
    let space =
        statvfs(directory).map_err(|errno| DeployError::io("ask for the free space of", directory, &errno.into()))?;
    // The types differ between architectures.
    #[allow(clippy::useless_conversion)]
    let free = u64::from(space.blocks_available()).saturating_mul(u64::from(space.fragment_size()));
    enough(directory, free, bytes)
}

fn enough(directory: &Path, free: u64, bytes: u64) -> Result<(), DeployError> {
    let needed = bytes.saturating_add(RESERVE);
    if free >= needed {
        return Ok(());
    }
    let mib = |bytes: u64| ByteSize::mib(bytes >> 20);
    let message =
        format!("{} has {} free, a system disk needs {}", directory.display(), mib(free), mib(needed + (1 << 20) - 1));
    Err(DeployError::new(Kind::Io, message).help("make room there, or keep fewer generations: deploy.keep"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Mutex;

    use super::super::tests::{disk_of, holds, release};
    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<Event>>);

    impl Progress for Heard {
        fn event(&self, event: Event) {
            self.0.lock().unwrap().push(event);
        }
    }

    #[test]
    fn a_build_is_copied_once() {
        let scratch = tempfile::tempdir().unwrap();
        let layout = Layout::new(scratch.path(), "lab");
        let release = release(scratch.path(), "first");
        let heard = Heard::default();
        stage(&layout, 4, false, &release, &heard).unwrap();
        let disk = layout.generation(4).join(SYSTEM);
        assert!(holds(&disk, "first"));
        assert_eq!(fs::metadata(&disk).unwrap().permissions().mode() & 0o777, 0o600);
        let events = heard.0.into_inner().unwrap();
        let advanced: u64 =
            events.iter().map(|e| if let Event::TransferAdvanced { bytes } = e { *bytes } else { 0 }).sum();
        assert!(
            matches!(events[0], Event::TransferStarted { stage: Stage::Deploy, files: 2, bytes } if bytes == advanced)
        );
        assert!(matches!(events.last(), Some(Event::TransferFinished)));
        // The machine has written to it: it is not copied again.
        fs::write(&disk, "changed").unwrap();
        stage(&layout, 4, true, &release, &Heard::default()).unwrap();
        assert_eq!(fs::read_to_string(&disk).unwrap(), "changed");
    }

    #[test]
    fn half_a_copy_is_made_anew() {
        let scratch = tempfile::tempdir().unwrap();
        let layout = Layout::new(scratch.path(), "lab");
        let release = release(scratch.path(), "first");
        for left in [part(&layout.generation(1)), layout.generation(1)] {
            fs::create_dir_all(&left).unwrap();
            fs::write(left.join(SYSTEM), "dis").unwrap();
            stage(&layout, 1, true, &release, &Heard::default()).unwrap();
            assert!(holds(&layout.generation(1).join(SYSTEM), "first"));
            assert!(!part(&layout.generation(1)).exists());
            remove_tree(&layout.generation(1)).unwrap();
        }
    }

    #[test]
    fn what_the_record_does_not_know_is_not_taken_for_the_build() {
        let scratch = tempfile::tempdir().unwrap();
        let layout = Layout::new(scratch.path(), "lab");
        stage(&layout, 1, false, &release(scratch.path(), "an old build"), &Heard::default()).unwrap();
        assert!(layout.is_staged(1));
        stage(&layout, 1, false, &release(scratch.path(), "the new build"), &Heard::default()).unwrap();
        assert!(holds(&layout.generation(1).join(SYSTEM), "the new build"));
        // Nor one of the same build that its machine has written to.
        fs::write(layout.generation(1).join(SYSTEM), "used").unwrap();
        stage(&layout, 1, false, &release(scratch.path(), "the new build"), &Heard::default()).unwrap();
        assert!(holds(&layout.generation(1).join(SYSTEM), "the new build"));
        assert_eq!(super::super::layout::names(&layout.generations()).unwrap(), ["1"]);
    }

    #[test]
    fn a_changed_disk_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let layout = Layout::new(scratch.path(), "lab");
        let release = release(scratch.path(), "first");
        fs::write(release.directory.join("lab-disk.vmdk"), disk_of("f1rst")).unwrap();
        let failed = stage(&layout, 1, false, &release, &Heard::default()).unwrap_err();
        assert!(failed.message.ends_with("lab-disk.vmdk is not what manifest.json says of it"), "{failed}");
        assert!(layout.staged().unwrap().is_empty() && !part(&layout.generation(1)).exists());
    }

    #[test]
    fn too_little_space_is_said_before_anything_is_copied() {
        let failed = enough(Path::new("/vm/lab/generations"), 1 << 30, 2 << 30).unwrap_err();
        assert_eq!(failed.message, "/vm/lab/generations has 1GiB free, a system disk needs 2112MiB");
        enough(Path::new("/vm"), (2 << 30) + RESERVE, 2 << 30).unwrap();
    }
}
