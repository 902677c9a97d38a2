//! From a name in a profile to the board's own: with Supermicro's suffix, or without.
//!
//! Supermicro adds `_` and four hexadecimal digits, which differ from board to board and from BIOS to BIOS (Redfish reference guide, "BIOS
//! Configuration"). Invariant: a name that could mean two attributes means none.

use netboot::suggest::nearest;

use crate::plain::plain;

/// `QuietBoot` of `QuietBoot_0038`.
pub(super) fn stem(name: &str) -> Option<&str> {
    let (stem, suffix) = name.rsplit_once('_')?;
    let digits = suffix.len() == 4 && suffix.bytes().all(|byte| byte.is_ascii_hexdigit());
    (digits && !stem.is_empty()).then_some(stem)
}

/// The attribute that `wanted` names.
///
/// # Errors
/// There is none, or there are several: in words.
pub(super) fn resolve<'a>(wanted: &str, known: &[&'a str], suffixed: bool) -> Result<&'a str, String> {
    if let Some(name) = known.iter().find(|name| **name == wanted) {
        return Ok(name);
    }
    let mut found: Vec<&str> = Vec::new();
    if suffixed {
        found.extend(known.iter().filter(|name| stem(name) == Some(wanted)));
    }
    match found[..] {
        [only] => Ok(only),
        [] => Err(unknown(wanted, known, suffixed)),
        _ => {
            let names: Vec<String> = found.iter().map(|name| plain(name)).collect();
            Err(format!("'{}' could be any of {}", plain(wanted), names.join(", ")))
        }
    }
}

fn unknown(wanted: &str, known: &[&str], suffixed: bool) -> String {
    let near = nearest(wanted, known.iter().copied()).or_else(|| {
        let stems = known.iter().filter(|_| suffixed).filter_map(|name| stem(name));
        let near = nearest(stem(wanted).unwrap_or(wanted), stems)?;
        known.iter().copied().find(|name| stem(name) == Some(near))
    });
    match near {
        Some(near) => format!("'{}' is unknown: did you mean '{}'?", plain(wanted), plain(near)),
        None => format!("'{}' is unknown", plain(wanted)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 5] =
        ["QuietBoot_0038", "SR_IOVSupport_0022", "TXTSupport_0062", "TXTSupport_0072", "ProcTurboMode"];

    #[test]
    fn a_suffix_may_be_left_out_where_that_names_one_attribute() {
        assert_eq!(resolve("QuietBoot", &KNOWN, true), Ok("QuietBoot_0038"));
        assert_eq!(resolve("QuietBoot_0038", &KNOWN, true), Ok("QuietBoot_0038"));
        assert_eq!(resolve("SR_IOVSupport", &KNOWN, true), Ok("SR_IOVSupport_0022"));
        assert_eq!(
            resolve("TXTSupport", &KNOWN, true).unwrap_err(),
            "'TXTSupport' could be any of TXTSupport_0062, TXTSupport_0072"
        );
        assert!(resolve("QuietBoot", &KNOWN, false).is_err(), "other vendors have no suffixes");
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_nearest() {
        for wanted in ["QuietBot", "QuietBoot_0027", "quietboot_0038"] {
            let fault = resolve(wanted, &KNOWN, true).unwrap_err();
            assert_eq!(fault, format!("'{wanted}' is unknown: did you mean 'QuietBoot_0038'?"));
        }
        assert_eq!(resolve("Bananas", &KNOWN, true).unwrap_err(), "'Bananas' is unknown");
    }
}
