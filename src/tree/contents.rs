//! Where the bytes of a tree's files come from.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::Content;
use crate::vocab::Digest;

/// A source of file contents by digest.
pub trait Contents: Sync {
    /// Opens a content for reading from its start; `NotFound` where this source does not hold it.
    fn open(&self, content: &Content) -> io::Result<Box<dyn Read + Send + '_>>;

    /// Reads a whole content: for files that are known to be small.
    fn read(&self, content: &Content) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(content.size as usize);
        self.open(content)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

pub(super) fn not_held(content: &Content) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("content {} is not held", content.digest))
}

/// Contents that were made in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryContents {
    bytes: BTreeMap<Digest, Vec<u8>>,
}

impl MemoryContents {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn add(&mut self, bytes: impl Into<Vec<u8>>) -> Content {
        let bytes = bytes.into();
        let content = Content::of(&bytes);
        self.bytes.insert(content.digest, bytes);
        content
    }

    pub fn get(&self, content: &Content) -> Option<&[u8]> {
        self.bytes.get(&content.digest).map(Vec::as_slice)
    }
}

impl Contents for MemoryContents {
    fn open(&self, content: &Content) -> io::Result<Box<dyn Read + Send + '_>> {
        match self.bytes.get(&content.digest) {
            Some(bytes) => Ok(Box::new(bytes.as_slice())),
            None => Err(not_held(content)),
        }
    }
}

/// Several sources; the first that holds a content gives it.
pub struct Layered<'a>(pub Vec<&'a dyn Contents>);

impl Contents for Layered<'_> {
    fn open(&self, content: &Content) -> io::Result<Box<dyn Read + Send + '_>> {
        for source in &self.0 {
            match source.open(content) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => return result,
            }
        }
        Err(not_held(content))
    }
}
