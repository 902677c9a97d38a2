//! YAML as cloud-init and subiquity read it (PyYAML's safe loader), with places.
//!
//! In: text of any origin. Out: the first document's tree, and remarks on what PyYAML refuses or silently drops.
//! Bounded in size, depth and alias expansion: hostile text costs neither stack nor memory.

mod read;
mod scalar;
mod tree;

pub(super) use read::read;
pub(super) use tree::{Entry, Node, Value};
