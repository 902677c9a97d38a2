//! The root file system as data: path -> inode, contents by digest.
//!
//! A `Tree` is what the pipeline passes on: `rootfs` reads one back from dpkg's work, `render` lays an [`Overlay`] over
//! it, `image` writes it down. Ownership and modes live here and nowhere on the build host. Invariants, checked by
//! [`Tree::check`]: the root is a directory, every parent is a directory, a hard link names an earlier regular file.
//! No inode has a time: in an image all of them are the lock's epoch.

mod contents;
mod dump;
mod overlay;
mod pack;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::vocab::{Digest, Hasher, ImagePath, Mode, Owner};

pub use contents::{Contents, Layered, MemoryContents};
pub use overlay::{Change, Conflict, Overlay};
pub use pack::{Pack, PackError, PackWriter};

/// The bytes of a regular file, by identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Content {
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
}

impl Content {
    pub fn of(bytes: &[u8]) -> Self {
        Content { digest: Digest::of(bytes), size: bytes.len() as u64 }
    }
}

/// What an inode is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Directory,
    File(Content),
    /// Another name of the regular file at `target`, which sorts before this path. Mode, owner and xattrs are the target's.
    HardLink {
        target: ImagePath,
    },
    /// The target as it is stored: relative or absolute, not resolved.
    Symlink {
        target: String,
    },
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
}

/// One inode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    pub kind: Kind,
    pub mode: Mode,
    pub owner: Owner,
    /// Extended attributes by full name ("security.capability"), values as getxattr(2) gives them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

impl Node {
    fn of_root(kind: Kind, mode: Mode) -> Self {
        Node { kind, mode, owner: Owner::ROOT, xattrs: BTreeMap::new() }
    }

    pub fn directory() -> Self {
        Self::of_root(Kind::Directory, Mode::DIRECTORY)
    }

    pub fn file(content: Content) -> Self {
        Self::of_root(Kind::File(content), Mode::FILE)
    }

    pub fn symlink(target: impl Into<String>) -> Self {
        Self::of_root(Kind::Symlink { target: target.into() }, Mode::LINK)
    }

    pub fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    pub fn with_owner(mut self, owner: Owner) -> Self {
        self.owner = owner;
        self
    }
}

/// A file system tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tree {
    nodes: BTreeMap<ImagePath, Node>,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

/// A tree that breaks an invariant.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TreeFault {
    #[error("the tree has no root directory")]
    NoRoot,
    #[error("{path}: its parent is missing or not a directory")]
    Orphan { path: ImagePath },
    #[error("{path}: hard link to {target}, which is not a regular file before it")]
    BadLink { path: ImagePath, target: ImagePath },
}

impl Tree {
    /// A tree that holds only the root directory, 0755 root:root.
    pub fn new() -> Self {
        Tree { nodes: BTreeMap::from([(ImagePath::root(), Node::directory())]) }
    }

    /// Puts a node at a path and gives back what was there.
    pub fn insert(&mut self, path: ImagePath, node: Node) -> Option<Node> {
        self.nodes.insert(path, node)
    }

    /// Puts a node at a path, with directories 0755 root:root for the parents that are missing.
    pub fn insert_with_parents(&mut self, path: ImagePath, node: Node) -> Option<Node> {
        let mut parent = path.parent();
        while let Some(directory) = parent {
            if self.nodes.contains_key(&directory) {
                break;
            }
            parent = directory.parent();
            self.nodes.insert(directory, Node::directory());
        }
        self.nodes.insert(path, node)
    }

    pub fn get(&self, path: &ImagePath) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Removes a node and everything below it.
    pub fn remove(&mut self, path: &ImagePath) {
        let below: Vec<_> = self.below(path).map(|(path, _)| path.clone()).collect();
        below.iter().for_each(|path| {
            self.nodes.remove(path);
        });
    }

    /// A node and everything below it, in order.
    pub fn below<'a>(&'a self, path: &'a ImagePath) -> impl Iterator<Item = (&'a ImagePath, &'a Node)> {
        self.nodes.range(path.clone()..).take_while(move |(other, _)| other.is_within(path))
    }

    /// All nodes; a directory stands directly before its contents.
    pub fn iter(&self) -> impl Iterator<Item = (&ImagePath, &Node)> {
        self.nodes.iter()
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.len() <= 1
    }

    /// Content of the regular file at a path; hard links are followed, symbolic links are not.
    pub fn content(&self, path: &ImagePath) -> Option<Content> {
        match &self.get(path)?.kind {
            Kind::File(content) => Some(*content),
            Kind::HardLink { target } => self.content(target),
            _ => None,
        }
    }

    /// Checks the invariants that every consumer relies on.
    pub fn check(&self) -> Result<(), TreeFault> {
        match self.nodes.get(&ImagePath::root()) {
            Some(Node { kind: Kind::Directory, .. }) => {}
            _ => return Err(TreeFault::NoRoot),
        }
        for (path, node) in &self.nodes {
            if let Some(parent) = path.parent()
                && !matches!(self.nodes.get(&parent), Some(Node { kind: Kind::Directory, .. }))
            {
                return Err(TreeFault::Orphan { path: path.clone() });
            }
            if let Kind::HardLink { target } = &node.kind
                && (target >= path || !matches!(self.nodes.get(target), Some(Node { kind: Kind::File(_), .. })))
            {
                return Err(TreeFault::BadLink { path: path.clone(), target: target.clone() });
            }
        }
        Ok(())
    }

    /// Identity of the whole tree: every path in its order with kind, mode, owner, extended attributes and content.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        for (path, node) in &self.nodes {
            hasher.field(path.as_str().as_bytes());
            let (kind, what): (&[u8], Vec<u8>) = match &node.kind {
                Kind::Directory => (b"directory", Vec::new()),
                Kind::File(content) => (b"file", content.digest.as_bytes().to_vec()),
                Kind::HardLink { target } => (b"hard link", target.as_str().into()),
                Kind::Symlink { target } => (b"symlink", target.as_str().into()),
                Kind::CharDevice { major, minor } => (b"char device", format!("{major}:{minor}").into()),
                Kind::BlockDevice { major, minor } => (b"block device", format!("{major}:{minor}").into()),
                Kind::Fifo => (b"fifo", Vec::new()),
            };
            hasher.field(kind);
            hasher.field(&what);
            for number in [node.mode.bits(), node.owner.uid, node.owner.gid, node.xattrs.len() as u32] {
                hasher.update(&number.to_le_bytes());
            }
            for (name, value) in &node.xattrs {
                hasher.field(name.as_bytes());
                hasher.field(value);
            }
        }
        hasher.finish()
    }

    /// Sum of the sizes of all regular files, in bytes; hard links count once.
    pub fn content_size(&self) -> u64 {
        self.nodes
            .values()
            .map(|node| match node.kind {
                Kind::File(content) => content.size,
                _ => 0,
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invariants_are_checked() {
        let path = ImagePath::literal;
        let mut tree = Tree::new();
        assert_eq!(tree.check(), Ok(()));
        tree.insert_with_parents(path("/etc/b"), Node::file(Content::of(b"x")));
        tree.insert(path("/etc/c"), Node::of_root(Kind::HardLink { target: path("/etc/b") }, Mode::FILE));
        assert_eq!(tree.check(), Ok(()));
        assert_eq!(tree.content(&path("/etc/c")), Some(Content::of(b"x")));

        let mut early = tree.clone();
        early.insert(path("/etc/a"), Node::of_root(Kind::HardLink { target: path("/etc/b") }, Mode::FILE));
        assert!(matches!(early.check(), Err(TreeFault::BadLink { .. })));

        tree.insert(path("/var/log"), Node::directory());
        assert_eq!(tree.check(), Err(TreeFault::Orphan { path: path("/var/log") }));
    }

    #[test]
    fn every_part_of_a_node_counts_in_the_digest() {
        let path = ImagePath::literal("/etc/x");
        let with = |node: Node| {
            let mut tree = Tree::new();
            tree.insert_with_parents(path.clone(), node);
            tree.digest()
        };
        let file = || Node::file(Content::of(b"x"));
        let mut attributes = file();
        attributes.xattrs.insert("security.capability".to_owned(), vec![1]);
        let all = [
            with(file()),
            with(Node::file(Content::of(b"y"))),
            with(file().with_mode(Mode::SECRET)),
            with(file().with_owner(Owner { uid: 880, gid: 880 })),
            with(attributes),
            with(Node::symlink("x")),
            with(Node::directory()),
            Tree::new().digest(),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(with(file()), with(file()));
    }

    #[test]
    fn removing_a_directory_takes_what_is_below_and_nothing_beside() {
        let mut tree = Tree::new();
        for path in ["/a/b/c", "/a/b-c", "/a/c"] {
            tree.insert_with_parents(ImagePath::literal(path), Node::file(Content::of(b"")));
        }
        tree.remove(&ImagePath::literal("/a/b"));
        let left: Vec<_> = tree.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(left, ["/", "/a", "/a/b-c", "/a/c"]);
    }
}
