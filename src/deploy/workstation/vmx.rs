//! A .vmx file as VMware's own parser sees it (open-vm-tools, lib/dict/dictll.c).
//!
//! ```text
//! line  = [name ws "=" ws value] ws ["#" comment]      ws: spaces and tabs
//! value = word | '"' anything but '"' '"'              |XX in either stands for the byte XX
//! ```
//! Invariant: no name twice; names are the same in any case, and keep the one they were written in.

use std::fmt::Write as _;

/// Names and values, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Dictionary {
    entries: Vec<(String, String)>,
}

/// A line that VMware would not take, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) reason: &'static str,
}

impl Dictionary {
    /// Everything that can be read, and what cannot. The first of two lines with one name counts.
    pub(super) fn parse(bytes: &[u8]) -> (Self, Vec<Fault>) {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut dictionary = Dictionary::default();
        let mut faults = Vec::new();
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            // Workstation on Windows writes CR LF.
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let mut fault = |reason| faults.push(Fault { line: index + 1, reason });
            match parse_line(line) {
                Ok(None) => {}
                Ok(Some((name, _))) if dictionary.get(&name).is_some() => fault("its name is defined already"),
                Ok(Some(entry)) => dictionary.entries.push(entry),
                Err(reason) => fault(reason),
            }
        }
        (dictionary, faults)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.entries.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// TRUE, in whatever case.
    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        match self.entries.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, old)) => *old = value.to_owned(),
            None => self.entries.push((name.to_owned(), value.to_owned())),
        }
    }

    /// Removes every name that is asked for in lower case.
    pub(super) fn remove(&mut self, goes: impl Fn(&str) -> bool) {
        self.entries.retain(|(name, _)| !goes(&name.to_ascii_lowercase()));
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The file's text: the encoding first, since it is of what comes after; the rest sorted, with LF on every host (VMware on Windows
    /// reads both, on Linux a CR makes the line ill-formed).
    pub(super) fn to_text(&self) -> String {
        let mut entries: Vec<_> = self.entries().filter(|(name, _)| !name.eq_ignore_ascii_case(ENCODING)).collect();
        entries.sort_by_key(|(name, _)| name.to_ascii_lowercase());
        let mut text = format!("{ENCODING} = \"UTF-8\"\n");
        for (name, value) in entries {
            let _ = writeln!(text, "{name} = \"{}\"", escape(value));
        }
        text
    }
}

const ENCODING: &str = ".encoding";

fn parse_line(line: &[u8]) -> Result<Option<(String, String)>, &'static str> {
    let line = line.after_blanks();
    if line.first().is_none_or(|first| *first == b'#') {
        return Ok(None);
    }
    let name_end = line.iter().position(|byte| matches!(byte, b' ' | b'\t' | b'=' | b'#' | 0)).unwrap_or(line.len());
    let (name, rest) = line.split_at(name_end);
    let Some(rest) = rest.after_blanks().strip_prefix(b"=").filter(|_| !name.is_empty()) else {
        return Err("there is no name and = in it");
    };
    let rest = rest.after_blanks();
    let (value, rest) = match rest.strip_prefix(b"\"") {
        Some(quoted) => {
            let end = quoted.iter().position(|byte| *byte == b'"').ok_or("its quotation mark is never closed")?;
            (&quoted[..end], &quoted[end + 1..])
        }
        None => rest.split_at(rest.iter().position(|byte| matches!(byte, b' ' | b'\t' | b'#')).unwrap_or(rest.len())),
    };
    match rest.after_blanks().first() {
        None | Some(b'#') => Ok(Some((String::from_utf8_lossy(name).into_owned(), unescape(value)))),
        Some(_) => Err("something follows its value"),
    }
}

trait Blanks {
    fn after_blanks(&self) -> &[u8];
}

impl Blanks for [u8] {
    /// Only spaces and tabs: a CR is none for VMware.
    fn after_blanks(&self) -> &[u8] {
        let begin = self.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(self.len());
        &self[begin..]
    }
}

fn unescape(value: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut at = 0;
    let digit = |at: usize| value.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    while at < value.len() {
        match (value[at], digit(at + 1), digit(at + 2)) {
            (b'|', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The same characters that VMware's writer escapes.
fn escape(value: &str) -> String {
    value.chars().fold(String::with_capacity(value.len()), |mut out, c| {
        match c {
            '"' | '|' | '\u{0}'..='\u{8}' | '\u{a}'..='\u{1f}' | '\u{7f}' => {
                let _ = write!(out, "|{:02X}", c as u32);
            }
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> Result<(String, String), &'static str> {
        let (dictionary, faults) = Dictionary::parse(text.as_bytes());
        match faults.first() {
            Some(fault) => Err(fault.reason),
            None => Ok(dictionary.entries[0].clone()),
        }
    }

    #[test]
    fn lines_are_read_as_vmware_reads_them() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(one("memsize = \"4096\""), pair("memsize", "4096"));
        assert_eq!(one("\t memsize=4096 # MiB"), pair("memsize", "4096"));
        assert_eq!(one("a = \"x # y\" # z"), pair("a", "x # y"));
        assert_eq!(one("a = \"\""), pair("a", ""));
        assert_eq!(one("a ="), pair("a", ""));
        assert_eq!(one("a = \"|22|0a|7C\""), pair("a", "\"\n|"));
        assert_eq!(one("a = x|41|zz|4"), pair("a", "xA|zz|4"));
        assert_eq!(one("a = \"C:\\vm\\new.vmdk\"\r\n"), pair("a", "C:\\vm\\new.vmdk"));
        assert_eq!(one("\u{feff}a = \"ü\""), pair("a", "ü"));
        assert_eq!(one("a = \"|c3|bc\""), pair("a", "ü"));
        for bad in ["a", "a b = c", "= c", "a = \"b", "a = \"b\" c", "a = b c", "a = \"b\"\r c", "a = 1\nA = 2"] {
            assert!(one(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Dictionary::parse(b"\n  \n#!/usr/bin/vmware\n").0, Dictionary::default());
    }

    #[test]
    fn names_are_the_same_in_any_case() {
        let (mut dictionary, faults) = Dictionary::parse(b"memSize = 1\nscsi0:0.fileName = a\nscsi0.present = TRUE\n");
        assert!(faults.is_empty() && dictionary.is_true("SCSI0.present"));
        dictionary.set("MEMSIZE", "2");
        dictionary.remove(|name| name.starts_with("scsi0:"));
        assert_eq!(dictionary.to_text(), ".encoding = \"UTF-8\"\nmemSize = \"2\"\nscsi0.present = \"TRUE\"\n");
    }

    #[test]
    fn a_fault_names_its_line() {
        let (_, faults) = Dictionary::parse(b"a = 1\nb = \"2\n");
        assert_eq!(faults, [Fault { line: 2, reason: "its quotation mark is never closed" }]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(pairs in prop::collection::btree_map("[a-z][a-z0-9:.]{0,9}", any::<String>(), 0..9)) {
            let mut dictionary = Dictionary::default();
            for (name, value) in &pairs {
                dictionary.set(name, value);
            }
            let text = dictionary.to_text();
            prop_assert!(!text.contains('\r'));
            let (mut read, faults) = Dictionary::parse(text.as_bytes());
            prop_assert!(faults.is_empty(), "{:?}", faults);
            read.remove(|name| name == ENCODING);
            let read: std::collections::BTreeMap<_, _> = read.entries.into_iter().collect();
            prop_assert_eq!(read, pairs);
        }

        #[test]
        fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            Dictionary::parse(&bytes);
        }
    }
}
