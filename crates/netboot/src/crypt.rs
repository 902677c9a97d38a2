//! Which texts crypt(3) takes for a password's hash, by the forms that crypt(5) lists.

/// Why a text is not a hash to log in with. The text is left out: it may be a password.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    #[error("this is not a crypt(3) hash; a plain password must not stand in a profile")]
    Plain,
    #[error("the method '${0}$' is unknown to crypt(3)")]
    Method(String),
    #[error("the method '${0}$' is too weak: the image can be read by whoever holds it")]
    Weak(&'static str),
    #[error("the hash is cut off or altered: it has not the form that crypt(5) gives for '${0}$'")]
    Form(&'static str),
}

/// Characters of crypt's base 64.
fn base64(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'/')
}

/// Checks the form of a hash, as crypt(5) gives it; whether some password has it nobody can tell.
pub fn check(text: &str) -> Result<(), Refusal> {
    let Some((method, rest)) = text.strip_prefix('$').and_then(|rest| rest.split_once('$')) else {
        return Err(Refusal::Plain);
    };
    let known = |method: &'static str, ok: bool| if ok { Ok(()) } else { Err(Refusal::Form(method)) };
    match method {
        "y" => known("y", yescrypt(rest)),
        "gy" => known("gy", yescrypt(rest)),
        "7" => known("7", scrypt(rest)),
        "6" => known("6", sha(rest, 86)),
        "5" => known("5", sha(rest, 43)),
        "2b" | "2a" | "2x" | "2y" => known(
            "2b",
            rest.split_once('$').is_some_and(|(cost, h)| {
                cost.len() == 2 && number(cost).is_some_and(|cost| (4..=31).contains(&cost)) && hash(h, 53)
            }),
        ),
        "1" => Err(Refusal::Weak("1")),
        "3" => Err(Refusal::Weak("3")),
        "md5" => Err(Refusal::Weak("md5")),
        "sha1" => Err(Refusal::Weak("sha1")),
        other if other.len() <= 8 && other.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            Err(Refusal::Method(other.to_owned()))
        }
        _ => Err(Refusal::Plain),
    }
}

fn hash(text: &str, length: usize) -> bool {
    text.len() == length && base64(text)
}

/// A number of digits alone: Rust's own parser would take a sign.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// What a digit of crypt's base 64 stands for.
fn digit(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'.' => 0,
        b'/' => 1,
        b'0'..=b'9' => byte - b'0' + 2,
        b'A'..=b'Z' => byte - b'A' + 12,
        b'a'..=b'z' => byte - b'a' + 38,
        _ => return None,
    }))
}

/// Bytes of memory beyond which crypt(3) gives up on any machine that one would log in to.
const MOST_MEMORY: u64 = 1 << 32;

/// Whether yescrypt and scrypt compute with these: `1 << n` blocks of `r` times 128 bytes, `p` times.
fn computable(n: u32, r: u32, p: u32) -> bool {
    let memory = (128 * u64::from(r)).checked_shl(n).filter(|bytes| bytes >> n == 128 * u64::from(r));
    (2..64).contains(&n)
        && r >= 1
        && p >= 1
        && u64::from(r) * u64::from(p) < 1 << 30
        && memory.is_some_and(|bytes| bytes <= MOST_MEMORY)
}

/// `PARAMETERS$SALT$HASH`
fn yescrypt(rest: &str) -> bool {
    let parts: Vec<_> = rest.split('$').collect();
    let [parameters, salt, value] = parts[..] else { return false };
    yescrypt_parameters(parameters.as_bytes()).is_some_and(|sound| sound) && yescrypt_salt(salt) && hash(value, 43)
}

/// Flavor, N as a power of two, r, and perhaps a set of what else is there: p and t (`yescrypt_r` in libxcrypt's
/// alg-yescrypt-common.c). `None` where they end too early.
fn yescrypt_parameters(mut text: &[u8]) -> Option<bool> {
    let (flavor, n, r) = (varying(&mut text, 0)?, varying(&mut text, 1)?, varying(&mut text, 1)?);
    let more = if text.is_empty() { 0 } else { varying(&mut text, 1)? };
    let p = if more & 1 == 1 { varying(&mut text, 2)? } else { 1 };
    let t = if more & 2 == 2 { varying(&mut text, 1)? } else { 0 };
    // Classic scrypt has no t; the third is what every program writes (YESCRYPT_DEFAULTS, "j"). Hash upgrades (4) and a ROM
    // (8) crypt(3) does not have.
    let known = matches!(flavor, 0 | 1 | 47) && (flavor != 0 || t == 0);
    Some(text.is_empty() && more <= 3 && known && computable(n, r, p))
}

/// A number of one to six digits, of which the first says how many (`decode64_uint32`, there).
fn varying(text: &mut &[u8], least: u32) -> Option<u32> {
    let mut next = || {
        let (first, rest) = text.split_first()?;
        *text = rest;
        digit(*first)
    };
    let first = next()?;
    let (mut value, mut start, mut end, mut bits, mut further) = (u64::from(least), 0, 47, 0, 0);
    while first > end {
        value += u64::from(end + 1 - start) << bits;
        start = end + 1;
        end = start + (62 - end) / 2;
        further += 1;
        bits += 6;
    }
    value += u64::from(first - start) << bits;
    for _ in 0..further {
        bits -= 6;
        value += u64::from(next()?) << bits;
    }
    u32::try_from(value).ok()
}

/// At most 64 bytes in groups of four digits, the last group without bits to spare (`decode64`, there).
fn yescrypt_salt(text: &str) -> bool {
    let spare = |group: &[u8]| {
        let last = group.last().and_then(|last| digit(*last)).unwrap_or(0);
        match group.len() {
            4 => true,
            3 => last >> 4 == 0,
            2 => last >> 2 == 0,
            _ => false,
        }
    };
    text.len() <= 86 && base64(text) && text.as_bytes().chunks(4).all(spare)
}

/// `NRRRRRPPPPPSALT$HASH`: N as a power of two, r and p in 30 bits, the lowest digit first.
fn scrypt(rest: &str) -> bool {
    let Some((setting, value)) = rest.split_once('$') else { return false };
    let number = |digits: &[u8]| digits.iter().rev().try_fold(0, |sum, byte| Some(sum << 6 | digit(*byte)?));
    let Some((numbers, salt)) = setting.as_bytes().split_first_chunk::<11>() else { return false };
    let sound = || Some(computable(number(&numbers[..1])?, number(&numbers[1..6])?, number(&numbers[6..])?));
    base64(setting) && salt.len() <= 86 && sound().is_some_and(|sound| sound) && hash(value, 43)
}

/// `[rounds=N$]SALT$HASH`
fn sha(rest: &str, length: usize) -> bool {
    let rest = match rest.strip_prefix("rounds=") {
        None => rest,
        Some(rest) => match rest.split_once('$') {
            Some((rounds, rest))
                if !rounds.starts_with('0') && number(rounds).is_some_and(|r| (1000..=999_999_999).contains(&r)) =>
            {
                rest
            }
            _ => return false,
        },
    };
    let Some((salt, value)) = rest.split_once('$') else { return false };
    // What crypt(3) refuses anywhere in a hash: it would break passwd(5) and shadow(5).
    let taken = |b: u8| b.is_ascii_graphic() && !b"!*:;\\".contains(&b);
    (1..=16).contains(&salt.len()) && salt.bytes().all(taken) && hash(value, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_crypt5() {
        let (h43, h86, h53) = ("a".repeat(43), "b".repeat(86), "c".repeat(53));
        for good in [
            format!("$y$j9T$F5Jx5fExrKuPp53xLKQ..1${h43}"),
            format!("$6$saltsalt${h86}"),
            format!("$6$rounds=5000$s${h86}"),
            format!("$5$saltsalt${h43}"),
            format!("$2b$12${h53}"),
        ] {
            assert_eq!(check(&good), Ok(()), "{good}");
        }
        assert_eq!(check("hunter2"), Err(Refusal::Plain));
        assert_eq!(check(""), Err(Refusal::Plain));
        assert_eq!(check("$1$salt$qJH7.N4xYta3aEG/dfqo/0"), Err(Refusal::Weak("1")));
        assert_eq!(check("$9$salt$x"), Err(Refusal::Method("9".to_owned())));
        assert_eq!(check(&format!("$6$saltsalt${}", &h86[1..])), Err(Refusal::Form("6")));
        assert_eq!(check(&format!("$6${}${h86}", "s".repeat(17))), Err(Refusal::Form("6")));
        assert_eq!(check(&format!("$y$j9T${h43}")), Err(Refusal::Form("y")));
        assert_eq!(check(&format!("$2b$99${h53}")), Err(Refusal::Form("2b")));
    }

    /// Hashes and whether crypt(3) takes them.
    fn table() -> Vec<(String, bool)> {
        let (h43, h86, h53) = ("a".repeat(43), "b".repeat(86), "c".repeat(53));
        let salt = |length: usize| "a".repeat(length);
        let mut table = Vec::new();
        let mut add = |settings: &[(&str, bool)], hash: &str, joint: &str| {
            table.extend(settings.iter().map(|(setting, ok)| (format!("{setting}{joint}{hash}"), *ok)));
        };
        let sha = [
            ("saltsalt", true),
            ("rounds=1000$s", true),
            ("rounds=5000$saltsalt", true),
            ("rounds=05000$saltsalt", false),
            ("rounds=+5000$saltsalt", false),
            ("rounds=999$saltsalt", false),
            ("rounds=$saltsalt", false),
            ("rounds=5000x$saltsalt", false),
            ("sa~l=\"`&%(t", true),
            ("sa\\lt", false),
            ("sa!lt", false),
            ("sa*lt", false),
            ("sa;lt", false),
            ("sa:lt", false),
        ];
        for setting in sha {
            add(&[(&format!("$6${}", setting.0), setting.1)], &h86, "$");
            add(&[(&format!("$5${}", setting.0), setting.1)], &h43, "$");
        }
        let bcrypt = [("$2b$05$", true), ("$2y$05$", true), ("$2b$+5$", false), ("$2b$5$", false), ("$2b$03$", false)];
        add(&bcrypt, &h53, "");
        let yescrypt = [
            ("j9T$F5Jx5fExrKuPp53xLKQ..1", true),
            ("j75$F5Jx5fExrKuPp53xLKQ..1", true),
            ("j7.$", true),
            (".7.$saltsalt", true),
            ("/7.$saltsalt", true),
            ("07.$saltsalt", false),
            ("zzz$saltsalt", false),
            ("j$saltsalt", false),
            ("j7$saltsalt", false),
            ("$saltsalt", false),
            ("j7..$saltsalt", false),
            ("j7...$saltsalt", true),
            ("j7./.$saltsalt", true),
            (".7./.$saltsalt", false),
            ("j7.0..$saltsalt", true),
            ("j7.1.$saltsalt", false),
            ("j7.5.$saltsalt", false),
            ("j7....$saltsalt", false),
            ("j..$saltsalt", false),
            ("jz.$saltsalt", false),
            ("jk.$saltsalt", false),
            ("jk..$saltsalt", false),
            ("j7k.$saltsalt", true),
        ];
        for (setting, ok) in yescrypt {
            add(&[(&format!("$y${setting}"), ok), (&format!("$gy${setting}"), ok)], &h43, "$");
        }
        for (text, ok) in [
            (salt(1), false),
            (salt(2), false),
            (format!("{}.", salt(1)), true),
            (salt(3), false),
            (format!("{}.", salt(2)), true),
            (salt(4), true),
            (salt(5), false),
            (salt(86), false),
            (format!("{}.", salt(85)), true),
            (salt(88), false),
        ] {
            add(&[(&format!("$y$j7.${text}"), ok)], &h43, "$");
        }
        let scrypt = [
            ("$7$7/..../....saltsalt", true),
            ("$7$7/..../....", true),
            ("$7$./..../....saltsalt", false),
            ("$7$//..../....saltsalt", false),
            ("$7$7...../....saltsalt", false),
            ("$7$7/.........saltsalt", false),
            ("$7$z/..../....saltsalt", false),
            ("$7$7/..../...", false),
        ];
        add(&scrypt, &h43, "$");
        table
    }

    #[test]
    fn what_crypt3_refuses_is_refused() {
        for (hash, ok) in table() {
            assert_eq!(check(&hash).is_ok(), ok, "{hash}");
        }
    }

    /// Perl's `crypt` is the C library's. A hash that counts must come out again in its own form.
    #[test]
    #[ignore = "asks the machine's crypt(3)"]
    fn judge_crypt3_agrees() {
        const ASK: &str = r#"for my $hash (@ARGV) {
            my $made = crypt("x", $hash);
            my $head = substr($hash, 0, 1 + rindex($hash, chr 36));
            my $taken = defined $made && length($made) == length($hash) && substr($made, 0, length $head) eq $head;
            print $taken ? "1" : "0";
        }"#;
        let table = table();
        let hashes = table.iter().map(|(hash, _)| hash);
        let output = std::process::Command::new("perl").args(["-e", ASK]).args(hashes).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said.len(), table.len(), "{}", String::from_utf8_lossy(&output.stderr));
        for ((hash, ok), said) in table.iter().zip(said.chars()) {
            assert_eq!(said == '1', *ok, "{hash}");
        }
    }
}
