//! From .debs to a configured root file system, read back as a [`crate::tree::Tree`].
//!
//! ```text
//! outside: request ─► sandbox ─► inside: unpack (parallel) ─► dpkg database ─► preinst ─► dpkg --configure ─► initramfs
//!                                                         pack on the host ◄─ read back, normalised ◄─┘
//! ```
//! In: verified .debs and the epoch. Out: a pack (tree and contents) in a directory of the caller's.
//! Invariant: the same .debs and epoch give the same pack, whatever the host, its clock, its user or its file system.

mod accounts;
mod ar;
mod configure;
mod database;
mod deb;
mod failure;
mod in_tree;
mod initramfs;
mod inside;
mod log;
mod normalise;
mod outside;
mod read_back;
mod unpack;

pub use failure::Failure;
pub use inside::run as run_inside;
pub use outside::{PackageFile, RootfsError, build};
