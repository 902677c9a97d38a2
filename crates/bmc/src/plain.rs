//! Text of a BMC as a terminal, a log and a page may have it.
//!
//! In: any text. Out: one line of at most [`LONGEST`] characters. Invariant: nothing in it moves a cursor or turns text around.

/// Entries of one of a BMC's lists (boot entries, allowable values) that are read: more is no list for people.
pub(crate) const MANY: usize = 256;
/// Characters of one text that are shown.
const LONGEST: usize = 400;

/// Without control characters and escape sequences' beginnings, on one line, not endless.
pub fn plain(text: &str) -> String {
    let mut clean: String =
        text.chars().map(|c| if c.is_control() || is_invisible(c) { ' ' } else { c }).take(LONGEST + 1).collect();
    if clean.chars().count() > LONGEST {
        clean = clean.chars().take(LONGEST).chain(['…']).collect();
    }
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Characters that change the direction or the place of others (Unicode, "Bidirectional Algorithm").
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_bmc_moves_the_cursor() {
        assert_eq!(plain("a\x1b[2Jb\r\nc \u{202e}d"), "a [2Jb c d");
        assert_eq!(plain(&"x".repeat(1000)).chars().count(), LONGEST + 1);
    }
}
