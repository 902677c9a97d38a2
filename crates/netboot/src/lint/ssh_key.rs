//! Whether a line is one that sshd takes from authorized_keys: options that it knows, a known type, and a key that says
//! the same of itself and has all its parts in their lengths.
//!
//! Whether a point lies on its curve is not looked at; a line cut off while it was copied is found by its lengths.

/// Why a line is no key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum BadKey {
    #[error("this is a private key")]
    Private,
    #[error("an ssh public key is one line")]
    Lines,
    #[error("this line is a comment: sshd passes over what begins with '#'")]
    Comment,
    #[error("sshd has no option like '{0}' for a key, and passes over the line")]
    Option(String),
    #[error("this is not an ssh public key: it names no known type of key")]
    Type,
    #[error("this is a certificate: sshd looks for the key itself, or for its authority's with `cert-authority`")]
    Certificate,
    #[error("the ssh public key has no key after its type, or one that is not base64")]
    Base64,
    #[error("the ssh public key is cut off or altered")]
    Cut,
    #[error("sshd refuses RSA keys of less than 1024 bits")]
    Short,
}

const TYPES: &[&str] = &[
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// Options of a key that stand alone, in lowercase (sshd(8), "AUTHORIZED_KEYS FILE FORMAT"; `sshauthopt_parse` in OpenSSH).
const FLAGS: [&str; 9] = [
    "restrict",
    "cert-authority",
    "agent-forwarding",
    "port-forwarding",
    "pty",
    "user-rc",
    "x11-forwarding",
    "touch-required",
    "verify-required",
];
/// Those that also begin with `no-`: all but the first two.
const NEGATED: usize = 2;
/// Options with a text in quotes behind `=`.
const VALUED: [&str; 8] =
    ["command", "environment", "expiry-time", "from", "permitlisten", "permitopen", "principals", "tunnel"];

/// One line of authorized_keys, with or without options (sshd(8)).
pub(super) fn check(line: &str) -> Result<(), BadKey> {
    check_line(line.trim()).map_err(|bad| match line.contains("PRIVATE KEY") {
        // A sound key may say so in its comment.
        true => BadKey::Private,
        false => bad,
    })
}

fn check_line(line: &str) -> Result<(), BadKey> {
    if line.chars().any(|c| c.is_control() && c != '\t') {
        return Err(BadKey::Lines);
    }
    if line.starts_with('#') {
        return Err(BadKey::Comment);
    }
    let (first, rest) = word(line);
    let (kind, rest) = match known(first) {
        true => (first, rest),
        false => {
            let (second, rest) = word(rest);
            if !known(second) {
                return Err(BadKey::Type);
            }
            options(first)?;
            (second, rest)
        }
    };
    if !TYPES.contains(&kind) {
        return Err(BadKey::Certificate);
    }
    let blob = base64(word(rest).0).ok_or(BadKey::Base64)?;
    match fields(&blob).as_deref() {
        Some([name, parts @ ..]) if *name == kind.as_bytes() => key(kind, parts),
        _ => Err(BadKey::Cut),
    }
}

fn known(kind: &str) -> bool {
    TYPES.contains(&kind) || kind.ends_with("-cert-v01@openssh.com")
}

/// A key's parts behind its type's name: RFC 8709, RFC 4253 (6.6), RFC 5656 (3.1), and PROTOCOL.u2f of OpenSSH.
fn key(kind: &str, parts: &[&[u8]]) -> Result<(), BadKey> {
    // Uncompressed: 4, then two coordinates.
    let point = |point: &[u8], coordinate: usize| point.len() == 1 + 2 * coordinate && point[0] == 4;
    let sound = match (kind, parts) {
        ("ssh-ed25519", [key]) => key.len() == 32,
        ("sk-ssh-ed25519@openssh.com", [key, application]) => key.len() == 32 && !application.is_empty(),
        ("sk-ecdsa-sha2-nistp256@openssh.com", [b"nistp256", key, application]) => {
            point(key, 32) && !application.is_empty()
        }
        ("ecdsa-sha2-nistp256", [b"nistp256", key]) => point(key, 32),
        ("ecdsa-sha2-nistp384", [b"nistp384", key]) => point(key, 48),
        ("ecdsa-sha2-nistp521", [b"nistp521", key]) => point(key, 66),
        ("ssh-rsa", [e, n]) => match (bits(e), bits(n)) {
            (Some(2..), Some(1024..=16384)) => true,
            (Some(2..), Some(1..1024)) => return Err(BadKey::Short),
            _ => false,
        },
        _ => false,
    };
    if sound { Ok(()) } else { Err(BadKey::Cut) }
}

/// Length of a number in bits; `None` for a negative one (RFC 4251, "mpint").
fn bits(number: &[u8]) -> Option<usize> {
    if number.first().is_some_and(|first| first & 0x80 != 0) {
        return None;
    }
    let leading = number.iter().take_while(|byte| **byte == 0).count();
    let first = number.get(leading).map_or(0, |byte| byte.leading_zeros() as usize);
    Some((number.len() - leading) * 8 - first)
}

/// The first word, and what follows it. Quoted blanks part no words, and a quote behind `\` is none
/// (`sshkey_advance_past_options`).
fn word(line: &str) -> (&str, &str) {
    let line = line.trim_start_matches([' ', '\t']);
    let end = until(line, |letter| matches!(letter, b' ' | b'\t'));
    line.split_at(end)
}

/// Where the first such byte stands outside of quotes, or the end.
fn until(text: &str, ends: impl Fn(u8) -> bool) -> usize {
    let (bytes, mut at, mut quoted) = (text.as_bytes(), 0, false);
    while let Some(&letter) = bytes.get(at) {
        match letter {
            b'\\' if bytes.get(at + 1) == Some(&b'"') => at += 1,
            b'"' => quoted = !quoted,
            letter if !quoted && ends(letter) => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// Options with commas between.
fn options(mut text: &str) -> Result<(), BadKey> {
    loop {
        let (option, rest) = text.split_at(until(text, |letter| letter == b','));
        if !is_option(option) {
            let shown: String = option.split('=').next().unwrap_or("").chars().take(40).collect();
            return Err(BadKey::Option(shown));
        }
        match rest.strip_prefix(',') {
            Some(further) => text = further,
            None => return Ok(()),
        }
    }
}

fn is_option(option: &str) -> bool {
    match option.split_once('=') {
        Some((name, value)) => {
            let inside = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            // No other quote but those behind a backslash.
            let whole = inside.is_some_and(|inside| !inside.replace("\\\"", "").contains('"'));
            whole && VALUED.contains(&name.to_ascii_lowercase().as_str())
        }
        None => {
            let name = option.to_ascii_lowercase();
            match name.strip_prefix("no-") {
                Some(name) => FLAGS[NEGATED..].contains(&name),
                None => FLAGS.contains(&name.as_str()),
            }
        }
    }
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
        assert_eq!(check(&format!("# {KEY}")), Err(BadKey::Comment));
        assert_eq!(check(&format!("foo {KEY}")), Err(BadKey::Option("foo".to_owned())));
        assert_eq!(check(&format!("{KEY} was beside the PRIVATE KEY")), Ok(()));
        assert_eq!(check("ssh-rsa-cert-v01@openssh.com AAAA x"), Err(BadKey::Certificate));
    }

    /// A key of these parts, as a line without options.
    fn made(kind: &str, parts: &[&[u8]]) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut blob = Vec::new();
        for part in [kind.as_bytes()].iter().chain(parts) {
            blob.extend((part.len() as u32).to_be_bytes());
            blob.extend_from_slice(part);
        }
        let digits = |group: &[u8]| {
            let bits = [0, 1, 2].map(|at| u32::from(group.get(at).copied().unwrap_or(0)));
            let bits = bits[0] << 16 | bits[1] << 8 | bits[2];
            let digit = |at: usize| match at <= group.len() {
                true => char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize]),
                false => '=',
            };
            [0, 1, 2, 3].map(digit)
        };
        format!("{kind} {} ops@desk", blob.chunks(3).flat_map(digits).collect::<String>())
    }

    /// Lines, and whether sshd takes them.
    fn table() -> Vec<(String, bool)> {
        let rsa = |bits: usize| [&[0u8][..], &vec![0xc5; bits / 8]].concat();
        // The base point of P-256 (FIPS 186-4, D.1.2.3): judges want a point of the curve.
        let point: Vec<u8> = [
            "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
            "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
        ]
        .concat()
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
        let (e, ed) = ([1u8, 0, 1], [7u8; 32]);
        let (rsa2048, rsa768) = (rsa(2048), rsa(768));
        let p256 = "ecdsa-sha2-nistp256";
        let (sk_ed, sk_ec) = ("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com");
        let mut lines = vec![
            (made("ssh-ed25519", &[&ed]), true),
            (made("ssh-ed25519", &[&ed[..31]]), false),
            (made("ssh-ed25519", &[&ed, b"x"]), false),
            (made("ssh-ed25519", &[]), false),
            (made("ssh-rsa", &[&e, &rsa2048]), true),
            (made("ssh-rsa", &[&e]), false),
            (made("ssh-rsa", &[&e, b""]), false),
            (made("ssh-rsa", &[&e, &rsa768]), false),
            (made("ssh-rsa", &[&e, &rsa2048[1..]]), false),
            (made(p256, &[b"nistp256", &point]), true),
            (made(p256, &[b"nistp256", &point[..4]]), false),
            (made(p256, &[b"nistp384", &point]), false),
            (made(p256, &[&point]), false),
            (made("ecdsa-sha2-nistp384", &[b"nistp384", &point]), false),
            (made(sk_ed, &[&ed, b"ssh:"]), true),
            (made(sk_ed, &[&ed]), false),
            (made(sk_ec, &[b"nistp256", &point, b"ssh:"]), true),
            (made(sk_ec, &[b"nistp256", &point]), false),
        ];
        for (options, ok) in [
            ("command=\"echo \\\"hi there\\\"\"", true),
            ("from=\"10.0.0.0/8\",no-pty,command=\"echo a b\"", true),
            ("no-X11-forwarding,No-Agent-Forwarding,restrict", true),
            ("environment=\"A=b\"", true),
            ("\t", true),
            ("#", false),
            ("#no-pty", false),
            ("foo", false),
            ("no-restrict", false),
            ("no-pty,", false),
            ("command=echo", false),
            ("command=\"echo", false),
            ("no-pty no-pty", false),
        ] {
            lines.push((format!("{options} {KEY}"), ok));
        }
        lines.push((KEY.replacen(' ', "\t", 1), true));
        lines.push((KEY.replace("ops@desk", "my PRIVATE KEY's other half"), true));
        lines
    }

    #[test]
    fn what_sshd_passes_over_is_refused() {
        for (line, ok) in table() {
            assert_eq!(check(&line).is_ok(), ok, "{line}: {:?}", check(&line));
        }
    }

    /// `ssh-keygen -l` reads lines of authorized_keys as sshd does, but passes over what it does not know of options.
    #[test]
    #[ignore = "asks ssh-keygen"]
    fn judge_ssh_keygen_agrees() {
        let folder = crate::tempdir::Folder::plain();
        let file = folder.join("key.pub");
        for (line, ok) in table() {
            let optional = !line.starts_with("ssh-") && !line.starts_with("ecdsa-") && !line.starts_with("sk-");
            if optional && !ok && !line.starts_with('#') {
                continue;
            }
            std::fs::write(&file, format!("{line}\n")).unwrap();
            let output = std::process::Command::new("ssh-keygen").arg("-lf").arg(&file).output().unwrap();
            // Its limit for RSA is sshd's.
            assert_eq!(output.status.success(), ok, "{line}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
