//! VMDK: the two kinds of sparse disk that provbuild writes ("VMware Virtual Disk Formats", technical note 5.0).
//!
//! In: a laid out disk and its grains in ascending order. Out: one file, written and hashed front to back.
//!
//! streamOptimized, for OVF packages and uploads, as VMware's own exporters lay it out: every table follows what it describes,
//! so the file can be made and read as a stream. Each structure but a grain has a marker sector before it.
//! ```text
//! sector 0      header, version 3: grain directory "at end"
//! 1..20         descriptor, padded with zeros to 20 sectors
//! 128..         per grain      u64 sector on the disk, u32 length, zlib data, padded to a sector
//!               after the last grain of a table   marker(1), 512 u32: first sector of each grain, 0 = zeros
//!               marker(2), grain directory: one u32 per table, 0 = all zeros
//!               marker(3), footer: the header with the directory's place
//!               marker(0): end of stream
//! ```
//! monolithicSparse, the writable disk of Workstation, which does not run from streamOptimized:
//! ```text
//! sector 0      header, version 1
//! 1..20         descriptor
//! 21..          grain directory and all grain tables, then the same once more (the redundant copy comes first)
//! 128*n..       grains, not compressed
//! ```

use std::path::Path;

use libdeflater::{CompressionLvl, Compressor};

use super::ImageError;
use super::disk::{Chunk, Disk, GRAIN, GRAINS_PER_TABLE, is_zero};
use super::output::{Output, Written};
use super::pipeline::GrainSink;
use super::reuse::{Reuse, Stored};
use crate::vocab::Digest;

const SECTOR: u64 = 512;
const GRAIN_SECTORS: u64 = GRAIN / SECTOR;
const TABLE_BYTES: u64 = GRAINS_PER_TABLE * 4;
const DESCRIPTOR_START: u64 = 1;
const DESCRIPTOR_SECTORS: u64 = 20;
const DIRECTORY_AT_END: u64 = u64::MAX;
const FLAG_NEWLINE_TEST: u32 = 1;
const FLAG_REDUNDANT_TABLE: u32 = 1 << 1;
const FLAG_COMPRESSED: u32 = 1 << 16;
const FLAG_MARKERS: u32 = 1 << 17;

#[derive(Clone, Copy)]
enum Marker {
    EndOfStream = 0,
    GrainTable = 1,
    GrainDirectory = 2,
    Footer = 3,
}

/// Sparse extent header; places and lengths in sectors.
struct Header {
    version: u32,
    flags: u32,
    capacity: u64,
    redundant_directory: u64,
    directory: u64,
    overhead: u64,
    compression: u16,
}

impl Header {
    fn encode(&self) -> [u8; SECTOR as usize] {
        let mut sector = [0; SECTOR as usize];
        let mut put = |at: usize, bytes: &[u8]| sector[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"KDMV");
        put(4, &self.version.to_le_bytes());
        put(8, &self.flags.to_le_bytes());
        put(12, &self.capacity.to_le_bytes());
        put(20, &GRAIN_SECTORS.to_le_bytes());
        put(28, &DESCRIPTOR_START.to_le_bytes());
        put(36, &DESCRIPTOR_SECTORS.to_le_bytes());
        put(44, &(GRAINS_PER_TABLE as u32).to_le_bytes());
        put(48, &self.redundant_directory.to_le_bytes());
        put(56, &self.directory.to_le_bytes());
        put(64, &self.overhead.to_le_bytes());
        put(72, &[0]); // closed cleanly
        put(73, b"\n \r\n"); // shows a transfer that changed line ends
        put(77, &self.compression.to_le_bytes());
        sector
    }
}

/// The text that names the disk's kind, identity and geometry.
///
/// The content identifiers come from the disk's data: snapshots and clones are recognised by them, and two equal builds
/// must not differ in them. FFFFFFFF means "no parent" and FFFFFFFE is kept free as well.
fn descriptor(kind: &str, file_name: &str, disk: &Disk, identity: &Digest) -> Vec<u8> {
    let (words, _) = identity.as_bytes().as_chunks::<4>();
    let words: Vec<u32> = words.iter().map(|word| u32::from_be_bytes(*word)).collect();
    let cid = words.iter().copied().find(|word| *word < 0xffff_fffe).unwrap_or(0);
    let sectors = disk.size() / SECTOR;
    let cylinders = sectors.div_ceil(255 * 63).min(65535);
    let text = format!(
        "# Disk DescriptorFile\n\
         version=1\n\
         encoding=\"UTF-8\"\n\
         CID={cid:08x}\n\
         parentCID=ffffffff\n\
         createType=\"{kind}\"\n\
         \n\
         # Extent description\n\
         RW {sectors} SPARSE \"{file_name}\"\n\
         \n\
         # The Disk Data Base\n\
         #DDB\n\
         \n\
         ddb.adapterType = \"lsilogic\"\n\
         ddb.geometry.cylinders = \"{cylinders}\"\n\
         ddb.geometry.heads = \"255\"\n\
         ddb.geometry.sectors = \"63\"\n\
         ddb.longContentID = \"{:08x}{:08x}{:08x}{cid:08x}\"\n\
         ddb.toolsInstallType = \"4\"\n\
         ddb.toolsVersion = \"2147483647\"\n\
         ddb.virtualHWVersion = \"{}\"\n",
        words[1],
        words[2],
        words[3],
        super::machine::HARDWARE_VERSION,
    );
    text.into_bytes()
}

/// Starts the file with its header and descriptor.
fn start(path: &Path, header: &Header, descriptor: &[u8]) -> Result<Output, ImageError> {
    let mut out = Output::create(path)?;
    out.write(&header.encode())?;
    // The name of a machine is short enough; what is cut here would be the data base's end.
    out.write(&descriptor[..descriptor.len().min((DESCRIPTOR_SECTORS * SECTOR) as usize)])?;
    out.zeros_until((DESCRIPTOR_START + DESCRIPTOR_SECTORS) * SECTOR);
    Ok(out)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Sector of a byte offset, as tables hold it.
fn sector(path: &Path, offset: u64) -> Result<u32, ImageError> {
    u32::try_from(offset / SECTOR)
        .map_err(|_| ImageError::io(path, std::io::Error::other("a VMDK of more than 2 TiB is not possible")))
}

fn encode_table(entries: &[u32]) -> Vec<u8> {
    entries.iter().flat_map(|entry| entry.to_le_bytes()).collect()
}

/// A chunk's grains with their markers, compressed, zeros left out.
#[derive(Debug, Default)]
pub(super) struct Packed {
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
pub(super) struct Packer<'a> {
    compressor: Compressor,
    reuse: Option<&'a Reuse>,
}

impl<'a> Packer<'a> {
    pub(super) fn new(level: CompressionLvl, reuse: Option<&'a Reuse>) -> Self {
        Packer { compressor: Compressor::new(level), reuse }
    }

    pub(super) fn pack(&mut self, chunk: &Chunk) -> Result<Packed, std::io::Error> {
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
pub(super) struct StreamWriter {
    out: Output,
    path: std::path::PathBuf,
    header: Header,
    directory: Vec<u32>,
    /// The table that is being filled, and its number.
    table: Vec<u32>,
    table_number: u64,
    stored: Vec<Stored>,
}

/// A finished streamOptimized disk.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) written: Written,
    /// The grains in the file, ascending.
    pub(super) grains: Vec<Stored>,
}

impl Stream {
    /// Bytes of the disk that the file holds data for, a multiple of a grain.
    pub(super) fn populated(&self) -> u64 {
        self.grains.len() as u64 * GRAIN
    }
}

impl StreamWriter {
    pub(super) fn new(path: &Path, disk: &Disk, identity: &Digest) -> Result<Self, ImageError> {
        let header = Header {
            version: 3, // ESXi refuses 1
            flags: FLAG_NEWLINE_TEST | FLAG_COMPRESSED | FLAG_MARKERS,
            capacity: disk.size() / SECTOR,
            redundant_directory: 0,
            directory: DIRECTORY_AT_END,
            overhead: GRAIN_SECTORS,
            compression: 1,
        };
        let mut out = start(path, &header, &descriptor("streamOptimized", &file_name(path), disk, identity))?;
        out.zeros_until(header.overhead * SECTOR);
        let tables = disk.grain_count().div_ceil(GRAINS_PER_TABLE);
        Ok(StreamWriter {
            out,
            path: path.to_owned(),
            header,
            directory: vec![0; tables as usize],
            table: vec![0; GRAINS_PER_TABLE as usize],
            table_number: 0,
            stored: Vec::new(),
        })
    }

    /// Adds the grains of the next chunk; a chunk does not cross a table's border.
    pub(super) fn add(&mut self, packed: &Packed) -> Result<(), ImageError> {
        let Some(PackedGrain { index: first, .. }) = packed.grains.first() else { return Ok(()) };
        if first / GRAINS_PER_TABLE != self.table_number {
            self.end_table()?;
            self.table_number = first / GRAINS_PER_TABLE;
        }
        for grain in &packed.grains {
            let offset = self.out.position() + grain.at as u64;
            self.table[(grain.index % GRAINS_PER_TABLE) as usize] = sector(&self.path, offset)?;
            self.stored.push(Stored {
                key: grain.key,
                offset: offset + GRAIN_MARKER as u64,
                length: grain.length,
                sha256: grain.sha256,
            });
        }
        self.out.write(&packed.bytes)
    }

    /// A failure to make the file's bytes.
    pub(super) fn error(&self, error: std::io::Error) -> ImageError {
        ImageError::io(&self.path, error)
    }

    fn marker(&mut self, kind: Marker, bytes: u64) -> Result<(), ImageError> {
        let mut marker = [0; SECTOR as usize];
        marker[..8].copy_from_slice(&(bytes.div_ceil(SECTOR)).to_le_bytes());
        marker[12..16].copy_from_slice(&(kind as u32).to_le_bytes());
        self.out.write(&marker)
    }

    fn end_table(&mut self) -> Result<(), ImageError> {
        if self.table.iter().any(|entry| *entry != 0) {
            self.marker(Marker::GrainTable, TABLE_BYTES)?;
            self.directory[self.table_number as usize] = sector(&self.path, self.out.position())?;
            self.out.write(&encode_table(&self.table))?;
            self.table.fill(0);
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Stream, ImageError> {
        self.end_table()?;
        let directory = encode_table(&self.directory);
        self.marker(Marker::GrainDirectory, directory.len() as u64)?;
        self.header.directory = self.out.position() / SECTOR;
        self.out.write(&directory)?;
        self.out.align(SECTOR);
        self.marker(Marker::Footer, SECTOR)?;
        self.out.write(&self.header.encode())?;
        self.marker(Marker::EndOfStream, 0)?;
        Ok(Stream { written: self.out.finish()?, grains: self.stored })
    }
}

/// Writes a monolithicSparse disk: the tables are known before the data, since every touched grain is stored whole.
pub(super) struct SparseWriter {
    out: Output,
}

impl SparseWriter {
    pub(super) fn new(path: &Path, disk: &Disk, identity: &Digest) -> Result<Self, ImageError> {
        let tables = disk.grain_count().div_ceil(GRAINS_PER_TABLE);
        let directory_sectors = (tables * 4).div_ceil(SECTOR);
        let table_sectors = TABLE_BYTES / SECTOR;
        let copy_sectors = directory_sectors + tables * table_sectors;
        let redundant_directory = DESCRIPTOR_START + DESCRIPTOR_SECTORS;
        let directory = redundant_directory + copy_sectors;
        let header = Header {
            version: 1,
            flags: FLAG_NEWLINE_TEST | FLAG_REDUNDANT_TABLE,
            capacity: disk.size() / SECTOR,
            redundant_directory,
            directory,
            overhead: (directory + copy_sectors).next_multiple_of(GRAIN_SECTORS),
            compression: 0,
        };
        let mut entries = vec![0; (tables * GRAINS_PER_TABLE) as usize];
        for (index, grain) in disk.grains().into_iter().enumerate() {
            entries[grain as usize] = sector(path, header.overhead * SECTOR + index as u64 * GRAIN)?;
        }
        let mut out = start(path, &header, &descriptor("monolithicSparse", &file_name(path), disk, identity))?;
        for start in [redundant_directory, directory] {
            let first_table = start + directory_sectors;
            let places: Vec<u32> = (0..tables).map(|table| (first_table + table * table_sectors) as u32).collect();
            out.write(&encode_table(&places))?;
            out.align(SECTOR);
            for table in entries.chunks(GRAINS_PER_TABLE as usize) {
                match table.iter().any(|entry| *entry != 0) {
                    true => out.write(&encode_table(table))?,
                    false => out.zeros_until(out.position() + TABLE_BYTES),
                }
            }
        }
        out.zeros_until(header.overhead * SECTOR);
        Ok(SparseWriter { out })
    }
}

impl GrainSink for SparseWriter {
    fn add(&mut self, chunk: &Chunk) -> Result<(), ImageError> {
        self.out.write(chunk.bytes())
    }

    fn finish(self: Box<Self>) -> Result<Written, ImageError> {
        self.out.finish()
    }
}
