//! The appliance's API (docs/api.md), as far as an installation needs it.
//!
//! Invariant: the token is sent only over TLS, and only to a certificate that was pinned or that an authority of the operator's signed.

use std::sync::Arc;
use std::time::Duration;

use bmc::{Fingerprint, PinError, Pins as _, plain, root_cause};
use reqwest::tls::TlsInfo;
use reqwest::{Certificate, Client, Method, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::error::Kind;
use super::events::Events;
use super::pins::PinFile;
use crate::vocab::Remedy;

const CONNECT: Duration = Duration::from_secs(10);
/// For an answer; the events' stream is silent for 15 seconds at most.
const SILENCE: Duration = Duration::from_secs(40);
/// Bytes of an answer.
const LONGEST: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum ApplianceError {
    #[error("the appliance {url} cannot be reached: {reason}")]
    Unreachable { url: String, reason: String },
    #[error("the appliance {url} shows another certificate than before: {seen}, not {pinned}")]
    CertificateChanged { url: String, pinned: Fingerprint, seen: Fingerprint },
    #[error("the appliance {url} shows a certificate that none of the authorities has signed: {reason}")]
    Authority { url: String, reason: String },
    #[error(transparent)]
    Pins(#[from] PinError),
    #[error("the appliance refuses the token of {reference}: {said}")]
    Token { reference: String, said: String },
    #[error("the appliance refuses to {what} (status {status}): {said}")]
    Refused { what: String, status: u16, said: String },
    #[error("the appliance's answer to '{what}' makes no sense: {reason}")]
    Nonsense { what: String, reason: String },
    #[error("the HTTP client: {0}")]
    Client(String),
}

impl ApplianceError {
    pub(super) fn kind(&self) -> Kind {
        match self {
            ApplianceError::Unreachable { .. } | ApplianceError::Nonsense { .. } => Kind::Unreachable,
            ApplianceError::CertificateChanged { .. }
            | ApplianceError::Authority { .. }
            | ApplianceError::Token { .. } => Kind::Trust,
            ApplianceError::Refused { .. } => Kind::Refused,
            ApplianceError::Pins(_) | ApplianceError::Client(_) => Kind::Surroundings,
        }
    }
}

impl Remedy for ApplianceError {
    fn help(&self) -> Option<String> {
        Some(match self {
            ApplianceError::Unreachable { .. } => {
                "is its address right (--appliance URL), does it run, is there a way to it from here?".to_owned()
            }
            ApplianceError::CertificateChanged { .. } => {
                "was its state disk replaced, or a name or an address of it changed? Compare with `provd certificate` on the spot, \
                 then: provbuild node trust --appliance --forget"
                    .to_owned()
            }
            ApplianceError::Authority { .. } => "--appliance-ca FILE names the authority's certificate; without it the \
                 certificate that is seen first is kept"
                .to_owned(),
            ApplianceError::Token { .. } => {
                "make one on the appliance: provd token create NAME; then --token env:NAME, file:PATH or age:PATH".to_owned()
            }
            _ => return None,
        })
    }
}

/// How the appliance shows that it is the one.
pub enum ApplianceTrust {
    /// By the certificate that was seen first: its own is signed by nobody.
    FirstUse(Arc<PinFile>),
    /// By one that these have signed (PEM), for its name.
    Authorities(Vec<u8>),
}

/// A token, and what it is known by.
pub struct Token {
    pub reference: String,
    pub secret: SecretString,
}

/// A node as the appliance has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Row {
    pub(super) hostname: String,
    pub(super) state: String,
    pub(super) detail: String,
    pub(super) installer: Option<String>,
    #[serde(default)]
    pub(super) media_ready: bool,
    pub(super) attempts: u64,
    #[serde(default)]
    pub(super) actions: Vec<String>,
}

/// A line of the audit log: a node's new state.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Line {
    pub(super) seq: u64,
    pub(super) to: String,
    pub(super) detail: String,
}

pub struct Appliance {
    http: Client,
    url: Url,
    token: Token,
}

impl Appliance {
    /// Connects, and compares or pins the certificate. The token is not sent yet.
    ///
    /// # Errors
    /// It cannot be reached, or is another one.
    pub async fn connect(url: Url, trust: &ApplianceTrust, token: Token) -> Result<Self, ApplianceError> {
        let failed = |error: &dyn std::fmt::Display| ApplianceError::Client(error.to_string());
        // Someone may have installed one before; any provider will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = match trust {
            ApplianceTrust::FirstUse(pins) => {
                let name = pin_name(&url);
                let pinned = match pins.pinned(&name)? {
                    Some(pinned) => pinned,
                    None => {
                        let seen = shown(&url).await?;
                        pins.pin(&name, seen)?;
                        pins.pinned(&name)?.unwrap_or(seen)
                    }
                };
                let tls = bmc::tls_config(pinned).map_err(|error| failed(&error))?;
                let http = builder().tls_backend_preconfigured(tls).build().map_err(|error| failed(&error))?;
                if let Err(error) = http.get(url.join("/healthz").map_err(|error| failed(&error))?).send().await {
                    return Err(match shown(&url).await {
                        Ok(seen) if seen != pinned => {
                            ApplianceError::CertificateChanged { url: url.to_string(), pinned, seen }
                        }
                        _ => unreachable(&url, &error),
                    });
                }
                http
            }
            ApplianceTrust::Authorities(pem) => {
                let authorities = Certificate::from_pem_bundle(pem).map_err(|error| failed(&error))?;
                let http = builder().tls_certs_only(authorities).build().map_err(|error| failed(&error))?;
                if let Err(error) = http.get(url.join("/healthz").map_err(|error| failed(&error))?).send().await {
                    return Err(match shown(&url).await {
                        Ok(_) => ApplianceError::Authority { url: url.to_string(), reason: plain(&root_cause(&error)) },
                        Err(_) => unreachable(&url, &error),
                    });
                }
                http
            }
        };
        Ok(Appliance { http, url, token })
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) async fn node(&self, name: &str) -> Result<Row, ApplianceError> {
        let what = format!("show {name}");
        let body = self.json(Method::GET, &format!("/api/v1/nodes/{name}"), None, &what).await?;
        serde_json::from_value(body["node"].clone()).map_err(|error| nonsense(&what, &error))
    }

    /// Number of the audit log's last line: events after it are news.
    pub(super) async fn head(&self) -> Result<u64, ApplianceError> {
        const WHAT: &str = "show its audit log";
        let body = self.json(Method::GET, "/api/v1/audit?limit=1", None, WHAT).await?;
        Ok(body[0]["seq"].as_u64().unwrap_or(0))
    }

    /// What has happened to a node after a line of the audit log, in order.
    pub(super) async fn audit(&self, name: &str, after: u64) -> Result<Vec<Line>, ApplianceError> {
        const WHAT: &str = "show its audit log";
        let path = format!("/api/v1/audit?after={after}&limit=1000&node={name}");
        let body = self.json(Method::GET, &path, None, WHAT).await?;
        serde_json::from_value(body).map_err(|error| nonsense(WHAT, &error))
    }

    /// Arms, or gives up what goes on and arms; the number of the attempt.
    pub(super) async fn arm(&self, name: &str, action: &str, reason: &str) -> Result<u64, ApplianceError> {
        let body = json!({ "reason": reason, "confirm": name });
        let what = format!("{action} {name}");
        let answer = self.json(Method::POST, &format!("/api/v1/nodes/{name}/{action}"), Some(&body), &what).await?;
        let attempts = answer["node"]["attempts"].as_u64();
        attempts.ok_or_else(|| nonsense(&what, &"it does not count the attempt"))
    }

    pub(super) async fn disarm(&self, name: &str, reason: &str) -> Result<(), ApplianceError> {
        let body = json!({ "reason": reason });
        let path = format!("/api/v1/nodes/{name}/disarm");
        self.json(Method::POST, &path, Some(&body), &format!("disarm {name}")).await.map(drop)
    }

    /// What changes from the audit log's line after this one on.
    pub(super) async fn events(&self, after: u64) -> Result<Watching, ApplianceError> {
        let answer = self.ask(Method::GET, &format!("/api/v1/events?after={after}"), None, "show events").await?;
        Ok(Watching { answer, events: Events::default(), url: self.url.clone() })
    }

    async fn json(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        what: &str,
    ) -> Result<Value, ApplianceError> {
        let answer = self.ask(method, path, body, what).await?;
        let bytes = read(answer).await.map_err(|error| unreachable(&self.url, &error))?;
        match serde_json::from_slice(&bytes) {
            Ok(value) => Ok(value),
            Err(_) if bytes.is_empty() => Ok(Value::Null),
            Err(error) => Err(nonsense(what, &error)),
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        what: &str,
    ) -> Result<Response, ApplianceError> {
        let url = self.url.join(path).map_err(|error| ApplianceError::Client(error.to_string()))?;
        let mut request = self.http.request(method, url).bearer_auth(self.token.secret.expose_secret().trim());
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.map_err(|error| unreachable(&self.url, &error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let bytes = read(answer).await.unwrap_or_default();
        let said = serde_json::from_slice::<Value>(&bytes).ok().and_then(|body| Some(plain(body["error"].as_str()?)));
        let said = said.unwrap_or_else(|| status.to_string());
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                ApplianceError::Token { reference: self.token.reference.clone(), said }
            }
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                ApplianceError::Unreachable { url: self.url.to_string(), reason: said }
            }
            _ => ApplianceError::Refused { what: what.to_owned(), status: status.as_u16(), said },
        })
    }
}

/// The events' stream while it lasts.
pub(super) struct Watching {
    answer: Response,
    events: Events,
    url: Url,
}

impl Watching {
    /// The next event; `None` where the stream has ended, as it does every quarter of an hour.
    pub(super) async fn next(&mut self) -> Result<Option<super::events::Event>, ApplianceError> {
        loop {
            if let Some(event) = self.events.next() {
                return Ok(Some(event));
            }
            match self.answer.chunk().await {
                Ok(Some(bytes)) => self.events.push(&bytes).map_err(|reason| nonsense("show events", &reason))?,
                Ok(None) => return Ok(None),
                Err(error) => return Err(unreachable(&self.url, &error)),
            }
        }
    }
}

/// What the appliance's certificate is kept under, beside those of the BMCs.
pub fn pin_name(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("https://{}{port}", url.host_str().unwrap_or_default())
}

/// The certificate that is shown now. Nothing secret is sent, and nothing is believed: whoever pins it connects anew.
async fn shown(url: &Url) -> Result<Fingerprint, ApplianceError> {
    let failed = |error: &dyn std::fmt::Display| ApplianceError::Client(error.to_string());
    let http =
        builder().tls_danger_accept_invalid_certs(true).tls_info(true).build().map_err(|error| failed(&error))?;
    let place = url.join("/healthz").map_err(|error| failed(&error))?;
    let answer = http.get(place).send().await.map_err(|error| unreachable(url, &error))?;
    let info = answer.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate);
    info.map(Fingerprint::of).ok_or_else(|| ApplianceError::Client("no certificate was shown".to_owned()))
}

fn builder() -> reqwest::ClientBuilder {
    Client::builder()
        .user_agent(concat!("provbuild/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .https_only(true)
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
}

async fn read(mut answer: Response) -> reqwest::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LONGEST {
            break;
        }
    }
    Ok(bytes)
}

fn nonsense(what: &str, reason: &dyn std::fmt::Display) -> ApplianceError {
    ApplianceError::Nonsense { what: what.to_owned(), reason: plain(&reason.to_string()) }
}

fn unreachable(url: &Url, error: &reqwest::Error) -> ApplianceError {
    let reason = match plain(&root_cause(error)) {
        _ if error.is_timeout() => "no answer in time".to_owned(),
        // rustls has a paragraph about it.
        reason if reason.contains("close_notify") => "it broke the connection off".to_owned(),
        reason => reason,
    };
    ApplianceError::Unreachable { url: url.to_string(), reason }
}
