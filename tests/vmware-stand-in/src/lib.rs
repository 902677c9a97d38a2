//! For tests only: VMware Workstation, as far as provbuild uses it. Stubs of `vmrun` and `vmrest` over one engine that either runs
//! nothing (paper) or runs the machine that a VMX describes under QEMU.
//!
//! ```text
//! vmrun, vmrest ─► engine ─► machine (what the VMX means) ─► vmx (the dictionary), disk (what the VMDKs are)
//!    │                │
//!    └─► calls        └────► qemu, qmp, guest
//! bench: the directory, the wrappers and the faults, for a test
//! ```
//! It is not VMware's and contains nothing of it; README.md says where its behaviour is from. Invariant: nothing here is shared with
//! provbuild, so that a misunderstanding of the one is not confirmed by the other.

pub mod bench;
pub mod calls;
mod disk;
pub mod engine;
mod faults;
mod guest;
pub mod machine;
mod qemu;
mod qmp;
pub mod settings;
mod state;
pub mod vmrest;
pub mod vmrun;
pub mod vmx;
pub mod watch;

pub use bench::Bench;
pub use settings::{Mode, Settings};

/// Why VMware refuses, in vmrun's words without "Error: ". Further lines are the stand-in's own, for whoever reads a failed test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub String);

impl Refusal {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Refusal(text.into())
    }

    /// What is wrong, for a person.
    #[must_use]
    pub(crate) fn because(self, detail: &str) -> Self {
        Refusal(format!("{}\n{detail}", self.0))
    }
}

/// A number for a text that is the same in each run (FNV-1a).
pub(crate) fn hash(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Seconds since 1970.
pub(crate) fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Writes a file so that a reader sees the old one or the new one.
pub(crate) fn replace(path: &std::path::Path, text: &[u8]) -> std::io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}~", std::process::id()));
    std::fs::write(&aside, text)?;
    std::fs::rename(&aside, path)
}
