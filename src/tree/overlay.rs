//! Rendered configuration laid over the distribution's tree.
//!
//! Nothing is replaced by accident: a path that both sides define differently is a conflict that names both, unless the
//! overlay says that it takes the path over.

use std::collections::BTreeMap;

use super::{Kind, Node, Tree};
use crate::vocab::ImagePath;

/// What an overlay does at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A new path. The base may hold the very same node, or a directory where this is one; anything else is a conflict.
    Add(Node),
    /// Takes the path over, whether or not the base has it.
    Replace(Node),
    /// Removes the path and everything below it; the base need not have it.
    Remove,
}

/// Changes by path; `origin` names who makes them ("render").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overlay {
    changes: BTreeMap<ImagePath, Change>,
}

/// A path that two sides define differently.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{path}: the profile's configuration defines it as {ours}, a package as {theirs}")]
pub struct Conflict {
    pub path: ImagePath,
    pub ours: String,
    pub theirs: String,
}

impl Overlay {
    pub fn new() -> Self {
        Self::default()
    }

    /// # Panics
    /// When the overlay changes the same path twice: a mistake in the renderer.
    pub fn change(&mut self, path: ImagePath, change: Change) {
        let before = self.changes.insert(path.clone(), change);
        assert!(before.is_none(), "{path} is rendered twice");
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ImagePath, &Change)> {
        self.changes.iter()
    }

    pub fn get(&self, path: &ImagePath) -> Option<&Change> {
        self.changes.get(path)
    }

    /// Lays the overlay over a base tree; all conflicts are found in one run.
    pub fn apply(&self, base: &Tree) -> Result<Tree, Vec<Conflict>> {
        let mut tree = base.clone();
        let mut conflicts = Vec::new();
        for (path, change) in &self.changes {
            match change {
                Change::Remove => tree.remove(path),
                Change::Replace(node) => {
                    if node.kind != Kind::Directory {
                        tree.remove(path);
                    }
                    tree.insert_with_parents(path.clone(), node.clone());
                }
                Change::Add(node) => match tree.get(path) {
                    Some(theirs) if !compatible(node, theirs) => {
                        conflicts.push(Conflict { path: path.clone(), ours: describe(node), theirs: describe(theirs) })
                    }
                    Some(_) => {}
                    None => {
                        tree.insert_with_parents(path.clone(), node.clone());
                    }
                },
            }
        }
        if conflicts.is_empty() { Ok(tree) } else { Err(conflicts) }
    }
}

fn compatible(ours: &Node, theirs: &Node) -> bool {
    ours == theirs
}

fn describe(node: &Node) -> String {
    let kind = match &node.kind {
        Kind::Directory => "directory".to_owned(),
        Kind::File(content) => format!("file {}", content.digest.short()),
        Kind::HardLink { target } => format!("hard link to {target}"),
        Kind::Symlink { target } => format!("symlink to {target}"),
        Kind::CharDevice { major, minor } => format!("character device {major}:{minor}"),
        Kind::BlockDevice { major, minor } => format!("block device {major}:{minor}"),
        Kind::Fifo => "fifo".to_owned(),
    };
    format!("{kind} {:04o} {}:{}", node.mode.bits(), node.owner.uid, node.owner.gid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Content;

    fn path(text: &str) -> ImagePath {
        ImagePath::literal(text)
    }

    fn base() -> Tree {
        let mut tree = Tree::new();
        tree.insert_with_parents(path("/etc/hostname"), Node::file(Content::of(b"localhost\n")));
        tree.insert_with_parents(path("/etc/default/x"), Node::file(Content::of(b"x")));
        tree
    }

    #[test]
    fn a_silent_replacement_is_a_conflict_that_names_both_sides() {
        let mut overlay = Overlay::new();
        overlay.change(path("/etc/hostname"), Change::Add(Node::file(Content::of(b"mylab\n"))));
        overlay.change(path("/etc/default"), Change::Add(Node::symlink("elsewhere")));
        let conflicts = overlay.apply(&base()).unwrap_err();
        assert_eq!(conflicts.len(), 2);
        assert_eq!(
            conflicts[0].to_string(),
            "/etc/default: the profile's configuration defines it as symlink to elsewhere 0777 0:0, \
             a package as directory 0755 0:0"
        );
    }

    #[test]
    fn declared_changes_apply_and_parents_appear() {
        let mut overlay = Overlay::new();
        overlay.change(path("/etc/hostname"), Change::Replace(Node::file(Content::of(b"mylab\n"))));
        overlay.change(path("/etc/default"), Change::Remove);
        overlay.change(path("/srv/http/boot.ipxe"), Change::Add(Node::file(Content::of(b"#!ipxe\n"))));
        let tree = overlay.apply(&base()).unwrap();
        assert_eq!(tree.check(), Ok(()));
        assert_eq!(tree.content(&path("/etc/hostname")), Some(Content::of(b"mylab\n")));
        assert_eq!(tree.get(&path("/etc/default/x")), None);
        assert_eq!(tree.get(&path("/srv/http")), Some(&Node::directory()));
    }

    #[test]
    fn the_same_node_on_both_sides_is_no_conflict() {
        let mut overlay = Overlay::new();
        overlay.change(path("/etc/default/x"), Change::Add(Node::file(Content::of(b"x"))));
        assert_eq!(overlay.apply(&base()), Ok(base()));
    }
}
