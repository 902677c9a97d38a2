//! Disk images from trees, in process: bytes in, bytes out, no external program.

mod spec;

pub use spec::*;
