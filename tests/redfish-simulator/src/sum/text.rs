//! The text form of a BIOS configuration, for boards before X11: sections of menus, hexadecimal values.
//!
//! Input: a file or settings; output: wishes or text. Invariant: settings that the form cannot say (texts, passwords) are left out.

use std::fmt::Write as _;

use super::{Bios, Constraint, Wish};

pub fn write(bios: &Bios) -> Vec<u8> {
    let mut text = String::from("# Supermicro Update Manager STUB\n");
    let mut section: &[String] = &[];
    for setting in &bios.settings {
        let (value, comment) = match &setting.constraint {
            Constraint::Option(options) => listed(options, &setting.value, &setting.default),
            Constraint::CheckBox => listed(&["Unchecked".into(), "Checked".into()], &setting.value, &setting.default),
            Constraint::Numeric { min, max, step } => {
                let number: u64 = setting.value.parse().unwrap_or_default();
                (format!("{number:04X}"), format!("range {min:04X} - {max:04X}, step {step:X}"))
            }
            Constraint::String { .. } | Constraint::Password => continue,
        };
        if section != setting.menu {
            let _ = writeln!(text, "\n[{}]", setting.menu.join("|"));
            section = &setting.menu;
        }
        let _ = writeln!(text, "{}={value}\t// {comment}", setting.name);
    }
    text.into_bytes()
}

fn listed(options: &[String], value: &str, default: &str) -> (String, String) {
    let at = options.iter().position(|option| option == value).unwrap_or_default();
    let all: Vec<String> = options
        .iter()
        .enumerate()
        .map(|(index, option)| format!("{}{index:02X} ({option})", if option == default { "*" } else { "" }))
        .collect();
    (format!("{at:02X}"), all.join(", "))
}

/// What a file asks for, with the values in words, as `bios` knows them.
///
/// # Errors
/// Text for a person, where a line is none of the form.
pub fn read(bytes: &[u8], bios: &Bios) -> Result<Vec<Wish>, String> {
    let text = String::from_utf8_lossy(bytes);
    let mut menu: Vec<String> = Vec::new();
    let mut wishes: Vec<Wish> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if let Some(section) = line.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            menu = section.split('|').map(str::to_string).collect();
            continue;
        }
        let (name, rest) = line.split_once('=').ok_or_else(|| format!("not a setting: {line}"))?;
        let value = rest.split("//").next().unwrap_or_default().trim();
        let number = u64::from_str_radix(value, 16).map_err(|_| format!("not hexadecimal: {line}"))?;
        // The form has no orders: the first line of a name is for the first setting of that name.
        let before = wishes.iter().filter(|wish| wish.menu == menu && wish.name == name).count();
        let setting = bios.settings.iter().filter(|one| one.menu == menu && one.name == name).nth(before);
        let value = match setting.map(|one| &one.constraint) {
            Some(Constraint::Option(options)) => options.get(number as usize).cloned().unwrap_or_else(|| value.into()),
            Some(Constraint::CheckBox) => if number == 0 { "Unchecked" } else { "Checked" }.into(),
            _ => number.to_string(),
        };
        let order = setting.and_then(|one| one.order);
        wishes.push(Wish { menu: menu.clone(), name: name.into(), order, value, kind: None });
    }
    Ok(wishes)
}
