//! The words that every stage shares: identities, sizes, times, progress. No I/O happens here.

mod digest;
mod disk_ids;
mod epoch;
mod image_path;
mod mode;
mod progress;
mod remedy;
mod size;

pub use digest::{Digest, DigestParseError, Hasher};
pub use disk_ids::DiskIds;
pub use epoch::Epoch;
pub use image_path::{ImagePath, ImagePathError};
pub use mode::{Mode, Owner};
pub use progress::{Event, Progress, Silent, Stage};
pub use remedy::Remedy;
pub use size::{ByteSize, ByteSizeError};
