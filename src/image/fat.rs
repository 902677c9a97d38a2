//! The EFI system partition as FAT32 (Microsoft, "FAT: General Overview of On-Disk Format" 1.03; UEFI 2.10, 13.3).
//!
//! In: a tree of directories and files, a size, a volume serial number, the epoch. Out: extents.
//! Own code: the tree is known before the first byte is laid out, so every file is one run of clusters, nothing depends on a
//! clock, and contents need not pass through memory. (`fatfs` 0.3 writes long-name entries for `.` and `..`, `hadris-fat`
//! stamps the volume label with the current time.) fsck.vfat and mtools judge it.
//!
//! ```text
//! sector 0, 6   boot sector and its copy           sector 1, 7   FSInfo and its copy
//! sector 32     FAT, then its copy                 then          clusters from number 2: root, directories, files
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::ImageError;
use super::disk::DiskBuilder;
use crate::tree::{Content, Kind, Tree};
use crate::vocab::{ByteSize, Epoch, ImagePath};

const PART: &str = "EFI system";
const MIB: u64 = 1 << 20;
const SECTOR: u64 = 512;
const RESERVED_SECTORS: u64 = 32;
const ENTRY: u64 = 32;
/// Fewer clusters make a volume FAT16, whatever its boot sector says.
const FAT32_MIN_CLUSTERS: u64 = 65525;
const END_OF_CHAIN: u32 = 0x0fff_ffff;
const LABEL: &[u8; 11] = b"ESP        ";
const ATTRIBUTE_LABEL: u8 = 0x08;
const ATTRIBUTE_DIRECTORY: u8 = 0x10;
const ATTRIBUTE_ARCHIVE: u8 = 0x20;
const ATTRIBUTE_LONG_NAME: u8 = 0x0f;
/// UTF-16 units of a long name in one entry, and at most in all.
const LONG_NAME_PIECE: usize = 13;
const LONG_NAME_MAX: usize = 255;

/// A size for the partition that holds the tree twice, in bytes: a firmware or shim update needs room, and the size changes
/// seldom, which keeps the root partition in its place. At least 64 MiB, in steps of 64 MiB.
pub(super) fn size_for(tree: &Tree) -> ByteSize {
    let files: u64 = tree.iter().map(|(path, _)| tree.content(path).map_or(4096, |content| content.size + 4096)).sum();
    ByteSize((2 * files).next_multiple_of(64 * MIB).max(64 * MIB))
}

/// Lays the tree out on `size` bytes of disk from the byte `start` on.
pub(super) fn lay_out(
    tree: &Tree,
    (start, size): (u64, u64),
    serial: u32,
    epoch: Epoch,
    disk: &mut DiskBuilder,
) -> Result<(), ImageError> {
    tree.check().map_err(|fault| ImageError::Tree { part: PART, fault })?;
    let geometry = Geometry::new(size);
    let (directories, next_cluster) = Directories::collect(tree, &geometry)?;
    let used = u64::from(next_cluster) - 2;
    if used > geometry.clusters {
        let needed = ByteSize(used * geometry.cluster_bytes());
        return Err(ImageError::DiskTooSmall { needed, size: ByteSize(size) });
    }

    let boot = geometry.boot_sector(start, serial);
    let info = geometry.info_sector(next_cluster);
    for copy in [0, 6] {
        disk.bytes(start + copy * SECTOR, &boot);
        disk.bytes(start + (copy + 1) * SECTOR, &info);
    }
    let mut fat: Vec<u8> = [0x0fff_fff8, END_OF_CHAIN].iter().flat_map(|entry: &u32| entry.to_le_bytes()).collect();
    for (first, count) in directories.chains() {
        debug_assert_eq!(fat.len() as u32 / 4, first);
        let links = (first + 1..first + count).chain([END_OF_CHAIN]);
        fat.extend(links.flat_map(u32::to_le_bytes));
    }
    for copy in [0, 1] {
        disk.bytes(start + (RESERVED_SECTORS + copy * geometry.fat_sectors) * SECTOR, &fat);
    }
    let time = Stamp::of(epoch);
    for (path, directory) in &directories.by_path {
        let at = start + geometry.cluster_offset(directory.cluster);
        disk.bytes(at, &directories.render(path, directory, time));
        for entry in &directory.entries {
            // An empty file has no cluster.
            if let Target::File { content, cluster, path } = &entry.target
                && *cluster != 0
            {
                disk.file(start + geometry.cluster_offset(*cluster), content.size, *content, 0, path);
            }
        }
    }
    Ok(())
}

struct Geometry {
    sectors: u64,
    sectors_per_cluster: u64,
    fat_sectors: u64,
    clusters: u64,
}

impl Geometry {
    fn new(size: u64) -> Self {
        let sectors = size / SECTOR;
        // Small clusters keep a small volume above the minimum of clusters; large volumes want small tables.
        let sectors_per_cluster = if size <= 256 * MIB { 1 } else { 8 };
        let entries_per_sector = SECTOR / 4;
        let rest = sectors - RESERVED_SECTORS;
        // One FAT sector describes 128 clusters; rounded so that the clusters start at a multiple of 4 KiB.
        let fat_sectors =
            (rest + 2 * sectors_per_cluster).div_ceil(entries_per_sector * sectors_per_cluster + 2).next_multiple_of(4);
        let clusters = (rest - 2 * fat_sectors) / sectors_per_cluster;
        debug_assert!(clusters >= FAT32_MIN_CLUSTERS && clusters + 2 <= fat_sectors * entries_per_sector);
        Geometry { sectors, sectors_per_cluster, fat_sectors, clusters }
    }

    fn cluster_bytes(&self) -> u64 {
        self.sectors_per_cluster * SECTOR
    }

    /// Offset of a cluster in the partition, in bytes.
    fn cluster_offset(&self, cluster: u32) -> u64 {
        (RESERVED_SECTORS + 2 * self.fat_sectors) * SECTOR + (u64::from(cluster) - 2) * self.cluster_bytes()
    }

    fn boot_sector(&self, start: u64, serial: u32) -> [u8; SECTOR as usize] {
        let mut sector = [0; SECTOR as usize];
        let mut put = |at: usize, bytes: &[u8]| sector[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &[0xeb, 0x58, 0x90]);
        put(3, b"PROVBLD ");
        put(11, &(SECTOR as u16).to_le_bytes());
        put(13, &[self.sectors_per_cluster as u8]);
        put(14, &(RESERVED_SECTORS as u16).to_le_bytes());
        put(16, &[2]); // FATs
        put(21, &[0xf8]); // fixed disk
        put(24, &63u16.to_le_bytes()); // sectors per track
        put(26, &255u16.to_le_bytes()); // heads
        put(28, &((start / SECTOR) as u32).to_le_bytes()); // sectors before the partition
        put(32, &(self.sectors as u32).to_le_bytes());
        put(36, &(self.fat_sectors as u32).to_le_bytes());
        put(44, &2u32.to_le_bytes()); // root directory
        put(48, &1u16.to_le_bytes()); // FSInfo
        put(50, &6u16.to_le_bytes()); // copy of the boot sector
        put(64, &[0x80, 0, 0x29]); // drive number, reserved, "serial, label and type follow"
        put(67, &serial.to_le_bytes());
        put(71, LABEL);
        put(82, b"FAT32   ");
        put(510, &[0x55, 0xaa]);
        sector
    }

    fn info_sector(&self, next_cluster: u32) -> [u8; SECTOR as usize] {
        let mut sector = [0; SECTOR as usize];
        let mut put = |at: usize, bytes: &[u8]| sector[at..at + bytes.len()].copy_from_slice(bytes);
        let free = self.clusters as u32 - (next_cluster - 2);
        put(0, b"RRaA");
        put(484, b"rrAa");
        put(488, &free.to_le_bytes());
        put(492, &next_cluster.to_le_bytes());
        put(508, &[0, 0, 0x55, 0xaa]);
        sector
    }
}

/// Date and time of a directory entry, UTC.
#[derive(Clone, Copy)]
struct Stamp {
    date: u16,
    time: u16,
}

impl Stamp {
    /// FAT knows the years from 1980 on, in steps of two seconds.
    fn of(epoch: Epoch) -> Self {
        const START_OF_1980: u32 = 315_532_800;
        let seconds = epoch.0.max(START_OF_1980);
        let (year, month, day) = civil_date(seconds / 86_400);
        let second = seconds % 86_400;
        Stamp {
            date: (((year - 1980) << 9) | (month << 5) | day) as u16,
            time: (((second / 3600) << 11) | ((second / 60 % 60) << 5) | (second % 60 / 2)) as u16,
        }
    }
}

/// Year, month and day of a day since 1970-01-01 in the Gregorian calendar.
fn civil_date(days: u32) -> (u32, u32, u32) {
    let leap = |year: u32| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut left = days;
    let mut year = 1970;
    while left >= 365 + u32::from(leap(year)) {
        left -= 365 + u32::from(leap(year));
        year += 1;
    }
    let february = 28 + u32::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (year, month, left + 1)
}

enum Target {
    Directory,
    File { content: Content, cluster: u32, path: ImagePath },
}

struct Entry {
    name: String,
    short: [u8; 11],
    target: Target,
}

impl Entry {
    /// A name that its short form says completely has no long-name entries.
    fn long_name(&self) -> Vec<u16> {
        if display(&self.short) == self.name { Vec::new() } else { self.name.encode_utf16().collect() }
    }

    fn slots(&self) -> u64 {
        1 + self.long_name().len().div_ceil(LONG_NAME_PIECE) as u64
    }
}

#[derive(Default)]
struct Directory {
    entries: Vec<Entry>,
    cluster: u32,
    clusters: u32,
}

struct Directories {
    by_path: BTreeMap<ImagePath, Directory>,
    /// First cluster and length of every run, ascending from cluster 2.
    runs: Vec<(u32, u32)>,
}

impl Directories {
    /// Names, then clusters: the root, the other directories, the files; also gives the first free cluster.
    fn collect(tree: &Tree, geometry: &Geometry) -> Result<(Self, u32), ImageError> {
        let mut by_path: BTreeMap<ImagePath, Directory> = BTreeMap::new();
        for (path, node) in tree.iter() {
            let fault = |reason: String| ImageError::Unsupported { part: PART, path: path.clone(), reason };
            let target = match (&node.kind, tree.content(path)) {
                (Kind::Directory, _) => {
                    by_path.insert(path.clone(), Directory::default());
                    Target::Directory
                }
                (_, Some(content)) if u32::try_from(content.size).is_err() => {
                    return Err(fault("a file on FAT32 is smaller than 4 GiB".into()));
                }
                (_, Some(content)) => Target::File { content, cluster: 0, path: path.clone() },
                _ => return Err(fault("FAT32 knows only directories and regular files".into())),
            };
            let Some(parent) = path.parent() else { continue };
            let name = path.file_name().to_owned();
            check_name(&name).map_err(|reason| fault(reason.to_owned()))?;
            let Some(parent) = by_path.get_mut(&parent) else { continue };
            parent.entries.push(Entry { name, short: [0; 11], target });
        }
        for (path, directory) in &mut by_path {
            name_entries(&mut directory.entries).map_err(|name| ImageError::Unsupported {
                part: PART,
                path: path.join(&name).unwrap_or_else(|_| path.clone()),
                reason: "another name in its directory differs only in case, or has no short name left".into(),
            })?;
        }

        let mut runs = Vec::new();
        let mut next = 2u32;
        let mut take = |bytes: u64| {
            let count = bytes.div_ceil(geometry.cluster_bytes()) as u32;
            let first = next;
            next = next.saturating_add(count);
            runs.push((first, count));
            (first, count)
        };
        for (path, directory) in &mut by_path {
            // The label in the root, "." and ".." elsewhere.
            let own = if path.is_root() { 1 } else { 2 };
            let slots = own + directory.entries.iter().map(Entry::slots).sum::<u64>();
            (directory.cluster, directory.clusters) = take((slots * ENTRY).next_multiple_of(geometry.cluster_bytes()));
        }
        for directory in by_path.values_mut() {
            for entry in &mut directory.entries {
                if let Target::File { content, cluster, .. } = &mut entry.target
                    && content.size > 0
                {
                    (*cluster, _) = take(content.size);
                }
            }
        }
        Ok((Directories { by_path, runs }, next))
    }

    fn chains(&self) -> impl Iterator<Item = (u32, u32)> {
        self.runs.iter().copied()
    }

    fn render(&self, path: &ImagePath, directory: &Directory, time: Stamp) -> Vec<u8> {
        let mut bytes = Vec::new();
        let slot = |short: &[u8; 11], attribute: u8, cluster: u32, size: u32| {
            let mut slot = [0; ENTRY as usize];
            let mut put = |at: usize, bytes: &[u8]| slot[at..at + bytes.len()].copy_from_slice(bytes);
            put(0, short);
            put(11, &[attribute]);
            put(14, &time.time.to_le_bytes()); // creation
            put(16, &time.date.to_le_bytes());
            put(18, &time.date.to_le_bytes()); // last access
            put(20, &((cluster >> 16) as u16).to_le_bytes());
            put(22, &time.time.to_le_bytes()); // last write
            put(24, &time.date.to_le_bytes());
            put(26, &(cluster as u16).to_le_bytes());
            put(28, &size.to_le_bytes());
            slot
        };
        match path.parent() {
            None => bytes.extend(slot(LABEL, ATTRIBUTE_LABEL, 0, 0)),
            Some(parent) => {
                // The root is written as cluster 0 here.
                let above =
                    if parent.is_root() { 0 } else { self.by_path.get(&parent).map_or(0, |parent| parent.cluster) };
                bytes.extend(slot(b".          ", ATTRIBUTE_DIRECTORY, directory.cluster, 0));
                bytes.extend(slot(b"..         ", ATTRIBUTE_DIRECTORY, above, 0));
            }
        }
        for entry in &directory.entries {
            bytes.extend(long_name_slots(&entry.long_name(), &entry.short));
            match &entry.target {
                Target::Directory => {
                    let below = path.join(&entry.name).ok().and_then(|path| self.by_path.get(&path));
                    let cluster = below.map_or(0, |below| below.cluster);
                    bytes.extend(slot(&entry.short, ATTRIBUTE_DIRECTORY, cluster, 0));
                }
                Target::File { content, cluster, .. } => {
                    bytes.extend(slot(&entry.short, ATTRIBUTE_ARCHIVE, *cluster, content.size as u32));
                }
            }
        }
        bytes
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    if name.encode_utf16().count() > LONG_NAME_MAX {
        return Err("its name is longer than 255 characters");
    }
    if name.chars().any(|c| c.is_control() || "\"*:<>?\\|".contains(c)) {
        return Err("its name has a character that FAT32 does not know");
    }
    if name.ends_with(['.', ' ']) {
        return Err("its name ends with a dot or a space");
    }
    Ok(())
}

/// Gives every entry its short name; on a clash, the name that has none.
fn name_entries(entries: &mut [Entry]) -> Result<(), String> {
    let mut names = BTreeSet::new();
    if let Some(entry) = entries.iter().find(|entry| !names.insert(entry.name.to_uppercase())) {
        return Err(entry.name.clone());
    }
    let mut taken = BTreeSet::new();
    for entry in entries.iter_mut() {
        if let Some(short) = exact_short_name(&entry.name) {
            entry.short = short;
            taken.insert(short);
        }
    }
    for entry in entries.iter_mut().filter(|entry| entry.short[0] == 0) {
        let free =
            (1..1_000_000).map(|number| numbered_short_name(&entry.name, number)).find(|short| !taken.contains(short));
        entry.short = free.ok_or_else(|| entry.name.clone())?;
        taken.insert(entry.short);
    }
    Ok(())
}

fn is_short_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"$%'-_@~`!(){}^#&".contains(&byte)
}

fn short_name(base: &[u8], extension: &[u8]) -> [u8; 11] {
    let mut short = [b' '; 11];
    short[..base.len()].copy_from_slice(base);
    short[8..8 + extension.len()].copy_from_slice(extension);
    short.make_ascii_uppercase();
    short
}

/// The 8.3 form of a name that loses nothing but its case.
fn exact_short_name(name: &str) -> Option<[u8; 11]> {
    let (base, extension) = name.split_once('.').unwrap_or((name, ""));
    let fits = |part: &str, most: usize| part.len() <= most && part.bytes().all(is_short_character);
    let dot_without_extension = name.contains('.') && extension.is_empty();
    (!base.is_empty() && !dot_without_extension && fits(base, 8) && fits(extension, 3))
        .then(|| short_name(base.as_bytes(), extension.as_bytes()))
}

/// The 8.3 form with a number, "LONGNA~1.EXT".
fn numbered_short_name(name: &str, number: u32) -> [u8; 11] {
    let (base, extension) = name.rsplit_once('.').filter(|(base, _)| !base.is_empty()).unwrap_or((name, ""));
    let reduce = |part: &str, most: usize| -> Vec<u8> {
        let kept = part.chars().filter(|c| !matches!(c, '.' | ' '));
        kept.map(|c| u8::try_from(c).ok().filter(|byte| is_short_character(*byte)).unwrap_or(b'_')).take(most).collect()
    };
    let tail = format!("~{number}");
    let mut base = reduce(base, 8 - tail.len());
    base.extend_from_slice(tail.as_bytes());
    short_name(&base, &reduce(extension, 3))
}

/// A short name as it is shown.
fn display(short: &[u8; 11]) -> String {
    let part = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    match part(&short[8..]) {
        extension if extension.is_empty() => part(&short[..8]),
        extension => format!("{}.{extension}", part(&short[..8])),
    }
}

/// Long-name entries: the last piece first, each with the checksum of the short name they belong to.
fn long_name_slots(name: &[u16], short: &[u8; 11]) -> Vec<u8> {
    let checksum = short.iter().fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
    let mut bytes = Vec::new();
    let count = name.len().div_ceil(LONG_NAME_PIECE);
    for (index, piece) in name.chunks(LONG_NAME_PIECE).enumerate().rev() {
        // A piece that is not full ends with a zero and is filled up with ones.
        let mut units = [0xffff; LONG_NAME_PIECE];
        units[..piece.len()].copy_from_slice(piece);
        if let Some(end) = units.get_mut(piece.len()) {
            *end = 0;
        }
        let last = if index + 1 == count { 0x40 } else { 0 };
        let units: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        bytes.push((index + 1) as u8 | last);
        bytes.extend_from_slice(&units[..10]);
        bytes.extend_from_slice(&[ATTRIBUTE_LONG_NAME, 0, checksum]);
        bytes.extend_from_slice(&units[10..22]);
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&units[22..]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names() {
        let mut entries: Vec<_> =
            ["BOOTX64.EFI", "grub.cfg", "shimx64.efi.signed", "shimx64.efi.old", "a+b", ".hidden", "ünï"]
                .map(|name| Entry { name: name.to_owned(), short: [0; 11], target: Target::Directory })
                .into();
        name_entries(&mut entries).unwrap();
        let shown: Vec<_> =
            entries.iter().map(|entry| format!("{} {}", display(&entry.short), entry.slots())).collect();
        assert_eq!(
            shown,
            [
                "BOOTX64.EFI 1", // long names take further slots
                "GRUB.CFG 2",
                "SHIMX6~1.SIG 3",
                "SHIMX6~1.OLD 3",
                "A_B~1 2",
                "HIDDEN~1 2",
                "_N_~1 2"
            ]
        );
        entries.push(Entry { name: "GRUB.cfg".into(), short: [0; 11], target: Target::Directory });
        assert_eq!(name_entries(&mut entries), Err("GRUB.cfg".to_owned()));
    }

    #[test]
    fn dates() {
        assert_eq!(civil_date(0), (1970, 1, 1));
        assert_eq!(civil_date(11_016), (2000, 2, 29));
        assert_eq!(civil_date(20_454), (2026, 1, 1));
        let stamp = Stamp::of(Epoch(0));
        assert_eq!((stamp.date, stamp.time), ((1 << 5) | 1, 0));
        // 2024-04-25T15:10:33Z
        let stamp = Stamp::of(Epoch(1_714_057_833));
        assert_eq!((stamp.date, stamp.time), ((44 << 9) | (4 << 5) | 25, (15 << 11) | (10 << 5) | 16));
    }

    #[test]
    fn the_smallest_volume_is_still_fat32() {
        for size in [64, 128, 256, 320, 1024].map(|mib| mib * MIB) {
            let geometry = Geometry::new(size);
            assert!(geometry.clusters >= FAT32_MIN_CLUSTERS, "{size}");
            assert!(geometry.cluster_offset(geometry.clusters as u32 + 2) <= size);
            assert_eq!(geometry.cluster_offset(2) % 4096, 0);
        }
    }
}
