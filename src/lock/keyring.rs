//! The OpenPGP certificates that an archive is trusted by.
//!
//! In: a keyring file's bytes, binary or armored, or a distribution's name for the built-in ones (keyrings/README.md
//! says where they are from). Out: a [`Keyring`]. Invariant: it holds at least one certificate.

use sequoia_openpgp as openpgp;

use openpgp::Cert;
use openpgp::cert::CertParser;
use openpgp::parse::Parse;

use crate::profile::DistributionName;

static DEBIAN: &[u8] = include_bytes!("keyrings/debian.pgp");
static UBUNTU: &[u8] = include_bytes!("keyrings/ubuntu.pgp");
static UBUNTU_MEDIA: &[u8] = include_bytes!("keyrings/ubuntu-media.pgp");

/// Certificates whose signatures are believed.
#[derive(Debug, Clone)]
pub struct Keyring {
    certificates: Vec<Cert>,
}

/// Why bytes are not a keyring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    #[error("the keyring holds no OpenPGP certificate")]
    Empty,
    #[error("the keyring cannot be read: {0}")]
    Malformed(String),
}

impl Keyring {
    /// The archive keys of a distribution, as they were when this program was made.
    pub fn builtin(distribution: DistributionName) -> Result<Keyring, KeyringError> {
        Keyring::parse(match distribution {
            DistributionName::Debian => DEBIAN,
            DistributionName::Ubuntu => UBUNTU,
        })
    }

    /// The keys that sign a distribution's installation media; those of Debian's archive vouch for its installer as well.
    pub fn builtin_media(distribution: DistributionName) -> Result<Keyring, KeyringError> {
        Keyring::parse(match distribution {
            DistributionName::Debian => DEBIAN,
            DistributionName::Ubuntu => UBUNTU_MEDIA,
        })
    }

    /// Reads certificates, binary or ASCII-armored (RFC 9580, section 6), several in a row.
    pub fn parse(bytes: &[u8]) -> Result<Keyring, KeyringError> {
        const ARMOR: &[u8] = b"-----BEGIN PGP PUBLIC KEY BLOCK-----";
        let mut starts: Vec<usize> = memchr::memmem::find_iter(bytes, ARMOR).collect();
        if starts.is_empty() {
            starts.push(0);
        }
        let mut certificates = Vec::new();
        for (at, start) in starts.iter().enumerate() {
            let end = starts.get(at + 1).copied().unwrap_or(bytes.len());
            let parser =
                CertParser::from_bytes(&bytes[*start..end]).map_err(|e| KeyringError::Malformed(e.to_string()))?;
            for certificate in parser {
                certificates.push(certificate.map_err(|e| KeyringError::Malformed(e.to_string()))?);
            }
        }
        match certificates.is_empty() {
            true => Err(KeyringError::Empty),
            false => Ok(Keyring { certificates }),
        }
    }

    pub(super) fn certificates(&self) -> &[Cert] {
        &self.certificates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builtin_keyrings_hold_the_archive_keys() {
        let prints = |name| -> Vec<String> {
            Keyring::builtin(name).unwrap().certificates().iter().map(|cert| cert.fingerprint().to_hex()).collect()
        };
        assert_eq!(
            prints(DistributionName::Ubuntu),
            ["790BC7277767219C42C86F933B4FE6ACC0B21F32", "F6ECB3762474EDA9D21B7022871920D1991BC93C"]
        );
        assert_eq!(prints(DistributionName::Debian).len(), 6);
        assert!(prints(DistributionName::Debian).contains(&"04B54C3CDCA79751B16BC6B5225629DF75B188BD".to_owned()));
    }

    #[test]
    fn nonsense_is_no_keyring() {
        assert!(Keyring::parse(b"").is_err());
        assert!(Keyring::parse(b"hello").is_err());
        assert!(Keyring::parse(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!!").is_err());
    }
}
