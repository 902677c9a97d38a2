//! STUB until the image module has them: `crate::image::{name_vmdk, write_blank_vmdk}`, with the same signatures.

use std::io::{self, Write as _};
use std::path::Path;

use super::layout::create_private;
use crate::vocab::{ByteSize, Digest};

pub(super) fn write_blank_vmdk(path: &Path, size: ByteSize, identity: &Digest) -> io::Result<()> {
    let mut file = create_private(path)?;
    write!(file, "STUB of a blank disk, {size}, {identity}")?;
    file.sync_all()
}

pub(super) fn name_vmdk(_: &Path, _: &str) -> io::Result<()> {
    Ok(())
}
