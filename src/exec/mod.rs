//! The only door to external programs and to the sandbox.
//!
//! Everything that leaves the process goes through here: programs found on the host, and provbuild itself, started again
//! inside fresh namespaces. Nothing else in the crate spawns.

pub mod qemu;
pub mod sandbox;
pub mod vmware;
