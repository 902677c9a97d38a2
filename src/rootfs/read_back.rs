//! The sandbox's root, read into a pack.
//!
//! Runs inside, so that owners are the image's and capabilities carry no foreign root id. File contents are read and
//! hashed in parallel, batch by batch, and written in the order of their paths.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use rayon::prelude::*;

use super::failure::Failure;
use super::normalise::{Rewrite, Verdict, verdict};
use crate::tree::{Content, Kind, Node, PackWriter, Tree};
use crate::vocab::{Epoch, ImagePath, Mode, Owner};

/// Bytes of file contents that are held in memory at once (a single larger file is held whole).
const BATCH: u64 = 64 << 20;

/// A regular file whose contents are still to be read.
struct Pending {
    path: ImagePath,
    node: Node,
    size: u64,
    rewrite: Option<Rewrite>,
}

/// Reads `/` into the pack.
pub(super) fn read_back(mut pack: PackWriter, epoch: Epoch, size_limit: u64) -> Result<(), Failure> {
    let mut tree = Tree::new();
    let mut pending = Vec::new();
    walk(&ImagePath::root(), &mut tree, &mut pending, &mut HashMap::new())
        .map_err(Failure::io("read the tree back"))?;
    // A sparse file may claim any length; the memory that it would take to read it is not there.
    let claimed = pending.iter().fold(0u64, |sum, file| sum.saturating_add(file.size));
    if claimed > size_limit {
        return Err(Failure::too_large());
    }
    let mut rest = pending.as_slice();
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|file| {
            bytes += file.size;
            bytes <= BATCH
        });
        let count = fits.count().max(1);
        let (batch, later) = rest.split_at(count);
        let contents: Vec<(Content, Vec<u8>)> = batch
            .par_iter()
            .map(|file| {
                let bytes = fs::read(file.path.as_str()).map_err(Failure::io(format!("read {}", file.path)))?;
                let bytes = match file.rewrite {
                    Some(rewrite) => rewrite(&bytes, epoch),
                    None => bytes,
                };
                Ok((Content::of(&bytes), bytes))
            })
            .collect::<Result<_, Failure>>()?;
        for (file, (content, bytes)) in batch.iter().zip(contents) {
            pack.add_known(content, &bytes).map_err(|error| Failure::pack(&error))?;
            tree.insert(file.path.clone(), Node { kind: Kind::File(content), ..file.node.clone() });
        }
        rest = later;
    }
    pack.finish(tree).map_err(|error| Failure::pack(&error))
}

fn walk(
    directory: &ImagePath,
    tree: &mut Tree,
    pending: &mut Vec<Pending>,
    links: &mut HashMap<(u64, u64), ImagePath>,
) -> io::Result<()> {
    let meta = fs::symlink_metadata(directory.as_str())?;
    tree.insert(directory.clone(), node(directory, &meta, Kind::Directory)?);
    if matches!(verdict(directory), Verdict::Empty) {
        return Ok(());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(directory.as_str())? {
        let name = entry?.file_name().into_string();
        names.push(name.map_err(|name| io::Error::other(format!("{directory}: file name {name:?} is not UTF-8")))?);
    }
    names.sort();
    for name in names {
        let path = directory.join(&name).map_err(io::Error::other)?;
        let rewrite = match verdict(&path) {
            Verdict::Drop => continue,
            Verdict::Rewrite(rewrite) => Some(rewrite),
            Verdict::Keep | Verdict::Empty => None,
        };
        let meta = fs::symlink_metadata(path.as_str())?;
        let kind = meta.file_type();
        let (major, minor) = (nix::sys::stat::major(meta.rdev()) as u32, nix::sys::stat::minor(meta.rdev()) as u32);
        if kind.is_dir() {
            walk(&path, tree, pending, links)?;
        } else if kind.is_file() {
            if meta.nlink() > 1 {
                if let Some(target) = links.get(&(meta.dev(), meta.ino())) {
                    let target = target.clone();
                    tree.insert(path.clone(), node(&path, &meta, Kind::HardLink { target })?);
                    continue;
                }
                links.insert((meta.dev(), meta.ino()), path.clone());
            }
            // The kind is a place holder until the contents are read.
            let node = node(&path, &meta, Kind::Fifo)?;
            pending.push(Pending { path, node, size: meta.len(), rewrite });
        } else if kind.is_symlink() {
            let target = fs::read_link(path.as_str())?.into_os_string().into_string();
            let target = target.map_err(|_| io::Error::other(format!("{path}: the link's target is not UTF-8")))?;
            tree.insert(path.clone(), node(&path, &meta, Kind::Symlink { target })?);
        } else if kind.is_fifo() {
            tree.insert(path.clone(), node(&path, &meta, Kind::Fifo)?);
        } else if kind.is_char_device() {
            tree.insert(path.clone(), node(&path, &meta, Kind::CharDevice { major, minor })?);
        } else if kind.is_block_device() {
            tree.insert(path.clone(), node(&path, &meta, Kind::BlockDevice { major, minor })?);
        }
        // Sockets belong to processes that have ended.
    }
    Ok(())
}

/// Labels that the build host's security modules put on every file are the host's, not the image's.
fn belongs_to_the_image(xattr: &str) -> bool {
    xattr == "security.capability" || xattr.starts_with("system.posix_acl_") || xattr.starts_with("user.")
}

fn node(path: &ImagePath, meta: &fs::Metadata, kind: Kind) -> io::Result<Node> {
    let mut xattrs = BTreeMap::new();
    if !matches!(kind, Kind::Symlink { .. }) {
        for name in xattr::list(path.as_str())? {
            if let Some(text) = name.to_str().filter(|text| belongs_to_the_image(text))
                && let Some(value) = xattr::get(path.as_str(), &name)?
            {
                xattrs.insert(text.to_owned(), value);
            }
        }
    }
    let mode = match kind {
        Kind::Symlink { .. } => Mode::LINK,
        _ => Mode::new(meta.mode()),
    };
    Ok(Node { kind, mode, owner: Owner { uid: meta.uid(), gid: meta.gid() }, xattrs })
}
