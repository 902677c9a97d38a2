//! What the renderers write on: an overlay with its contents, a view of the base tree, and the faults found so far.

use std::collections::BTreeSet;

use super::{Base, Fault};
use crate::tree::{Change, Kind, MemoryContents, Node, Overlay};
use crate::vocab::{ImagePath, Mode};

/// Symbolic links that are followed before a path counts as unresolvable (as the kernel's ELOOP).
const MAX_LINKS: usize = 40;

pub(super) struct Canvas<'a> {
    pub(super) base: &'a Base<'a>,
    pub(super) overlay: Overlay,
    pub(super) contents: MemoryContents,
    pub(super) faults: Vec<Fault>,
    /// An image that is to boot must have every service; one without a kernel may be a part of an appliance.
    bootable: bool,
    /// Units that the first boot's presets keep enabled.
    pub(super) enabled: BTreeSet<String>,
}

impl<'a> Canvas<'a> {
    pub(super) fn new(base: &'a Base<'a>, bootable: bool) -> Self {
        Canvas {
            base,
            overlay: Overlay::new(),
            contents: MemoryContents::new(),
            faults: Vec::new(),
            bootable,
            enabled: BTreeSet::new(),
        }
    }

    /// A file that this renderer owns, whatever a package put there: 0644, root.
    pub(super) fn file(&mut self, path: &str, text: impl Into<Vec<u8>>) {
        self.file_with(path, text, |node| node);
    }

    pub(super) fn file_with(&mut self, path: &str, bytes: impl Into<Vec<u8>>, shape: impl FnOnce(Node) -> Node) {
        let node = shape(Node::file(self.contents.add(bytes)));
        self.overlay.change(ImagePath::literal(path), Change::Replace(node));
    }

    pub(super) fn symlink(&mut self, path: &str, target: &str) {
        self.overlay.change(ImagePath::literal(path), Change::Replace(Node::symlink(target)));
    }

    /// A directory; where the base has it already it stays as it is.
    pub(super) fn directory(&mut self, path: &str) {
        let path = ImagePath::literal(path);
        if self.base.tree.get(&path).is_none() {
            self.overlay.change(path, Change::Add(Node::directory()));
        }
    }

    pub(super) fn remove(&mut self, path: &ImagePath) {
        if self.base.tree.get(path).is_some() && self.overlay.get(path).is_none() {
            self.overlay.change(path.clone(), Change::Remove);
        }
    }

    /// Whether the base has the file that a part of the configuration is for. In an image that is to boot, a missing one
    /// is a fault; in one without a kernel that part is left out.
    pub(super) fn has(&mut self, path: &str, need: &'static str, package: &'static str) -> bool {
        if self.resolve(path).is_some() {
            return true;
        }
        if self.bootable {
            self.faults.push(Fault::Missing { path: path.to_owned(), need, package });
        }
        false
    }

    /// Whether everything must be there that the appliance is made of.
    pub(super) fn is_bootable(&self) -> bool {
        self.bootable
    }

    /// The path in the base after all symbolic links, those of parent directories included; `None` where it leads nowhere.
    pub(super) fn resolve(&self, path: &str) -> Option<ImagePath> {
        let mut pending: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut at = ImagePath::root();
        let mut links = 0;
        while let Some(part) = pending.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    at = at.parent().unwrap_or_else(ImagePath::root);
                    continue;
                }
                _ => {}
            }
            let next = at.join(&part).ok()?;
            match &self.base.tree.get(&next)?.kind {
                Kind::Symlink { target } => {
                    links += 1;
                    if links > MAX_LINKS {
                        return None;
                    }
                    if target.starts_with('/') {
                        at = ImagePath::root();
                    }
                    pending.extend(target.split('/').rev().map(str::to_owned));
                }
                _ => at = next,
            }
        }
        Some(at)
    }

    /// Text of a file of the base; a fault and `None` where it cannot be read as such.
    pub(super) fn text(&mut self, path: &str) -> Option<String> {
        let bytes = self.bytes(path)?;
        match String::from_utf8(bytes) {
            Ok(text) => Some(text),
            Err(_) => {
                let path = ImagePath::literal(path);
                self.faults.push(Fault::Unreadable { path, reason: "it is not UTF-8 text".to_owned() });
                None
            }
        }
    }

    /// Content of a file of the base; `None` where it does not exist, with a fault where it cannot be read.
    pub(super) fn bytes(&mut self, path: &str) -> Option<Vec<u8>> {
        let resolved = self.resolve(path)?;
        let content = self.base.tree.content(&resolved)?;
        match self.base.contents.read(&content) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.faults.push(Fault::Unreadable { path: ImagePath::literal(path), reason: error.to_string() });
                None
            }
        }
    }
}

/// Mode of files that only root may read.
pub(super) const ROOT_ONLY: Mode = Mode::SECRET;
