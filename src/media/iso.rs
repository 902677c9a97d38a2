//! Kernel and initrd out of an ISO 9660 image (ECMA-119), by its Rock Ridge or Joliet names.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use hadris_iso::read::{DirEntry, IsoImage};
use netboot::Traits;

use super::{FILE_LIMIT, Found, Reason, TEXT_LIMIT, identify, shorten};

/// Sector of the first volume descriptor, and bytes of a sector (ECMA-119, section 6).
const FIRST_DESCRIPTOR: u64 = 16;
const SECTOR: u64 = 2048;

/// Reads an image of `size` bytes.
pub(super) fn read(file: &mut File, size: u64, traits: &Traits) -> Result<Found, Reason> {
    let expected = announced_size(file)?;
    if size < expected {
        return Err(Reason::Truncated { expected, found: size });
    }
    let image = Image::open(file)?;
    let what = format!("the installer of {} {}", traits.distribution, traits.version);
    let missing = |path: &str| Reason::Missing { path: path.to_owned(), expected: what.clone() };
    if let Some((path, _)) = traits.identity {
        let text = image.file(path, TEXT_LIMIT)?.ok_or_else(|| missing(path))?;
        identify(&text, traits)?;
    }
    let kernel = image.file(traits.kernel, FILE_LIMIT)?.ok_or_else(|| missing(traits.kernel))?;
    let initrd = image.file(traits.initrd, FILE_LIMIT)?.ok_or_else(|| missing(traits.initrd))?;
    Ok(Found { kernel, initrd })
}

/// What a file that should be an ISO is instead, as far as it can be told.
pub(super) fn diagnose(file: &mut File) -> Option<String> {
    let found = file.metadata().ok()?.len();
    match announced_size(file) {
        Err(Reason::NotIso(what)) => Some(format!("it is not an ISO 9660 image ({what})")),
        Err(_) => None,
        Ok(expected) if found < expected => {
            Some(format!("it is cut off: it says that it has {expected} bytes, but {found} are there"))
        }
        Ok(_) => {
            let text = Image::open(file).ok()?.file(".disk/info", TEXT_LIMIT).ok()??;
            let text = String::from_utf8_lossy(&text);
            Some(format!("it says that it is '{}'", shorten(text.lines().next()?)))
        }
    }
}

/// The volume's size in bytes by its primary descriptor (ECMA-119, section 8.4: blocks at 80, their size at 128).
fn announced_size(file: &mut File) -> Result<u64, Reason> {
    let mut start = [0; 64];
    let mut sector = [0; SECTOR as usize];
    let mut read = |file: &mut File| -> io::Result<()> {
        file.rewind()?;
        let count = file.read(&mut start)?;
        start[count..].fill(0);
        file.seek(SeekFrom::Start(FIRST_DESCRIPTOR * SECTOR))?;
        file.read_exact(&mut sector)
    };
    match read(file) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => sector.fill(0),
        Err(error) => return Err(Reason::Read(error)),
    }
    if sector[..6] != *b"\x01CD001" {
        return Err(Reason::NotIso(begins_with(&start)));
    }
    let word = |at: usize| u64::from(u32::from_le_bytes([sector[at], sector[at + 1], sector[at + 2], sector[at + 3]]));
    Ok(word(80) * (word(128) & 0xffff))
}

fn begins_with(start: &[u8]) -> String {
    let text: String =
        start.iter().map(|byte| *byte as char).take_while(|c| c.is_ascii_graphic() || *c == ' ').collect();
    match start {
        _ if start.iter().all(|byte| *byte == 0) => "it begins with zeros".to_owned(),
        _ if text.len() >= 4 => format!("it begins with '{}'", text.chars().take(32).collect::<String>()),
        _ => format!("it begins with the bytes {}", hex::encode(&start[..8])),
    }
}

struct Image<'a>(IsoImage<BufReader<&'a mut File>>);

impl<'a> Image<'a> {
    fn open(file: &'a mut File) -> Result<Self, Reason> {
        file.rewind().map_err(Reason::Read)?;
        IsoImage::open(BufReader::new(file)).map(Image).map_err(|error| Reason::NotIso(error.to_string()))
    }

    /// Content of a file of at most `limit` bytes; `None` where the image has none of that name.
    fn file(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Reason> {
        let Some(entry) = self.0.find_path(path).map_err(damaged)?.filter(DirEntry::is_file) else { return Ok(None) };
        if entry.total_size() > limit {
            return Err(Reason::TooLarge(path.to_owned()));
        }
        self.0.read_file(&entry).map(Some).map_err(damaged)
    }
}

fn damaged(error: impl std::fmt::Display) -> Reason {
    Reason::Damaged(io::Error::other(error.to_string()))
}
