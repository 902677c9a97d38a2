//! A disk as a list of extents: what stands where, without its bytes.
//!
//! In: what `gpt`, `fat` and `ext4` lay out. Out: everything that a format's writer wants to know before it writes (which
//! grains hold data, an identity of the whole) and one ascending pass over the data in [`Chunk`]s. A disk of 25 GiB costs as
//! much as what was written on it: neither its zeros nor the files' contents are held in memory.
//!
//! Invariant: extents are sorted, do not overlap, lie inside the disk; bytes that no extent covers are zero.

use std::io::Read;

use super::ImageError;
use crate::tree::{Content, Contents};
use crate::vocab::{Digest, Hasher, ImagePath};

/// Unit of all sparse formats here, in bytes: a grain of VMDK (128 sectors) and a cluster of qcow2.
pub(super) const GRAIN: u64 = 64 * 1024;
/// Grains below one VMDK grain table; no chunk crosses that border.
pub(super) const GRAINS_PER_TABLE: u64 = 512;
/// Grains that travel together: large enough to make hand-over cheap, small enough to keep every thread busy.
const GRAINS_PER_CHUNK: usize = 16;
/// Zeros in metadata are left out in this unit, in bytes.
const BLOCK: usize = 4096;

/// Where the bytes of an extent come from.
#[derive(Debug)]
enum Source {
    /// Metadata that was computed.
    Bytes(Vec<u8>),
    /// A stretch of a file, from `from` on.
    File { content: Content, from: u64, path: ImagePath },
}

#[derive(Debug)]
struct Extent {
    start: u64,
    length: u64,
    source: Source,
}

impl Extent {
    fn end(&self) -> u64 {
        self.start + self.length
    }
}

/// Collects extents in any order.
#[derive(Debug)]
pub(super) struct DiskBuilder {
    size: u64,
    extents: Vec<Extent>,
}

impl DiskBuilder {
    /// A disk of `size` bytes, a multiple of [`GRAIN`].
    pub(super) fn new(size: u64) -> Self {
        DiskBuilder { size, extents: Vec::new() }
    }

    /// Puts computed bytes at a byte offset; blocks of zeros in them cost nothing.
    pub(super) fn bytes(&mut self, offset: u64, bytes: &[u8]) {
        for (index, block) in bytes.chunks(BLOCK).enumerate() {
            if is_zero(block) {
                continue;
            }
            let start = offset + (index * BLOCK) as u64;
            match self.extents.last_mut() {
                Some(Extent { start: begin, length, source: Source::Bytes(before) }) if *begin + *length == start => {
                    before.extend_from_slice(block);
                    *length += block.len() as u64;
                }
                _ => self.extents.push(Extent {
                    start,
                    length: block.len() as u64,
                    source: Source::Bytes(block.to_vec()),
                }),
            }
        }
    }

    /// Puts `length` bytes of a file, from its byte `from` on, at a byte offset.
    pub(super) fn file(&mut self, offset: u64, length: u64, content: Content, from: u64, path: &ImagePath) {
        if length > 0 {
            let source = Source::File { content, from, path: path.clone() };
            self.extents.push(Extent { start: offset, length, source });
        }
    }

    pub(super) fn finish(mut self) -> Disk {
        self.extents.sort_by_key(|extent| extent.start);
        for pair in self.extents.windows(2) {
            assert!(
                pair[0].end() <= pair[1].start,
                "two parts of the disk overlap: {:?}",
                pair[0].start..pair[0].end()
            );
        }
        assert!(self.extents.last().is_none_or(|last| last.end() <= self.size), "an extent lies beyond the disk's end");
        Disk { size: self.size, extents: self.extents }
    }
}

/// A disk that is laid out completely.
#[derive(Debug)]
pub(super) struct Disk {
    size: u64,
    extents: Vec<Extent>,
}

impl Disk {
    /// Size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Number of grains, with and without data.
    pub(super) fn grain_count(&self) -> u64 {
        self.size.div_ceil(GRAIN)
    }

    /// The grains that an extent touches, ascending. A grain that a file fills with zeros counts.
    pub(super) fn grains(&self) -> Vec<u64> {
        let mut grains: Vec<u64> = Vec::new();
        for extent in &self.extents {
            let first = extent.start / GRAIN;
            let first = grains.last().map_or(first, |last| first.max(last + 1));
            grains.extend(first..extent.end().div_ceil(GRAIN));
        }
        grains
    }

    /// Identity of the data: SHA-256 over the size and, per extent, its place and its bytes' digest, each field with its
    /// length before it. No file is read for it: files count by their own digests.
    pub(super) fn identity(&self) -> Digest {
        let mut hasher = Hasher::new();
        hasher.field(b"provbuild disk 1");
        hasher.field(&self.size.to_le_bytes());
        for extent in &self.extents {
            hasher.field(&extent.start.to_le_bytes());
            hasher.field(&extent.length.to_le_bytes());
            match &extent.source {
                Source::Bytes(bytes) => hasher.field(Digest::of(bytes).as_bytes()),
                Source::File { content, from, .. } => {
                    hasher.field(content.digest.as_bytes());
                    hasher.field(&from.to_le_bytes());
                }
            }
        }
        hasher.finish()
    }

    /// One pass over the data, ascending.
    pub(super) fn read<'a>(&'a self, contents: &'a dyn Contents) -> DiskReader<'a> {
        DiskReader { extents: self.extents.iter(), pending: None, contents, open: None }
    }
}

/// Neighbouring grains with their bytes.
#[derive(Debug)]
pub(super) struct Chunk {
    grains: Vec<u64>,
    keys: Vec<Digest>,
    data: Vec<u8>,
}

impl Chunk {
    /// Index and bytes of each grain, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.grains.iter().copied().zip(self.data.chunks_exact(GRAIN as usize))
    }

    /// What each grain is made of: equal keys mean equal bytes, whatever the grains' places.
    pub(super) fn keys(&self) -> &[Digest] {
        &self.keys
    }

    /// The bytes of all its grains, one after the other.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.data
    }
}

/// A file that is being read, with the position of the next byte.
struct OpenFile<'a> {
    content: Content,
    position: u64,
    reader: Box<dyn Read + Send + 'a>,
}

/// Yields every grain of [`Disk::grains`] once, ascending, in chunks that do not cross a grain table's border.
pub(super) struct DiskReader<'a> {
    extents: std::slice::Iter<'a, Extent>,
    /// The extent in hand, and how many of its bytes were taken.
    pending: Option<(&'a Extent, u64)>,
    contents: &'a dyn Contents,
    open: Option<OpenFile<'a>>,
}

impl<'a> DiskReader<'a> {
    fn next_chunk(&mut self) -> Result<Option<Chunk>, ImageError> {
        let mut chunk = Chunk { grains: Vec::with_capacity(GRAINS_PER_CHUNK), keys: Vec::new(), data: Vec::new() };
        let mut key = Hasher::new();
        while let Some((extent, taken)) = self.next_piece() {
            let start = extent.start + taken;
            let grain = start / GRAIN;
            if chunk.grains.last() != Some(&grain) {
                let full = chunk.grains.len() == GRAINS_PER_CHUNK;
                if full
                    || chunk.grains.first().is_some_and(|first| first / GRAINS_PER_TABLE != grain / GRAINS_PER_TABLE)
                {
                    self.pending = Some((extent, taken));
                    break;
                }
                match chunk.data.is_empty() {
                    true => chunk.data.reserve_exact(GRAINS_PER_CHUNK * GRAIN as usize),
                    false => chunk.keys.push(std::mem::take(&mut key).finish()),
                }
                chunk.grains.push(grain);
                chunk.data.resize(chunk.grains.len() * GRAIN as usize, 0);
            }
            let length = extent.end().min((grain + 1) * GRAIN) - start;
            let at = (chunk.grains.len() - 1) * GRAIN as usize + (start % GRAIN) as usize;
            let place = &mut chunk.data[at..at + length as usize];
            self.fill(extent, taken, place)?;
            key.field(&(start % GRAIN).to_le_bytes());
            key.field(&length.to_le_bytes());
            match &extent.source {
                Source::Bytes(_) => key.field(Digest::of(place).as_bytes()),
                Source::File { content, from, .. } => {
                    key.field(content.digest.as_bytes());
                    key.field(&(from + taken).to_le_bytes());
                }
            }
            if taken + length < extent.length {
                self.pending = Some((extent, taken + length));
            }
        }
        if chunk.grains.is_empty() {
            return Ok(None);
        }
        chunk.keys.push(key.finish());
        Ok(Some(chunk))
    }

    /// The rest of the extent in hand, or the next one.
    fn next_piece(&mut self) -> Option<(&'a Extent, u64)> {
        self.pending.take().or_else(|| self.extents.next().map(|extent| (extent, 0)))
    }

    /// Copies the bytes of `extent` from its byte `taken` on.
    fn fill(&mut self, extent: &'a Extent, taken: u64, buffer: &mut [u8]) -> Result<(), ImageError> {
        match &extent.source {
            Source::Bytes(bytes) => {
                buffer.copy_from_slice(&bytes[taken as usize..taken as usize + buffer.len()]);
                Ok(())
            }
            Source::File { content, from, path } => self
                .fill_from_file(content, from + taken, buffer)
                .map_err(|error| ImageError::content(path, content, error)),
        }
    }

    fn fill_from_file(&mut self, content: &Content, position: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        // Files lie on the disk in the order of their bytes, so in practice each is opened once.
        let mut file = match self.open.take() {
            Some(file) if file.content == *content && file.position == position => file,
            _ => {
                let mut reader = self.contents.open(content)?;
                let skipped = std::io::copy(&mut reader.by_ref().take(position), &mut std::io::sink())?;
                if skipped < position {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                OpenFile { content: *content, position, reader }
            }
        };
        file.reader.read_exact(buffer)?;
        file.position += buffer.len() as u64;
        if file.position < content.size {
            self.open = Some(file);
        }
        Ok(())
    }
}

impl Iterator for DiskReader<'_> {
    type Item = Result<Chunk, ImageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_chunk().transpose()
    }
}

pub(super) fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<64>();
    words.iter().all(|word| word.iter().fold(0, |all, byte| all | byte) == 0) && rest.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MemoryContents;

    fn file(contents: &mut MemoryContents, bytes: &[u8]) -> Content {
        contents.add(bytes)
    }

    #[test]
    fn the_pass_yields_the_data_in_its_place_and_nothing_else() {
        let mut contents = MemoryContents::new();
        let long: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8 + 1).collect();
        let long = (file(&mut contents, &long), long);
        let path = ImagePath::literal("/x");
        let mut builder = DiskBuilder::new(600 * GRAIN);
        // A file in two pieces with metadata between them, zeros inside metadata, and data behind a grain table's border.
        builder.file(GRAIN - 4096, 100_000, long.0, 0, &path);
        builder.file(5 * GRAIN, 100_000, long.0, 100_000, &path);
        let mut metadata = vec![0; 3 * 4096];
        metadata[0] = 1;
        metadata[2 * 4096] = 2;
        builder.bytes(4 * GRAIN, &metadata);
        builder.bytes(511 * GRAIN, &[3; 512]);
        builder.bytes(512 * GRAIN, &[4; 512]);
        let disk = builder.finish();

        let mut whole = vec![0; disk.size() as usize];
        let mut seen = Vec::new();
        for chunk in disk.read(&contents) {
            let chunk = chunk.unwrap();
            assert_eq!(chunk.grains[0] / 512, chunk.grains.last().unwrap() / 512);
            assert_eq!(chunk.grains.len(), chunk.keys().len());
            for (grain, bytes) in chunk.iter() {
                seen.push(grain);
                whole[(grain * GRAIN) as usize..][..GRAIN as usize].copy_from_slice(bytes);
            }
        }
        assert_eq!(seen, disk.grains());
        assert_eq!(seen, [0, 1, 2, 4, 5, 6, 511, 512]);
        let mut expected = vec![0; disk.size() as usize];
        expected[GRAIN as usize - 4096..][..100_000].copy_from_slice(&long.1[..100_000]);
        expected[5 * GRAIN as usize..][..100_000].copy_from_slice(&long.1[100_000..]);
        expected[4 * GRAIN as usize..][..metadata.len()].copy_from_slice(&metadata);
        expected[511 * GRAIN as usize..][..512].fill(3);
        expected[512 * GRAIN as usize..][..512].fill(4);
        assert!(whole == expected);
    }

    #[test]
    fn identity_follows_data_and_place() {
        let identity = |offset, byte| {
            let mut builder = DiskBuilder::new(4 * GRAIN);
            builder.bytes(offset, &[byte; 512]);
            builder.finish().identity()
        };
        assert_eq!(identity(0, 1), identity(0, 1));
        assert_ne!(identity(0, 1), identity(0, 2));
        assert_ne!(identity(0, 1), identity(512, 1));
    }

    #[test]
    fn missing_and_short_contents_are_errors_that_name_the_path() {
        struct Short;
        impl Contents for Short {
            fn open(&self, _: &Content) -> std::io::Result<Box<dyn Read + Send + '_>> {
                Ok(Box::new(&b"ab"[..]))
            }
        }
        let mut builder = DiskBuilder::new(GRAIN);
        builder.file(0, 3, Content::of(b"abc"), 0, &ImagePath::literal("/etc/x"));
        let disk = builder.finish();
        let error = |contents: &dyn Contents| disk.read(contents).next().unwrap().unwrap_err().to_string();
        let missing = format!("/etc/x: its content {} is missing from the store", Digest::of(b"abc"));
        assert_eq!(error(&MemoryContents::new()), missing);
        assert_eq!(error(&Short), "/etc/x: its content cannot be read: failed to fill whole buffer");
    }
}
