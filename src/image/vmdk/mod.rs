//! VMDK: the two kinds of sparse disk that provbuild writes ("VMware Virtual Disk Formats", technical note 5.0).
//!
//! In: a laid out disk and its grains in ascending order. Out: one file with its digest. Both kinds begin alike; all numbers are
//! little-endian, all places are sectors of 512 bytes.
//!
//! ```text
//! sector 0      header: kind, capacity, where the rest is
//! 1..20         descriptor: text, padded with zeros to 20 sectors
//! 21..          grain directory: one u32 per grain table, its place
//!               grain tables: 512 u32 each, the place of each grain of 64 KiB, 0 = zeros
//!               grains
//! ```
//! `stream` has the compressed kind for OVF packages and uploads, `sparse` the writable one of Workstation.

mod sparse;
mod stream;

use std::path::Path;

use super::ImageError;
use super::disk::{GRAIN, GRAINS_PER_TABLE};
use crate::vocab::Digest;

pub(super) use sparse::SparseWriter;
pub use sparse::{LARGEST_WRITABLE_VMDK, name_vmdk, write_blank_vmdk};
pub(super) use stream::{Packed, Packer, Stream, StreamWriter};

const SECTOR: u64 = 512;
const GRAIN_SECTORS: u64 = GRAIN / SECTOR;
const TABLE_BYTES: u64 = GRAINS_PER_TABLE * 4;
const DESCRIPTOR_START: u64 = 1;
const DESCRIPTOR_SECTORS: u64 = 20;
const FIRST_DIRECTORY: u64 = DESCRIPTOR_START + DESCRIPTOR_SECTORS;
const MAGIC: &[u8; 4] = b"KDMV";
const FLAG_NEWLINE_TEST: u32 = 1;

/// Sparse extent header; places and lengths in sectors.
struct Header {
    version: u32,
    flags: u32,
    capacity: u64,
    redundant_directory: u64,
    directory: u64,
    /// All that lies before the first grain.
    overhead: u64,
    compression: u16,
}

impl Header {
    fn encode(&self) -> [u8; SECTOR as usize] {
        let mut sector = [0; SECTOR as usize];
        let mut put = |at: usize, bytes: &[u8]| sector[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, MAGIC);
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

/// A grain directory with all its grain tables behind it, for the whole disk.
#[derive(Clone, Copy)]
struct Tables {
    /// Sector of the directory.
    start: u64,
    count: u64,
}

impl Tables {
    fn new(start: u64, disk_size: u64) -> Self {
        Tables { start, count: disk_size.div_ceil(GRAIN * GRAINS_PER_TABLE) }
    }

    /// Sector of a table.
    fn table(&self, number: u64) -> u64 {
        self.start + (self.count * 4).div_ceil(SECTOR) + number * (TABLE_BYTES / SECTOR)
    }

    /// The sector behind the last table.
    fn end(&self) -> u64 {
        self.table(self.count)
    }

    /// Every table is named, one without grains too: readers then need no second case, and a writer finds its place.
    fn directory(&self) -> Vec<u8> {
        let places: Vec<u32> = (0..self.count).map(|number| self.table(number) as u32).collect();
        encode_table(&places)
    }
}

fn encode_table(entries: &[u32]) -> Vec<u8> {
    entries.iter().flat_map(|entry| entry.to_le_bytes()).collect()
}

/// Sector of a byte offset, as tables hold it.
fn sector(path: &Path, offset: u64) -> Result<u32, ImageError> {
    u32::try_from(offset / SECTOR)
        .map_err(|_| ImageError::io(path, std::io::Error::other("a VMDK of more than 2 TiB is not possible")))
}

/// The text that names the disk's kind, identity and geometry.
///
/// The content identifiers come from the disk's data: snapshots and clones are recognised by them, and two equal builds
/// must not differ in them. FFFFFFFF means "no parent" and FFFFFFFE is kept free as well. The hardware version is the one
/// that VMware's own converter and qemu-img write: the disk itself asks for nothing newer, whatever machine it is in.
fn descriptor(kind: &str, file_name: &str, size: u64, identity: &Digest) -> Vec<u8> {
    let (words, _) = identity.as_bytes().as_chunks::<4>();
    let words: Vec<u32> = words.iter().map(|word| u32::from_be_bytes(*word)).collect();
    let cid = words.iter().copied().find(|word| *word < 0xffff_fffe).unwrap_or(0);
    let sectors = size / SECTOR;
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
         ddb.virtualHWVersion = \"4\"\n",
        words[1], words[2], words[3],
    );
    text.into_bytes()
}

/// Header and descriptor, up to the sector where the tables may start.
fn head(header: &Header, descriptor: &[u8]) -> Vec<u8> {
    let mut head = header.encode().to_vec();
    // The name of a file is short enough; what is cut here would be the data base's end.
    head.extend_from_slice(&descriptor[..descriptor.len().min((DESCRIPTOR_SECTORS * SECTOR) as usize)]);
    head.resize((FIRST_DIRECTORY * SECTOR) as usize, 0);
    head
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
