//! A reader of streamOptimized VMDKs that has nothing from the writer and forgives nothing.
//!
//! In: the bytes of a file. Out: what it describes, or the first rule that it breaks. The rules are those of VMware's technical note
//! "Virtual Disk Format 5.0" for the layout that open-vmdk writes: tables in front, grains with their sector in ascending order, the
//! end of the stream as the last sector. The file is read twice: by its tables, and front to back as an import does. Both must
//! find the same.

use std::collections::BTreeMap;
use std::io::Read;

/// What a file describes.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) sectors: u64,
    pub(crate) descriptor: String,
    /// Places of the grains by number of the grain, in bytes.
    pub(crate) places: BTreeMap<u64, u64>,
    /// Bytes of the grains that are not zeros, by the number of the grain.
    pub(crate) grains: BTreeMap<u64, Vec<u8>>,
}

impl Disk {
    /// The disk as a raw file would have it.
    pub(crate) fn raw(&self) -> Vec<u8> {
        let mut raw = vec![0; (self.sectors * 512) as usize];
        for (number, bytes) in &self.grains {
            raw[(number * GRAIN) as usize..][..bytes.len()].copy_from_slice(bytes);
        }
        raw
    }

    /// A value of the descriptor: `name=value` or `name = "value"`.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.descriptor.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == name).then(|| value.trim().trim_matches('"'))
        })
    }
}

const GRAIN: u64 = 128 * 512;

macro_rules! rule {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err(format!($($text)+));
        }
    };
}

/// Reads a file; the error says which rule it breaks.
pub(crate) fn read(file: &[u8]) -> Result<Disk, String> {
    let u16_at = |at: usize| u16::from_le_bytes(file[at..at + 2].try_into().unwrap());
    let u32_at = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
    rule!(file.len().is_multiple_of(512), "the file does not end with a sector");
    rule!(file.len() >= 26 * 512, "the file is too short");
    rule!(&file[..4] == b"KDMV", "magic number {:?}", &file[..4]);
    rule!(u32_at(4) == 3, "version {}", u32_at(4));
    rule!(u32_at(8) == 0x30001, "flags {:#x}", u32_at(8));
    let sectors = u64_at(12);
    rule!(u64_at(20) == 128, "grains of {} sectors", u64_at(20));
    let (descriptor_at, descriptor_sectors) = (u64_at(28), u64_at(36));
    rule!((descriptor_at, descriptor_sectors) == (1, 20), "descriptor at {descriptor_at}+{descriptor_sectors}");
    rule!(u32_at(44) == 512, "tables of {} grains", u32_at(44));
    rule!(u64_at(48) == 0, "a redundant directory that flag 2 does not announce");
    let directory = u64_at(56);
    rule!(directory == 21, "the directory is at {directory}, not behind the descriptor");
    let overhead = u64_at(64);
    rule!(file[72] == 0, "not closed cleanly");
    rule!(&file[73..77] == b"\n \r\n", "line ends {:?}", &file[73..77]);
    rule!(u16_at(77) == 1, "compression {}", u16_at(77));
    rule!(file[79..512].iter().all(|byte| *byte == 0), "the header's padding is not zero");

    let descriptor = &file[512..21 * 512];
    let end = descriptor.iter().position(|byte| *byte == 0).ok_or("the descriptor fills its place")?;
    rule!(descriptor[end..].iter().all(|byte| *byte == 0), "something stands behind the descriptor's text");
    let descriptor = String::from_utf8(descriptor[..end].to_vec()).map_err(|_| "the descriptor is not UTF-8")?;

    let grain_count = sectors.div_ceil(128);
    let tables = grain_count.div_ceil(512);
    let first_table = directory + (tables * 4).div_ceil(512);
    rule!(overhead == first_table + tables * 4, "the first grain is at {overhead}, not behind the tables");
    rule!(file.len() as u64 > overhead * 512, "the file ends in its tables");
    let directory_end = (directory * 512 + tables * 4) as usize;
    rule!(file[directory_end..(first_table * 512) as usize].iter().all(|byte| *byte == 0), "padding of the directory");
    let mut places = BTreeMap::new();
    for table in 0..tables {
        let place = u64::from(u32_at((directory * 512 + table * 4) as usize));
        rule!(place == first_table + table * 4, "table {table} is at {place}");
        for entry in 0..512 {
            let (grain, place) = (table * 512 + entry, u64::from(u32_at((place * 512 + entry * 4) as usize)));
            if place != 0 {
                rule!(grain < grain_count, "grain {grain} is behind the disk's end");
                rule!(place >= overhead, "grain {grain} is at {place}, within the tables");
                places.insert(grain, place * 512);
            }
        }
    }

    let mut grains = BTreeMap::new();
    let mut at = (overhead * 512) as usize;
    loop {
        rule!(at + 512 <= file.len(), "the stream has no end");
        let (lba, length) = (u64_at(at), u32_at(at + 8) as usize);
        if length == 0 {
            rule!(file[at..at + 512].iter().all(|byte| *byte == 0), "a marker at {at} that is not the stream's end");
            rule!(at + 512 == file.len(), "something follows the end of the stream");
            break;
        }
        let grain = lba / 128;
        rule!(lba.is_multiple_of(128) && grain < grain_count, "a grain for sector {lba}");
        rule!(grains.last_key_value().is_none_or(|(last, _)| *last < grain), "grain {grain} comes too late");
        rule!(
            places.get(&grain) == Some(&(at as u64)),
            "grain {grain} is at {at}, its table says {:?}",
            places.get(&grain)
        );
        rule!(at + 12 + length <= file.len(), "grain {grain} is cut off");
        let mut data = flate2::read::ZlibDecoder::new(&file[at + 12..at + 12 + length]);
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes).map_err(|error| format!("grain {grain}: {error}"))?;
        rule!(data.total_in() == length as u64, "grain {grain}: something follows its data");
        let whole = (sectors * 512 - grain * GRAIN).min(GRAIN);
        rule!(bytes.len() as u64 == whole || bytes.len() as u64 == GRAIN, "grain {grain} has {} bytes", bytes.len());
        rule!(bytes.iter().any(|byte| *byte != 0), "grain {grain} is zeros and should be left out");
        grains.insert(grain, bytes);
        let next = (at + 12 + length).next_multiple_of(512);
        rule!(next <= file.len(), "grain {grain} is not padded");
        rule!(file[at + 12 + length..next].iter().all(|byte| *byte == 0), "padding of grain {grain}");
        at = next;
    }
    rule!(grains.len() == places.len(), "the tables name grains that the stream lacks");
    Ok(Disk { sectors, descriptor, places, grains })
}
