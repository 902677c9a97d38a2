//! The text format of older boards (X9, X10): reading all of it, writing a part.
//!
//! ```text
//! [Advanced|CPU Configuration]
//! Hyper-threading=00    // 00 (Disabled), *01 (Enabled)
//! ```
//! A star marks the default; a number has no choices behind it. Its bytes are taken for Latin-1, so that each of them comes back as it was.

use super::config::{Kind, LONGEST_NAME, MOST, Named, Setting};

/// Characters of a line.
const LONGEST: usize = 64 << 10;
/// Menus in one another.
const DEEPEST: usize = 48;

pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Setting>, String> {
    let mut settings = Vec::new();
    let mut menus: Option<Vec<Named>> = None;
    for line in bytes.split(|byte| *byte == b'\n') {
        if line.len() > LONGEST {
            return Err("a line without end".to_owned());
        }
        let line: String = line.iter().map(|byte| char::from(*byte)).collect();
        let line = line.trim_end_matches(['\r', ' ', '\t']);
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            if section.len() > LONGEST_NAME * 4 || section.matches('|').count() >= DEEPEST {
                return Err(format!("a section of more than {} bytes or {DEEPEST} menus", LONGEST_NAME * 4));
            }
            menus = Some(section.split('|').map(|name| Named { name: name.to_owned(), order: None }).collect());
            continue;
        }
        // What stands before the first section is a banner.
        let Some(menus) = &menus else { continue };
        let Some((name, rest)) = line.split_once('=') else { continue };
        let (value, comment) = rest.split_once("//").unwrap_or((rest, ""));
        let value = value.trim();
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_hexdigit()) || name.is_empty() {
            continue;
        }
        if settings.len() >= MOST {
            return Err(format!("more than {MOST} settings"));
        }
        let (options, default) = choices(comment);
        let name = Named { name: name.to_owned(), order: None };
        let kind = Kind::Digits { value: value.to_owned(), options, default };
        settings.push(Setting { menus: menus.clone(), name, kind });
    }
    Ok(settings)
}

/// `00 (Disabled), *01 (Enabled)`: digits with their texts, and which of them is the default. Empty where it is no such list.
fn choices(comment: &str) -> (Vec<(String, String)>, Option<String>) {
    let mut default = None;
    let mut options = Vec::new();
    for part in comment.trim().split("), ") {
        let starred = part.trim_start().strip_prefix('*');
        let part = starred.unwrap_or(part.trim_start());
        let Some((digits, text)) = part.split_once(" (") else { return (Vec::new(), None) };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return (Vec::new(), None);
        }
        let text = text.strip_suffix(')').unwrap_or(text).to_owned();
        if starred.is_some() {
            default = Some(text.clone());
        }
        options.push((digits.to_owned(), text));
    }
    (options, default)
}

/// A number as this format has it: `wanted` is decimal, or hexadecimal with `0x`.
pub(super) fn digits(wanted: &str, width: usize) -> Option<String> {
    let number = match wanted.strip_prefix("0x") {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => u64::from_str_radix(digits, 16).ok()?,
        Some(_) => return None,
        None if wanted.bytes().all(|byte| byte.is_ascii_digit()) => wanted.parse().ok()?,
        None => return None,
    };
    let digits = format!("{number:0width$X}");
    (digits.len() == width).then_some(digits)
}

/// A file with these settings.
pub(super) fn write(settings: &[Setting]) -> Vec<u8> {
    let mut file = String::new();
    let mut open: &[Named] = &[];
    for setting in settings {
        if open != setting.menus {
            let path: Vec<&str> = setting.menus.iter().map(|menu| menu.name.as_str()).collect();
            file += &format!("[{}]\n", path.join("|"));
            open = &setting.menus;
        }
        if let Kind::Digits { value, .. } = &setting.kind {
            file += &format!("{}={value}\n", setting.name.name);
        }
    }
    // Each character was a byte when it was read.
    file.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?')).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::config::Config;
    use super::*;

    const FILE: &str = "Supermicro Update Manager 2.2.0\r\n# comment\r\n[Advanced|CPU Configuration]\r\n\
                        Hyper-threading=00    // 00 (Disabled), *01 (Enabled)\r\nLimit=0A  // 0-FF\r\n\
                        [Boot]\r\nHyper-threading=01 // *00 (Disabled), 01 (Enabled (all))\r\n";

    #[test]
    fn choices_and_numbers_are_read() {
        let config = Config::parse(FILE.as_bytes()).unwrap();
        assert_eq!(config.value("Advanced|CPU Configuration|Hyper-threading").unwrap(), "Disabled");
        assert_eq!(config.value("Boot|Hyper-threading").unwrap(), "Enabled (all)");
        assert_eq!(config.value("Advanced|CPU Configuration|Limit").unwrap(), "0x0A");
    }

    #[test]
    fn the_file_of_changes_is_a_text_as_well_with_what_differs_only() {
        let config = Config::parse(FILE.as_bytes()).unwrap();
        let wanted = [
            ("Advanced|CPU Configuration|Hyper-threading", "Enabled"),
            ("Advanced|CPU Configuration|Limit", "10"),
            ("Boot|Hyper-threading", "Disabled"),
        ];
        let wanted = wanted.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
        let plan = config.plan(&wanted).unwrap();
        assert_eq!(plan.same, ["Advanced|CPU Configuration|Limit"], "10 is 0A");
        let file = String::from_utf8(config.change_file(&plan.changes).unwrap()).unwrap();
        assert_eq!(file, "[Advanced|CPU Configuration]\nHyper-threading=01\n[Boot]\nHyper-threading=00\n");
    }

    #[test]
    fn numbers_keep_their_width() {
        assert_eq!(digits("255", 2).unwrap(), "FF");
        assert_eq!(digits("0x1f", 4).unwrap(), "001F");
        assert_eq!([digits("256", 2), digits("x", 2), digits("-1", 2), digits("", 2)], [const { None }; 4]);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(
            sections in proptest::collection::vec(("[a-zA-Z\u{a0}-\u{ff}][ -Z^-~\u{a0}-\u{ff}]{0,9}", "[!\"$-<>-Z^-~\u{a0}-\u{ff}]{1,9}", "[0-9A-F]{1,8}"), 1..9)
        ) {
            let settings: Vec<Setting> = sections.into_iter().map(|(section, name, value)| Setting {
                menus: section.split('|').map(|name| Named { name: name.to_owned(), order: None }).collect(),
                name: Named { name, order: None },
                kind: Kind::Digits { value, options: Vec::new(), default: None },
            }).collect();
            prop_assert_eq!(parse(&write(&settings)), Ok(settings));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_damage_makes_the_reader_panic(at in 0..FILE.len(), bytes in proptest::collection::vec(any::<u8>(), 0..8)) {
            let mut file = FILE.as_bytes().to_vec();
            let end = (at + bytes.len()).min(file.len());
            file.splice(at..end, bytes);
            let _ = Config::parse(&file);
        }
    }
}
