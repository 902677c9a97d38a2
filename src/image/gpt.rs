//! GUID partition table with its protective MBR (UEFI specification 2.10, chapter 5).
//!
//! In: places and identities of the partitions. Out: the first and the last sectors of the disk.
//! Written by the `gpt` crate into a sparse memory device; sgdisk judges it.
//!
//! ```text
//! LBA 0          protective MBR
//! LBA 1          header          LBA 2..33      128 entries
//! LBA -33..-2    128 entries     LBA -1         backup header
//! ```

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};

use gpt::partition::Partition;
use gpt::partition_types::{self, Type};
use uuid::Uuid;

use super::ImageError;
use super::disk::DiskBuilder;

const SECTOR: u64 = 512;

/// One partition; offsets and lengths in bytes, multiples of a sector.
pub(super) struct Slice {
    pub(super) name: &'static str,
    pub(super) role: Role,
    pub(super) id: Uuid,
    pub(super) start: u64,
    pub(super) length: u64,
}

pub(super) enum Role {
    Esp,
    Root,
}

impl Role {
    fn type_id(&self) -> Type {
        match self {
            Role::Esp => partition_types::EFI,
            Role::Root => partition_types::LINUX_FS,
        }
    }
}

/// Puts the table onto a disk of `size` bytes.
pub(super) fn lay_out(size: u64, disk_id: Uuid, slices: &[Slice], disk: &mut DiskBuilder) -> Result<(), ImageError> {
    let device = table(size, disk_id, slices).map_err(|reason| ImageError::PartitionTable { reason })?;
    for (sector, bytes) in &device.sectors {
        disk.bytes(sector * SECTOR, bytes);
    }
    Ok(())
}

fn table(size: u64, disk_id: Uuid, slices: &[Slice]) -> Result<Sparse, String> {
    let mut device = Sparse { size, position: 0, sectors: BTreeMap::new() };
    let last = u32::try_from(size / SECTOR - 1).unwrap_or(u32::MAX);
    gpt::mbr::ProtectiveMBR::with_lb_size(last).overwrite_lba0(&mut device).map_err(|error| error.to_string())?;
    let mut table = gpt::GptConfig::new()
        .writable(true)
        .create_from_device(device, Some(disk_id))
        .map_err(|error| error.to_string())?;
    let partitions = slices.iter().map(|slice| Partition {
        part_type_guid: slice.role.type_id(),
        part_guid: slice.id,
        first_lba: slice.start / SECTOR,
        last_lba: (slice.start + slice.length) / SECTOR - 1,
        flags: 0,
        name: slice.name.to_owned(),
    });
    table.update_partitions((1..).zip(partitions).collect()).map_err(|error| error.to_string())?;
    table.write().map_err(|error| error.to_string())
}

/// A device of which only the written sectors exist.
#[derive(Debug)]
struct Sparse {
    size: u64,
    position: u64,
    sectors: BTreeMap<u64, [u8; SECTOR as usize]>,
}

impl Sparse {
    /// Sector, offset in it, and how many of `length` bytes lie in it.
    fn here(&self, length: usize) -> (u64, usize, usize) {
        let offset = (self.position % SECTOR) as usize;
        let left = usize::try_from(self.size.saturating_sub(self.position)).unwrap_or(usize::MAX);
        (self.position / SECTOR, offset, length.min(SECTOR as usize - offset).min(left))
    }
}

impl Read for Sparse {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (sector, offset, length) = self.here(buffer.len());
        match self.sectors.get(&sector) {
            Some(bytes) => buffer[..length].copy_from_slice(&bytes[offset..offset + length]),
            None => buffer[..length].fill(0),
        }
        self.position += length as u64;
        Ok(length)
    }
}

impl Write for Sparse {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let (sector, offset, length) = self.here(buffer.len());
        let bytes = self.sectors.entry(sector).or_insert([0; SECTOR as usize]);
        bytes[offset..offset + length].copy_from_slice(&buffer[..length]);
        self.position += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Sparse {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
