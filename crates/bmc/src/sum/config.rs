//! A board's BIOS configuration as SUM reads and writes it, in either of its formats.
//!
//! In: the file's bytes. Out: settings with what they may be; a plan; the file with changes only. Invariants: a setting is its menus, its
//! name and, where that is not enough, its `order`; texts are the board's own, blanks included.

use std::collections::BTreeMap;

use netboot::suggest::nearest;
use serde_json::Value;

use super::{text, xml};
use crate::bios::{BiosAttribute, BiosAttributes, BiosChange, BiosPlan, Way, does_not_fit};
use crate::error::Error;
use crate::plain::plain;

/// Bytes of a file: real ones are some hundred KiB.
pub(super) const LONGEST: u64 = 8 << 20;
/// Settings of a board: real ones are some hundreds.
pub(super) const MOST: usize = 4_000;
/// Bytes of a menu's or setting's name: each setting has a copy of its menus' names.
pub(super) const LONGEST_NAME: usize = 256;
/// Options that an error lists.
const LISTED: usize = 24;

/// A menu or a setting in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    pub(super) name: String,
    /// Tells equal names in one menu apart.
    pub(super) order: Option<u32>,
}

/// What a setting is and may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Choice {
        selected: String,
        options: Vec<String>,
        default: Option<String>,
    },
    CheckBox {
        checked: bool,
        default: Option<String>,
    },
    Number {
        value: u64,
        lower: Option<u64>,
        upper: Option<u64>,
        step: Option<u64>,
        default: Option<String>,
    },
    Text {
        value: String,
        shortest: Option<u64>,
        longest: Option<u64>,
        default: Option<String>,
    },
    Password,
    /// Of the text format: digits of a hexadecimal number, with what they stand for where it is a choice.
    Digits {
        value: String,
        options: Vec<(String, String)>,
        default: Option<String>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) menus: Vec<Named>,
    pub(super) name: Named,
    pub(super) kind: Kind,
}

/// How the file's characters are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Latin1,
    Utf8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Xml(Encoding),
    Text,
}

/// All settings, in the file's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    format: Format,
    settings: Vec<Setting>,
}

impl Config {
    /// # Errors
    /// In words: the file is none of SUM's.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Config, String> {
        if bytes.len() as u64 > LONGEST {
            return Err(format!("more than {} MiB", LONGEST >> 20));
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let begin = bytes.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
        let (format, settings) = if bytes[begin..].starts_with(b"<") {
            let (encoding, settings) = xml::parse(&bytes[begin..])?;
            (Format::Xml(encoding), settings)
        } else {
            (Format::Text, text::parse(bytes)?)
        };
        if settings.is_empty() {
            return Err("it holds no settings".to_owned());
        }
        Ok(Config { format, settings })
    }

    /// A file with these changes and nothing else.
    pub(crate) fn change_file(&self, changes: &[BiosChange]) -> Result<Vec<u8>, Error> {
        let ids = self.ids();
        let mut changed = Vec::new();
        for (setting, id) in self.settings.iter().zip(&ids) {
            let Some(change) = changes.iter().find(|change| change.name == *id) else { continue };
            let value = change.to.as_str().unwrap_or_default();
            let kind =
                setting.kind.with(value).map_err(|fault| does_not_fit(vec![format!("'{}' {fault}", plain(id))]))?;
            changed.push(Setting { kind, ..setting.clone() });
        }
        Ok(self.write(&changed))
    }

    fn write(&self, settings: &[Setting]) -> Vec<u8> {
        match self.format {
            Format::Xml(encoding) => xml::write(settings, encoding),
            Format::Text => text::write(settings),
        }
    }

    /// What each setting is called: its menus and its name with `|` between, and `[order]` where several are called the same.
    fn ids(&self) -> Vec<String> {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for setting in &self.settings {
            *seen.entry(setting.id(false)).or_default() += 1;
        }
        let id = |setting: &Setting| {
            let short = setting.id(false);
            if seen.get(&short) == Some(&1) { short } else { setting.id(true) }
        };
        self.settings.iter().map(id).collect()
    }

    /// What a setting is now, as an option's text.
    pub(crate) fn value(&self, id: &str) -> Option<String> {
        let found = self.ids().iter().position(|known| known == id)?;
        Some(self.settings[found].kind.shown())
    }

    pub(crate) fn attributes(&self) -> BiosAttributes {
        let attribute = |(setting, id): (&Setting, String)| BiosAttribute {
            name: plain(&id),
            value: Value::String(plain(&setting.kind.shown())),
            pending: None,
            kind: Some(setting.kind.title().to_owned()),
            allowed: setting.kind.allowed(),
            default: setting.kind.default().map(|default| Value::String(plain(default))),
            read_only: setting.kind == Kind::Password,
            display: Some(plain(&setting.name.name)),
        };
        let attributes = self.settings.iter().zip(self.ids()).map(attribute).collect();
        BiosAttributes { through: Way::Sum, attributes, notes: Vec::new() }
    }

    /// Compares the declared settings with these.
    ///
    /// # Errors
    /// `Input`, with everything that is wrong with them.
    pub(crate) fn plan(&self, declared: &BTreeMap<String, String>) -> Result<BiosPlan, Error> {
        let ids = self.ids();
        let mut plan = BiosPlan { through: Way::Sum, ..BiosPlan::default() };
        let mut wanted: BTreeMap<usize, (&str, &str)> = BTreeMap::new();
        let mut faults = Vec::new();
        for (asked, value) in declared {
            let found = match self.find(asked, &ids) {
                Ok(found) => found,
                Err(fault) => {
                    faults.push(fault);
                    continue;
                }
            };
            if let Err(fault) = self.settings[found].kind.with(value) {
                faults.push(format!("'{}' {fault}", plain(asked)));
            } else if let Some((other, before)) = wanted.insert(found, (asked, value))
                && before != value
            {
                faults.push(format!("'{}' and '{}' are the same setting", plain(other), plain(asked)));
            }
        }
        if let Format::Xml(Encoding::Latin1) = self.format {
            let foreign = |(_, value): &&(&str, &str)| value.chars().any(|letter| u32::from(letter) > 0xff);
            faults.extend(
                wanted.values().filter(foreign).map(|(asked, _)| format!("'{}' can hold Latin-1 only", plain(asked))),
            );
        }
        if !faults.is_empty() {
            return Err(does_not_fit(faults));
        }
        for (found, (_, value)) in wanted {
            let now = &self.settings[found].kind;
            match now.with(value).as_ref() == Ok(now) {
                true => plan.same.push(ids[found].clone()),
                false => plan.changes.push(BiosChange {
                    name: ids[found].clone(),
                    from: Value::String(plain(&now.shown())),
                    to: Value::String(now.with(value).map_or_else(|_| value.to_owned(), |kind| kind.shown())),
                    pending: None,
                }),
            }
        }
        Ok(plan)
    }

    /// Which setting a declared name means: as it is called here, else without its order and without blanks around its parts.
    fn find(&self, asked: &str, ids: &[String]) -> Result<usize, String> {
        if let Some(found) = ids.iter().position(|id| id == asked) {
            return Ok(found);
        }
        let asked_tidy = tidy(asked);
        let fits = |setting: &Setting| {
            [setting.id(false), setting.id(true)].iter().any(|id| id == asked || tidy(id) == asked_tidy)
        };
        let found: Vec<usize> = (0..self.settings.len()).filter(|index| fits(&self.settings[*index])).collect();
        match found[..] {
            [only] => Ok(only),
            [] => Err(match nearest(asked, ids.iter().map(String::as_str)).or_else(|| same_end(asked, ids)) {
                Some(near) => format!("'{}' is unknown: did you mean '{}'?", plain(asked), plain(near)),
                None => format!("'{}' is unknown", plain(asked)),
            }),
            _ => {
                let list: Vec<String> = found.iter().take(LISTED).map(|index| plain(&ids[*index])).collect();
                Err(format!("'{}' could be any of {}", plain(asked), list.join(", ")))
            }
        }
    }
}

/// The only setting of this name, in another menu.
fn same_end<'a>(asked: &str, ids: &'a [String]) -> Option<&'a str> {
    let name = asked.rsplit('|').next()?.trim();
    let mut found = ids.iter().filter(|id| id.rsplit('|').next().is_some_and(|end| end.trim() == name));
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

fn tidy(id: &str) -> String {
    id.split('|').map(str::trim).collect::<Vec<_>>().join("|")
}

impl Setting {
    fn id(&self, ordered: bool) -> String {
        let part = |named: &Named| match named.order.filter(|_| ordered) {
            Some(order) => format!("{} [{order}]", named.name),
            None => named.name.clone(),
        };
        self.menus.iter().chain([&self.name]).map(part).collect::<Vec<_>>().join("|")
    }
}

impl Kind {
    pub(super) fn title(&self) -> &'static str {
        match self {
            Kind::Choice { .. } => "Option",
            Kind::CheckBox { .. } => "CheckBox",
            Kind::Number { .. } => "Numeric",
            Kind::Text { .. } => "String",
            Kind::Password => "Password",
            Kind::Digits { options, .. } if options.is_empty() => "Numeric",
            Kind::Digits { .. } => "Option",
        }
    }

    fn shown(&self) -> String {
        match self {
            Kind::Choice { selected, .. } => selected.clone(),
            Kind::CheckBox { checked, .. } => xml::checked(*checked).to_owned(),
            Kind::Number { value, .. } => value.to_string(),
            Kind::Text { value, .. } => value.clone(),
            Kind::Password => String::new(),
            Kind::Digits { value, options, .. } => {
                let option = options.iter().find(|(digits, _)| digits.eq_ignore_ascii_case(value));
                option.map_or_else(|| format!("0x{value}"), |(_, text)| text.clone())
            }
        }
    }

    fn default(&self) -> Option<&str> {
        match self {
            Kind::Choice { default, .. }
            | Kind::CheckBox { default, .. }
            | Kind::Number { default, .. }
            | Kind::Text { default, .. }
            | Kind::Digits { default, .. } => default.as_deref(),
            Kind::Password => None,
        }
    }

    fn allowed(&self) -> String {
        let list = |options: &mut dyn Iterator<Item = &String>| -> String {
            let all: Vec<String> = options.map(|option| plain(option)).collect();
            match all.len() > LISTED {
                true => format!("{} and {} more", all[..LISTED].join(", "), all.len() - LISTED),
                false => all.join(", "),
            }
        };
        match self {
            Kind::Choice { options, .. } => list(&mut options.iter()),
            Kind::CheckBox { .. } => format!("{}, {}", xml::checked(true), xml::checked(false)),
            Kind::Number { lower: Some(lower), upper: Some(upper), .. } => format!("{lower} to {upper}"),
            Kind::Text { longest: Some(longest), .. } => format!("up to {longest} characters"),
            Kind::Number { .. } | Kind::Text { .. } | Kind::Password => String::new(),
            Kind::Digits { value, options, .. } if options.is_empty() => {
                format!("a number of {} hexadecimal digits", value.len())
            }
            Kind::Digits { options, .. } => list(&mut options.iter().map(|(_, text)| text)),
        }
    }

    /// The same setting with another value.
    ///
    /// # Errors
    /// In words, to follow the setting's name: it cannot have it.
    fn with(&self, wanted: &str) -> Result<Kind, String> {
        let refused = || Err(format!("cannot be '{}': there are {}", plain(wanted), self.allowed()));
        let mut kind = self.clone();
        match &mut kind {
            Kind::Choice { selected, options, .. } => {
                if !options.iter().any(|option| option == wanted) && selected != wanted {
                    return refused();
                }
                *selected = wanted.to_owned();
            }
            Kind::CheckBox { checked, .. } => match [true, false].into_iter().find(|is| xml::checked(*is) == wanted) {
                Some(is) => *checked = is,
                None => return refused(),
            },
            Kind::Number { value, lower, upper, step, .. } => {
                let Ok(number) = wanted.parse::<u64>() else {
                    return Err(format!("is a number, and '{}' is none", plain(wanted)));
                };
                if lower.is_some_and(|lower| number < lower) || upper.is_some_and(|upper| number > upper) {
                    return refused();
                }
                // A step of 0 is none.
                if let Some(step) = step.filter(|step| *step > 1)
                    && (number - lower.unwrap_or(0).min(number)) % step != 0
                {
                    return Err(format!("cannot be {number}: it goes in steps of {step}"));
                }
                *value = number;
            }
            Kind::Text { value, shortest, longest, .. } => {
                let length = wanted.chars().count() as u64;
                if longest.is_some_and(|longest| length > longest) || shortest.is_some_and(|least| length < least) {
                    return Err(format!("has {} to {} characters", shortest.unwrap_or(0), longest.unwrap_or(length)));
                }
                if wanted.chars().any(char::is_control) {
                    return Err("cannot hold control characters".to_owned());
                }
                *value = wanted.to_owned();
            }
            Kind::Password => return Err("is a password: those are not set this way".to_owned()),
            Kind::Digits { value, options, .. } => {
                let digits = match options.iter().find(|(_, text)| text == wanted) {
                    Some((digits, _)) => digits.clone(),
                    None if options.is_empty() => {
                        text::digits(wanted, value.len()).ok_or_else(|| format!("cannot be '{}'", plain(wanted)))?
                    }
                    None => return refused(),
                };
                // Only the letters' case differs: it is the same.
                if !digits.eq_ignore_ascii_case(value) {
                    *value = digits;
                }
            }
        }
        Ok(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = include_str!("dump_test.xml");

    fn declared(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn plan(pairs: &[(&str, &str)]) -> Result<BiosPlan, Error> {
        Config::parse(DUMP.as_bytes()).unwrap().plan(&declared(pairs))
    }

    #[test]
    fn only_what_differs_is_in_the_plan_and_in_the_file() {
        let config = Config::parse(DUMP.as_bytes()).unwrap();
        let plan = config
            .plan(&declared(&[
                ("Advanced|Boot Feature|Quiet Boot", "Unchecked"),
                ("Boot|Boot Mode Select", "UEFI"),
                ("Advanced|Boot Feature|Watch Dog Minutes", "10"),
            ]))
            .unwrap();
        assert_eq!(plan.same, ["Boot|Boot Mode Select"]);
        let file = String::from_utf8(config.change_file(&plan.changes).unwrap()).unwrap();
        assert!(!file.contains("Boot Mode Select"), "{file}");
        let again = Config::parse(file.as_bytes()).unwrap();
        assert_eq!(again.value("Advanced|Boot Feature|Quiet Boot").unwrap(), "Unchecked");
        assert_eq!(again.value("Advanced|Boot Feature|Watch Dog Minutes").unwrap(), "10");
    }

    #[test]
    fn equal_names_are_told_apart_by_their_order() {
        let fault = plan(&[("Boot|Fast Boot", "Enabled")]).unwrap_err().to_string();
        assert!(fault.contains("could be any of Boot|Fast Boot [1], Boot|Fast Boot [2]"), "{fault}");
        assert_eq!(plan(&[("Boot|Fast Boot [2]", "Enabled")]).unwrap().changes[0].name, "Boot|Fast Boot [2]");
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let fault = plan(&[
            ("Boot|Boot Mode Select", "Legacy"),
            ("Boot|Boot Mod Select", "UEFI"),
            ("Advanced|Boot Feature|Watch Dog Minutes", "0"),
            ("Advanced|Boot Feature|Quiet Boot", "Enabled"),
            ("Security|Administrator Password", "x"),
        ])
        .unwrap_err();
        for part in [
            "'Boot|Boot Mode Select' cannot be 'Legacy': there are LEGACY, UEFI, DUAL",
            "'Boot|Boot Mod Select' is unknown: did you mean 'Boot|Boot Mode Select'?",
            "cannot be '0': there are 1 to 255",
            "cannot be 'Enabled': there are Checked, Unchecked",
            "is a password",
        ] {
            assert!(fault.to_string().contains(part), "{part}: {fault}");
        }
        assert_eq!(fault.kind(), crate::Kind::Input);
    }

    #[test]
    fn blanks_that_a_board_has_before_a_name_may_be_left_out() {
        assert_eq!(
            plan(&[("Advanced|CPU|Power Limit Value", "9")]).unwrap().changes[0].name,
            "Advanced|CPU|  Power Limit Value"
        );
    }
}
