//! The disk byte for byte, as a sparse file.
//!
//! Its SHA-256 covers the whole disk. SHA-256 is a chain, there is no way to pass over a stretch of zeros: they are hashed from
//! memory, never read or written, but 25 GiB of them take 10 to 20 seconds of one processor. That is why `raw` is no
//! default, and it runs beside the other formats.

use std::path::Path;

use super::ImageError;
use super::disk::{Chunk, Disk, GRAIN};
use super::output::{Output, Written};
use super::pipeline::GrainSink;

pub(super) struct RawWriter {
    out: Output,
    size: u64,
}

impl RawWriter {
    pub(super) fn new(path: &Path, disk: &Disk) -> Result<Self, ImageError> {
        Ok(RawWriter { out: Output::create(path)?, size: disk.size() })
    }
}

impl GrainSink for RawWriter {
    fn add(&mut self, chunk: &Chunk) -> Result<(), ImageError> {
        for (grain, bytes) in chunk.iter() {
            self.out.zeros_until(grain * GRAIN);
            self.out.write(bytes)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Written, ImageError> {
        self.out.zeros_until(self.size);
        self.out.finish()
    }
}
