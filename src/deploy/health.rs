//! Whether the appliance says that it runs a build: `/healthz` of its management page.
//!
//! In: the guest's address. Out: what it answered, and the key that it holds. Nothing secret is asked or told, so that the certificate is looked at
//! afterwards: by its public key, which the appliance keeps when it renews the certificate.

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::tls::TlsInfo;
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;
use serde::Deserialize;

use crate::vocab::Digest;

const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const LONGEST: u64 = 64 << 10;
const PORT: u16 = 443;

/// What an appliance says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// It works, by its own account.
    pub works: bool,
    /// Digest of the image that it runs, as it says.
    pub image: Option<String>,
    /// It keeps its state on a disk of its own.
    pub state_disk: bool,
    /// Deployment and generation of the last seed medium that it has read.
    pub seed: Option<(String, u32)>,
    /// SHA-256 of the public key that it has shown to hold: `SHA256:` and hexadecimal digits.
    pub key: String,
}

/// Asks an appliance; an `Err` says in a few words why there is no answer.
pub trait Health {
    fn ask(&self, address: IpAddr) -> Result<Answer, String>;
}

/// By HTTPS.
pub struct Healthz {
    client: reqwest::blocking::Client,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Body {
    status: String,
    image: Option<String>,
    #[serde(default)]
    state_disk: bool,
    #[serde(default)]
    deployment: Option<Delivered>,
}

#[derive(Deserialize)]
struct Delivered {
    id: String,
    generation: u32,
}

impl Healthz {
    /// # Errors
    /// The TLS library or the HTTP client refuses its own defaults.
    pub fn new() -> Result<Self, String> {
        let tls = bmc::any_tls_config().map_err(|error| error.to_string())?;
        let client = reqwest::blocking::Client::builder()
            .tls_backend_preconfigured(tls)
            .tls_info(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build();
        Ok(Healthz { client: client.map_err(|error| error.to_string())? })
    }
}

impl Health for Healthz {
    fn ask(&self, address: IpAddr) -> Result<Answer, String> {
        let url = format!("https://{}/healthz", SocketAddr::new(address, PORT));
        let response = self.client.get(&url).send().map_err(|error| reason(&error))?;
        let status = response.status();
        let key = response
            .extensions()
            .get::<TlsInfo>()
            .and_then(TlsInfo::peer_certificate)
            .and_then(key_of)
            .ok_or("it shows no certificate that can be read")?;
        let mut text = String::new();
        response.take(LONGEST).read_to_string(&mut text).map_err(|error| error.to_string())?;
        let body: Body = serde_json::from_str(&text).map_err(|_| format!("status {status}, and no answer of provd"))?;
        Ok(Answer {
            works: status.is_success() && body.status == "ok",
            image: body.image,
            state_disk: body.state_disk,
            seed: body.deployment.map(|seed| (seed.id, seed.generation)),
            key,
        })
    }
}

fn key_of(certificate: &[u8]) -> Option<String> {
    let certificate = CertificateDer::from(certificate);
    let parsed = ParsedCertificate::try_from(&certificate).ok()?;
    Some(format!("SHA256:{}", Digest::of(&parsed.subject_public_key_info())))
}

fn reason(error: &reqwest::Error) -> String {
    match error.is_timeout() {
        true => "no answer in time".to_owned(),
        false => bmc::root_cause(error),
    }
}
