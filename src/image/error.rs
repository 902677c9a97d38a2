//! Why an image cannot be written.

use std::io;
use std::path::{Path, PathBuf};

use crate::tree::{Content, TreeFault};
use crate::vocab::{ByteSize, Digest, ImagePath, Remedy};

#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("{path}: no space left on the build host's disk")]
    HostDiskFull { path: PathBuf },
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: its content {digest} is missing from the store")]
    ContentMissing { path: ImagePath, digest: Digest },
    #[error("{path}: its content cannot be read: {source}")]
    ContentUnreadable { path: ImagePath, source: io::Error },
    #[error("the files need a disk of about {needed}, but the appliance's disk has {size}")]
    DiskTooSmall { needed: ByteSize, size: ByteSize },
    #[error("a disk of {size} is not possible: {reason}")]
    DiskSize { size: ByteSize, reason: &'static str },
    #[error("a growable disk of {size} in one file is not possible")]
    WritableDiskSize { size: ByteSize },
    #[error("{path}: it is there already, and no disk is ever overwritten")]
    Exists { path: PathBuf },
    #[error("{part} file system: {fault}")]
    Tree { part: &'static str, fault: TreeFault },
    #[error("{path}: the {part} file system cannot hold it: {reason}")]
    Unsupported { part: &'static str, path: ImagePath, reason: String },
    #[error("the root file system cannot be laid out: {reason}")]
    Ext4 { reason: String },
    #[error("the partition table cannot be laid out: {reason}")]
    PartitionTable { reason: String },
    #[error("the machine's {field} '{value}' is not possible: {reason}")]
    Machine { field: &'static str, value: String, reason: &'static str },
}

impl ImageError {
    /// An error of the host's file at `path`; a full disk gets its own name.
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                ImageError::HostDiskFull { path: path.to_owned() }
            }
            _ => ImageError::Io { path: path.to_owned(), source },
        }
    }

    /// An error while the content of `path` was opened or read.
    pub(super) fn content(path: &ImagePath, content: &Content, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => ImageError::ContentMissing { path: path.clone(), digest: content.digest },
            _ => ImageError::ContentUnreadable { path: path.clone(), source },
        }
    }
}

impl Remedy for ImageError {
    fn help(&self) -> Option<String> {
        Some(match self {
            ImageError::HostDiskFull { path } => {
                let place = path.parent().unwrap_or(path).display();
                format!(
                    "free some space below {place}, remove what older builds left with `provbuild gc`, or ask for \
                     fewer formats in [outputs]; what was built so far is kept, the next run continues from there"
                )
            }
            ImageError::ContentMissing { .. } | ImageError::ContentUnreadable { .. } => {
                "the store lost a part of an earlier stage: remove that stage with `provbuild gc` and build again"
                    .into()
            }
            ImageError::DiskTooSmall { needed, .. } => {
                format!("raise appliance.disk to {needed} or more, or install less")
            }
            ImageError::DiskSize { .. } => "change appliance.disk, for example to \"25GiB\"".into(),
            ImageError::WritableDiskSize { .. } => format!(
                "such a file ends before 2TiB: whole sectors of 512 bytes up to {} are possible",
                super::LARGEST_WRITABLE_VMDK
            ),
            ImageError::Unsupported { .. } => "change or leave out the package or file that brings this path".into(),
            ImageError::Machine { .. } => "change it in [appliance]".into(),
            ImageError::Io { .. }
            | ImageError::Exists { .. }
            | ImageError::Tree { .. }
            | ImageError::Ext4 { .. }
            | ImageError::PartitionTable { .. } => return None,
        })
    }
}
