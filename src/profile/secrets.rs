//! Which places of a file may hold a secret: they must not be shown in an excerpt.
//!
//! In: the names of what was not understood, with values; or a text that could not be parsed. Out: places to hide. Rather
//! one too many: what is hidden is starred out in messages, nothing else.

use super::source::Span;
use super::value::{Value, ValueKind};

const WORDS: [&str; 7] = ["pass", "pw", "secret", "token", "cred", "auth", "community"];

/// Whether a key of this name may hold a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let lower = name.to_lowercase();
    let public = lower.contains("keyboard") || lower.contains("ssh") && !lower.contains("private");
    WORDS.iter().any(|word| lower.contains(word)) || lower.contains("key") && !public
}

/// The secrets in the value of a key, as deep as they stand.
pub(super) fn inside(name: &str, value: &Value, hidden: &mut Vec<Span>) {
    if is_secret(name) {
        hidden.push(value.span);
        return;
    }
    match &value.kind {
        ValueKind::Table(table) => table.entries.iter().for_each(|(name, entry)| inside(name, &entry.value, hidden)),
        ValueKind::List { items, .. } => items.iter().for_each(|item| inside("", item, hidden)),
        ValueKind::Text(text) if is_private_key(text) => hidden.push(value.span),
        _ => {}
    }
}

/// A private key that somebody pasted for the public one.
pub(super) fn is_private_key(text: &str) -> bool {
    text.contains("PRIVATE KEY")
}

/// Secrets of a text that is no sound TOML or JSON: on each line, what follows a name of theirs.
pub(super) fn in_broken_text(file: usize, text: &str) -> Vec<Span> {
    let mut hidden = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let secret = line.match_indices(['=', ':']).find(|(at, _)| {
            let before = line[..*at].trim_end_matches([' ', '\t', '"', '\'']);
            let name = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').next();
            name.is_some_and(is_secret)
        });
        if let Some((at, _)) = secret {
            hidden.push(Span::new(file, start + at + 1..start + line.len()));
        }
        start += line.len();
    }
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets() {
        for name in ["console_pass", "console_pw", "PWD", "bmcPassword", "api_key", "ssh_private_key", "credentials"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["rack", "ssh_keys", "ssh-key", "keyboard", "console_mac", "row"] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn a_broken_text_hides_the_rest_of_a_secrets_line() {
        let text = "name = 1 2\npassword = \"hunter2\nx = { 'pw' : \"hunter2\" }\nssh-keys = [\n";
        let shown = |span: &Span| &text[span.start..span.end];
        let hidden = in_broken_text(0, text);
        assert_eq!(hidden.iter().map(shown).collect::<Vec<_>>(), [" \"hunter2\n", " \"hunter2\" }\n"]);
    }
}
