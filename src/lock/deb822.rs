//! Reading deb822 text: stanzas of `Field: value` lines, continued by lines that begin with blank space.
//!
//! In: text of a Release, Packages or `.sources` file. Out: borrowed stanzas and fields; nothing is copied.
//! Invariant: reading never fails; a line that is neither a field nor a continuation is passed over.
//! Format: deb822(5), Debian Policy 5.1.

/// One stanza, as it stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stanza<'a>(&'a str);

impl<'a> Stanza<'a> {
    /// Takes the text of one stanza.
    pub(crate) fn new(text: &'a str) -> Self {
        Stanza(text)
    }

    /// Fields in order. A value keeps its inner line breaks; blank space around it is cut off.
    pub(crate) fn fields(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            loop {
                if rest.is_empty() {
                    return None;
                }
                let end = field_end(rest);
                let (field, after) = rest.split_at(end);
                rest = after;
                if field.starts_with(['#', ' ', '\t', '\n']) {
                    continue;
                }
                if let Some((name, value)) = field.split_once(':') {
                    return Some((name, value.trim()));
                }
            }
        })
    }

    /// Value of the first field of that name; names are compared without regard to case.
    pub(crate) fn get(self, name: &str) -> Option<&'a str> {
        self.fields().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Length of the first field of `text` with its continuation lines and line break.
fn field_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'\n', &bytes[from..]) {
        from += at + 1;
        if !matches!(bytes.get(from), Some(b' ' | b'\t')) {
            return from;
        }
    }
    text.len()
}

/// Stanzas of a file, in order. Empty lines divide them.
pub(crate) fn stanzas(text: &str) -> impl Iterator<Item = Stanza<'_>> {
    let finder = memchr::memmem::Finder::new(b"\n\n");
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(['\n', '\r']);
        if rest.is_empty() {
            return None;
        }
        let end = finder.find(rest.as_bytes()).map_or(rest.len(), |at| at + 1);
        let (stanza, after) = rest.split_at(end);
        rest = after;
        Some(Stanza(stanza))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_continuations_comments_and_stanzas() {
        let text = "\n# comment\nPackage: a\nDepends: b,\n c (>= 1),\n\td\nEmpty:\nnonsense\nX:y\n\n\nPackage: e";
        let all: Vec<_> = stanzas(text).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].get("package"), Some("a"));
        assert_eq!(all[0].get("Depends"), Some("b,\n c (>= 1),\n\td"));
        assert_eq!(all[0].get("Empty"), Some(""));
        assert_eq!(all[0].get("X"), Some("y"));
        assert_eq!(all[0].get("comment"), None);
        assert_eq!(all[0].fields().count(), 4);
        assert_eq!(all[1].get("Package"), Some("e"));
    }
}
