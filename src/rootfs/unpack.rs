//! Lays the packages' files out, in parallel, as root of the sandbox.
//!
//! In: opened packages in their fixed order. Out: files on the sandbox's root and, per package, the names that dpkg's
//! `.list` will hold. The result does not depend on which thread came first: where two packages ship one path, the
//! order of the packages and their Replaces decide after all threads are done. The root has been pivoted into, so no
//! link can lead out of it; names with `..` are refused nevertheless.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, fchown, lchown, symlink};
use std::sync::Mutex;

use nix::sys::stat::{UtimensatFlags, futimens, utimensat};
use nix::sys::time::TimeSpec;
use rayon::prelude::*;

use super::deb::{Control, Deb};
use super::failure::Failure;
use crate::lock::compare_versions;

/// Links of the merged /usr layout. Distributions ship them in base-files or expect the installer to make them.
const MERGED: [(&str, &str); 4] =
    [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")];
const MAX_ENTRIES: usize = 1_000_000;

/// One package after unpacking.
///
/// The package's file is closed: what runs from here on must not find it.
pub(super) struct Unpacked {
    pub(super) control: Control,
    /// Lines of dpkg's `.list`: absolute names in the archive's order, `/.` for the root.
    pub(super) names: Vec<String>,
}

/// Owner and mode of a directory, and the rank of the package that says so.
#[derive(Clone, Copy)]
struct DirectoryMeta {
    rank: usize,
    uid: u32,
    gid: u32,
    mode: u32,
    mtime: u64,
}

/// Who wrote what; shared by the threads.
#[derive(Default)]
struct Claims {
    /// Ranks of the packages that ship a path; the first has written it.
    files: Mutex<HashMap<String, Vec<usize>>>,
    directories: Mutex<BTreeMap<String, DirectoryMeta>>,
}

/// Metadata of directories that the sandbox has mounted over; to be applied when the mounts are gone.
pub(super) struct Covered(Vec<(String, DirectoryMeta)>);

/// Unpacks all packages into `/`. The order of `debs` is the order of precedence.
pub(super) fn unpack(debs: Vec<Deb>) -> Result<(Vec<Unpacked>, Covered), Failure> {
    for (link, target) in MERGED {
        make_directories(target).map_err(Failure::io(format!("make /{target}")))?;
        symlink(target, format!("/{link}")).map_err(Failure::io(format!("make /{link}")))?;
    }
    let claims = Claims::default();
    // base-files lays down the links and directories that all others expect.
    let mut names = Vec::with_capacity(debs.len());
    if let Some(base) = debs.first() {
        names.push((0, unpack_one(base, 0, &claims)?));
    }
    let mut order: Vec<usize> = (1..debs.len()).collect();
    order.sort_by_key(|rank| std::cmp::Reverse(debs[*rank].data_size()));
    let rest: Vec<_> = order
        .par_iter()
        .map(|rank| Ok((*rank, unpack_one(&debs[*rank], *rank, &claims)?)))
        .collect::<Result<_, Failure>>()?;
    names.extend(rest);
    names.sort_by_key(|(rank, _)| *rank);
    let mut names: Vec<Vec<String>> = names.into_iter().map(|(_, names)| names).collect();
    settle_contested(&debs, &mut names, &claims)?;
    let controls = debs.into_iter().map(Deb::into_control);
    let unpacked = controls.zip(names).map(|(control, names)| Unpacked { control, names }).collect();

    let directories = claims.directories.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut covered = Vec::new();
    for (path, meta) in directories.into_iter().rev() {
        match path.as_str() {
            "dev" | "proc" | "run" | "tmp" => covered.push((path, meta)),
            _ => apply(&path, meta).map_err(Failure::io(format!("set the mode of /{path}")))?,
        }
    }
    Ok((unpacked, Covered(covered)))
}

impl Covered {
    pub(super) fn apply(self) -> Result<(), Failure> {
        self.0
            .into_iter()
            .try_for_each(|(path, meta)| apply(&path, meta).map_err(Failure::io(format!("set the mode of /{path}"))))
    }
}

fn apply(path: &str, meta: DirectoryMeta) -> io::Result<()> {
    let path = format!("/{path}");
    // A package may ship a directory where another one ships a link to a directory: the link stays as it is.
    if fs::symlink_metadata(&path)?.is_dir() {
        lchown(&path, Some(meta.uid), Some(meta.gid))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(meta.mode))?;
        set_times(&path, meta.mtime)?;
    }
    Ok(())
}

fn set_times(path: &str, mtime: u64) -> io::Result<()> {
    let time = TimeSpec::new(mtime as i64, 0);
    Ok(utimensat(nix::fcntl::AT_FDCWD, path, &time, &time, UtimensatFlags::NoFollowSymlink)?)
}

fn unpack_one(deb: &Deb, rank: usize, claims: &Claims) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    let package = || format!("{} {}", deb.control.package(), deb.control.version());
    let mut walk = || -> io::Result<()> {
        let mut archive = tar::Archive::new(deb.data()?);
        for entry in archive.entries()? {
            let mut entry = entry?;
            if names.len() >= MAX_ENTRIES {
                return Err(invalid("more than a million files"));
            }
            let name = entry_name(&entry.path_bytes())?;
            names.push(listed(&name));
            let path = canonical(&name);
            if entry.header().entry_type().is_dir() {
                claims.directory(&path, rank, &entry)?;
            } else if claims.file(&path, rank) {
                extract(&mut entry, &path)?;
            }
        }
        Ok(())
    };
    walk().map_err(|error| failure(package(), error))?;
    Ok(names)
}

fn failure(package: String, error: io::Error) -> Failure {
    match error.raw_os_error() {
        Some(nix::libc::ENOSPC) => Failure::too_large(),
        _ => Failure::Package { package, reason: error.to_string() },
    }
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// The entry's path without `./` and trailing slash; empty for the root.
fn entry_name(raw: &[u8]) -> io::Result<String> {
    let text = std::str::from_utf8(raw).map_err(|_| invalid("a file name is not UTF-8"))?;
    if text.contains('\0') {
        return Err(invalid(format!("file name {text:?} has a NUL byte")));
    }
    if text.starts_with('/') {
        return Err(invalid(format!("file name {text:?} is absolute")));
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    match parts.contains(&"..") {
        true => Err(invalid(format!("file name {text:?} leads out of the tree"))),
        false => Ok(parts.join("/")),
    }
}

fn listed(name: &str) -> String {
    if name.is_empty() { "/.".to_owned() } else { format!("/{name}") }
}

/// The name under which the merged /usr layout stores it.
fn canonical(name: &str) -> String {
    for (link, target) in MERGED {
        if let Some(rest) = name.strip_prefix(link).and_then(|rest| rest.strip_prefix('/')) {
            return format!("{target}/{rest}");
        }
    }
    name.to_owned()
}

impl Claims {
    /// Whether this package is the first to come with the file; only the first writes it.
    fn file(&self, path: &str, rank: usize) -> bool {
        // base-files ships the merged-usr links themselves.
        if MERGED.iter().any(|(link, _)| *link == path) {
            return false;
        }
        let mut files = self.files.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let ranks = files.entry(path.to_owned()).or_default();
        ranks.push(rank);
        ranks.len() == 1
    }

    fn directory<R: Read>(&self, path: &str, rank: usize, entry: &tar::Entry<'_, R>) -> io::Result<()> {
        let header = entry.header();
        let (uid, gid) = ids(header)?;
        let meta = DirectoryMeta { rank, uid, gid, mode: header.mode()? & 0o7777, mtime: header.mtime()? };
        let mut directories = self.directories.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match directories.get(path) {
            Some(known) if known.rank <= rank => return Ok(()),
            known => {
                if known.is_none() {
                    make_directories(path)?;
                }
            }
        }
        directories.insert(path.to_owned(), meta);
        Ok(())
    }
}

fn ids(header: &tar::Header) -> io::Result<(u32, u32)> {
    let id = |value: u64| {
        u32::try_from(value)
            .ok()
            .filter(|id| *id < 65536)
            .ok_or_else(|| invalid(format!("owner {value} is out of range")))
    };
    Ok((id(header.uid()?)?, id(header.gid()?)?))
}

fn make_directories(relative: &str) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(format!("/{relative}"))
}

fn extract<R: Read>(entry: &mut tar::Entry<'_, R>, relative: &str) -> io::Result<()> {
    let path = format!("/{relative}");
    match try_extract(entry, &path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (parent, _) = relative.rsplit_once('/').unwrap_or(("", relative));
            make_directories(parent)?;
            try_extract(entry, &path)
        }
        other => other,
    }
}

fn try_extract<R: Read>(entry: &mut tar::Entry<'_, R>, path: &str) -> io::Result<()> {
    let header = entry.header().clone();
    let (uid, gid) = ids(&header)?;
    let (mode, mtime) = (header.mode()? & 0o7777, header.mtime()?);
    let link = || -> io::Result<String> {
        let raw = entry.link_name_bytes().ok_or_else(|| invalid(format!("link {path} has no target")))?;
        String::from_utf8(raw.into_owned()).map_err(|_| invalid(format!("the target of link {path} is not UTF-8")))
    };
    match header.entry_type() {
        tar::EntryType::Regular | tar::EntryType::Continuous => {
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
            let declared = entry.size();
            let written = io::copy(entry, &mut file)?;
            if written != declared {
                return Err(invalid(format!("{path} is cut short")));
            }
            fchown(&file, Some(uid), Some(gid))?;
            file.set_permissions(fs::Permissions::from_mode(mode))?;
            let time = TimeSpec::new(mtime as i64, 0);
            Ok(futimens(&file, &time, &time)?)
        }
        tar::EntryType::Symlink => {
            match symlink(link()?, path) {
                // Another package has a directory here: reported when all packages are unpacked, whoever came first.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && fs::symlink_metadata(path)?.is_dir() => {
                    return Ok(());
                }
                other => other?,
            }
            lchown(path, Some(uid), Some(gid))?;
            set_times(path, mtime)
        }
        tar::EntryType::Link => {
            let target = canonical(&entry_name(link()?.as_bytes())?);
            fs::hard_link(format!("/{target}"), path)
        }
        tar::EntryType::Char | tar::EntryType::Block => Err(invalid(format!("{path} is a device node"))),
        other => Err(invalid(format!("{path} has the archive type {other:?}, which packages must not have"))),
    }
}

/// Decides the paths that several packages ship: the one that replaces the others wins, as in dpkg.
fn settle_contested(debs: &[Deb], names: &mut [Vec<String>], claims: &Claims) -> Result<(), Failure> {
    let files = claims.files.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let directories = claims.directories.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let conflict = |path: &str, one: usize, two: usize| {
        let (one, two) = (debs[one.min(two)].control.package(), debs[one.max(two)].control.package());
        Failure::FileConflict { path: format!("/{path}"), packages: (one.to_owned(), two.to_owned()) }
    };
    let mut paths: Vec<(&String, &Vec<usize>)> = files.iter().collect();
    paths.sort();
    for (path, ranks) in paths {
        // A link of base-files is there before any directory: then the directory is the link's target.
        if let Some(directory) = directories.get(path)
            && ranks[0] != 0
        {
            return Err(conflict(path, ranks[0], directory.rank));
        }
        let [written, _, ..] = ranks[..] else { continue };
        let mut claimants = ranks.clone();
        claimants.sort();
        claimants.dedup();
        let mut winner = claimants[0];
        for challenger in &claimants[1..] {
            let (one, two) = (&debs[winner].control, &debs[*challenger].control);
            match (replaces(one, two), replaces(two, one)) {
                (_, true) => winner = *challenger,
                (true, false) => {}
                (false, false) => return Err(conflict(path, winner, *challenger)),
            }
        }
        for loser in claimants.iter().filter(|rank| **rank != winner) {
            names[*loser].retain(|name| canonical(name.trim_start_matches('/')) != *path);
        }
        if winner != written {
            let deb = &debs[winner];
            extract_one(deb, path).map_err(|error| failure(deb.control.package().to_owned(), error))?;
        }
    }
    Ok(())
}

/// Whether a package's Replaces field names the other one, in the version that it has (deb-control(5)).
fn replaces(control: &Control, other: &Control) -> bool {
    control.field("Replaces").is_some_and(|field| {
        field.split(',').any(|item| {
            let (name, bound) = item.split_once('(').unwrap_or((item, ""));
            let name = name.split(':').next().unwrap_or("").trim();
            let mut words = bound.trim_end_matches([')', ' ', '\n']).splitn(2, ' ');
            let (operator, version) = (words.next().unwrap_or(""), words.next().unwrap_or("").trim());
            let order = compare_versions(other.version(), version);
            name == other.package()
                && match operator {
                    "" => true,
                    "<<" => order.is_lt(),
                    "<=" | "<" => order.is_le(),
                    "=" => order.is_eq(),
                    ">=" | ">" => order.is_ge(),
                    ">>" => order.is_gt(),
                    _ => false,
                }
        })
    })
}

fn extract_one(deb: &Deb, path: &str) -> io::Result<()> {
    fs::remove_file(format!("/{path}"))?;
    let mut archive = tar::Archive::new(deb.data()?);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if canonical(&entry_name(&entry.path_bytes())?) == path {
            return extract(&mut entry, path);
        }
    }
    Err(invalid(format!("/{path} vanished from the package")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_of_the_tree_are_refused() {
        assert_eq!(entry_name(b"./usr//bin/./env").unwrap(), "usr/bin/env");
        assert_eq!(entry_name(b"./").unwrap(), "");
        assert!(entry_name(b"./../etc/passwd").unwrap_err().to_string().contains("leads out"));
        assert!(entry_name(b"usr/../../x").is_err());
        assert!(entry_name(b"/etc/passwd").unwrap_err().to_string().contains("absolute"));
        assert!(entry_name(b"\xff").is_err());
    }

    #[test]
    fn merged_usr_gives_both_spellings_one_name() {
        assert_eq!(canonical("lib/x"), "usr/lib/x");
        assert_eq!(canonical("lib64/ld.so"), "usr/lib64/ld.so");
        assert_eq!(canonical("lib"), "lib");
        assert_eq!(canonical("library/x"), "library/x");
        assert_eq!(listed(""), "/.");
    }
}
