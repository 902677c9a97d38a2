//! User and password of a BMC.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};

/// Who logs in. The password is in no output of `Debug`, and its memory is cleared when it is dropped.
#[derive(Clone)]
pub struct Credentials {
    user: String,
    password: SecretString,
}

/// Why a text holds no credentials. The text itself is left out: it is the secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadCredentials {
    #[error("no ':' between user and password")]
    NoColon,
    #[error("the user's name is empty")]
    NoUser,
    #[error("the password is empty")]
    NoPassword,
    #[error("more than one line")]
    Lines,
    #[error("control characters")]
    Control,
}

impl Credentials {
    /// Reads `USER:PASSWORD`: one line, a line feed at its end is left out. A password may hold `:`.
    ///
    /// # Errors
    /// Any other text.
    pub fn parse(text: &str) -> Result<Self, BadCredentials> {
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.contains(['\n', '\r']) {
            return Err(BadCredentials::Lines);
        }
        if line.chars().any(char::is_control) {
            return Err(BadCredentials::Control);
        }
        let (user, password) = line.split_once(':').ok_or(BadCredentials::NoColon)?;
        if user.trim().is_empty() {
            return Err(BadCredentials::NoUser);
        }
        if password.is_empty() {
            return Err(BadCredentials::NoPassword);
        }
        Ok(Credentials { user: user.to_owned(), password: password.into() })
    }

    pub fn user(&self) -> &str {
        &self.user
    }

    /// To be written into a request or a file that only its user reads, nowhere else.
    pub(crate) fn password(&self) -> &str {
        self.password.expose_secret()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}, ...)", self.user.escape_debug())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_user_and_password() {
        let credentials = Credentials::parse("ADMIN:a:b c\n").unwrap();
        assert_eq!((credentials.user(), credentials.password()), ("ADMIN", "a:b c"));
        assert!(!format!("{credentials:?}").contains("a:b"));
        for (text, error) in [
            ("hunter2", BadCredentials::NoColon),
            (":hunter2", BadCredentials::NoUser),
            ("ADMIN:\n", BadCredentials::NoPassword),
            ("ADMIN:x\nmore", BadCredentials::Lines),
            ("ADMIN:x\u{7}", BadCredentials::Control),
        ] {
            assert_eq!(Credentials::parse(text).unwrap_err(), error);
        }
    }
}
