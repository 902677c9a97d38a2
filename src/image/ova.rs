//! The OVF package as one file (DMTF DSP0243, 6.4): a ustar archive, descriptor first, then manifest, then disk.
//!
//! In: the descriptor's text and the finished VMDK. Out: NAME.ova. The disk's bytes are copied, not compressed again; the
//! archive's digest needs them a second time, since the descriptor before them holds their length and the manifest their
//! digest.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::ImageError;
use super::output::{Output, Written};
use crate::vocab::{Digest, Epoch};

const BLOCK: u64 = 512;
const COPY_BUFFER: usize = 1 << 20;

/// Writes the package; members are NAME.ovf, NAME.mf and `disk_name`. Also gives the byte in which the disk starts.
pub(super) fn write(
    path: &Path,
    name: &str,
    descriptor: &str,
    (disk, disk_name): (&Written, &str),
    epoch: Epoch,
) -> Result<(Written, u64), ImageError> {
    let ovf_name = format!("{name}.ovf");
    let manifest =
        format!("SHA256({ovf_name})= {}\nSHA256({disk_name})= {}\n", Digest::of(descriptor.as_bytes()), disk.sha256);
    let mut out = Output::create(path)?;
    for (name, text) in [(ovf_name, descriptor), (format!("{name}.mf"), &manifest)] {
        out.write(&header(path, &name, text.len() as u64, epoch)?)?;
        out.write(text.as_bytes())?;
        out.align(BLOCK);
    }
    out.write(&header(path, disk_name, disk.size, epoch)?)?;
    let begin = out.position();
    let mut file = File::open(&disk.path).map_err(|error| ImageError::io(&disk.path, error))?;
    let mut buffer = vec![0; COPY_BUFFER];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => out.write(&buffer[..length])?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ImageError::io(&disk.path, error)),
        }
    }
    if out.position() - begin != disk.size {
        let error = std::io::Error::other("it changed while it was packed");
        return Err(ImageError::io(&disk.path, error));
    }
    out.align(BLOCK);
    // Two blocks of zeros end an archive.
    out.zeros_until(out.position() + 2 * BLOCK);
    Ok((out.finish()?, begin))
}

/// A member's header: owner root, mode 0644, time of the epoch, no names of the build host.
fn header(path: &Path, name: &str, size: u64, epoch: Epoch) -> Result<[u8; BLOCK as usize], ImageError> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).map_err(|error| ImageError::io(path, error))?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(u64::from(epoch.0));
    header.set_size(size);
    header.set_cksum();
    Ok(*header.as_bytes())
}
