//! Ethernet addresses.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An EUI-48 of one interface; written in lowercase with colons.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr([u8; 6]);

/// Why a text is not the address of one interface.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MacAddrError {
    #[error("'{0}' is not a MAC address: write six pairs of hexadecimal digits, as in \"52:54:00:12:34:56\"")]
    Form(String),
    #[error("'{0}' is a group address; an interface's own address has an even first byte")]
    Group(String),
    #[error("'{0}' is not the address of an interface")]
    Zero(String),
}

impl MacAddr {
    pub const fn from_bytes(bytes: [u8; 6]) -> Self {
        MacAddr(bytes)
    }

    pub const fn bytes(self) -> [u8; 6] {
        self.0
    }

    /// With `-` between the bytes, as GRUB and iPXE use it in file names.
    pub fn hyphenated(self) -> String {
        self.to_string().replace(':', "-")
    }
}

impl FromStr for MacAddr {
    type Err = MacAddrError;

    /// Accepts `:` or `-` between the bytes, either case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || MacAddrError::Form(text.to_owned());
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut bytes = [0; 6];
        let mut parts = text.split(separator);
        for byte in &mut bytes {
            let part = parts.next().ok_or_else(form)?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(form());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| form())?;
        }
        match parts.next() {
            Some(_) => Err(form()),
            None if bytes[0] & 1 == 1 => Err(MacAddrError::Group(text.to_owned())),
            None if bytes == [0; 6] => Err(MacAddrError::Zero(text.to_owned())),
            None => Ok(MacAddr(bytes)),
        }
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for MacAddr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MacAddr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let mac: MacAddr = "AC-1F-6B-6c-5a-76".parse().unwrap();
        assert_eq!(mac.to_string(), "ac:1f:6b:6c:5a:76");
        assert_eq!(mac.hyphenated(), "ac-1f-6b-6c-5a-76");
        for bad in
            ["", "ac:1f:6b:6c:5a", "ac:1f:6b:6c:5a:76:00", "ac1f6b6c5a76", "ac:1f:6b:6c:5a:+6", "a:1f:6b:6c:5a:76"]
        {
            assert!(matches!(bad.parse::<MacAddr>(), Err(MacAddrError::Form(_))), "{bad}");
        }
        assert!(matches!("ff:ff:ff:ff:ff:ff".parse::<MacAddr>(), Err(MacAddrError::Group(_))));
        assert!(matches!("00:00:00:00:00:00".parse::<MacAddr>(), Err(MacAddrError::Zero(_))));
    }
}
