//! The lock: a profile's packages pinned to exact files of a signed archive.
//!
//! In: the profile's distribution and verified package indices. Out: a [`Lock`], pure data, kept beside the profile as
//! `NAME.lock`. No build runs without one. Everything here works on bytes: no file, no network, no clock.
//!
//! ```text
//! bytes ─► UnverifiedRelease ─► SignedRelease ─► VerifiedRelease ─► VerifiedIndex ─► resolve ─► Lock
//!             (keyring)          (expectation)      (digest, size)
//! ```

pub(crate) mod deb822;
mod diff;
mod error;
mod file;
mod greedy;
mod index;
mod keyring;
mod model;
mod relation;
mod release;
mod request;
mod resolve;
mod search;
mod signature;
mod universe;
mod version;

pub use diff::LockDiff;
pub use error::{Chain, LockError};
pub use index::{IndexError, VerifiedIndex, VerifiedIndices, VerifiedSuite};
pub use keyring::{Keyring, KeyringError};
pub use model::*;
pub use release::{Expectation, IndexFile, ReleaseError, SignedRelease, UnverifiedRelease, VerifiedRelease};
pub use request::{Drift, Request, distribution_name, request_digest};
pub use resolve::resolve;
pub use signature::{SignatureError, verify_detached};
pub(crate) use version::compare as compare_versions;
