//! Whether a line is one that sshd takes from authorized_keys: a known type, and a key that says the same of itself.
//!
//! The key's numbers are not looked at; a line cut off while it was copied is found by its lengths.

/// Why a line is no key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum BadKey {
    #[error("this is a private key")]
    Private,
    #[error("an ssh public key is one line")]
    Lines,
    #[error("this is not an ssh public key: it names no known type of key")]
    Type,
    #[error("the ssh public key has no key after its type, or one that is not base64")]
    Base64,
    #[error("the ssh public key is cut off or altered")]
    Cut,
}

const TYPES: &[&str] = &[
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-ed25519-cert-v01@openssh.com",
    "ssh-rsa-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
];

/// One line of authorized_keys, with or without options (sshd(8)).
pub(super) fn check(line: &str) -> Result<(), BadKey> {
    if line.contains("PRIVATE KEY") {
        return Err(BadKey::Private);
    }
    let line = line.trim();
    if line.chars().any(|c| c.is_control() && c != '\t') {
        return Err(BadKey::Lines);
    }
    // Options may have blanks in quotes: the type is the first known word outside of them.
    let mut words = words(line).into_iter();
    let Some(kind) = words.by_ref().take(2).find(|word| TYPES.contains(word)) else { return Err(BadKey::Type) };
    let blob = words.next().and_then(base64).ok_or(BadKey::Base64)?;
    let fields = fields(&blob).ok_or(BadKey::Cut)?;
    match fields.split_first() {
        Some((first, rest)) if *first == kind.as_bytes() && !rest.is_empty() => match (kind, rest) {
            ("ssh-ed25519", [key]) if key.len() == 32 => Ok(()),
            ("ssh-ed25519", _) => Err(BadKey::Cut),
            _ => Ok(()),
        },
        _ => Err(BadKey::Cut),
    }
}

/// Words between blanks; a quoted blank does not part them.
fn words(line: &str) -> Vec<&str> {
    let (mut found, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, letter) in line.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            ' ' | '\t' if !quoted => {
                found.push(&line[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&line[start..]);
    found.retain(|word| !word.is_empty());
    found
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if digits.is_empty() || !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let (mut bytes, mut bits, mut count) = (Vec::with_capacity(text.len()), 0u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(bytes)
}

/// RFC 4251, section 5: strings, each after its length. `None` where a length does not fit.
fn fields(mut blob: &[u8]) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    while !blob.is_empty() {
        let (length, rest) = blob.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (field, rest) = rest.split_at_checked(length)?;
        found.push(field);
        blob = rest;
        // A certificate goes on with numbers that are no strings.
        if found.len() == 2 && found[0].ends_with(b"-cert-v01@openssh.com") {
            break;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with ssh-keygen.
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKpJb0Y1lHDhJ1cKyy7pnmKzKkQ1S2MXwPdE6TQKpHnv ops@desk";

    #[test]
    fn keys_and_what_is_none() {
        assert_eq!(check(KEY), Ok(()));
        assert_eq!(check(&format!("from=\"10.0.0.0/8\",command=\"echo a b\" {KEY}")), Ok(()));
        let (kind, rest) = KEY.split_once(' ').unwrap();
        let blob = rest.split_once(' ').unwrap().0;
        assert_eq!(check(&format!("{kind} {}", &blob[..blob.len() - 8])), Err(BadKey::Cut));
        assert_eq!(check(&format!("{kind} {}", &blob[..blob.len() - 3])), Err(BadKey::Base64));
        assert_eq!(check(&format!("ssh-rsa {blob}")), Err(BadKey::Cut));
        assert_eq!(check(blob), Err(BadKey::Type));
        assert_eq!(check("ssh-dss AAAA x"), Err(BadKey::Type));
        assert_eq!(check("ssh-ed25519 AAAA_PUT_YOUR_KEY_HERE user@host"), Err(BadKey::Base64));
        assert_eq!(check("-----BEGIN OPENSSH PRIVATE KEY-----\nb3\n"), Err(BadKey::Private));
        assert_eq!(check(&format!("{KEY}\n{KEY}")), Err(BadKey::Lines));
        assert_eq!(check(""), Err(BadKey::Type));
    }
}
