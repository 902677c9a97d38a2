//! The `ar` container of a .deb (deb(5)): named members, one after the other.

use std::io::{self, Read, Seek, SeekFrom};

const MAGIC: &[u8; 8] = b"!<arch>\n";
/// ar member header: name 16, mtime 12, uid 6, gid 6, mode 8, size 10, end 2.
const HEADER: usize = 60;

/// Where a member's bytes lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    /// Offset of the first byte in the file.
    pub(super) offset: u64,
    /// Length in bytes.
    pub(super) size: u64,
}

/// Lists the members of an archive. A .deb has three; more than sixteen are refused.
pub(super) fn members(file: &mut (impl Read + Seek)) -> io::Result<Vec<Member>> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("not a Debian package: {what}"));
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let mut magic = [0; 8];
    file.read_exact(&mut magic).map_err(|_| bad("it is shorter than an ar header"))?;
    if &magic != MAGIC {
        return Err(bad("no ar signature"));
    }
    let mut found = Vec::new();
    let mut position = MAGIC.len() as u64;
    while position < length {
        if found.len() == 16 {
            return Err(bad("more than sixteen members"));
        }
        let mut header = [0; HEADER];
        file.seek(SeekFrom::Start(position))?;
        file.read_exact(&mut header).map_err(|_| bad("a member header is cut short"))?;
        if &header[58..] != b"`\n" {
            return Err(bad("a member header is damaged"));
        }
        let field = |range: std::ops::Range<usize>| std::str::from_utf8(&header[range]).ok().map(str::trim);
        let name = field(0..16).ok_or_else(|| bad("a member name is not text"))?.trim_end_matches('/').to_owned();
        let size: u64 = field(48..58).and_then(|text| text.parse().ok()).ok_or_else(|| bad("a member has no size"))?;
        let offset = position + HEADER as u64;
        if size > length - offset {
            return Err(bad(&format!("member {name} is cut short")));
        }
        position = offset + size + size % 2;
        found.push(Member { name, offset, size });
    }
    Ok(found)
}

#[cfg(test)]
pub(super) fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for (name, data) in members {
        bytes.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", data.len()).bytes());
        bytes.extend(*data);
        bytes.extend((data.len() % 2 == 1).then_some(b'\n'));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn members_are_found_and_odd_sizes_are_padded() {
        let bytes = archive(&[("debian-binary", b"2.0\n"), ("odd", b"abc"), ("last/", b"z")]);
        let found = members(&mut Cursor::new(&bytes)).unwrap();
        let names: Vec<_> = found.iter().map(|member| (member.name.as_str(), member.size)).collect();
        assert_eq!(names, [("debian-binary", 4), ("odd", 3), ("last", 1)]);
        assert_eq!(bytes[found[1].offset as usize..][..3], *b"abc");
    }

    #[test]
    fn damaged_archives_are_refused() {
        let good = archive(&[("debian-binary", b"2.0\n"), ("data.tar", &[0; 100])]);
        let refused = |bytes: &[u8]| members(&mut Cursor::new(bytes)).unwrap_err().to_string();
        assert!(refused(b"").contains("shorter"));
        assert!(refused(b"<!DOCTYPE html>").contains("no ar signature"));
        assert!(refused(&good[..good.len() - 1]).contains("data.tar is cut short"));
        assert!(refused(&good[..30]).contains("cut short"));
        let mut endless = good.clone();
        (0..20).for_each(|_| endless.extend(&good[8..]));
        assert!(refused(&endless).contains("sixteen"));
    }
}
