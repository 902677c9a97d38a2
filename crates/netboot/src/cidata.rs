//! Small ISO 9660 images: the NoCloud seed that a machine which boots the stock installer from a CD gets as its second CD, and the
//! medium that brings an appliance its secrets (`seed_medium.rs`).
//!
//! In: a volume identifier, a flat list of files and a time. Out: the image's bytes; the same input gives the same bytes. cloud-init
//! finds its volume by the label `cidata` (DataSourceNoCloud.py) and mounts it.
//!
//! ```text
//! sector 0    system area, zeros                                           ECMA-119 6.2.1
//!        16   primary volume descriptor, volume identifier                 ECMA-119 8.4
//!        17   supplementary volume descriptor, escape sequence "%/E"       ECMA-119 8.5, Joliet Specification
//!        18   volume descriptor set terminator                             ECMA-119 8.3
//!        19   path table, little-endian      20   the same, big-endian     ECMA-119 6.9, 9.4
//!        21   Joliet's, little-endian        22   the same, big-endian
//!        23   root directory, with Rock Ridge names                        ECMA-119 9.1, SUSP 1.12, RRIP 1.12
//!        24   Joliet's root directory, names in UCS-2
//!        25   the ER entry of the first record (a continuation area)       SUSP 5.1, 5.5
//!        26   the files, each from a sector's start                        ECMA-119 6.4
//!      +150   zeros, which drives read ahead into
//! ```
//!
//! A number that says "both" is written little-endian, then big-endian (ECMA-119 7.2.3, 7.3.3).

/// Bytes of a logical sector, and of a logical block.
pub(crate) const SECTOR: usize = 2048;
/// Of the primary volume descriptor.
pub(crate) const DESCRIPTOR: usize = 16;
const FIRST_FILE: u32 = 26;
/// Sectors after the last file. A kernel that reads ahead past the end of a medium reports errors; mastering programs add
/// these too.
const TAIL: usize = 150;
const VOLUME: &str = "cidata";

/// Why there is no image.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CidataError {
    #[error("'{0}' cannot name a file of a seed: 1 to 28 letters, digits, '-' and '_'")]
    Name(String),
    #[error("the names of '{0}' and '{1}' are the same in ISO 9660")]
    Same(String, String),
    #[error("{0} files are more than a seed's directory holds")]
    Many(usize),
    #[error("the files take {0} bytes; an image of this kind holds 4 GiB at most")]
    Large(u64),
}

/// One file and where it lies.
struct Entry<'a> {
    name: &'a str,
    /// In d-characters, with version.
    plain: String,
    content: &'a [u8],
    sector: u32,
}

/// The seed's image with `files` (name and content) in its root directory, all of the time `epoch` (seconds since 1970).
///
/// # Errors
/// See [`CidataError`].
pub fn cidata(files: &[(&str, &[u8])], epoch: u32) -> Result<Vec<u8>, CidataError> {
    // No reader of a seed looks for a name with a dot.
    match files.iter().find(|(name, _)| name.contains('.')) {
        Some((name, _)) => Err(CidataError::Name((*name).to_owned())),
        None => image(VOLUME, files, epoch),
    }
}

/// The same with a volume identifier of one's own. No content is copied but into the image.
pub(crate) fn image(volume: &str, files: &[(&str, &[u8])], epoch: u32) -> Result<Vec<u8>, CidataError> {
    let time = Time::of(epoch);
    let mut entries = entries(files)?;
    let next = |entry: &Entry<'_>| u64::from(entry.sector) + entry.content.len().div_ceil(SECTOR) as u64;
    let end = entries.iter().map(next).max().unwrap_or(FIRST_FILE.into()) as usize + TAIL;
    let mut image = vec![0; end * SECTOR];
    let mut put = |sector: usize, bytes: &[u8]| {
        image[sector * SECTOR..][..bytes.len()].copy_from_slice(bytes);
    };
    put(DESCRIPTOR, &descriptor(Tree::Primary, volume, end as u32, &time));
    put(17, &descriptor(Tree::Joliet, volume, end as u32, &time));
    put(18, b"\xffCD001\x01");
    for tree in [Tree::Primary, Tree::Joliet] {
        let table = tree.path_table() as usize;
        put(table, &path_table(tree.root().to_le_bytes(), 1u16.to_le_bytes()));
        put(table + 1, &path_table(tree.root().to_be_bytes(), 1u16.to_be_bytes()));
    }
    for entry in &entries {
        put(entry.sector as usize, entry.content);
    }
    let many = || CidataError::Many(files.len());
    put(Tree::Primary.root() as usize, &directory(Tree::Primary, &entries, &time).ok_or_else(many)?);
    put(25, &extension());
    // Joliet sorts by its own names (ECMA-119 9.3 on UCS-2).
    entries.sort_by_key(|entry| entry.name.encode_utf16().collect::<Vec<_>>());
    put(Tree::Joliet.root() as usize, &directory(Tree::Joliet, &entries, &time).ok_or_else(many)?);
    Ok(image)
}

/// The files in the order of their ISO 9660 names, with their places.
fn entries<'a>(files: &[(&'a str, &'a [u8])]) -> Result<Vec<Entry<'a>>, CidataError> {
    let total: u64 = files.iter().map(|(_, content)| content.len() as u64 + SECTOR as u64).sum();
    if total > u32::MAX.into() {
        return Err(CidataError::Large(total));
    }
    let mut entries = Vec::with_capacity(files.len());
    for &(name, content) in files {
        let fit = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let (stem, extension) = name.split_once('.').unwrap_or((name, "-"));
        if [stem, extension].iter().any(|part| part.is_empty() || !part.bytes().all(fit)) || name.len() > 28 {
            return Err(CidataError::Name(name.to_owned()));
        }
        // ECMA-119 7.5: the dot is there also where there is no extension.
        let dot = if name.contains('.') { "" } else { "." };
        let plain = format!("{}{dot};1", name.to_ascii_uppercase().replace('-', "_"));
        entries.push(Entry { name, plain, content, sector: 0 });
    }
    entries.sort_by(|a, b| a.plain.cmp(&b.plain));
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].plain == pair[1].plain) {
        return Err(CidataError::Same(pair[0].name.to_owned(), pair[1].name.to_owned()));
    }
    let mut sector = FIRST_FILE;
    for entry in &mut entries {
        entry.sector = sector;
        sector += entry.content.len().div_ceil(SECTOR) as u32;
    }
    Ok(entries)
}

/// The two views of the same files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tree {
    Primary,
    Joliet,
}

impl Tree {
    const fn path_table(self) -> u32 {
        match self {
            Tree::Primary => 19,
            Tree::Joliet => 21,
        }
    }

    const fn root(self) -> u32 {
        match self {
            Tree::Primary => 23,
            Tree::Joliet => 24,
        }
    }

    /// A name as the tree spells it, in a field of `size` bytes filled with blanks.
    fn text(self, text: &str, size: usize) -> Vec<u8> {
        let (mut bytes, blank): (Vec<u8>, &[u8]) = match self {
            Tree::Primary => (text.bytes().collect(), b" "),
            Tree::Joliet => (ucs2(text), b"\0 "),
        };
        while bytes.len() + blank.len() <= size {
            bytes.extend_from_slice(blank);
        }
        bytes.resize(size, 0);
        bytes
    }
}

fn ucs2(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

fn both16(value: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (value.to_le_bytes(), value.to_be_bytes());
    [a, b, c, d]
}

fn both32(value: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&value.to_le_bytes());
    bytes[4..].copy_from_slice(&value.to_be_bytes());
    bytes
}

/// ECMA-119 8.4 and 8.5, which differ in the escape sequences only.
fn descriptor(tree: Tree, volume: &str, sectors: u32, time: &Time) -> Vec<u8> {
    let mut d = Vec::with_capacity(SECTOR);
    d.extend_from_slice(if tree == Tree::Primary { b"\x01CD001\x01\0" } else { b"\x02CD001\x01\0" });
    d.extend(tree.text("", 32)); // system identifier
    d.extend(tree.text(volume, 32));
    d.extend([0; 8]);
    d.extend(both32(sectors));
    let mut escape = [0; 32];
    if tree == Tree::Joliet {
        escape[..3].copy_from_slice(b"%/E"); // UCS-2 level 3
    }
    d.extend(escape);
    d.extend(both16(1)); // volumes of the set
    d.extend(both16(1)); // this one's number
    d.extend(both16(SECTOR as u16));
    d.extend(both32(10)); // bytes of a path table
    d.extend(tree.path_table().to_le_bytes());
    d.extend([0; 4]);
    d.extend((tree.path_table() + 1).to_be_bytes());
    d.extend([0; 4]);
    d.extend(record(&[0], tree.root(), SECTOR as u32, Kind::Directory, time, &[]));
    d.extend(tree.text("", 128)); // volume set
    d.extend(tree.text("", 128)); // publisher
    d.extend(tree.text("", 128)); // preparer
    d.extend(tree.text("PROVBUILD", 128)); // application
    d.extend(tree.text("", 37 * 3)); // copyright, abstract, bibliography
    d.extend(time.long());
    d.extend(time.long());
    d.extend([b"0".repeat(16), vec![0]].concat()); // never expires
    d.extend([b"0".repeat(16), vec![0]].concat()); // usable at once
    d.extend([1, 0]); // file structure version
    d.resize(SECTOR, 0);
    d
}

/// One record: the root, its own parent.
fn path_table(root: [u8; 4], parent: [u8; 2]) -> Vec<u8> {
    [&[1, 0][..], &root, &parent, &[0, 0]].concat()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
}

/// ECMA-119 9.1: a directory record, with its system use area.
fn record(name: &[u8], sector: u32, size: u32, kind: Kind, time: &Time, system_use: &[u8]) -> Vec<u8> {
    let mut r = vec![0, 0];
    r.extend(both32(sector));
    r.extend(both32(size));
    r.extend(time.short());
    r.push(if kind == Kind::Directory { 2 } else { 0 });
    r.extend([0, 0]); // not interleaved
    r.extend(both16(1)); // volume
    r.push(name.len() as u8);
    r.extend_from_slice(name);
    if name.len().is_multiple_of(2) {
        r.push(0);
    }
    r.extend_from_slice(system_use);
    if !r.len().is_multiple_of(2) {
        r.push(0);
    }
    r[0] = r.len() as u8;
    r
}

/// The root directory; `None` where its records do not fit into one sector.
fn directory(tree: Tree, entries: &[Entry<'_>], time: &Time) -> Option<Vec<u8>> {
    let mut sector = Vec::with_capacity(SECTOR);
    for (index, name) in [[0], [1]].iter().enumerate() {
        let mut rock = Vec::new();
        if tree == Tree::Primary {
            if index == 0 {
                rock.extend(b"SP\x07\x01\xbe\xef\0"); // SUSP 5.3: system use entries are here, from byte 0 on
            }
            rock.extend(attributes(Kind::Directory, time));
            if index == 0 {
                rock.extend(b"CE\x1c\x01"); // SUSP 5.1: goes on elsewhere
                rock.extend([both32(25), both32(0), both32(extension().len() as u32)].concat());
            }
        }
        sector.extend(record(name, tree.root(), SECTOR as u32, Kind::Directory, time, &rock));
    }
    for entry in entries {
        let (name, mut rock) = match tree {
            Tree::Primary => (entry.plain.clone().into_bytes(), attributes(Kind::File, time)),
            Tree::Joliet => (ucs2(&format!("{};1", entry.name)), Vec::new()),
        };
        if tree == Tree::Primary {
            rock.extend([b'N', b'M', 5 + entry.name.len() as u8, 1, 0]); // RRIP 4.1.4
            rock.extend_from_slice(entry.name.as_bytes());
        }
        let size = entry.content.len() as u32;
        // A file without content has no place (ECMA-119 6.4.1): 0, as other writers put it.
        let place = if size == 0 { 0 } else { entry.sector };
        sector.extend(record(&name, place, size, Kind::File, time, &rock));
    }
    (sector.len() <= SECTOR).then(|| {
        sector.resize(SECTOR, 0);
        sector
    })
}

/// RRIP 4.1.1 (PX: mode, links, owner, group) and 4.1.6 (TF: modified, accessed, attributes changed).
fn attributes(kind: Kind, time: &Time) -> Vec<u8> {
    let (mode, links) = if kind == Kind::Directory { (0o040_555, 2) } else { (0o100_444, 1) };
    let mut entry = b"PX\x24\x01".to_vec();
    entry.extend([both32(mode), both32(links), both32(0), both32(0)].concat());
    entry.extend(b"TF\x1a\x01\x0e");
    entry.extend([time.short(), time.short(), time.short()].concat());
    entry
}

/// SUSP 5.5: which extension the entries are of; the three texts are RRIP's own (RRIP 4.3).
fn extension() -> Vec<u8> {
    let texts: [&[u8]; 3] = [
        b"RRIP_1991A",
        b"THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS",
        b"PLEASE CONTACT DISC PUBLISHER FOR SPECIFICATION SOURCE.  SEE PUBLISHER IDENTIFIER IN PRIMARY VOLUME DESCRIPTOR FOR CONTACT INFORMATION.",
    ];
    let [id, description, source] = texts.map(|text| text.len() as u8);
    let mut entry = vec![b'E', b'R', 8 + id + description + source, 1, id, description, source, 1];
    entry.extend(texts.concat());
    entry
}

/// A moment in UTC.
struct Time {
    year: u16,
    /// Month, day, hour, minute, second.
    rest: [u8; 5],
}

impl Time {
    fn of(epoch: u32) -> Self {
        let (days, seconds) = (epoch / 86_400, epoch % 86_400);
        let leap = |year: u16| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let (mut year, mut left) = (1970, days);
        while left >= 365 + u32::from(leap(year)) {
            left -= 365 + u32::from(leap(year));
            year += 1;
        }
        let lengths = [31, 28 + u32::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut month = 0;
        while left >= lengths[month] {
            left -= lengths[month];
            month += 1;
        }
        let rest = [month as u32 + 1, left + 1, seconds / 3600, seconds / 60 % 60, seconds % 60];
        Time { year, rest: rest.map(|number| number as u8) }
    }

    /// ECMA-119 9.1.5.
    fn short(&self) -> [u8; 7] {
        let [month, day, hour, minute, second] = self.rest;
        [(self.year - 1900) as u8, month, day, hour, minute, second, 0]
    }

    /// ECMA-119 8.4.26.1.
    fn long(&self) -> Vec<u8> {
        let [month, day, hour, minute, second] = self.rest;
        let mut text = format!("{:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}00", self.year).into_bytes();
        text.push(0);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What [`cidata`] wrote, read by the fields of ECMA-119 alone: name (Rock Ridge or Joliet) and content.
    fn read(image: &[u8], tree: Tree) -> Vec<(String, Vec<u8>)> {
        let number = |at: usize| {
            let le = u32::from_le_bytes(image[at..at + 4].try_into().unwrap());
            assert_eq!(le, u32::from_be_bytes(image[at + 4..at + 8].try_into().unwrap()));
            le as usize
        };
        let descriptor = if tree == Tree::Primary { 16 } else { 17 } * SECTOR;
        assert_eq!(number(descriptor + 80) * SECTOR, image.len());
        let root = number(descriptor + 156 + 2) * SECTOR;
        let mut at = root;
        let mut files = Vec::new();
        while image[at] != 0 {
            let length = image[at] as usize;
            let name = &image[at + 33..at + 33 + image[at + 32] as usize];
            let (place, size) = (number(at + 2) * SECTOR, number(at + 10));
            if image[at + 25] & 2 == 0 {
                let name = match tree {
                    Tree::Joliet => {
                        let units: Vec<u16> = name.chunks(2).map(|c| u16::from_be_bytes([c[0], c[1]])).collect();
                        String::from_utf16(&units).unwrap().trim_end_matches(";1").to_owned()
                    }
                    Tree::Primary => {
                        let mut entry = at + 33 + name.len() + usize::from(name.len().is_multiple_of(2));
                        while &image[entry..entry + 2] != b"NM" {
                            entry += image[entry + 2] as usize;
                        }
                        String::from_utf8(image[entry + 5..entry + image[entry + 2] as usize].to_vec()).unwrap()
                    }
                };
                files.push((name, image[place..place + size].to_vec()));
            }
            at += length;
        }
        files
    }

    #[test]
    fn times() {
        let long = |epoch| String::from_utf8(Time::of(epoch).long()).unwrap();
        assert_eq!(long(0), "1970010100000000\0");
        assert_eq!(long(951_782_399), "2000022823595900\0");
        assert_eq!(long(951_868_800), "2000030100000000\0");
        assert_eq!(long(1_709_210_096), "2024022912345600\0");
        assert_eq!(long(u32::MAX), "2106020706281500\0");
    }

    #[test]
    fn what_is_no_seed_is_refused() {
        let one = |name: &str| cidata(&[(name, b"")], 0).unwrap_err();
        for bad in ["", "a b", "a/b", "ü", &"x".repeat(29), "a.b", ".", ".."] {
            assert_eq!(one(bad), CidataError::Name(bad.to_owned()));
        }
        let same = cidata(&[("a-b", b""), ("a_b", b"")], 0).unwrap_err();
        assert_eq!(same, CidataError::Same("a-b".to_owned(), "a_b".to_owned()));
        let names: Vec<String> = (0..30).map(|number| format!("file{number}")).collect();
        let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
        assert_eq!(cidata(&files, 0).unwrap_err(), CidataError::Many(30));
    }

    proptest! {
        #[test]
        fn every_size_comes_back(
            sizes in proptest::collection::vec(
                prop_oneof![Just(0), Just(1), Just(2047), Just(2048), Just(2049), Just(4096), 0..20_000_usize], 4),
            epoch: u32, fill: u8
        ) {
            let names = ["user-data", "meta-data", "vendor-data", "network-config"];
            let contents: Vec<Vec<u8>> = sizes.iter().map(|size| vec![fill; *size]).collect();
            let files: Vec<(&str, &[u8])> =
                names.iter().zip(&contents).map(|(name, content)| (*name, content.as_slice())).collect();
            let image = cidata(&files, epoch).unwrap();
            prop_assert_eq!(&image, &cidata(&files, epoch).unwrap());
            let mut expected: Vec<(String, Vec<u8>)> =
                files.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec())).collect();
            expected.sort();
            for tree in [Tree::Primary, Tree::Joliet] {
                let mut found = read(&image, tree);
                found.sort();
                prop_assert_eq!(&found, &expected);
            }
        }
    }
}
