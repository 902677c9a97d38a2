//! The root file system as ext4 (kernel documentation, filesystems/ext4).
//!
//! In: a tree, a size, identities, the epoch. Out: extents: metadata as bytes, files by content. Nothing is read here.
//! The on-disk structures are mkext4's (pinned: another version lays out other bytes). What it does not know is done
//! here: the order of files, POSIX ACLs, the estimate of the space that is needed.
//!
//! Files are laid out from the largest to the smallest (in blocks), then by path: when a small configuration file appears,
//! grows or goes, everything larger stays where it was, so the disk's grains stay the same.

use std::collections::HashMap;

use mkext4::{FsBuilder, InodeCount, InodeHandle, Meta, Options, ROOT, RegionSink, SpecialKind};

use super::ImageError;
use super::disk::DiskBuilder;
use crate::tree::{Content, Kind, Node, Tree};
use crate::vocab::{ByteSize, DiskIds, Epoch, ImagePath};

const PART: &str = "root";
const BLOCK: u64 = 4096;
const GIB: u64 = 1 << 30;
/// mke2fs's default ratio: bytes of disk per inode.
const BYTES_PER_INODE: u64 = 16384;
const INODE: u64 = 256;
/// Longest name of a directory entry, in bytes.
const NAME_MAX: usize = 255;
/// The file system makes this directory itself, 0700 root:root.
const LOST_AND_FOUND: &str = "/lost+found";

/// Lays the tree out on `size` bytes of disk from the byte `start` on; both are multiples of 1 MiB.
pub(super) fn lay_out(
    tree: &Tree,
    (start, size): (u64, u64),
    ids: &DiskIds,
    epoch: Epoch,
    disk: &mut DiskBuilder,
) -> Result<(), ImageError> {
    tree.check().map_err(|fault| ImageError::Tree { part: PART, fault })?;
    let inodes = inode_count(tree, size);
    if space_needed(tree, size, inodes) > size {
        return Err(too_small(tree, start, size));
    }
    let mut options = Options::new(size, *ids.root_fs.as_bytes(), i64::from(epoch.0));
    let (words, _) = ids.root_hash_seed.as_bytes().as_chunks::<4>();
    options.hash_seed = std::array::from_fn(|index| u32::from_le_bytes(words[index]));
    options.inodes = InodeCount::Exact(inodes);
    options.label = Some("root".to_owned());
    let mut declared = Declared::new(FsBuilder::new(options).map_err(layout_error)?, epoch);
    declared.tree(tree)?;
    let Declared { builder, files, .. } = declared;

    let layout = builder.seal().map_err(|error| match error {
        // The estimate leaves out index blocks and fragments; a disk this close to full is too small all the same.
        mkext4::Error::Invalid(text) if text.contains("image full") || text.contains("too small") => {
            too_small(tree, start, size)
        }
        error => layout_error(error),
    })?;
    // The writer gives all metadata at once; the files' bytes are not passed through it.
    layout.writer(Offset { start, disk: &mut *disk }).map_err(layout_error)?;
    for (handle, content, path) in files {
        let mut from = 0;
        for (offset, length) in layout.extents(handle) {
            disk.file(start + offset, length, content, from, path);
            from += length;
        }
    }
    Ok(())
}

fn layout_error(error: mkext4::Error) -> ImageError {
    ImageError::Ext4 { reason: error.to_string() }
}

/// The disk that would do: the least number of GiB in which the tree and its metadata fit.
fn too_small(tree: &Tree, start: u64, size: u64) -> ImageError {
    // The disk also holds the backup partition table, in its last MiB.
    let around = start + (1 << 20);
    let fits = |disk: &u64| disk.saturating_sub(around) >= space_needed(tree, disk - around, inode_count(tree, *disk));
    let least = (size + around) / GIB + 1;
    let needed = (least..).map(|count| count * GIB).find(fits).unwrap_or(u64::MAX);
    ImageError::DiskTooSmall { needed: ByteSize(needed), size: ByteSize(size + around) }
}

fn inode_count(tree: &Tree, size: u64) -> u32 {
    let nodes = tree.len() as u64;
    let wanted = (size / BYTES_PER_INODE).max(nodes + nodes / 4 + 64);
    u32::try_from(wanted).unwrap_or(u32::MAX)
}

/// Bytes that the tree and the metadata of a file system of `size` bytes take: a little more than exact.
fn space_needed(tree: &Tree, size: u64, inodes: u32) -> u64 {
    let groups = size.div_ceil(BLOCK * 32768);
    let journal = (size / 64).clamp(4 << 20, 1 << 30);
    let metadata = u64::from(inodes) * INODE + journal + groups * (2 + 16) * BLOCK;
    let data: u64 = tree
        .iter()
        .map(|(path, node)| match &node.kind {
            Kind::File(content) => content.size.div_ceil(BLOCK) * BLOCK,
            Kind::Directory => BLOCK + path.as_str().len() as u64,
            _ => 64 + path.file_name().len() as u64,
        })
        .sum();
    metadata + data
}

/// Moves mkext4's output to the partition's place.
struct Offset<'a> {
    start: u64,
    disk: &'a mut DiskBuilder,
}

impl RegionSink for Offset<'_> {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        self.disk.bytes(self.start + offset, bytes);
        Ok(())
    }

    fn zeros(&mut self, _: u64, _: u64) -> std::io::Result<()> {
        Ok(())
    }
}

struct Declared<'a> {
    builder: FsBuilder,
    epoch: Epoch,
    handles: HashMap<&'a ImagePath, InodeHandle>,
    /// Regular files in the order in which their data lies on the disk.
    files: Vec<(InodeHandle, Content, &'a ImagePath)>,
}

impl<'a> Declared<'a> {
    fn new(builder: FsBuilder, epoch: Epoch) -> Self {
        Declared { builder, epoch, handles: HashMap::new(), files: Vec::new() }
    }

    fn tree(&mut self, tree: &'a Tree) -> Result<(), ImageError> {
        let mut files = Vec::new();
        let mut links = Vec::new();
        for (path, node) in tree.iter() {
            if path.file_name().len() > NAME_MAX {
                return Err(unsupported(path, format!("its name is longer than {NAME_MAX} bytes")));
            }
            if path.as_str() == LOST_AND_FOUND && node.kind == Kind::Directory {
                continue;
            }
            match &node.kind {
                Kind::File(content) => files.push((path, node, *content)),
                Kind::HardLink { target } => links.push((path, target)),
                _ => self.special(path, node)?,
            }
        }
        files.sort_by_key(|(_, _, content)| std::cmp::Reverse(content.size.div_ceil(BLOCK)));
        for (path, node, content) in files {
            let (parent, meta) = (self.parent(path)?, self.meta(node));
            let made = self.builder.file(parent, path.file_name(), meta, content.size);
            let handle = self.made(path, node, made)?;
            self.files.push((handle, content, path));
        }
        for (path, target) in links {
            let parent = self.parent(path)?;
            let target =
                *self.handles.get(target).ok_or_else(|| unsupported(path, format!("{target} is not there")))?;
            self.builder
                .hardlink(parent, path.file_name(), target)
                .map_err(|error| unsupported(path, error.to_string()))?;
        }
        Ok(())
    }

    /// Everything that has no data of its own.
    fn special(&mut self, path: &'a ImagePath, node: &Node) -> Result<(), ImageError> {
        let meta = self.meta(node);
        if path.is_root() {
            let made = self.builder.set_meta(ROOT, meta).map(|()| ROOT);
            self.made(path, node, made)?;
            return Ok(());
        }
        let (parent, name) = (self.parent(path)?, path.file_name());
        let builder = &mut self.builder;
        let made = match &node.kind {
            Kind::Directory => builder.mkdir(parent, name, meta),
            Kind::Symlink { target } => builder.symlink(parent, name, target, meta),
            Kind::CharDevice { major, minor } => {
                builder.mknod(parent, name, meta, SpecialKind::Char { major: *major, minor: *minor })
            }
            Kind::BlockDevice { major, minor } => {
                builder.mknod(parent, name, meta, SpecialKind::Block { major: *major, minor: *minor })
            }
            Kind::Fifo => builder.mknod(parent, name, meta, SpecialKind::Fifo),
            Kind::File(_) | Kind::HardLink { .. } => return Ok(()),
        };
        self.made(path, node, made)?;
        Ok(())
    }

    fn meta(&self, node: &Node) -> Meta {
        let time = (i64::from(self.epoch.0), 0);
        Meta::new(node.mode.bits() as u16, node.owner.uid, node.owner.gid, time)
    }

    fn parent(&self, path: &ImagePath) -> Result<InodeHandle, ImageError> {
        path.parent()
            .and_then(|parent| self.handles.get(&parent).copied())
            .ok_or_else(|| unsupported(path, "its directory is kept for the file system's own use".to_owned()))
    }

    fn made(
        &mut self,
        path: &'a ImagePath,
        node: &Node,
        made: mkext4::Result<InodeHandle>,
    ) -> Result<InodeHandle, ImageError> {
        let fault = |error: mkext4::Error| unsupported(path, error.to_string());
        let handle = made.map_err(fault)?;
        for (name, value) in &node.xattrs {
            match name.as_str() {
                "system.posix_acl_access" | "system.posix_acl_default" => {
                    let acl =
                        acl_on_disk(value).ok_or_else(|| unsupported(path, format!("its {name} is malformed")))?;
                    self.builder.set_xattr(handle, name, &acl).map_err(fault)?;
                }
                _ => self.builder.set_xattr(handle, name, value).map_err(fault)?,
            }
        }
        self.handles.insert(path, handle);
        Ok(handle)
    }
}

fn unsupported(path: &ImagePath, reason: String) -> ImageError {
    ImageError::Unsupported { part: PART, path: path.clone(), reason }
}

/// Converts a POSIX ACL from the form of getxattr(2) to that of the disk (Linux, fs/ext4/acl.h).
///
/// ```text
/// getxattr   u32 version = 2, then per entry  u16 tag, u16 perm, u32 id
/// ext4       u32 version = 1, then per entry  u16 tag, u16 perm, and u32 id for named users and groups only
/// ```
/// The kernel refuses the one where it wants the other.
fn acl_on_disk(value: &[u8]) -> Option<Vec<u8>> {
    const USER: u16 = 0x02;
    const GROUP: u16 = 0x08;
    /// Owner, owning group, mask, others.
    const UNNAMED: [u16; 4] = [0x01, 0x04, 0x10, 0x20];
    let (version, entries) = value.split_first_chunk::<4>()?;
    let (entries, rest) = entries.as_chunks::<8>();
    if u32::from_le_bytes(*version) != 2 || !rest.is_empty() {
        return None;
    }
    let mut disk = 1u32.to_le_bytes().to_vec();
    for entry in entries {
        match u16::from_le_bytes([entry[0], entry[1]]) {
            USER | GROUP => disk.extend_from_slice(entry),
            tag if UNNAMED.contains(&tag) => disk.extend_from_slice(&entry[..4]),
            _ => return None,
        }
    }
    Some(disk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acls_take_the_disks_form() {
        // user::rw-, user:1000:r--, group::r--, mask::r--, other::---
        let value = hex::decode(concat!(
            "02000000",
            "01000600ffffffff",
            "02000400e8030000",
            "04000400ffffffff",
            "10000400ffffffff",
            "20000000ffffffff"
        ))
        .unwrap();
        let disk = hex::encode(acl_on_disk(&value).unwrap());
        assert_eq!(disk, concat!("01000000", "01000600", "02000400e8030000", "04000400", "10000400", "20000000"));
        assert_eq!(acl_on_disk(&value[..value.len() - 1]), None);
        assert_eq!(acl_on_disk(b"\x01\0\0\0"), None);
        assert_eq!(acl_on_disk(b""), None);
    }
}
