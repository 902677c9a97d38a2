//! One binary package: its control files and its data archive (deb(5)).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use super::ar::{self, Member};

/// Control archives are small; a larger one is an attack.
const CONTROL_LIMIT: u64 = 64 << 20;

/// An opened package.
pub(super) struct Deb {
    file: File,
    data: Member,
    pub(super) control: Control,
}

/// The control archive's files.
#[derive(Debug, Default)]
pub(super) struct Control {
    /// By name ("control", "postinst", "conffiles"), with the executable bit.
    files: BTreeMap<String, ControlFile>,
    /// Fields of the control stanza in order, values as they stand (continuation lines included).
    fields: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
pub(super) struct ControlFile {
    pub(super) bytes: Vec<u8>,
    pub(super) mode: u32,
}

fn bad(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

impl Deb {
    pub(super) fn open(mut file: File) -> io::Result<Self> {
        let members = ar::members(&mut file)?;
        let [version, rest @ ..] = members.as_slice() else { return Err(bad("not a Debian package: it is empty")) };
        let mut text = vec![0; version.size.min(16) as usize];
        file.read_exact_at(&mut text, version.offset)?;
        if version.name != "debian-binary" || !text.starts_with(b"2.") {
            return Err(bad("not a Debian package of format 2"));
        }
        let find = |prefix: &str| {
            rest.iter()
                .find(|member| member.name.starts_with(prefix))
                .cloned()
                .ok_or_else(|| bad(format!("not a Debian package: no {prefix} member")))
        };
        let (control, data) = (find("control.tar")?, find("data.tar")?);
        let control = Control::read(decompress(section(&file, &control)?, &control.name)?)?;
        Ok(Deb { file, data, control })
    }

    /// The uncompressed data archive, from its start.
    pub(super) fn data(&self) -> io::Result<Box<dyn Read + Send>> {
        decompress(section(&self.file, &self.data)?, &self.data.name)
    }

    /// Closes the file.
    pub(super) fn into_control(self) -> Control {
        self.control
    }

    /// Compressed size in bytes: what unpacking costs.
    pub(super) fn data_size(&self) -> u64 {
        self.data.size
    }
}

impl Control {
    fn read(archive: Box<dyn Read + Send>) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        let mut archive = tar::Archive::new(archive.take(CONTROL_LIMIT));
        for entry in archive.entries()? {
            let mut entry = entry?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let path = entry.path_bytes().into_owned();
            let name = std::str::from_utf8(&path).map_err(|_| bad("a control file's name is not text"))?;
            let name = name.trim_start_matches("./").to_owned();
            if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) || name.starts_with('.') {
                return Err(bad(format!("control file name {name:?} is not allowed")));
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            files.insert(name, ControlFile { bytes, mode: entry.header().mode()? & 0o777 });
        }
        let text = files.get("control").ok_or_else(|| bad("no control file"))?;
        let text = std::str::from_utf8(&text.bytes).map_err(|_| bad("the control file is not UTF-8"))?;
        let fields = stanza(text)?;
        Ok(Control { fields, files })
    }

    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(super) fn fields(&self) -> &[(String, String)] {
        &self.fields
    }

    pub(super) fn package(&self) -> &str {
        self.field("Package").unwrap_or("")
    }

    pub(super) fn version(&self) -> &str {
        self.field("Version").unwrap_or("")
    }

    pub(super) fn architecture(&self) -> &str {
        self.field("Architecture").unwrap_or("")
    }

    pub(super) fn file(&self, name: &str) -> Option<&ControlFile> {
        self.files.get(name)
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &ControlFile)> {
        self.files.iter().map(|(name, file)| (name.as_str(), file))
    }

    /// A control file's lines as text, without empty ones.
    pub(super) fn lines(&self, name: &str) -> Vec<String> {
        let text = self.file(name).map(|file| String::from_utf8_lossy(&file.bytes).into_owned()).unwrap_or_default();
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }
}

/// Splits one control stanza into its fields.
fn stanza(text: &str) -> io::Result<Vec<(String, String)>> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if line.starts_with([' ', '\t']) {
            let (_, value) =
                fields.last_mut().ok_or_else(|| bad("the control file starts with a continuation line"))?;
            value.push('\n');
            value.push_str(line);
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.to_owned(), value.trim().to_owned()));
        } else if !line.trim().is_empty() {
            return Err(bad(format!("control file line {line:?} is no field")));
        }
    }
    let has = |name: &str| fields.iter().any(|(field, value)| field == name && !value.is_empty());
    if let Some(missing) = ["Package", "Version", "Architecture"].iter().find(|name| !has(name)) {
        return Err(bad(format!("the control file has no {missing}")));
    }
    // They become file names of dpkg's database.
    for (name, value) in &fields {
        let allowed =
            |extra: &[u8]| value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || extra.contains(&b));
        if (name == "Package" && (!allowed(b"+-.") || value.starts_with('.')))
            || (name == "Architecture" && !allowed(b"-"))
        {
            return Err(bad(format!("{name} {value:?} is not allowed")));
        }
    }
    Ok(fields)
}

fn section(file: &File, member: &Member) -> io::Result<impl Read + Send + use<>> {
    Ok(Section { file: file.try_clone()?, offset: member.offset, left: member.size })
}

/// A part of a file, read by offset: several may be read at once.
struct Section {
    file: File,
    offset: u64,
    left: u64,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        self.offset += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

/// Bytes that an xz decoder may use for its dictionary: dpkg-deb's largest preset needs 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;

fn decompress(reader: impl Read + Send + 'static, name: &str) -> io::Result<Box<dyn Read + Send>> {
    let reader = io::BufReader::with_capacity(128 << 10, reader);
    Ok(match name.rsplit('.').next() {
        Some("tar") => Box::new(reader),
        Some("gz") => Box::new(flate2::bufread::GzDecoder::new(reader)),
        Some("xz") => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0).map_err(io::Error::other)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(reader, stream))
        }
        Some("zst") => Box::new(zstd::stream::read::Decoder::with_buffer(reader)?),
        _ => return Err(bad(format!("member {name} has a compression that is not known: xz, zst, gz or none are"))),
    })
}
