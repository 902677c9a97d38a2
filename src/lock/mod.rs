//! The lock: a profile's packages pinned to exact files of a signed archive.
//!
//! In: the profile's distribution and verified package indices. Out: a [`Lock`], pure data, kept beside the profile as
//! `NAME.lock`. No build runs without one.

mod model;

pub use model::*;
