//! Shell globs as data: whether one can match anything, and whether two have a text in common.
//!
//! For faults alone: what is not known for certain counts as a match. Characters beyond ASCII are all one.

/// A piece of a glob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// One character of the set: a bit for each of ASCII, the highest for all others.
    One(u128),
    /// Any characters, or none.
    Star,
}

/// All characters.
const ANY: u128 = u128::MAX;

#[derive(Debug, Clone)]
pub(super) struct Glob(Vec<Piece>);

/// A `[` without its `]`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unclosed;

impl Glob {
    /// As fnmatch(3) reads it, without backslashes and names of classes.
    pub(super) fn parse(text: &str) -> Result<Self, Unclosed> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            rest = &rest[first.len_utf8()..];
            pieces.push(match first {
                '*' => Piece::Star,
                '?' => Piece::One(ANY),
                '[' => {
                    let negated = rest.starts_with(['!', '^']);
                    let inside = &rest[usize::from(negated)..];
                    // A `]` directly at the beginning is a member of the set.
                    let skipped = usize::from(inside.starts_with(']'));
                    let close = skipped + inside[skipped..].find(']').ok_or(Unclosed)?;
                    rest = &inside[close + 1..];
                    let set = set(&inside[..close]);
                    // The set of the others has those that are not told apart here, too.
                    Piece::One(if negated { !set | bit('\u{80}') } else { set })
                }
                letter => Piece::One(bit(letter)),
            });
        }
        Ok(Glob(pieces))
    }

    /// Whether some text matches: not where a set is empty, as `[z-a]` is.
    pub(super) fn is_possible(&self) -> bool {
        !self.0.contains(&Piece::One(0))
    }

    /// Whether some text matches both.
    pub(super) fn meets(&self, other: &Glob) -> bool {
        // Cell (i, j): the first i pieces of the one and the first j of the other match some common text.
        let mut reached = vec![vec![false; other.0.len() + 1]; self.0.len() + 1];
        reached[0][0] = true;
        for i in 0..=self.0.len() {
            for j in 0..=other.0.len() {
                let (one, two) = (i.checked_sub(1).map(|i| self.0[i]), j.checked_sub(1).map(|j| other.0[j]));
                let up = i > 0 && reached[i - 1][j];
                let left = j > 0 && reached[i][j - 1];
                reached[i][j] |= match (one, two) {
                    // A star ends here, or goes on with whatever the other has.
                    (Some(Piece::Star), Some(Piece::Star)) => up || left,
                    (Some(Piece::Star), Some(Piece::One(set))) => up || left && set != 0,
                    (Some(Piece::One(set)), Some(Piece::Star)) => left || up && set != 0,
                    (Some(Piece::One(a)), Some(Piece::One(b))) => reached[i - 1][j - 1] && a & b != 0,
                    (Some(Piece::Star), None) => up,
                    (None, Some(Piece::Star)) => left,
                    _ => false,
                };
            }
        }
        reached[self.0.len()][other.0.len()]
    }
}

fn bit(letter: char) -> u128 {
    1 << u32::from(letter).min(127)
}

/// Members and ranges between brackets.
fn set(inside: &str) -> u128 {
    let letters: Vec<char> = inside.chars().collect();
    let (mut set, mut at) = (0, 0);
    while at < letters.len() {
        match letters[at..] {
            [first, '-', last, ..] => {
                set |= (u32::from(first).min(127)..=u32::from(last).min(127))
                    .filter(|_| first <= last)
                    .fold(0, |set, code| set | 1u128 << code);
                at += 3;
            }
            [letter, ..] => {
                set |= bit(letter);
                at += 1;
            }
            [] => break,
        }
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_that_have_a_text_in_common() {
        let meet = |one: &str, other: &str| {
            let (one, other) = (Glob::parse(one).unwrap(), Glob::parse(other).unwrap());
            assert_eq!(one.meets(&other), other.meets(&one));
            one.meets(&other)
        };
        for (one, other) in [
            ("sda", "sd[a-z]*"),
            ("*", "sd[a-z]*"),
            ("?da", "sd[a-z]*"),
            ("[sv]d?", "sd[a-z]*"),
            ("[!a-r]d*", "sd[a-z]*"),
            ("nvme*n1", "nvme[0-9]*n[0-9]*"),
            ("disk/*/ata-1", "disk/by-id/?*"),
            ("a*c", "*b*"),
            ("", "*"),
            ("[]]", "]"),
        ] {
            assert!(meet(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("sd", "sd[a-z]*"),
            ("null", "sd[a-z]*"),
            ("/sda", "sd[a-z]*"),
            ("[!s]da", "sd[a-z]*"),
            ("nvme0", "nvme[0-9]*n[0-9]*"),
            ("disk/by-id/", "disk/by-id/?*"),
            ("", "?*"),
            ("a*", "b*"),
        ] {
            assert!(!meet(one, other), "{one} {other}");
        }
    }

    #[test]
    fn sets_without_a_member() {
        let possible = |text: &str| Glob::parse(text).unwrap().is_possible();
        assert!(
            !possible("S[z-a]*") && possible("S[z-ab]") && possible("[a-]") && possible("[!z-a]") && possible("[a-a]")
        );
        assert_eq!(Glob::parse("a[b").unwrap_err(), Unclosed);
        assert_eq!(Glob::parse("[!]").unwrap_err(), Unclosed);
    }
}
