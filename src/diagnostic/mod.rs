//! What is wrong with a text that a person wrote, shown at its place.
//!
//! In: texts with their paths, and faults with byte ranges in them. Out: excerpts in rustc's form, without the places
//! that must not be shown. A fault's place is always inside its text.

pub(crate) mod fault;
pub(crate) mod source;

pub use fault::{Faults, Finding, Notes, Warnings};
