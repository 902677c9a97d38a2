//! Names of machines.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One DNS label (RFC 1123, section 2.1) in lowercase: 1 to 63 letters, digits and inner hyphens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hostname(String);

/// Why a text is not a host name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HostnameError {
    #[error("a host name must not be empty")]
    Empty,
    #[error("'{0}' has {len} characters; a DNS label has at most 63", len = .0.len())]
    TooLong(String),
    #[error("'{0}' has a dot: write the first label only, the domain is the network's")]
    Dotted(String),
    #[error("'{0}' has uppercase letters; host names are written in lowercase")]
    Uppercase(String),
    #[error("'localhost' is every machine's name for itself")]
    Localhost,
    #[error("'{0}' is read as a date by many programs; give the host a name with a letter")]
    Date(String),
    #[error(
        "'{0}' means something else to dnsmasq where the name of a machine stands: a lease time, or to answer nothing"
    )]
    Taken(String),
    #[error("'{0}' is not a host name: letters, digits and '-' only, no '-' at either end")]
    Form(String),
}

/// What YAML readers take for a date where it stands without quotes (yaml.org, type timestamp).
fn looks_like_a_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let digits = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
    };
    matches!(parts[..], [year, month, day] if digits(year, 4..=4) && digits(month, 1..=2) && digits(day, 1..=2))
}

/// What dnsmasq's `dhcp-host` takes for a word of its own: then the machine has no name, or gets no address at all (`dhcp-host`
/// in dnsmasq(8); a lease time may lack its unit).
fn is_word_of_dnsmasq(text: &str) -> bool {
    let number = text.strip_suffix(['s', 'm', 'h', 'd', 'w']).unwrap_or(text);
    matches!(text, "ignore" | "infinite") || !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
}

impl Hostname {
    /// Whether a text has a label's form, whatever it means as the name of a machine.
    pub fn is_label(text: &str) -> bool {
        matches!(text.parse::<Hostname>(), Ok(_) | Err(HostnameError::Taken(_)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Hostname {
    type Err = HostnameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let own = || text.to_owned();
        let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        match text {
            "" => Err(HostnameError::Empty),
            // RFC 6761, section 6.3: it never names another machine.
            "localhost" => Err(HostnameError::Localhost),
            _ if text.len() > 63 => Err(HostnameError::TooLong(own())),
            _ if text.contains('.') => Err(HostnameError::Dotted(own())),
            _ if text.starts_with('-') || text.ends_with('-') => Err(HostnameError::Form(own())),
            _ if looks_like_a_date(text) => Err(HostnameError::Date(own())),
            _ if is_word_of_dnsmasq(text) => Err(HostnameError::Taken(own())),
            _ if text.bytes().all(ok) => Ok(Hostname(own())),
            _ if text.to_ascii_lowercase().bytes().all(ok) => Err(HostnameError::Uppercase(own())),
            _ => Err(HostnameError::Form(own())),
        }
    }
}

impl Deref for Hostname {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Hostname {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for Hostname {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Hostname {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lowercase_label() {
        for good in ["a", "node1", "4u-rack", "localhost1", &"x".repeat(63)] {
            assert!(good.parse::<Hostname>().is_ok(), "{good}");
        }
        let error = |text: &str| text.parse::<Hostname>().unwrap_err();
        assert_eq!(error(""), HostnameError::Empty);
        assert_eq!(error("localhost"), HostnameError::Localhost);
        assert!(matches!(error("node1.lab"), HostnameError::Dotted(_)));
        assert!(matches!(error("Node1"), HostnameError::Uppercase(_)));
        assert!(matches!(error(&"x".repeat(64)), HostnameError::TooLong(_)));
        assert!(matches!(error("2024-01-01"), HostnameError::Date(_)));
        for taken in ["ignore", "infinite", "7", "12", "7d", "12h", "1w", "30m", "90s"] {
            assert_eq!(error(taken), HostnameError::Taken(taken.to_owned()));
            assert!(Hostname::is_label(taken));
        }
        for good in ["ignore1", "n12", "12n", "d", "7-d", "7dd", "h7"] {
            assert!(good.parse::<Hostname>().is_ok(), "{good}");
        }
        for bad in ["-a", "a-", "a_b", "a b", "nöde", "a\n"] {
            assert!(matches!(error(bad), HostnameError::Form(_)), "{bad}");
        }
    }
}
