//! Supermicro Update Manager (SUM) out of the archive that the user has from Supermicro.
//!
//! In: a [`SumArchive`] of the profile. Out: the program with the files beside it, as data for an image ([`read`]) or laid
//! out in the store for use on this machine ([`program`]). Invariants: nothing is parsed that has not the digest of the
//! profile; nothing but regular files below the archive's one directory is taken; nothing of what was read is run here.
//!
//! ```text
//! sum_2.14.0_Linux_x86_64/sum               the program, an ELF file
//! sum_2.14.0_Linux_x86_64/ExternalData/...  what it reads
//! ```

use std::fs::{self, File};
use std::io::{self, Read};
use std::iter::successors;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use tar::{Archive, Entry, EntryType};

use super::{MediaError, Reason};
use crate::fetch::Store;
use crate::profile::SumArchive;
use crate::tree::{Contents, Kind, MemoryContents, Node, Tree};
use crate::vocab::{Digest, Hasher, ImagePath, Mode};

/// The program's path below the archive's directory.
const PROGRAM: &str = "sum";
/// Upper bounds: the archives of versions 2.5 to 2.15 have some ten megabytes and some dozens of files.
const ARCHIVE_LIMIT: u64 = 256 << 20;
const UNPACKED_LIMIT: u64 = 512 << 20;
const ENTRIES: usize = 4096;
/// In bytes, of a path inside the archive.
const PATH_LIMIT: usize = 512;

/// SUM's files in memory, as root's. The root of the tree is the archive's directory: the program is `/sum`.
#[derive(Debug, Clone)]
pub struct Sum {
    pub tree: Tree,
    pub contents: MemoryContents,
}

/// Why an archive is not taken for SUM's.
#[derive(Debug, thiserror::Error)]
pub enum SumFault {
    #[error("{} has the SHA-256 digest {found}, not {wanted}", .path.display())]
    OtherFile { path: PathBuf, wanted: Digest, found: Digest },
    #[error("{} is larger than {} MiB", .0.display(), ARCHIVE_LIMIT >> 20)]
    TooLarge(PathBuf),
    #[error("it is not a gzip-compressed tar archive: {0}")]
    NotArchive(String),
    #[error("it holds more than {ENTRIES} files, or more than {} MiB", UNPACKED_LIMIT >> 20)]
    Bomb,
    #[error("the path '{0}' leads out of the archive's directory, or is not one that a file can have")]
    Path(String),
    #[error("'{0}' is {1}, and only files and directories are taken")]
    NoFile(String, &'static str),
    #[error("'{0}' is in it twice")]
    Twice(String),
    #[error("it holds '{first}' and '{second}', and SUM's has one directory")]
    TwoDirectories { first: String, second: String },
    #[error("its directory is '{0}', and SUM's for Linux is called sum_VERSION_Linux_x86_64")]
    OtherDirectory(String),
    #[error("it holds no program '{PROGRAM}'")]
    NoProgram,
    #[error("its '{PROGRAM}' is no program for Linux on x86-64")]
    NotElf,
}

impl Sum {
    /// Writes the files below a directory that does not exist yet, for its owner alone.
    pub fn lay_out(&self, directory: &Path) -> io::Result<()> {
        let mut private = fs::DirBuilder::new();
        private.mode(0o700).create(directory)?;
        for (path, node) in self.tree.iter() {
            let target = directory.join(path.relative());
            match &node.kind {
                Kind::File(content) => {
                    let mode = node.mode.bits() & 0o700;
                    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(target)?;
                    io::copy(&mut self.contents.open(content)?, &mut file)?;
                }
                Kind::Directory if !path.is_root() => private.create(target)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Reads the archive that a profile names.
pub fn read(archive: &SumArchive) -> Result<Sum, MediaError> {
    read_archive(archive).map_err(fault)
}

/// Lays SUM out in the store, once for each archive, and gives the path of its program. The archive itself is read the first
/// time only.
pub fn program(archive: &SumArchive, store: &Path) -> Result<PathBuf, MediaError> {
    laid_out(archive, store).map_err(fault)
}

/// The name of what [`program`] makes among the store's stages.
pub fn store_key(archive: &SumArchive) -> Digest {
    let mut hasher = Hasher::new();
    hasher.field(b"sum");
    // Counts up with every change of what is laid out.
    hasher.field(b"1");
    hasher.field(archive.sha256.as_bytes());
    hasher.finish()
}

fn fault(reason: Reason) -> MediaError {
    MediaError { medium: "SUM's archive".to_owned(), reason }
}

fn laid_out(archive: &SumArchive, store: &Path) -> Result<PathBuf, Reason> {
    let store = Store::open(store)?;
    let (stage, _) = store.stage(&store_key(archive), |directory| {
        let sum = read_archive(archive)?;
        // A directory of its own: the stage's is for everybody to read.
        let target = directory.join(PROGRAM);
        sum.lay_out(&target).map_err(|source| Reason::File { path: target, source })
    })?;
    Ok(stage.join(PROGRAM).join(PROGRAM))
}

fn read_archive(archive: &SumArchive) -> Result<Sum, Reason> {
    let bytes = whole(archive)?;
    Ok(parse(&bytes)?)
}

/// The file's bytes: read once, so that what is parsed is what was digested.
fn whole(archive: &SumArchive) -> Result<Vec<u8>, Reason> {
    let io = |source| Reason::File { path: archive.path.clone(), source };
    let file = File::open(&archive.path).map_err(io)?;
    if !file.metadata().map_err(io)?.is_file() {
        return Err(io(io::Error::other("it is not a regular file")));
    }
    let mut bytes = Vec::new();
    file.take(ARCHIVE_LIMIT + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > ARCHIVE_LIMIT {
        return Err(SumFault::TooLarge(archive.path.clone()).into());
    }
    match Digest::of(&bytes) {
        found if found == archive.sha256 => Ok(bytes),
        found => Err(SumFault::OtherFile { path: archive.path.clone(), wanted: archive.sha256, found }.into()),
    }
}

fn parse(bytes: &[u8]) -> Result<Sum, SumFault> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(SumFault::NotArchive("it does not begin as gzip does".to_owned()));
    }
    let mut archive = Archive::new(GzDecoder::new(bytes).take(UNPACKED_LIMIT));
    let mut unpacked = Unpacked::new();
    for (count, entry) in archive.entries().map_err(broken)?.enumerate() {
        let entry = entry.map_err(broken)?;
        if count >= ENTRIES {
            return Err(SumFault::Bomb);
        }
        unpacked.add(entry)?;
    }
    unpacked.finish()
}

fn broken(error: io::Error) -> SumFault {
    SumFault::NotArchive(match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut off".to_owned(),
        _ => shown(&error.to_string()),
    })
}

/// What a stranger wrote, short enough for a message.
fn shown(text: &str) -> String {
    super::shorten(text)
}

/// What was taken from the archive so far.
struct Unpacked {
    /// The one directory that holds everything.
    top: Option<String>,
    sum: Sum,
    bytes: u64,
}

impl Unpacked {
    fn new() -> Self {
        Unpacked { top: None, sum: Sum { tree: Tree::new(), contents: MemoryContents::new() }, bytes: 0 }
    }

    fn add(&mut self, mut entry: Entry<'_, impl Read>) -> Result<(), SumFault> {
        let raw = entry.path_bytes().into_owned();
        let name = shown(&String::from_utf8_lossy(&raw));
        let parts = parts(&raw).ok_or_else(|| SumFault::Path(name.clone()))?;
        let kind = entry.header().entry_type();
        let what = match kind {
            EntryType::Regular | EntryType::Directory => None,
            EntryType::Symlink => Some("a symbolic link"),
            EntryType::Link => Some("a hard link"),
            EntryType::Char | EntryType::Block => Some("a device"),
            EntryType::Fifo => Some("a pipe"),
            // A comment for the whole archive, as git writes it.
            EntryType::XGlobalHeader => return Ok(()),
            _ => Some("something special"),
        };
        if let Some(what) = what {
            return Err(SumFault::NoFile(name, what));
        }
        let Some((top, below)) = parts.split_first() else {
            // "./", the directory that the archive was made in.
            return if kind == EntryType::Directory { Ok(()) } else { Err(SumFault::Path(name)) };
        };
        match &self.top {
            Some(known) if known != top => {
                return Err(SumFault::TwoDirectories { first: shown(known), second: shown(top) });
            }
            Some(_) => {}
            None if !is_sums(top) => return Err(SumFault::OtherDirectory(shown(top))),
            None => self.top = Some((*top).to_owned()),
        }
        if kind == EntryType::Directory {
            return Ok(());
        }
        if below.is_empty() {
            return Err(SumFault::NoProgram);
        }
        let size = entry.size();
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > UNPACKED_LIMIT {
            return Err(SumFault::Bomb);
        }
        let executable = entry.header().mode().map_err(broken)? & 0o111 != 0;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(broken)?;
        if bytes.len() as u64 != size {
            return Err(SumFault::NotArchive("it is cut off".to_owned()));
        }
        let path = ImagePath::root().join(&below.join("/")).map_err(|_| SumFault::Path(name.clone()))?;
        let tree = &mut self.sum.tree;
        // A file below another one, or in the place of a directory, would not be what the archive means.
        let is_file = |path: &ImagePath| tree.get(path).is_some_and(|node| matches!(node.kind, Kind::File(_)));
        if tree.get(&path).is_some() || successors(path.parent(), ImagePath::parent).any(|up| is_file(&up)) {
            return Err(SumFault::Twice(name));
        }
        let mode = if executable || path.relative() == PROGRAM { Mode::EXECUTABLE } else { Mode::FILE };
        tree.insert_with_parents(path, Node::file(self.sum.contents.add(bytes)).with_mode(mode));
        Ok(())
    }

    fn finish(self) -> Result<Sum, SumFault> {
        let program = ImagePath::root().join(PROGRAM).ok().and_then(|path| self.sum.tree.content(&path));
        let program = program.and_then(|content| self.sum.contents.get(&content)).ok_or(SumFault::NoProgram)?;
        if is_program(program) { Ok(self.sum) } else { Err(SumFault::NotElf) }
    }
}

/// The parts of a path, without `.`; `None` where it may not be taken.
fn parts(path: &[u8]) -> Option<Vec<&str>> {
    let path = std::str::from_utf8(path).ok().filter(|path| path.len() <= PATH_LIMIT)?;
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let sound = |part: &&str| *part != ".." && part.len() <= 255 && !part.chars().any(|c| c.is_control() || c == '\\');
    (!path.starts_with('/') && parts.iter().all(sound)).then_some(parts)
}

fn is_sums(directory: &str) -> bool {
    directory.starts_with("sum_") && directory.contains("_Linux_x86_64")
}

/// ELF header (System V ABI, chapter 4): 64 bits, little-endian, ET_EXEC or ET_DYN, EM_X86_64.
fn is_program(bytes: &[u8]) -> bool {
    bytes.len() >= 64
        && bytes.starts_with(b"\x7fELF\x02\x01")
        && matches!(bytes[16..18], [2 | 3, 0])
        && bytes[18..20] == 62_u16.to_le_bytes()
}

#[cfg(test)]
mod tests;
