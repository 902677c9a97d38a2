//! Lengths of time in words, for the page and for the command line.
//!
//! In: seconds. Out: the two largest units that are worth saying.

/// "3 d 4 h"
pub(crate) fn spell(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86400, seconds % 86400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spelt() {
        assert_eq!([59, 61, 3661, 90_061].map(spell), ["59 s", "1 min", "1 h 1 min", "1 d 1 h"]);
    }
}
