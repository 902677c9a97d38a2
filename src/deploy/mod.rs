//! From a finished build to a running virtual machine: created, upgraded by a swap of the system disk, rolled back.
//!
//! ```text
//! manifest ─► release ─┐
//! record ──────────────┼─► plan (steps, pure) ─► engine ─► site: workstation, vsphere
//! site: observed ──────┘                            └────► health, seed
//! qemu, libvirt: the same images and MACs, without generations
//! ```
//! In: a finished build and the profile's `[deploy]`. Out: a machine that says at `/healthz` that it runs this build's image, or the one
//! before it. Invariants: the record is written before what it speaks of is done, so that whoever comes next knows; the state disk is
//! made once and removed only where `destroy --with-state` says so.

mod engine;
mod error;
mod health;
mod libvirt;
mod plan;
pub mod qemu;
mod record;
mod release;
pub mod seed;
mod site;
#[cfg(test)]
mod tests;
pub mod vsphere;
pub mod workstation;

pub use engine::{Clock, Deployment, MakeSeed, Orders, Outcome, Terms};
pub use error::{DeployError, Kind};
pub use health::{Answer, Health, Healthz};
pub use plan::{Plan, Step};
pub use record::{Fate, Generation, Pending, Record, StateDisk};
pub use release::Release;
pub use site::{Configuration, Observed, Site};
