//! Drives the stages: what is done already, what must run, in which order.
//!
//! In: a profile's path and where things may be put. Out: `out/NAME` with the artifacts and `manifest.json`.
//! Invariant: planning reads and decides, and changes nothing; acting takes the plan.

mod daemon;
mod error;
mod keys;
mod locking;
mod media;
mod out;
mod outputs;
mod pipeline;
#[cfg(test)]
mod tests;

pub use daemon::{DaemonError, places as daemon_places};
pub use error::BuildError;
pub use keys::CODE;
pub use locking::LockOutcome;
pub use media::ArmError;
pub use pipeline::{Build, Built, Plan, StagePlan};
