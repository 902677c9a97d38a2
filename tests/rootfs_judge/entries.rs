//! A root file system as a list of entries, from a tar or from a pack.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use provbuild::tree::{Contents, Kind, Pack};
use provbuild::vocab::{Digest, ImagePath};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Directory,
    File(Digest),
    Symlink(String),
    Device(char, u32, u32),
    Fifo,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) what: What,
    pub(crate) mode: u32,
    /// "user:group", by name: the numbers of system users depend on the order of installation.
    pub(crate) owner: String,
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
    /// The first name of the same inode, when it has several.
    pub(crate) same_as: Option<String>,
}

pub(crate) type Entries = BTreeMap<String, Entry>;

/// Names by number, from passwd(5) or group(5).
fn names(text: &str) -> BTreeMap<u64, String> {
    let name = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((fields.nth(1)?.parse().ok()?, name))
    };
    text.lines().filter_map(name).collect()
}

/// Digest of a file's bytes; of the account files, without what the order of installation decides: the order of lines and
/// the numbers, in shadow files also the form of "no password" and the ageing fields that pwconv(8) fills in.
fn digest(path: &str, bytes: &[u8]) -> Digest {
    let blank: &[usize] = match path {
        "/etc/passwd" => &[2, 3],
        "/etc/group" => &[2],
        "/etc/shadow" => &[2, 3, 4, 5, 6, 7],
        "/etc/gshadow" => &[],
        _ => return Digest::of(bytes),
    };
    let text = std::str::from_utf8(bytes).unwrap();
    let line = |line: &str| {
        let fields = line.split(':').enumerate().map(|(index, field)| match field {
            _ if blank.contains(&index) => "",
            "x" | "!" | "!*" | "*" if path.ends_with("shadow") && index == 1 => "none",
            field => field,
        });
        fields.collect::<Vec<_>>().join(":")
    };
    let mut lines: Vec<String> = text.lines().map(line).collect();
    lines.sort();
    Digest::of(lines.join("\n").as_bytes())
}

struct Raw {
    entry: Entry,
    ids: (u64, u64),
    link: Option<String>,
}

/// Gives owners their names, and every name of a file with several the first of them.
fn finish(mut raw: BTreeMap<String, Raw>, passwd: &str, group: &str) -> Entries {
    let (users, groups) = (names(passwd), names(group));
    let shown = |names: &BTreeMap<u64, String>, id: u64| names.get(&id).cloned().unwrap_or_else(|| id.to_string());
    let mut several: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let links: Vec<(String, String)> =
        raw.iter().filter_map(|(path, r)| Some((path.clone(), r.link.clone()?))).collect();
    for (path, target) in links {
        let of = &raw[&target];
        let (entry, ids) = (of.entry.clone(), of.ids);
        let link = raw.get_mut(&path).unwrap();
        (link.entry, link.ids) = (entry, ids);
        several.entry(target.clone()).or_insert_with(|| vec![target]).push(path);
    }
    for paths in several.values() {
        let first = paths.iter().min().unwrap();
        for path in paths {
            raw.get_mut(path).unwrap().entry.same_as = Some(first.clone());
        }
    }
    raw.into_iter()
        .map(|(path, raw)| {
            let owner = format!("{}:{}", shown(&users, raw.ids.0), shown(&groups, raw.ids.1));
            (path, Entry { owner, ..raw.entry })
        })
        .collect()
}

fn absolute(path: &Path) -> String {
    let text = path.to_str().expect("names are UTF-8");
    format!("/{}", text.trim_start_matches("./").trim_matches('/')).replace("/.", if text == "./" { "/" } else { "/." })
}

pub(crate) fn of_tar(path: &Path) -> Entries {
    let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 20, File::open(path).unwrap()));
    let (mut raw, mut texts) = (BTreeMap::new(), BTreeMap::new());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = absolute(&entry.path().unwrap());
        let mut xattrs = BTreeMap::new();
        for extension in entry.pax_extensions().unwrap().into_iter().flatten() {
            let extension = extension.unwrap();
            if let Some(name) = extension.key().unwrap().strip_prefix("SCHILY.xattr.") {
                xattrs.insert(name.to_owned(), extension.value_bytes().to_vec());
            }
        }
        let header = entry.header();
        let (mode, ids) = (header.mode().unwrap() & 0o7777, (header.uid().unwrap(), header.gid().unwrap()));
        let device = |letter| {
            What::Device(letter, header.device_major().unwrap().unwrap(), header.device_minor().unwrap().unwrap())
        };
        let target = entry.link_name().unwrap().map(|target| target.to_str().unwrap().to_owned());
        let mut link = None;
        let what = match header.entry_type() {
            tar::EntryType::Directory => What::Directory,
            tar::EntryType::Symlink => What::Symlink(target.unwrap()),
            tar::EntryType::Link => {
                link = Some(absolute(Path::new(&target.unwrap())));
                What::Fifo // replaced by the target's
            }
            tar::EntryType::Char => device('c'),
            tar::EntryType::Block => device('b'),
            tar::EntryType::Fifo => What::Fifo,
            _ => {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                let digest = digest(&path, &bytes);
                if matches!(path.as_str(), "/etc/passwd" | "/etc/group") {
                    texts.insert(path.clone(), String::from_utf8(bytes).unwrap());
                }
                What::File(digest)
            }
        };
        let entry = Entry { what, mode, owner: String::new(), xattrs, same_as: None };
        raw.insert(path, Raw { entry, ids, link });
    }
    finish(raw, &texts["/etc/passwd"], &texts["/etc/group"])
}

pub(crate) fn of_pack(pack: &Pack) -> Entries {
    let text = |path| {
        let content = pack.tree.content(&ImagePath::literal(path)).unwrap_or_else(|| panic!("the tree has no {path}"));
        String::from_utf8(pack.read(&content).unwrap()).unwrap()
    };
    let raw = pack.tree.iter().map(|(path, node)| {
        let mut link = None;
        let what = match &node.kind {
            Kind::Directory => What::Directory,
            Kind::File(content) if path.as_str().starts_with("/etc/") => {
                What::File(digest(path.as_str(), &pack.read(content).unwrap()))
            }
            Kind::File(content) => What::File(content.digest),
            Kind::Symlink { target } => What::Symlink(target.clone()),
            Kind::CharDevice { major, minor } => What::Device('c', *major, *minor),
            Kind::BlockDevice { major, minor } => What::Device('b', *major, *minor),
            Kind::Fifo => What::Fifo,
            Kind::HardLink { target } => {
                link = Some(target.as_str().to_owned());
                What::Fifo // replaced by the target's
            }
        };
        let ids = (node.owner.uid.into(), node.owner.gid.into());
        let entry =
            Entry { what, mode: node.mode.bits(), owner: String::new(), xattrs: node.xattrs.clone(), same_as: None };
        (path.as_str().to_owned(), Raw { entry, ids, link })
    });
    finish(raw.collect(), &text("/etc/passwd"), &text("/etc/group"))
}
