//! The appliance's daemon: the program file that `./provbuild` builds beside the tool, checked before it goes into an image.
//!
//! In: the places where it may lie, and the image's architecture. Out: its bytes. Invariant: what goes into an image is a
//! static program for the image's processors, so that it runs on every distribution, whatever glibc built it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::profile::Profile;
use crate::vocab::{Digest, Remedy};

/// The program with its identity.
#[derive(Debug, Clone)]
pub(super) struct Daemon {
    pub(super) bytes: Vec<u8>,
    pub(super) digest: Digest,
}

/// Why there is no daemon for the image.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error("the appliance's daemon is not there: {}", .0.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "))]
    Missing(Vec<PathBuf>),
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: not a provd for this image: {reason}", path.display())]
    Unfit { path: PathBuf, reason: String },
}

impl Remedy for DaemonError {
    fn help(&self) -> Option<String> {
        Some(match self {
            DaemonError::Missing(_) | DaemonError::Unfit { .. } => {
                "run ./provbuild, which builds it beside the tool, or scripts/build-provd; PROVBUILD_PROVD names another file"
                    .to_owned()
            }
            DaemonError::Io { .. } => return None,
        })
    }
}

/// Reads the first of the files that exists. An image that cannot boot by itself has none, whatever lies beside the tool.
pub(super) fn read(places: &[PathBuf], profile: &Profile) -> Result<Option<Daemon>, DaemonError> {
    if profile.distribution.kernel.is_none() {
        return Ok(None);
    }
    for path in places {
        match fs::read(path) {
            Ok(bytes) => {
                check(&bytes, &profile.distribution.architecture)
                    .map_err(|reason| DaemonError::Unfit { path: path.clone(), reason })?;
                return Ok(Some(Daemon { digest: Digest::of(&bytes), bytes }));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(DaemonError::Io { path: path.clone(), source }),
        }
    }
    Err(DaemonError::Missing(places.to_vec()))
}

/// Where a build looks: a file that the environment names, or beside the tool's own program, installed or as cargo leaves it.
pub fn places(named: Option<PathBuf>, program: &Path) -> Vec<PathBuf> {
    const NAME: &str = "provd-amd64";
    match named {
        Some(named) => vec![named],
        None => {
            let directory = program.parent().unwrap_or(Path::new("."));
            let installed = directory.parent().unwrap_or(directory).join("lib/provbuild").join(NAME);
            vec![installed, directory.join(NAME)]
        }
    }
}

/// ELF header and program headers (System V ABI, chapters 4 and 5, 64 bits, little-endian).
fn check(bytes: &[u8], architecture: &str) -> Result<(), String> {
    let half = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let long = |at: usize| usize::try_from(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?)).ok();
    const LOADED: u32 = 1;
    const INTERPRETER: u32 = 3;
    let machine_of = match architecture {
        "amd64" => 62,
        "arm64" => 183,
        other => return Err(format!("there is none for the architecture {other}")),
    };
    let cut = || "the file is cut short".to_owned();
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return Err("it is not a 64-bit program for Linux".to_owned());
    }
    // ET_EXEC or, position independent, ET_DYN.
    if !matches!(half(16).ok_or_else(cut)?, 2 | 3) {
        return Err("it is not a program".to_owned());
    }
    let machine = half(18).ok_or_else(cut)?;
    if machine != machine_of {
        return Err(format!("its machine is number {machine}, and {architecture} is {machine_of}"));
    }
    let (table, entry, count) = (long(32), half(54), half(56));
    let (Some(table), Some(entry), Some(count)) = (table, entry, count) else { return Err(cut()) };
    let mut loaded = false;
    for index in 0..usize::from(count) {
        let at = table.checked_add(index * usize::from(entry)).filter(|at| at.checked_add(56).is_some());
        match at.and_then(word).ok_or_else(cut)? {
            INTERPRETER => {
                return Err("it is linked dynamically, and needs the libraries of the machine that built it".to_owned());
            }
            LOADED => loaded = true,
            _ => {}
        }
    }
    if loaded { Ok(()) } else { Err("it has nothing to load".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least program: a header and the kinds of its program headers.
    fn elf(machine: u16, kinds: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[16..18].copy_from_slice(&3_u16.to_le_bytes());
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
        bytes[54..56].copy_from_slice(&56_u16.to_le_bytes());
        bytes[56..58].copy_from_slice(&(kinds.len() as u16).to_le_bytes());
        for kind in kinds {
            bytes.extend(kind.to_le_bytes());
            bytes.extend([0; 52]);
        }
        bytes
    }

    #[test]
    fn only_a_static_program_for_the_image_is_taken() {
        assert_eq!(check(&elf(62, &[6, 1, 1]), "amd64"), Ok(()));
        let reason = |bytes: &[u8]| check(bytes, "amd64").unwrap_err();
        assert!(reason(&elf(62, &[6, 3, 1])).contains("dynamically"));
        assert!(reason(&elf(183, &[1])).contains("machine"));
        assert!(reason(&elf(62, &[])).contains("nothing to load"));
        assert!(reason(b"#!/bin/sh\n").contains("not a 64-bit program"));
        assert!(check(&elf(62, &[1]), "riscv64").unwrap_err().contains("riscv64"));
        // This very test is linked dynamically.
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(reason(&own).contains("dynamically"));
    }

    #[test]
    fn a_damaged_file_is_refused_and_nothing_panics() {
        let whole = elf(62, &[6, 1]);
        for length in 0..whole.len() - 52 {
            assert!(check(&whole[..length], "amd64").is_err(), "{length}");
        }
        let mut far = whole;
        far[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(check(&far, "amd64").is_err());
    }

    #[test]
    fn a_named_file_is_the_only_place() {
        let program = Path::new("/opt/x/bin/provbuild");
        assert_eq!(places(Some("/tmp/p".into()), program), [PathBuf::from("/tmp/p")]);
        let expected = ["/opt/x/lib/provbuild/provd-amd64", "/opt/x/bin/provd-amd64"];
        assert_eq!(places(None, program), expected.map(PathBuf::from));
    }
}
