//! The profile: TOML as typed by a person -> checked values as meant.
//!
//! In: profile.toml, its imports, nodes.toml. Out: a [`Profile`], or every fault at once, each at its TOML span.
//! Nothing below `profile` sees TOML again.

mod model;

pub use model::*;
