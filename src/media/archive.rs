//! Kernel and initrd out of debian-installer's netboot.tar.gz.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};

use flate2::bufread::GzDecoder;
use netboot::Traits;
use tar::Archive;

use super::{FILE_LIMIT, Found, Reason, TEXT_LIMIT, identify};

/// Bytes that the archive may have unpacked: it is read as a stream.
const ARCHIVE_LIMIT: u64 = 4 << 30;

pub(super) fn read(file: &mut File, traits: &Traits) -> Result<Found, Reason> {
    let (mut kernel, mut initrd, mut identity) = (None, None, None);
    let mut archive = open(file)?;
    let entries = archive.entries().map_err(broken)?;
    for entry in entries {
        let mut entry = entry.map_err(broken)?;
        let path = entry.path_bytes().into_owned();
        let path = String::from_utf8_lossy(&path).into_owned();
        let name = path.trim_start_matches("./");
        let (place, limit) = match name {
            _ if name == traits.kernel => (&mut kernel, FILE_LIMIT),
            _ if name == traits.initrd => (&mut initrd, FILE_LIMIT),
            _ if traits.identity.is_some_and(|(path, _)| path == name) => (&mut identity, TEXT_LIMIT),
            _ => continue,
        };
        if !entry.header().entry_type().is_file() {
            continue;
        }
        if entry.size() > limit {
            return Err(Reason::TooLarge(name.to_owned()));
        }
        let mut bytes = Vec::new();
        (&mut entry).take(limit).read_to_end(&mut bytes).map_err(broken)?;
        *place = Some(bytes);
    }
    let what = format!("the installer of {} {}", traits.distribution, traits.version);
    let missing = |path: &str| Reason::Missing { path: path.to_owned(), expected: what.clone() };
    if let Some((path, _)) = traits.identity {
        identify(&identity.ok_or_else(|| missing(path))?, traits)?;
    }
    Ok(Found {
        kernel: kernel.ok_or_else(|| missing(traits.kernel))?,
        initrd: initrd.ok_or_else(|| missing(traits.initrd))?,
    })
}

/// What a file that should be such an archive is instead, as far as it can be told.
pub(super) fn diagnose(file: &mut File) -> Option<String> {
    match open(file).and_then(|mut archive| {
        let entries = archive.entries().map_err(broken)?;
        entries.take(100_000).try_for_each(|entry| entry.map(drop)).map_err(broken)
    }) {
        Ok(()) => None,
        Err(reason) => Some(reason.to_string()),
    }
}

fn open(file: &mut File) -> Result<Archive<impl Read + '_>, Reason> {
    file.rewind().map_err(Reason::Read)?;
    let mut start = [0; 2];
    let count = file.read(&mut start).map_err(Reason::Read)?;
    if count < 2 || start != [0x1f, 0x8b] {
        return Err(Reason::NotArchive("it does not begin as gzip does".to_owned()));
    }
    file.rewind().map_err(Reason::Read)?;
    Ok(Archive::new(GzDecoder::new(BufReader::new(file)).take(ARCHIVE_LIMIT)))
}

fn broken(error: io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Reason::NotArchive("it is cut off".to_owned()),
        _ => Reason::NotArchive(error.to_string()),
    }
}
