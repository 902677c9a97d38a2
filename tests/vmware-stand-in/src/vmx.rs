//! The dictionary in a .vmx, read by the rules of VMware's own reader (open-vm-tools, lib/dict/dictll.c).
//!
//! In: the file's bytes. Out: names and values. Lines are `NAME = VALUE # comment`; a value in quotes ends at the next quote, one without at the
//! next blank or `#`; `|XX` is a byte. Names are compared without regard to case, and none stands there twice.

/// One name with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    name: String,
    value: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dictionary {
    entries: Vec<Entry>,
}

/// What VMware calls "Dictionary problem".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DictionaryProblem {
    /// From 1.
    pub line: usize,
    pub reason: String,
}

impl std::fmt::Display for DictionaryProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Line {}: {}.", self.line, self.reason)
    }
}

enum Line<'a> {
    Nothing,
    Entry(&'a [u8], Vec<u8>),
    IllFormed,
}

const BLANKS: [u8; 2] = [b' ', b'\t'];

fn without_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| BLANKS.contains(byte)).count();
    &text[blanks..]
}

fn split_at_first(text: &[u8], ends: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|byte| ends(*byte)).unwrap_or(text.len()))
}

fn line(text: &[u8]) -> Line<'_> {
    let text = without_blanks(text);
    if matches!(text.first(), None | Some(b'#')) {
        return Line::Nothing;
    }
    let (name, rest) = split_at_first(text, |byte| BLANKS.contains(&byte) || matches!(byte, b'=' | b'#' | 0));
    let Some(rest) = without_blanks(rest).strip_prefix(b"=") else { return Line::IllFormed };
    let rest = without_blanks(rest);
    let (value, rest) = match rest.strip_prefix(b"\"") {
        Some(quoted) => match split_at_first(quoted, |byte| byte == b'"') {
            (value, [_, rest @ ..]) => (value, rest),
            _ => return Line::IllFormed,
        },
        None => split_at_first(rest, |byte| BLANKS.contains(&byte) || byte == b'#'),
    };
    match without_blanks(rest).first() {
        None | Some(b'#') if !name.is_empty() => Line::Entry(name, unescape(value)),
        _ => Line::IllFormed,
    }
}

fn unescape(value: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut plain = Vec::with_capacity(value.len());
    let mut at = 0;
    while at < value.len() {
        match (value[at], digit(value.get(at + 1)), digit(value.get(at + 2))) {
            (b'|', Some(high), Some(low)) => {
                plain.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    plain
}

/// How the file's bytes become characters; `None` for bytes that stand for none.
type Decode = fn(&[u8]) -> Option<String>;

fn decoder(encoding: Option<&[u8]>) -> Option<Decode> {
    let utf8 = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    let latin = |bytes: &[u8]| Some(bytes.iter().map(|byte| char::from(*byte)).collect());
    match encoding.map(|name| name.to_ascii_lowercase()).as_deref() {
        None | Some(b"utf-8") => Some(utf8),
        // The characters in which the two differ are of no use in a file name.
        Some(b"windows-1252" | b"iso-8859-1") => Some(latin),
        Some(_) => None,
    }
}

impl Dictionary {
    /// # Errors
    /// Where VMware refuses the file.
    pub fn parse(bytes: &[u8]) -> Result<Dictionary, DictionaryProblem> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let lines: Vec<Line<'_>> = bytes.split(|byte| *byte == b'\n').map(line).collect();
        let encoding = lines.iter().enumerate().find_map(|(index, line)| match line {
            Line::Entry(name, value) if name.eq_ignore_ascii_case(b".encoding") => Some((index, value.clone())),
            _ => None,
        });
        let decode = decoder(encoding.as_ref().map(|(_, name)| name.as_slice())).ok_or_else(|| DictionaryProblem {
            line: encoding.as_ref().map_or(1, |(index, _)| index + 1),
            reason: "The encoding is not known".into(),
        })?;
        let mut dictionary = Dictionary::default();
        for (index, line) in lines.iter().enumerate() {
            let problem = |reason: String| DictionaryProblem { line: index + 1, reason };
            let (name, value) = match line {
                Line::Nothing => continue,
                Line::IllFormed => return Err(problem("Syntax error".into())),
                Line::Entry(name, value) => (decode(name), decode(value)),
            };
            let (Some(name), Some(value)) = (name, value) else {
                return Err(problem("The text is not in the file's encoding".into()));
            };
            if dictionary.get(&name).is_some() {
                return Err(problem(format!("Variable \"{name}\" is already defined")));
            }
            dictionary.entries.push(Entry { name, value });
        }
        Ok(dictionary)
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries.iter().find(|entry| entry.name.eq_ignore_ascii_case(name)).map(|entry| entry.value.as_str())
    }

    /// All names, in the file's order and spelling.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// As VMware does when it writes the file anew: what is there is replaced, what is not is added at the end.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.entries.iter_mut().find(|entry| entry.name.eq_ignore_ascii_case(name)) {
            Some(entry) => value.clone_into(&mut entry.value),
            None => self.entries.push(Entry { name: name.to_owned(), value: value.to_owned() }),
        }
    }

    /// The file's text, in UTF-8.
    pub fn to_text(&self) -> String {
        let mut text = String::from(".encoding = \"UTF-8\"\n");
        for entry in self.entries.iter().filter(|entry| !entry.name.eq_ignore_ascii_case(".encoding")) {
            text += &format!("{} = \"{}\"\n", entry.name, escape(&entry.value));
        }
        text
    }
}

fn escape(value: &str) -> String {
    value.chars().fold(String::new(), |text, letter| match letter {
        '"' | '|' | '\0'..='\u{8}' | '\n'..='\u{1f}' | '\u{7f}' => text + &format!("|{:02X}", letter as u32),
        letter => text + letter.encode_utf8(&mut [0; 4]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Vec<(String, String)>, DictionaryProblem> {
        Dictionary::parse(text).map(|found| found.entries.into_iter().map(|entry| (entry.name, entry.value)).collect())
    }

    fn pair(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), value.to_owned())]
    }

    #[test]
    fn lines_are_read_as_vmware_reads_them() {
        for (text, name, value) in [
            ("a = \"b\"", "a", "b"),
            ("\t a=b # comment", "a", "b"),
            ("a = b# comment", "a", "b"),
            ("a = \"b # c\" # d", "a", "b # c"),
            ("a = \"C:\\x\\y\"", "a", "C:\\x\\y"),
            ("a = \"one|22two|0a|7C|zz\"", "a", "one\"two\n||zz"),
            ("a = one|20two", "a", "one two"),
            ("a =", "a", ""),
            ("a = \"\"", "a", ""),
            ("#!/usr/bin/vmware\n\n  # x\nscsi0:0.fileName = \"d.vmdk\"\n", "scsi0:0.fileName", "d.vmdk"),
            ("\u{feff}a = ü", "a", "ü"),
        ] {
            assert_eq!(read(text.as_bytes()), Ok(pair(name, value)), "{text}");
        }
    }

    #[test]
    fn what_vmware_refuses_is_refused_with_its_line() {
        for (text, line, reason) in [
            ("a = 1\nA = \"2\"\n", 2, "Variable \"A\" is already defined"),
            ("x\n", 1, "Syntax error"),
            ("\na = \"b\n", 2, "Syntax error"),
            ("a = \"b\" c\n", 1, "Syntax error"),
            ("a = b c\n", 1, "Syntax error"),
            ("= b\n", 1, "Syntax error"),
            // A carriage return is no blank on Linux.
            ("a = \"b\"\r\n", 1, "Syntax error"),
            ("a = 1\n.encoding = \"KOI8-R\"\n", 2, "The encoding is not known"),
        ] {
            assert_eq!(read(text.as_bytes()), Err(DictionaryProblem { line, reason: reason.into() }), "{text:?}");
        }
        assert_eq!(read(b".encoding = \"UTF-8\"\na = \"\xe4\"\n").unwrap_err().line, 2);
    }

    #[test]
    fn the_encoding_line_counts_wherever_it_stands() {
        let found = Dictionary::parse(b"a = \"\xe4\"\n.encoding = \"windows-1252\"\n").unwrap();
        assert_eq!(found.get("A"), Some("ä"));
    }

    #[test]
    fn a_file_that_is_written_anew_says_the_same() {
        let mut found = Dictionary::parse(b"b = \"x|22|7Cy\"\nA = 1\n").unwrap();
        found.set("a", "2");
        found.set("c", "z");
        assert_eq!(found.to_text(), ".encoding = \"UTF-8\"\nb = \"x|22|7Cy\"\nA = \"2\"\nc = \"z\"\n");
        assert_eq!(Dictionary::parse(found.to_text().as_bytes()).unwrap().get("b"), Some("x\"|y"));
    }
}
