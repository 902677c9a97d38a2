//! Whom to believe: a pinned certificate, or authorities.
//!
//! In: what the profile and the host trust. Out: an HTTP client for one server. Invariant: a server with another certificate gets no byte of a
//! request.

use std::time::Duration;

use bmc::{Fingerprint, OTHER_CERTIFICATE, root_cause, tls_error};
use reqwest::Certificate;
use reqwest::blocking::{Client, ClientBuilder};
use reqwest::redirect::Policy;
use rustls::ClientConfig;

use super::super::error::{DeployError, Kind};
use super::soap::said;

const CONNECT: Duration = Duration::from_secs(15);
/// For an answer: vCenter itself waits for its hosts.
const ANSWER: Duration = Duration::from_secs(180);

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
        // SHA-1 is all that vSphere says of its hosts' certificates before version 9. A second preimage is what an attacker would need, and
        // SHA-1 withstands that.
        let is_it = move |certificate: &[u8]| {
            ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, certificate).as_ref() == thumbprint
        };
        pinned(bmc::tls_config_by(is_it).map_err(|error| unusable(&error))?)
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

/// Twenty bytes with or without colons.
pub(super) fn thumbprint(text: &str) -> Option<[u8; 20]> {
    let mut bytes = [0; 20];
    hex::decode_to_slice(text.trim().replace(':', ""), &mut bytes).ok()?;
    Some(bytes)
}

/// Why no answer came.
pub(super) fn failure(error: &reqwest::Error, host: &str) -> DeployError {
    if let Some(tls) = tls_error(error) {
        let certificate = |reason: String| {
            DeployError::new(Kind::Trust, format!("{host} is not trusted: {reason}")).help(format!(
                "compare what `openssl s_client -connect {host} </dev/null | openssl x509 -noout -fingerprint -sha256` prints with what the server's administrator says, and write it as deploy.vsphere.certificate; or name the authority that signed it (deploy.vsphere.authorities)"
            ))
        };
        match tls {
            rustls::Error::General(text) if text == OTHER_CERTIFICATE => {
                return certificate(format!("it shows {OTHER_CERTIFICATE}"));
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
