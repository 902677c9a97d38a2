//! The POSIX shell's language: how a word is written so that `sh` takes it for what it is.

/// `text` in single quotes, inside which nothing is special (POSIX.1-2017, XCU 2.2.2).
pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn nothing_is_special() {
        assert_eq!(quote("a $b `c` \\ \"d\" *"), "'a $b `c` \\ \"d\" *'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }
}
