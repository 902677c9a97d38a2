//! Disk images from trees, in process: bytes in, bytes out, no external program.
//!
//! In: two trees (root, ESP) with their contents, identities, an epoch, and the machine around the disk. Out: raw, VMDK, OVA,
//! VMX and qcow2 files, with the SHA-256 of each. Invariant: the same input gives the same bytes, on any machine.
//!
//! ```text
//! gpt, fat, ext4 ─► disk (extents) ─► pipeline (one pass) ─► vmdk, qcow2, raw ─► ova (ovf), vmx
//! ```
//! The disk is never there as a whole: it is a list of extents, whose bytes are computed metadata or stretches of
//! contents. One pass over them feeds all formats. The extents also say what a grain is made of, which is how grains
//! that an earlier build compressed are found again.

mod disk;
mod error;
mod ext4;
mod fat;
mod gpt;
mod machine;
mod output;
mod ova;
mod ovf;
mod pipeline;
mod qcow2;
mod raw;
mod reuse;
mod spec;
mod vmdk;
mod vmx;
mod write;

#[cfg(test)]
mod tests;

pub use error::ImageError;
pub use spec::*;
pub use vmdk::{LARGEST_WRITABLE_VMDK, name_vmdk, write_blank_vmdk};
pub use write::{write_images, write_images_reusing};
