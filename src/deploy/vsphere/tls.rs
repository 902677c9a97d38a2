//! Whom to believe: a pinned certificate, or authorities.
//!
//! In: what the profile and the host trust. Out: an HTTP client for one server. Invariant: a server with another certificate gets no byte of a
//! request.

use std::sync::Arc;
use std::time::Duration;

use bmc::Fingerprint;
use reqwest::Certificate;
use reqwest::blocking::{Client, ClientBuilder};
use reqwest::redirect::Policy;
use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

use super::super::error::{DeployError, Kind};
use super::soap::said;

const CONNECT: Duration = Duration::from_secs(15);
/// For an answer: vCenter itself waits for its hosts.
const ANSWER: Duration = Duration::from_secs(180);
/// What the verifiers say of a certificate that is not the expected one.
const OTHER: &str = "another certificate than the pinned one";

/// What the profile and the host trust.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    /// The one certificate of the server that the profile names.
    pub(super) pinned: Option<Fingerprint>,
    /// Authorities beside the public ones (PEM): the profile's, the host's.
    pub(super) authorities: Vec<Vec<u8>>,
}

impl Trust {
    /// A client for the server that the profile names.
    pub(super) fn client(&self) -> Result<Client, DeployError> {
        match self.pinned {
            Some(fingerprint) => pinned(bmc::tls_config(fingerprint).map_err(|error| unusable(&error))?),
            None => self.by_authorities(),
        }
    }

    /// A client for another host, which the server names together with its certificate's SHA-1, or without.
    pub(super) fn client_of(&self, thumbprint: Option<[u8; 20]>) -> Result<Client, DeployError> {
        let Some(thumbprint) = thumbprint else { return self.by_authorities() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Thumbprint { expected: thumbprint, provider: Arc::clone(&provider) };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        pinned(config)
    }

    fn by_authorities(&self) -> Result<Client, DeployError> {
        // Someone may have installed one before; any provider will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut all = Vec::new();
        for der in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
            all.push(Certificate::from_der(der).map_err(|error| unusable(&error))?);
        }
        for pem in &self.authorities {
            all.extend(Certificate::from_pem_bundle(pem).map_err(|error| {
                DeployError::new(
                    Kind::Settings,
                    format!("the certificate authorities cannot be read: {}", root_cause(&error)),
                )
                .help("deploy.vsphere.authorities names a file of certificates in PEM")
            })?);
        }
        builder().tls_certs_only(all).build().map_err(|error| unusable(&error))
    }
}

fn pinned(config: ClientConfig) -> Result<Client, DeployError> {
    builder().tls_backend_preconfigured(config).build().map_err(|error| unusable(&error))
}

fn builder() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("provbuild/", env!("CARGO_PKG_VERSION")))
        // What is asked of one server goes to no other.
        .redirect(Policy::none())
        .no_proxy()
        .https_only(true)
        // A disk of many GiB in one request: what NFC servers are used to.
        .http1_only()
        .connect_timeout(CONNECT)
        .timeout(ANSWER)
}

fn unusable(error: &dyn std::error::Error) -> DeployError {
    DeployError::new(Kind::Io, format!("the HTTP client: {}", root_cause(error)))
}

/// Compares SHA-1, which is all that vSphere says of its hosts' certificates before version 9. A second preimage is what an attacker
/// would need, and SHA-1 withstands that.
#[derive(Debug)]
struct Thumbprint {
    expected: [u8; 20],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Thumbprint {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let seen = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, certificate);
        match seen.as_ref() == self.expected {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(rustls::Error::General(OTHER.to_owned())),
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

/// Twenty bytes with or without colons.
pub(super) fn thumbprint(text: &str) -> Option<[u8; 20]> {
    let mut bytes = [0; 20];
    hex::decode_to_slice(text.trim().replace(':', ""), &mut bytes).ok()?;
    Some(bytes)
}

/// Why no answer came.
pub(super) fn failure(error: &reqwest::Error, host: &str) -> DeployError {
    if let Some(tls) = tls_of(error) {
        let certificate = |reason: String| {
            DeployError::new(Kind::Trust, format!("{host} is not trusted: {reason}")).help(format!(
                "compare what `openssl s_client -connect {host} </dev/null | openssl x509 -noout -fingerprint -sha256` prints with what the server's administrator says, and write it as deploy.vsphere.certificate; or name the authority that signed it (deploy.vsphere.authorities)"
            ))
        };
        match tls {
            rustls::Error::General(text) if text.contains("pinned") => {
                return certificate("it shows another certificate than the pinned one".to_owned());
            }
            rustls::Error::InvalidCertificate(why) => {
                return certificate(format!("its certificate is not accepted ({})", said(&format!("{why:?}"))));
            }
            _ => {}
        }
    }
    let reason = match error.is_timeout() {
        true => "no answer in time".to_owned(),
        false => said(&root_cause(error)),
    };
    DeployError::new(Kind::Unreachable, format!("{host} cannot be reached: {reason}"))
        .help("deploy again when it can be: what was begun is taken up")
}

/// What the TLS library said, wherever it is in the chain.
fn tls_of(error: &reqwest::Error) -> Option<&rustls::Error> {
    use std::error::Error as _;
    let mut cause = error.source();
    while let Some(now) = cause {
        if let Some(tls) = now.downcast_ref() {
            return Some(tls);
        }
        // The source of an I/O error is what its inner error comes from, not that itself.
        cause = match now.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => now.source(),
        };
    }
    None
}

/// The innermost cause: the outer ones repeat the address.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbprints_with_and_without_colons() {
        let text = "2C:11:ED:D7:13:87:7D:B5:74:18:B8:1C:42:C2:56:1F:0D:B9:5B:B9";
        assert_eq!(thumbprint(text), thumbprint(&text.replace(':', "").to_ascii_lowercase()));
        assert!(thumbprint(text).is_some());
        assert_eq!(thumbprint(&text[3..]), None);
        assert_eq!(thumbprint(""), None);
    }
}
