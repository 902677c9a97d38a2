//! streamOptimized: compressed, for OVF packages and uploads.
//!
//! In: chunks of grains, compressed by any number of threads, in ascending order. Out: the file, its digest, and where each
//! grain's data lies.
//!
//! The layout is that of VMware's own converter (open-vmdk, `vmdk/sparse.c` and `mkdisk.c`; read, not copied), whose files vSphere
//! imports: all tables stand in front, so whoever reads the stream knows every place before the data comes.
//! ```text
//! sector 0      header, version 3, flags 0x30001 (newline test, compressed, marked grains)
//! 1..20         descriptor
//! 21..          grain directory, then all grain tables; the redundant ones are left out
//! overhead..    per grain that is not all zeros, ascending:
//!               u64 sector on the disk, u32 length, zlib data, padded with zeros to a sector
//! last sector   end of stream: 512 zeros
//! ```
//! The technical note also knows tables behind the grains (a directory "at end", a marker before each table, a footer), which
//! other writers make; this one has none of it.
//!
//! Tables are known after their grains only, so the head is written last, its magic number at the very end: before that the
//! file is nobody's disk. SHA-256 wants the head first, so the digest takes a second pass over the file, which is still in the page
//! cache: about a twentieth of the stage's time, in place of hashing on the way.

use std::path::Path;

use libdeflater::{CompressionLvl, Compressor};

use super::*;
use crate::image::disk::{Chunk, Disk, is_zero};
use crate::image::output::{LateHeadOutput, Written};
use crate::image::reuse::{Reuse, Stored};

const FLAG_COMPRESSED: u32 = 1 << 16;
const FLAG_MARKERS: u32 = 1 << 17;
/// Stands where the magic number comes: no reader takes such a file.
const UNFINISHED: &[u8; 4] = b"kdmv";

/// A chunk's grains with their markers, compressed, zeros left out.
#[derive(Debug, Default)]
pub(in crate::image) struct Packed {
    grains: Vec<PackedGrain>,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct PackedGrain {
    index: u64,
    /// Offset of the marker in the packed bytes.
    at: usize,
    /// Length and digest of the zlib data behind the marker.
    length: u32,
    sha256: Digest,
    key: Digest,
}

/// Length of a grain's marker, in bytes.
const GRAIN_MARKER: usize = 12;

/// Compresses grains, or takes them from an earlier build; one per thread.
pub(in crate::image) struct Packer<'a> {
    compressor: Compressor,
    reuse: Option<&'a Reuse>,
}

impl<'a> Packer<'a> {
    pub(in crate::image) fn new(level: CompressionLvl, reuse: Option<&'a Reuse>) -> Self {
        Packer { compressor: Compressor::new(level), reuse }
    }

    pub(in crate::image) fn pack(&mut self, chunk: &Chunk) -> Result<Packed, std::io::Error> {
        let mut packed = Packed::default();
        for ((index, bytes), key) in chunk.iter().zip(chunk.keys()) {
            if is_zero(bytes) {
                continue;
            }
            let at = packed.bytes.len();
            packed.bytes.resize(at + GRAIN_MARKER, 0);
            let sha256 = match self.reuse.and_then(|reuse| reuse.get(key)) {
                Some((data, sha256)) => {
                    packed.bytes.extend_from_slice(&data);
                    sha256
                }
                None => self.compress(bytes, &mut packed.bytes)?,
            };
            let length = (packed.bytes.len() - at - GRAIN_MARKER) as u32;
            packed.bytes[at..at + 8].copy_from_slice(&(index * GRAIN_SECTORS).to_le_bytes());
            packed.bytes[at + 8..at + GRAIN_MARKER].copy_from_slice(&length.to_le_bytes());
            packed.bytes.resize(packed.bytes.len().next_multiple_of(SECTOR as usize), 0);
            packed.grains.push(PackedGrain { index, at, length, sha256, key: *key });
        }
        Ok(packed)
    }

    /// Appends the zlib data of a grain and gives its digest.
    fn compress(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Digest, std::io::Error> {
        let at = out.len();
        out.resize(at + self.compressor.zlib_compress_bound(bytes.len()), 0);
        let length = self.compressor.zlib_compress(bytes, &mut out[at..]).map_err(std::io::Error::other)?;
        out.truncate(at + length);
        Ok(Digest::of(&out[at..]))
    }
}

/// Writes a streamOptimized disk.
pub(in crate::image) struct StreamWriter {
    out: LateHeadOutput,
    tables: Tables,
    /// The table that is being filled, and its number.
    table: Vec<u32>,
    table_number: u64,
    stored: Vec<Stored>,
}

/// A finished streamOptimized disk.
#[derive(Debug)]
pub(in crate::image) struct Stream {
    pub(in crate::image) written: Written,
    /// The grains in the file, ascending.
    pub(in crate::image) grains: Vec<Stored>,
}

impl Stream {
    /// Bytes of the disk that the file holds data for, a multiple of a grain.
    pub(in crate::image) fn populated(&self) -> u64 {
        self.grains.len() as u64 * GRAIN
    }
}

impl StreamWriter {
    pub(in crate::image) fn new(path: &Path, disk: &Disk, identity: &Digest) -> Result<Self, ImageError> {
        let tables = Tables::new(FIRST_DIRECTORY, disk.size());
        let header = Header {
            version: 3, // ESXi refuses 1
            flags: FLAG_NEWLINE_TEST | FLAG_COMPRESSED | FLAG_MARKERS,
            capacity: disk.size() / SECTOR,
            redundant_directory: 0,
            directory: tables.start,
            overhead: tables.end(),
            compression: 1,
        };
        let descriptor = descriptor("streamOptimized", &file_name(path), disk.size(), identity);
        let mut head = head(&header, &descriptor);
        head[..UNFINISHED.len()].copy_from_slice(UNFINISHED);
        head.extend(tables.directory());
        let out = LateHeadOutput::create(path, tables.end() * SECTOR)?;
        out.write_head(0, &head)?;
        let table = vec![0; GRAINS_PER_TABLE as usize];
        Ok(StreamWriter { out, tables, table, table_number: 0, stored: Vec::new() })
    }

    /// Adds the grains of the next chunk; a chunk does not cross a table's border.
    pub(in crate::image) fn add(&mut self, packed: &Packed) -> Result<(), ImageError> {
        let Some(PackedGrain { index: first, .. }) = packed.grains.first() else { return Ok(()) };
        if first / GRAINS_PER_TABLE != self.table_number {
            self.end_table()?;
            self.table_number = first / GRAINS_PER_TABLE;
        }
        for grain in &packed.grains {
            let offset = self.out.position() + grain.at as u64;
            self.table[(grain.index % GRAINS_PER_TABLE) as usize] = sector(self.out.path(), offset)?;
            self.stored.push(Stored {
                key: grain.key,
                offset: offset + GRAIN_MARKER as u64,
                length: grain.length,
                sha256: grain.sha256,
            });
        }
        self.out.append(&packed.bytes)
    }

    /// A failure to make the file's bytes.
    pub(in crate::image) fn error(&self, error: std::io::Error) -> ImageError {
        ImageError::io(self.out.path(), error)
    }

    /// Puts the table into its place; one without grains stays a hole.
    fn end_table(&mut self) -> Result<(), ImageError> {
        if self.table.iter().any(|entry| *entry != 0) {
            self.out.write_head(self.tables.table(self.table_number) * SECTOR, &encode_table(&self.table))?;
            self.table.fill(0);
        }
        Ok(())
    }

    pub(in crate::image) fn finish(mut self) -> Result<Stream, ImageError> {
        self.end_table()?;
        self.out.append(&[0; SECTOR as usize])?;
        self.out.write_head(0, MAGIC)?;
        Ok(Stream { written: self.out.finish()?, grains: self.stored })
    }
}
