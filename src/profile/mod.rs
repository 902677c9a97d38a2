//! The profile: TOML as typed by a person -> checked values as meant.
//!
//! In: profile.toml, its imports, nodes.toml. Out: a [`Profile`], or every fault at once, each at its TOML span.
//! Nothing below `profile` sees TOML again.
//!
//! ```text
//! text ─ value: parse ─► tree ─ check: keys, types, texts ─► sound tree ─ value: merge imports ─► one tree
//!      ─ decode, network, nodes: defaults, relations ─► Profile
//! ```
//! Each step reports what it finds, takes it out and goes on. `options` is the one description of what may be written.

mod advice;
#[cfg(test)]
mod advice_tests;
mod bios;
#[cfg(test)]
mod bios_tests;
mod check;
mod control;
mod decode;
mod deploy;
mod disk;
#[cfg(test)]
mod disk_tests;
mod distributions;
#[cfg(test)]
mod fault_tests;
mod glob;
mod identities;
mod import;
mod init;
mod installers;
mod json;
mod load;
mod medium;
mod model;
mod names;
mod network;
mod nodes;
mod options;
mod reader;
mod schema;
mod secrets;
mod site;
mod storage;
#[cfg(test)]
mod tests;
mod value;
mod word;

use crate::diagnostic::{fault, source};
use netboot::suggest;

pub use crate::diagnostic::{Faults, Finding, Notes, Warnings};
pub use distributions::{RELEASES, Release, release, releases};
pub use import::{Imported, import};
pub use init::init;
pub use load::{Loaded, load, load_nodes};
pub use model::*;
pub use nodes::memory_for;
pub use schema::{Options, options, schema};
pub use suggest::nearest;
