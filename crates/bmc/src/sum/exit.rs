//! What the program says at its end: its exit codes (SUM User's Guide, appendix "Exit codes") and the texts beside them.

use crate::client::Message;
use crate::error::Error;
use crate::plain::plain;

/// Characters of its output that are passed on.
const LONGEST: usize = 300;

/// What it said, on one line and plain.
pub(super) struct Said {
    pub(super) text: String,
}

impl Said {
    /// Its block of an error (`Description`, `Error message`), else the end of what it wrote.
    pub(super) fn of(stdout: &[u8], stderr: &[u8]) -> Said {
        let all = without_escapes(&format!("{}\n{}", String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr)));
        let lines = || all.lines().map(str::trim).filter(|line| line.chars().any(char::is_alphanumeric));
        let of_error: Vec<&str> = lines()
            .skip_while(|line| !line.contains("<<ERROR>>"))
            .skip(1)
            .filter(|line| !line.starts_with("ExitCode") && !line.starts_with("Program Error Code"))
            .map(|line| line.split_once("Description").map_or(line, |(_, text)| text.trim_start_matches([' ', '='])))
            .filter(|line| *line != "Error message:")
            .collect();
        let text = match of_error.is_empty() {
            false => of_error.join(" "),
            true => lines().collect::<Vec<_>>().join(" "),
        };
        let text = plain(&text);
        let skipped = text.chars().count().saturating_sub(LONGEST);
        let text = match of_error.is_empty() {
            true => text.chars().skip(skipped).collect(),
            false => text.chars().take(LONGEST).collect(),
        };
        Said { text }
    }

    fn messages(&self) -> Vec<Message> {
        let text = Some(self.text.clone()).filter(|text| !text.is_empty());
        text.into_iter()
            .map(|text| Message { id: "SUM".to_owned(), text, resolution: None, about: Vec::new() })
            .collect()
    }
}

/// What an exit code means for something that would `what`.
pub(super) fn error(code: i32, said: &Said, what: &str, endpoint: &str) -> Error {
    let unsupported = |reason: &str| Error::Unsupported {
        what: format!("{what} by SUM"),
        reason: match said.text.is_empty() {
            true => format!("{reason} (exit code {code})"),
            false => format!("{reason} (exit code {code}: {})", said.text),
        },
    };
    match code {
        80 => Error::Licence { what: format!("{what} by SUM"), said: said.messages() },
        146 => Error::Credentials { endpoint: endpoint.to_owned(), said: said.messages() },
        10 | 33 | 34 | 145 => Error::Unreachable {
            endpoint: endpoint.to_owned(),
            reason: format!("SUM's exit code {code}: {}", said.text),
        },
        1 | 2 | 4 => unsupported(
            "this SUM does not know an option that is needed; it may be too old to read the password from a file (-f), \
             and it is never given in its arguments",
        ),
        6 => unsupported("this SUM does not know the command"),
        38 | 83 | 84 => unsupported("the board does not support it"),
        82 => unsupported("the settings are another board's"),
        9 => Error::Surroundings(format!("SUM finds its file there already: {}", said.text)),
        8 | 31 | 32 | 35 | 86 => Error::Surroundings(format!("SUM's exit code {code}: {}", said.text)),
        _ => Error::Sum { what: what.to_owned(), code, said: said.text.clone() },
    }
}

/// Without the terminal's escape sequences (ECMA-48: `ESC [`, parameters, a letter).
fn without_escapes(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '\u{1b}' {
            clean.push(letter);
        } else if letters.next_if_eq(&'[').is_some() {
            while letters.next().is_some_and(|next| !('\u{40}'..='\u{7e}').contains(&next)) {}
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    const BLOCK: &str = "Supermicro Update Manager 2.14.0\n.....\n*************************<<<<<ERROR>>>>>*****\n\nExitCode                = 149\n\
                         Description             = IPMI execution failed\nProgram Error Code      = 278.21\nError message:\n\
                         \u{1b}[1m\tThe key is wrong.\u{1b}[0m\n***************\n";

    #[test]
    fn the_block_of_an_error_is_told_without_colours_and_frames() {
        assert_eq!(Said::of(BLOCK.as_bytes(), b"").text, "IPMI execution failed The key is wrong.");
        assert_eq!(Said::of(b"", b"\x1b[0;33mno such thing\x1b[0m\n").text, "no such thing");
        assert_eq!(Said::of(&b"x".repeat(100_000), b"").text.chars().count(), LONGEST);
    }

    #[test]
    fn exit_codes_have_their_own_errors() {
        let said = Said { text: "words".to_owned() };
        let kinds: Vec<_> = [80, 146, 145, 2, 83, 9, 60, 255]
            .map(|code| (error(code, &said, "read the BIOS settings", "10.0.0.1"), code))
            .iter()
            .map(|(error, code)| (*code, error.kind(), error.to_string()))
            .collect();
        let kind_of = |code: i32| kinds.iter().find(|(of, ..)| *of == code).unwrap().1;
        assert_eq!([80, 83, 60, 255].map(kind_of), [Kind::Refused; 4]);
        assert_eq!([146, 145, 9].map(kind_of), [Kind::Trust, Kind::Unreachable, Kind::Surroundings]);
        assert!(kinds.iter().all(|(.., text)| text.contains("words")), "{kinds:?}");
        assert!(kinds[3].2.contains("too old to read the password from a file"), "{}", kinds[3].2);
    }
}
