//! Where values stand that nobody should see on a screen: passwords, hashes, tokens, private keys.
//!
//! In: the text, and its tree where it could be read. Out: byte ranges inside the text, none across a line's end. Rather
//! too much is hidden than too little: keys are known by how they look, so that a mistyped one hides its value too.

use std::collections::HashSet;
use std::ops::Range;

use super::yaml::{Node, Value};

/// Keys of secrets that do not look like it.
const NAMES: &[&str] = &["key", "recovery-key", "recovery_key", "psk"];

/// Keys that look like it, whose values are switches.
const SWITCHES: &[&str] = &["allow-pw", "lock-passwd", "lock_passwd", "ssh_pwauth"];

/// Of a key: what comes after it does not count.
const LONGEST: usize = 100;

/// Keys of `chpasswd` whose values are no secrets.
const HARMLESS: &[&str] = &["name", "type", "expire"];

/// Of a document that was read.
pub(super) fn of_tree(text: &str, root: &Node) -> Vec<Range<usize>> {
    let mut walk = Walk { text, seen: HashSet::new(), found: Vec::new() };
    walk.node(root, false);
    let mut found = walk.found;
    found.sort_by_key(|range| (range.start, range.end));
    found.dedup();
    // What the tree lost: the first of two values of one key, comments, a colon without its blank.
    let mut lost = Vec::new();
    for value in lines(text).flat_map(|line| values(text, line)) {
        let next = found.partition_point(|known| known.start < value.end);
        if next == 0 || found[next - 1].end <= value.start {
            lost.push(value);
        }
    }
    found.extend(lost);
    found.retain(|range| !range.is_empty());
    found.sort_by_key(|range| range.start);
    found
}

/// Of a text that could not be read: all that follows a word like 'password' on its line and, where nothing does, the
/// lines below it that are indented more.
pub(super) fn of_text(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    // Indentation of the key whose value goes on below it.
    let mut below: Option<usize> = None;
    for line in lines(text) {
        let indent = indent(&text[line.clone()]);
        let content = line.start + indent..line.end;
        if content.is_empty() {
            continue;
        }
        if below.is_some_and(|key| indent > key) {
            found.push(content);
            continue;
        }
        below = None;
        let Some(word) = words(text, &line).find(|word| is_secret(&text[word.clone()])) else { continue };
        let rest = after(text, word.end, line.end, |c| matches!(c, '"' | '\'' | ':' | '=' | ' ' | '\t'));
        let opens = text[rest..line.end].trim_end();
        if opens.is_empty() || opens.starts_with(['|', '>', '#', '{', '[', '&']) {
            below = Some(indent);
        }
        found.push(rest..line.end);
    }
    found.retain(|range| !range.is_empty());
    found
}

struct Walk<'t> {
    text: &'t str,
    /// Shared parts are looked at once: a hostile document has one long text behind many aliases.
    seen: HashSet<(*const Node, bool)>,
    found: Vec<Range<usize>>,
}

impl Walk<'_> {
    fn node(&mut self, node: &Node, hidden: bool) {
        if !self.seen.insert((std::ptr::from_ref(node), hidden)) {
            return;
        }
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| self.node(item, hidden)),
            Value::Map(entries) => {
                for entry in entries {
                    let name = entry.name().unwrap_or("");
                    let below = if hidden { !HARMLESS.contains(&name) } else { is_secret(name) };
                    self.node(&entry.value, below);
                }
            }
            Value::Bool(_) | Value::Null => {}
            Value::Text(value) if value.contains("PRIVATE KEY") || value.contains("chpasswd") => self.hide(node),
            _ if hidden => self.hide(node),
            _ => {}
        }
    }

    /// A block scalar's range goes on to the next token: indentation and blank lines stay as they are.
    fn hide(&mut self, node: &Node) {
        for line in by_line(self.text, node.range.clone()) {
            self.found.push(line.start + indent(&self.text[line.clone()])..line.end);
        }
    }
}

fn by_line(text: &str, range: Range<usize>) -> impl Iterator<Item = Range<usize>> + use<'_> {
    text.get(range.clone()).unwrap_or_default().split_inclusive('\n').scan(range.start, |at, line| {
        let begin = *at;
        *at += line.len();
        Some(begin..begin + line.trim_end_matches(['\r', '\n']).len())
    })
}

fn lines(text: &str) -> impl Iterator<Item = Range<usize>> + use<'_> {
    by_line(text, 0..text.len())
}

fn indent(line: &str) -> usize {
    line.bytes().take_while(|b| matches!(b, b' ' | b'\t')).count()
}

/// The words of a line that could be keys.
fn words<'t>(text: &'t str, line: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<'t> {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    let (mut at, end) = (line.start, line.end);
    std::iter::from_fn(move || {
        let bytes = text.as_bytes();
        while at < end && !is_word(bytes[at]) {
            at += 1;
        }
        let start = at;
        while at < end && is_word(bytes[at]) {
            at += 1;
        }
        (start < at).then_some(start..at)
    })
}

/// The first place from `at` on where another character stands.
fn after(text: &str, at: usize, end: usize, skipped: impl Fn(char) -> bool) -> usize {
    end - text[at..end].trim_start_matches(skipped).len()
}

/// Values written as `password: VALUE` on a line, in block or in flow style.
fn values(text: &str, line: Range<usize>) -> Vec<Range<usize>> {
    /// YAML 1.1's: no secrets.
    const WORDS: &[&str] = &["true", "false", "yes", "no", "on", "off", "null", "~"];
    let mut found: Vec<Range<usize>> = Vec::new();
    for word in words(text, &line) {
        if found.last().is_some_and(|last| word.start < last.end) || !is_secret(&text[word.clone()]) {
            continue;
        }
        let mark = after(text, word.end, line.end, |c| matches!(c, '"' | '\'' | ' '));
        if !text[mark..line.end].starts_with([':', '=']) {
            continue;
        }
        let start = after(text, mark + 1, line.end, |c| matches!(c, ' ' | '\t'));
        let rest = &text[start..line.end];
        let length = match rest.chars().next() {
            None | Some('{' | '[' | '|' | '>' | '&' | '*' | ',' | '}') => continue,
            Some(quote @ ('"' | '\'')) => rest[1..].find(quote).map_or(rest.len(), |at| at + 2),
            Some(_) => rest.find([',', '}', ']']).unwrap_or(rest.len()),
        };
        let value = rest[..length].trim_end();
        if !WORDS.contains(&value.to_lowercase().as_str()) {
            found.push(start..start + value.len());
        }
    }
    found
}

/// Whether a key is that of a secret, by how it looks: 'pasword' and 'hashed-pw' are.
fn is_secret(key: &str) -> bool {
    const PARTS: &[&str] = &["pass", "secret", "secert", "token", "private"];
    /// Of the consonants.
    const SKELETONS: &[&str] = &["psw", "pw", "tkn"];
    if NAMES.contains(&key) || SWITCHES.contains(&key) {
        return NAMES.contains(&key);
    }
    let letters: String =
        key.chars().take(LONGEST).filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let mut skeleton: Vec<char> = letters.chars().filter(|c| !"aeiou".contains(*c)).collect();
    skeleton.dedup();
    let skeleton: String = skeleton.into_iter().collect();
    PARTS.iter().any(|part| letters.contains(part)) || SKELETONS.iter().any(|part| skeleton.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_secrets_are_known_by_their_looks() {
        for key in
            ["password", "pasword", "passwrod", "Pssword", "passwd", "hashed_pw", "api-token", "client_secret", "key"]
        {
            assert!(is_secret(key), "{key}");
        }
        for key in
            ["packages", "apt", "ssh", "authorized-keys", "keyboard", "security", "scripts", "path", "name", "username"]
        {
            assert!(!is_secret(key), "{key}");
        }
    }

    /// The text with what is hidden as stars.
    fn starred(text: &str, hidden: &[Range<usize>]) -> String {
        let star = |(at, c): (usize, char)| if hidden.iter().any(|range| range.contains(&at)) { '*' } else { c };
        text.char_indices().map(star).collect()
    }

    #[test]
    fn switches_are_no_secrets() {
        let text = "ssh: {allow-pw: yes}\nlock_passwd: no\nssh_pwauth: 'x'\npassword: off\nallow-pasword: 'hunter2'\n";
        let all: Vec<_> = lines(text).flat_map(|line| values(text, line)).collect();
        assert_eq!(starred(text, &all), text.replace("'hunter2'", "*********"));
    }

    #[test]
    fn what_cannot_be_read_hides_what_follows_a_password() {
        let text =
            "a: b\n  pasword:hunter2\n{name: x, \"passwd\": 'h', b: c\nchpasswd:\n  list: |\n    a:pw\nlocale: C\n";
        let expected =
            "a: b\n  pasword:*******\n{name: x, \"passwd\": '********\nchpasswd:\n  *******\n    ****\nlocale: C\n";
        assert_eq!(starred(text, &of_text(text)), expected);
    }
}
