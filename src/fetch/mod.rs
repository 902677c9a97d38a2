//! Fetch: indices and packages from mirrors into the content-addressed store.
//!
//! In: mirrors and what to have. Out: verified files in the [`Store`]. Invariant: every name in the store belongs to
//! complete, verified content, whenever the process dies.

mod download;
mod error;
mod fetcher;
mod file;
mod host_apt;
mod mirrors;
mod store;
mod transport;

pub use error::{FailedPackage, FetchError, MirrorError, OtherFile, Tried};
pub use fetcher::{DEFAULT_JOBS, FetchedPackage, Fetcher};
pub use file::{FileFetcher, FileRequest};
pub use host_apt::HostApt;
pub use mirrors::{Archive, Mirrors};
pub use store::Store;
pub use transport::Network;
