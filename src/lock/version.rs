//! Order of Debian package versions.
//!
//! In: two version texts. Out: their order as dpkg sees it. Invariant: equal to `dpkg --compare-versions` for every
//! text that dpkg accepts (a test asks dpkg itself). Format: deb-version(7), Debian Policy 5.6.12.

use std::cmp::Ordering;

/// Compares two versions `[epoch:]upstream[-revision]`.
pub(crate) fn compare(left: &str, right: &str) -> Ordering {
    let (left_epoch, left_upstream, left_revision) = split(left);
    let (right_epoch, right_upstream, right_revision) = split(right);
    numbers(left_epoch.as_bytes(), right_epoch.as_bytes())
        .then_with(|| compare_part(left_upstream.as_bytes(), right_upstream.as_bytes()))
        .then_with(|| compare_part(left_revision.as_bytes(), right_revision.as_bytes()))
}

fn split(version: &str) -> (&str, &str, &str) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, revision)
}

/// Alternating runs of non-digits (letters before everything else, `~` before the end) and numbers.
fn compare_part(mut left: &[u8], mut right: &[u8]) -> Ordering {
    loop {
        let mut at = 0;
        loop {
            let l = left.get(at).copied().filter(|byte| !byte.is_ascii_digit());
            let r = right.get(at).copied().filter(|byte| !byte.is_ascii_digit());
            if l.is_none() && r.is_none() {
                break;
            }
            match weight(l).cmp(&weight(r)) {
                Ordering::Equal => at += 1,
                unequal => return unequal,
            }
        }
        (left, right) = (&left[at..], &right[at..]);
        let (left_digits, right_digits) = (digits(left), digits(right));
        match numbers(&left[..left_digits], &right[..right_digits]) {
            Ordering::Equal => {}
            unequal => return unequal,
        }
        (left, right) = (&left[left_digits..], &right[right_digits..]);
        if left.is_empty() && right.is_empty() {
            return Ordering::Equal;
        }
    }
}

fn weight(byte: Option<u8>) -> u32 {
    match byte {
        Some(b'~') => 0,
        None => 1,
        Some(letter) if letter.is_ascii_alphabetic() => u32::from(letter) + 1,
        Some(other) => u32::from(other) + 256,
    }
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Compares decimal numbers of any length.
fn numbers(left: &[u8], right: &[u8]) -> Ordering {
    let strip = |text: &[u8]| text.iter().take_while(|byte| **byte == b'0').count();
    let (left, right) = (&left[strip(left)..], &right[strip(right)..]);
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

/// Whether dpkg would accept the text as a version: what may appear in lock files and file names.
pub(crate) fn is_valid(version: &str) -> bool {
    let (epoch, upstream, _) = split(version);
    !epoch.is_empty()
        && epoch.bytes().all(|byte| byte.is_ascii_digit())
        && !upstream.is_empty()
        && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-~:".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_known_pairs() {
        let ascending = [
            ("1.0~rc1", "1.0"),
            ("1.0", "1.0a"),
            ("1.0a", "1.0+b"),
            ("1.9", "1.10"),
            ("1.0-1", "1.0-1+b1"),
            ("1.0-1~bpo1", "1.0-1"),
            ("2.0", "1:0.1"),
            ("1.2-9", "1.2.3-1"),
            ("3.1.2+dfsg0-1", "3.1.2+dfsg-13"),
            ("99999999999999999999998", "99999999999999999999999"),
        ];
        for (low, high) in ascending {
            assert_eq!(compare(low, high), Ordering::Less, "{low} < {high}");
            assert_eq!(compare(high, low), Ordering::Greater, "{high} > {low}");
        }
        for (one, other) in [("1.0", "0:1.0"), ("1.0", "1.00"), ("1.0", "1.0-0"), ("1.a", "1.a0")] {
            assert_eq!(compare(one, other), Ordering::Equal, "{one} = {other}");
        }
    }

    #[test]
    fn same_order_as_dpkg() {
        // Versions of real packages that are known to be awkward, each against each.
        let versions = [
            "1:2.36.1-8+deb13u1",
            "2.41-12",
            "2.41-12+deb13u3",
            "3.1.2+dfsg-13",
            "3.1.2+dfsg0-1",
            "9.18.33-1~deb12u2",
            "20240203",
            "20240203~22.04.1",
            "6.12.48-1",
            "6.8.0-31.31",
            "6.8.0-31.31.1",
            "2:8.39-13ubuntu0.22.04.1",
            "5.15.0-25.25~20.04.1",
            "1.1.1f-1ubuntu2.23",
            "0~20171227.1-9",
            "4:14.2.0-1",
            "1.2.3~",
            "1.2.3~~",
            "1.2.3",
            "1.2.3~~a",
            "1.0-1build1",
            "1.0-1ubuntu1",
            "1.0.0+really0.9-1",
            "0.0~git20240101.abc123-1",
            "2024a-0+deb12u1",
            "1:9.2p1-2+deb12u3",
            "1.8.13.1+dfsg1-1+b2",
            "256~rc3-7",
            "256-1",
            "1.0-2-3",
            "1-1",
            "1--1",
            "a1",
            "1.0+~cs5",
        ];
        for left in versions {
            for right in versions {
                let ours = compare(left, right);
                let relation = match ours {
                    Ordering::Less => "lt",
                    Ordering::Equal => "eq",
                    Ordering::Greater => "gt",
                };
                let status = std::process::Command::new("dpkg")
                    .args(["--force-bad-version", "--compare-versions", left, relation, right])
                    .stderr(std::process::Stdio::null())
                    .status()
                    .expect("dpkg runs (install the package dpkg)");
                assert!(status.success(), "{left} {relation} {right} is not what dpkg says");
            }
        }
    }
}
