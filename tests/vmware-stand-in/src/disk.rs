//! What kind of virtual disk a VMDK is: which ones Workstation writes to.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Sparse or flat: can be written to.
    Writable,
    /// Compressed grains: for transport only.
    StreamOptimized,
    /// No VMDK, or one that ends too early.
    Unknown,
}

const HEADER: usize = 512;
/// Of the flags in a sparse extent's header.
const COMPRESSED: u32 = 1 << 16;

pub(crate) fn kind(path: &Path) -> std::io::Result<Kind> {
    let mut begin = Vec::new();
    File::open(path)?.take(64 << 10).read_to_end(&mut begin)?;
    if begin.starts_with(b"KDMV") && begin.len() >= HEADER {
        let number = |at: usize| u32::from_le_bytes([begin[at], begin[at + 1], begin[at + 2], begin[at + 3]]);
        return Ok(if number(8) & COMPRESSED == 0 { Kind::Writable } else { Kind::StreamOptimized });
    }
    let text = String::from_utf8_lossy(&begin);
    if !text.starts_with("# Disk DescriptorFile") {
        return Ok(Kind::Unknown);
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    let extent_is_there = |line: &str| {
        let name = line.split('"').nth(1);
        !line.starts_with("RW ") || name.is_some_and(|name| directory.join(name).is_file())
    };
    Ok(match text.lines().find_map(|line| line.trim().strip_prefix("createType=")).map(|kind| kind.trim_matches('"')) {
        Some("monolithicFlat" | "monolithicSparse" | "twoGbMaxExtentSparse" | "twoGbMaxExtentFlat")
            if text.lines().all(extent_is_there) =>
        {
            Kind::Writable
        }
        Some("streamOptimized") => Kind::StreamOptimized,
        _ => Kind::Unknown,
    })
}
