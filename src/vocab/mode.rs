//! Permission bits and ownership as they stand in the image; the host's files carry neither.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The twelve permission bits of inode(7): set-user-id, set-group-id, sticky, and rwx for user, group, others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mode(u16);

impl Mode {
    pub const DIRECTORY: Mode = Mode(0o755);
    pub const FILE: Mode = Mode(0o644);
    pub const EXECUTABLE: Mode = Mode(0o755);
    pub const SECRET: Mode = Mode(0o600);
    pub const LINK: Mode = Mode(0o777);

    /// Keeps the low twelve bits.
    pub const fn new(bits: u32) -> Self {
        Mode((bits & 0o7777) as u16)
    }

    pub const fn bits(self) -> u32 {
        self.0 as u32
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// Numeric user and group id inside the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

impl Owner {
    pub const ROOT: Owner = Owner { uid: 0, gid: 0 };
}
