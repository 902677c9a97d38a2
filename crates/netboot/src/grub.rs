//! GRUB's script language (GRUB manual, section "Quoting").

/// A word as GRUB's shell must read it: bare where nothing in it is special, otherwise in single quotes, inside which
/// nothing is. A `;` outside quotes would end the command and cut the kernel's arguments short.
pub fn quote(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.,:/=+@%".contains(&b);
    match !word.is_empty() && word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn special_characters_are_taken_literally() {
        assert_eq!(quote("root=UUID=6f1c-9d0e"), "root=UUID=6f1c-9d0e");
        assert_eq!(quote("ds=nocloud;s=http://x/"), "'ds=nocloud;s=http://x/'");
        assert_eq!(quote("it's $x"), r"'it'\''s $x'");
        assert_eq!(quote(""), "''");
    }
}
