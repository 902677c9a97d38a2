//! A tree and its contents in one pair of files: how the `rootfs` stage's output lies in the store.
//!
//! ```text
//! contents.pack   the bytes of all distinct contents, one after the other, in the order in which they were added
//! tree.json       { "format": 1, "tree": {path: node}, "offsets": {digest: offset in contents.pack} }
//! ```
//! One sequential file instead of twenty thousand small ones: it is written and read at the disk's speed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Content, Contents, Tree, contents::not_held};
use crate::vocab::Digest;

const FORMAT: u32 = 1;
const CONTENTS: &str = "contents.pack";
const TREE: &str = "tree.json";

/// Why a pack cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: not a tree of format {FORMAT}: {reason}")]
    Format { path: PathBuf, reason: String },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    format: u32,
    tree: Tree,
    offsets: BTreeMap<Digest, u64>,
}

/// A tree with its contents, opened for reading.
pub struct Pack {
    pub tree: Tree,
    offsets: BTreeMap<Digest, u64>,
    file: File,
}

impl Pack {
    /// Opens the pack in a directory.
    pub fn open(directory: &Path) -> Result<Self, PackError> {
        let index_path = directory.join(TREE);
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| PackError::Io { path, source }
        };
        let text = std::fs::read(&index_path).map_err(at(&index_path))?;
        let bad = |reason: String| PackError::Format { path: index_path.clone(), reason };
        let index: Index = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        if index.format != FORMAT {
            return Err(bad(format!("it has format {}", index.format)));
        }
        let contents_path = directory.join(CONTENTS);
        let file = File::open(&contents_path).map_err(at(&contents_path))?;
        Ok(Pack { tree: index.tree, offsets: index.offsets, file })
    }
}

impl Contents for Pack {
    fn open(&self, content: &Content) -> io::Result<Box<dyn Read + Send + '_>> {
        let offset = *self.offsets.get(&content.digest).ok_or_else(|| not_held(content))?;
        Ok(Box::new(BufReader::new(Slice { file: &self.file, offset, left: content.size })))
    }

    fn read(&self, content: &Content) -> io::Result<Vec<u8>> {
        let offset = *self.offsets.get(&content.digest).ok_or_else(|| not_held(content))?;
        let mut bytes = vec![0; content.size as usize];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

struct Slice<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

impl Read for Slice<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        match self.file.read_at(&mut buffer[..wanted], self.offset)? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the pack ends inside a content")),
            n => {
                self.offset += n as u64;
                self.left -= n as u64;
                Ok(n)
            }
        }
    }
}

/// Writes a pack into a directory that the caller renames into place.
///
/// Both files are opened at once, so that a writer made outside of the sandbox can be used inside.
pub struct PackWriter {
    directory: PathBuf,
    out: BufWriter<File>,
    index: File,
    offsets: BTreeMap<Digest, u64>,
    length: u64,
}

impl PackWriter {
    pub fn create(directory: &Path) -> Result<Self, PackError> {
        let create = |name: &str| {
            let path = directory.join(name);
            File::create(&path).map_err(|source| PackError::Io { path, source })
        };
        let out = BufWriter::with_capacity(1 << 20, create(CONTENTS)?);
        let index = create(TREE)?;
        Ok(PackWriter { directory: directory.to_owned(), out, index, offsets: BTreeMap::new(), length: 0 })
    }

    /// Adds the bytes of one file; bytes that are already there are not written again.
    pub fn add(&mut self, bytes: &[u8]) -> Result<Content, PackError> {
        let content = Content::of(bytes);
        self.add_known(content, bytes)?;
        Ok(content)
    }

    /// Adds bytes whose digest the caller has computed.
    pub fn add_known(&mut self, content: Content, bytes: &[u8]) -> Result<(), PackError> {
        debug_assert_eq!(content.size, bytes.len() as u64);
        if self.offsets.contains_key(&content.digest) {
            return Ok(());
        }
        self.out.write_all(bytes).map_err(|source| self.at(CONTENTS, source))?;
        self.offsets.insert(content.digest, self.length);
        self.length += content.size;
        Ok(())
    }

    /// Writes the index; only then the pack is whole.
    pub fn finish(mut self, tree: Tree) -> Result<(), PackError> {
        self.out.flush().map_err(|source| self.at(CONTENTS, source))?;
        let index = Index { format: FORMAT, tree, offsets: std::mem::take(&mut self.offsets) };
        let mut out = BufWriter::new(&self.index);
        serde_json::to_writer(&mut out, &index).map_err(|error| self.at(TREE, error.into()))?;
        out.flush().map_err(|source| self.at(TREE, source))
    }

    fn at(&self, name: &str, source: io::Error) -> PackError {
        PackError::Io { path: self.directory.join(name), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Node;
    use crate::vocab::ImagePath;

    #[test]
    fn what_was_packed_is_read_back_and_equal_bytes_are_stored_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = PackWriter::create(directory.path()).unwrap();
        let big = vec![7; 3 << 20];
        let (one, two) = (writer.add(b"one").unwrap(), writer.add(&big).unwrap());
        writer.add(b"one").unwrap();
        let mut tree = Tree::new();
        tree.insert(ImagePath::literal("/one"), Node::file(one));
        tree.insert(ImagePath::literal("/two"), Node::file(two));
        writer.finish(tree.clone()).unwrap();

        let pack = Pack::open(directory.path()).unwrap();
        assert_eq!(pack.tree, tree);
        assert_eq!(pack.read(&one).unwrap(), b"one");
        let mut streamed = Vec::new();
        pack.open(&two).unwrap().read_to_end(&mut streamed).unwrap();
        assert_eq!(streamed, big);
        assert_eq!(directory.path().join(CONTENTS).metadata().unwrap().len(), 3 + big.len() as u64);
        assert_eq!(pack.open(&Content::of(b"?")).err().unwrap().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_pack_cut_short_is_an_error_not_short_data() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = PackWriter::create(directory.path()).unwrap();
        let content = writer.add(b"abcdef").unwrap();
        writer.finish(Tree::new()).unwrap();
        File::options().write(true).open(directory.path().join(CONTENTS)).unwrap().set_len(3).unwrap();
        let pack = Pack::open(directory.path()).unwrap();
        assert!(pack.read(&content).is_err());
        assert!(pack.open(&content).unwrap().read_to_end(&mut Vec::new()).is_err());
    }
}
