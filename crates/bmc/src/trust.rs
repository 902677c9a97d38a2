//! Which certificate a BMC must show: the one that was seen first, until a person says otherwise.
//!
//! BMCs come with certificates that nobody signed, so their names and dates prove nothing. What is compared is the SHA-256 of the
//! whole certificate (DER), as ssh compares host keys. The handshake's signature is checked as always: whoever shows the pinned
//! certificate has its key.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use sha2::{Digest as _, Sha256};

/// What the TLS library says of a certificate that is not the expected one.
pub const OTHER_CERTIFICATE: &str = "another certificate than the pinned one";

/// SHA-256 of a certificate in DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub fn of(der: &[u8]) -> Self {
        Fingerprint(Sha256::digest(der).into())
    }
}

impl fmt::Display for Fingerprint {
    /// `SHA256:` and 64 hexadecimal digits: what `openssl x509 -fingerprint -sha256` prints, without its colons.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA256:{}", hex::encode(self.0))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("not a fingerprint: SHA256: and 64 hexadecimal digits")]
pub struct BadFingerprint;

impl FromStr for Fingerprint {
    type Err = BadFingerprint;

    /// Colons between the digits, as openssl writes them, are read as well.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("SHA256:").ok_or(BadFingerprint)?.replace(':', "");
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| BadFingerprint)?;
        Ok(Fingerprint(bytes))
    }
}

/// The record of certificates cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the record of certificates: {0}")]
pub struct PinError(pub String);

/// Remembers which certificate was seen where. The methods may block for a file or a database.
pub trait Pins: Send + Sync {
    /// # Errors
    /// The record cannot be read.
    fn pinned(&self, endpoint: &str) -> Result<Option<Fingerprint>, PinError>;

    /// Keeps a certificate that was seen for the first time. Where another one was kept meanwhile, that one stays.
    ///
    /// # Errors
    /// The record cannot be written.
    fn pin(&self, endpoint: &str, fingerprint: Fingerprint) -> Result<(), PinError>;
}

/// What a BMC must show.
#[derive(Clone)]
pub enum Trust {
    /// The certificate that was seen first.
    FirstUse(Arc<dyn Pins>),
    /// Nothing. Somebody asked for it.
    Insecure,
}

/// The certificate that a connection must show, and the one that was seen.
#[derive(Debug)]
pub(crate) struct Pinned {
    insecure: bool,
    /// `None` until the first handshake.
    expected: Mutex<Option<Fingerprint>>,
    /// The last one that was refused.
    refused: Mutex<Option<Fingerprint>>,
}

impl Pinned {
    pub(crate) fn new(expected: Option<Fingerprint>, insecure: bool) -> Arc<Self> {
        Arc::new(Pinned { insecure, expected: Mutex::new(expected), refused: Mutex::default() })
    }

    /// What was pinned, or seen first.
    pub(crate) fn expected(&self) -> Option<Fingerprint> {
        *self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn refused(&self) -> Option<Fingerprint> {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accepts(&self, certificate: &[u8]) -> bool {
        let seen = Fingerprint::of(certificate);
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        if *expected.get_or_insert(seen) == seen || self.insecure {
            return true;
        }
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        false
    }
}

/// Asks `accepts` for the certificate, and the library for the signature made with its key.
struct Verifier<F> {
    accepts: F,
    provider: Arc<CryptoProvider>,
}

impl<F> fmt::Debug for Verifier<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

impl<F: Fn(&[u8]) -> bool + Send + Sync> ServerCertVerifier for Verifier<F> {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match (self.accepts)(certificate) {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(rustls::Error::General(OTHER_CERTIFICATE.to_owned())),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A client's side of TLS 1.2 and 1.3 that believes the certificates (DER) that `accepts` does, whose key the server must hold. A refused one
/// ends the handshake with [`OTHER_CERTIFICATE`].
///
/// # Errors
/// The TLS library refuses its own defaults.
pub fn tls_config_by(accepts: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { accepts, provider }))
        .with_no_client_auth())
}

/// A client's side of TLS that accepts what `pinned` does.
pub(crate) fn client_config(pinned: Arc<Pinned>) -> Result<ClientConfig, rustls::Error> {
    tls_config_by(move |certificate| pinned.accepts(certificate))
}

/// The same for another service that goes by a pinned certificate: the appliance's own.
///
/// # Errors
/// The TLS library refuses its own defaults.
pub fn tls_config(expected: Fingerprint) -> Result<ClientConfig, rustls::Error> {
    tls_config_by(move |certificate| Fingerprint::of(certificate) == expected)
}

/// The same for a service that is met for the first time: any certificate will do, whose key the service holds. Nothing secret may be sent over it
/// before the certificate was looked at.
///
/// # Errors
/// The TLS library refuses its own defaults.
pub fn any_tls_config() -> Result<ClientConfig, rustls::Error> {
    tls_config_by(|_| true)
}
