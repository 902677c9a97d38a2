//! monolithicSparse: one growable file, not compressed, the writable disk of Workstation (which does not run from
//! streamOptimized).
//!
//! In: a laid out disk, or nothing but a size. Out: the file.
//! ```text
//! sector 0      header, version 1, flags 3 (newline test, redundant tables)
//! 1..20         descriptor
//! 21..          grain directory and all grain tables, then the same once more (the redundant copy comes first)
//! overhead..    grains of 64 KiB at multiples of 64 KiB, in the order in which they were first written
//! ```
//! A table's entry is a sector of the file in 32 bits, so the file ends before 2 TiB. A larger disk could be described, and would
//! fail its guest's writes on the day when it is full: it is refused.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::*;
use crate::image::disk::{Chunk, Disk};
use crate::image::output::{Output, Written};
use crate::image::pipeline::GrainSink;
use crate::vocab::ByteSize;

const FLAG_REDUNDANT_TABLE: u32 = 1 << 1;

/// The largest disk whose every sector can be written: 2 TiB without the tables, rounded down.
pub const LARGEST_WRITABLE_VMDK: ByteSize = ByteSize::gib(2040);

struct Layout {
    header: Header,
    copies: [Tables; 2],
}

impl Layout {
    fn new(size: ByteSize) -> Result<Self, ImageError> {
        if size > LARGEST_WRITABLE_VMDK {
            return Err(ImageError::WritableDiskSize { size });
        }
        let size = size.bytes();
        let redundant = Tables::new(FIRST_DIRECTORY, size);
        let primary = Tables::new(redundant.end(), size);
        let header = Header {
            version: 1,
            flags: FLAG_NEWLINE_TEST | FLAG_REDUNDANT_TABLE,
            capacity: size / SECTOR,
            redundant_directory: redundant.start,
            directory: primary.start,
            overhead: primary.end().next_multiple_of(GRAIN_SECTORS),
            compression: 0,
        };
        Ok(Layout { header, copies: [redundant, primary] })
    }
}

/// Writes a monolithicSparse disk: the tables are known before the data, since every touched grain is stored whole.
pub(in crate::image) struct SparseWriter {
    out: Output,
}

impl SparseWriter {
    pub(in crate::image) fn new(path: &Path, disk: &Disk, identity: &Digest) -> Result<Self, ImageError> {
        let Layout { header, copies } = Layout::new(ByteSize(disk.size()))?;
        let mut entries = vec![0; disk.grain_count().next_multiple_of(GRAINS_PER_TABLE) as usize];
        for (index, grain) in disk.grains().into_iter().enumerate() {
            entries[grain as usize] = sector(path, header.overhead * SECTOR + index as u64 * GRAIN)?;
        }
        let mut out = Output::create(path)?;
        out.write(&head(&header, &descriptor("monolithicSparse", &file_name(path), disk.size(), identity)))?;
        for tables in copies {
            out.write(&tables.directory())?;
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

/// Makes an empty disk that a guest can write to, synced; a few KiB on the host whatever its size.
///
/// The file must not be there yet: one that is there is an error and stays as it is. What fails half-way is removed again; a
/// host that stops half-way leaves a file that no reader takes for a disk, so a caller to whom that matters gives a name
/// aside and renames ([`name_vmdk`] then writes the final name into it). `identity` gives the content's identifiers.
pub fn write_blank_vmdk(path: &Path, size: ByteSize, identity: &Digest) -> Result<(), ImageError> {
    let layout = Layout::new(size)?;
    if size.bytes() == 0 || !size.bytes().is_multiple_of(SECTOR) {
        return Err(ImageError::WritableDiskSize { size });
    }
    let name = file_name(path);
    check_name(path, &name)?;
    let file = match OpenOptions::new().read(true).write(true).create_new(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(ImageError::Exists { path: path.to_owned() });
        }
        Err(error) => return Err(ImageError::io(path, error)),
    };
    let descriptor = descriptor("monolithicSparse", &name, size.bytes(), identity);
    fill_blank(&file, path, &layout, &descriptor).map_err(|error| {
        // Ours, made a moment ago. That it cannot be removed is less than why it failed.
        let _ = std::fs::remove_file(path);
        ImageError::io(path, error)
    })
}

fn fill_blank(file: &File, path: &Path, Layout { header, copies }: &Layout, descriptor: &[u8]) -> io::Result<()> {
    let head = head(header, descriptor);
    file.set_len(header.overhead * SECTOR)?;
    file.write_all_at(&head[MAGIC.len()..], MAGIC.len() as u64)?;
    for tables in copies {
        file.write_all_at(&tables.directory(), tables.start * SECTOR)?;
    }
    file.sync_all()?;
    file.write_all_at(&head[..MAGIC.len()], 0)?;
    file.sync_all()?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

/// Writes the name that a monolithicSparse file has, or is about to get, into its own descriptor, synced.
///
/// The descriptor names the file that it is in. QEMU does not look at it; VMware's programs may (none was at hand to try), so a
/// copy or a renamed file should carry its own name.
pub fn name_vmdk(path: &Path, name: &str) -> Result<(), ImageError> {
    check_name(path, name)?;
    rename_extent(path, name).map_err(|error| ImageError::io(path, error))
}

fn rename_extent(path: &Path, name: &str) -> io::Result<()> {
    let fault = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, reason.to_owned());
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut head = vec![0; (FIRST_DIRECTORY * SECTOR) as usize];
    file.read_exact_at(&mut head, 0)?;
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| head[at + index]));
    if &head[..MAGIC.len()] != MAGIC || (word(28), word(36)) != (DESCRIPTOR_START, DESCRIPTOR_SECTORS) {
        return Err(fault("it is not a growable VMDK as provbuild writes them"));
    }
    let place = &head[SECTOR as usize..];
    let text = &place[..place.iter().position(|byte| *byte == 0).unwrap_or(place.len())];
    let text = std::str::from_utf8(text).map_err(|_| fault("its descriptor is not text"))?;
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let extent = lines.iter_mut().find(|line| line.starts_with("RW ") && line.contains(" SPARSE \""));
    let extent = extent.ok_or_else(|| fault("its descriptor names no sparse extent"))?;
    let (before, _) = extent.split_once('"').ok_or_else(|| fault("its descriptor names no file"))?;
    let renamed = format!("{before}\"{name}\"");
    if renamed == *extent {
        return Ok(());
    }
    *extent = renamed;
    let mut text = lines.join("\n").into_bytes();
    if text.len() as u64 > DESCRIPTOR_SECTORS * SECTOR {
        return Err(fault("the name is too long for its descriptor"));
    }
    text.resize((DESCRIPTOR_SECTORS * SECTOR) as usize, 0);
    file.write_all_at(&text, DESCRIPTOR_START * SECTOR)?;
    file.sync_all()
}

/// A quote or a line's end in a name would be another descriptor.
fn check_name(path: &Path, name: &str) -> Result<(), ImageError> {
    if name.is_empty() || name.len() > 255 || name.contains(|c: char| c == '"' || c == '/' || c.is_control()) {
        let error = io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} cannot be a disk's name"));
        return Err(ImageError::io(path, error));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_disk_can_be_written_to_its_end() {
        let Layout { header, copies } = Layout::new(LARGEST_WRITABLE_VMDK).unwrap();
        assert!(header.overhead + header.capacity <= u64::from(u32::MAX));
        assert_eq!(copies[0].end(), copies[1].start);
        let larger = ByteSize(LARGEST_WRITABLE_VMDK.bytes() + SECTOR);
        assert!(matches!(Layout::new(larger), Err(ImageError::WritableDiskSize { .. })));
    }
}
