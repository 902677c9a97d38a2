//! The one time that an image knows.

use serde::{Deserialize, Serialize};

/// Seconds since 1970-01-01T00:00:00Z. Every time stamp in an image equals the lock's epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u32);

impl Epoch {
    /// Days since 1970-01-01, the unit of shadow(5).
    pub fn days(self) -> u32 {
        self.0 / 86_400
    }
}
