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
        "7" => known(
            "7",
            rest.split_once('$').is_some_and(|(s, h)| (11..=97).contains(&s.len()) && base64(s) && hash(h, 43)),
        ),
        "6" => known("6", sha(rest, 86)),
        "5" => known("5", sha(rest, 43)),
        "2b" | "2a" | "2x" | "2y" => known(
            "2b",
            rest.split_once('$').is_some_and(|(cost, h)| {
                cost.len() == 2 && cost.parse().is_ok_and(|cost: u8| (4..=31).contains(&cost)) && hash(h, 53)
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

/// `PARAMETERS$SALT$HASH`
fn yescrypt(rest: &str) -> bool {
    let parts: Vec<_> = rest.split('$').collect();
    let [parameters, salt, value] = parts[..] else { return false };
    !parameters.is_empty() && base64(parameters) && salt.len() <= 86 && base64(salt) && hash(value, 43)
}

/// `[rounds=N$]SALT$HASH`
fn sha(rest: &str, length: usize) -> bool {
    let rest = match rest.strip_prefix("rounds=") {
        None => rest,
        Some(rest) => match rest.split_once('$') {
            Some((rounds, rest)) if rounds.parse().is_ok_and(|r: u32| (1000..=999_999_999).contains(&r)) => rest,
            _ => return false,
        },
    };
    let Some((salt, value)) = rest.split_once('$') else { return false };
    (1..=16).contains(&salt.len()) && salt.bytes().all(|b| b.is_ascii_graphic() && b != b':') && hash(value, length)
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
}
