//! NAME.ova as it lies on the disk: the descriptor, the manifest, and where the disk is in it; nothing is unpacked.
//!
//! In: an OVA of our own `image` stage. Out: [`Package`]. Invariants: the whole file has the digest that the build's manifest says; the descriptor
//! has the one that the OVA's own manifest says; the disk's is compared while it is sent.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::super::error::{DeployError, Kind, at};
use crate::vocab::{Digest, Hasher};

/// Of a descriptor, or a manifest.
const LONGEST_TEXT: u64 = 1 << 20;

/// An OVA that was verified.
#[derive(Debug)]
pub(super) struct Package {
    path: PathBuf,
    pub(super) descriptor: String,
    /// Name of the disk's file in the package.
    pub(super) disk: String,
    begin: u64,
    pub(super) length: u64,
    pub(super) sha256: Digest,
}

impl Package {
    /// # Errors
    /// It cannot be read, or is not what the build made.
    pub(super) fn open(path: &Path, sha256: Digest) -> Result<Self, DeployError> {
        let wrong = |why: &str| {
            DeployError::new(Kind::Settings, format!("{}: {why}", path.display())).help("build the profile again")
        };
        let mut file = File::open(path).map_err(at("open", path))?;
        let (seen, _) = Digest::of_reader(&mut file).map_err(at("read", path))?;
        if seen != sha256 {
            return Err(wrong("it is not the file that the build made: its digest is another one"));
        }
        file.seek(SeekFrom::Start(0)).map_err(at("read", path))?;
        let (mut descriptor, mut manifest, mut disk) = (None, None, None);
        let mut archive = tar::Archive::new(file);
        let entries = archive.entries_with_seek().map_err(at("read", path))?;
        for entry in entries {
            let mut entry = entry.map_err(at("read", path))?;
            let name = entry.path().map_err(at("read", path))?.to_string_lossy().into_owned();
            let (size, begin) = (entry.size(), entry.raw_file_position());
            match name.rsplit('.').next() {
                Some("ovf") if descriptor.is_none() => {
                    descriptor = Some((name, text(&mut entry, size).map_err(at("read", path))?))
                }
                Some("mf") if manifest.is_none() => manifest = Some(text(&mut entry, size).map_err(at("read", path))?),
                Some("vmdk") if disk.is_none() => disk = Some((name, begin, size)),
                Some("vmdk") => return Err(wrong("it has more than one disk")),
                _ => {}
            }
        }
        let (Some((descriptor_name, descriptor)), Some(manifest), Some((disk, begin, length))) =
            (descriptor, manifest, disk)
        else {
            return Err(wrong("a descriptor, a manifest or a disk is missing in it"));
        };
        let (Some(of_descriptor), Some(of_disk)) =
            (digest_of(&manifest, &descriptor_name), digest_of(&manifest, &disk))
        else {
            return Err(wrong("its manifest lacks the digest of the descriptor or of the disk"));
        };
        if Digest::of(descriptor.as_bytes()) != of_descriptor {
            return Err(wrong("its descriptor is not the one that its manifest speaks of"));
        }
        Ok(Package { path: path.to_owned(), descriptor, disk, begin, length, sha256: of_disk })
    }

    /// The disk's bytes, compared with their digest while they are read.
    pub(super) fn stream(&self) -> Result<Disk, DeployError> {
        let mut file = File::open(&self.path).map_err(at("open", &self.path))?;
        file.seek(SeekFrom::Start(self.begin)).map_err(at("read", &self.path))?;
        Ok(Disk { file, left: self.length, hasher: Some(Hasher::new()), expected: self.sha256 })
    }
}

/// Reads the disk; its last bytes are given only if the digest is right, so that a receiver never has a wrong one whole.
pub(super) struct Disk {
    file: File,
    left: u64,
    hasher: Option<Hasher>,
    expected: Digest,
}

impl Read for Disk {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.file.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the OVA became shorter"));
        }
        self.left -= count as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }
        if self.left == 0
            && let Some(hasher) = self.hasher.take()
            && hasher.finish() != self.expected
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the disk in the OVA has another digest than its manifest says",
            ));
        }
        Ok(count)
    }
}

fn text(entry: &mut dyn Read, size: u64) -> io::Result<String> {
    if size > LONGEST_TEXT {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a text of it is too long"));
    }
    let mut text = String::new();
    entry.take(size).read_to_string(&mut text)?;
    Ok(text)
}

/// `SHA256(NAME)= HEX`
fn digest_of(manifest: &str, name: &str) -> Option<Digest> {
    let prefix = format!("SHA256({name})=");
    manifest.lines().find_map(|line| line.strip_prefix(&prefix)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn package(directory: &Path, disk: &[u8], digest: &Digest) -> (PathBuf, Digest) {
        let manifest = format!("SHA256(a.ovf)= {}\nSHA256(a.vmdk)= {digest}\n", Digest::of(b"<Envelope/>"));
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in [("a.ovf", &b"<Envelope/>"[..]), ("a.mf", manifest.as_bytes()), ("a.vmdk", disk)] {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, name, bytes).unwrap();
        }
        let bytes = builder.into_inner().unwrap();
        let path = directory.join("a.ova");
        fs::write(&path, &bytes).unwrap();
        (path, Digest::of(&bytes))
    }

    #[test]
    fn the_disk_is_found_and_compared() {
        let directory = tempfile::tempdir().unwrap();
        let disk = vec![7; 70_000];
        let (path, sha256) = package(directory.path(), &disk, &Digest::of(&disk));
        let package_of = Package::open(&path, sha256).unwrap();
        let mut bytes = Vec::new();
        package_of.stream().unwrap().read_to_end(&mut bytes).unwrap();
        assert!(bytes == disk && package_of.length == 70_000 && package_of.disk == "a.vmdk");
        assert!(Package::open(&path, Digest::of(b"other")).unwrap_err().message.contains("digest is another one"));

        let (path, sha256) = package(directory.path(), &disk, &Digest::of(b"other"));
        let mut bytes = Vec::new();
        let error = Package::open(&path, sha256).unwrap().stream().unwrap().read_to_end(&mut bytes).unwrap_err();
        assert!(error.to_string().contains("another digest"));
        assert!(bytes.len() < disk.len(), "the last bytes came before the comparison");
    }
}
