//! "Did you mean": the known word nearest to a mistyped one.

/// Longer words are not compared: they are no typing errors, and a hostile file must not cost time.
const LONGEST: usize = 64;
const MOST: usize = 500;

/// The nearest candidate, if it is near: at most one edit per three characters.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let folded = word.to_lowercase().replace('_', "-");
    let candidates = candidates.into_iter().take(MOST).filter(|candidate| candidate.len() <= LONGEST);
    let scored =
        candidates.map(|candidate| (strsim::damerau_levenshtein(&folded, &candidate.to_lowercase()), candidate));
    scored.min_by_key(|(distance, _)| *distance).filter(|(d, _)| *d <= (word.len() / 3).max(1)).map(|(_, near)| near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_only() {
        let known = ["memory", "hostname", "disk"];
        assert_eq!(nearest("memroy", known), Some("memory"));
        assert_eq!(nearest("host_name", known), Some("hostname"));
        assert_eq!(nearest("Disk", known), Some("disk"));
        assert_eq!(nearest("bananas", known), None);
        assert_eq!(nearest(&"x".repeat(10_000), known), None);
    }
}
