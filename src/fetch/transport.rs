//! Getting bytes from an address: `http:`, `https:` and `file:`.
//!
//! In: an address, from which byte on, a limit. Out: a reader, or a [`MirrorError`]. Invariant: nothing here is believed;
//! who reads checks length and digest. HTTP ranges: RFC 9110, sections 13.1.5 and 14.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::blocking::Client;
use reqwest::header::{ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE};
use reqwest::{Certificate, NoProxy, Proxy, StatusCode};
use url::Url;

use super::error::{FetchError, MirrorError};
use super::mirrors::join;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// How to reach the network. The environment enters here as an argument.
#[derive(Clone, Default)]
pub struct Network {
    /// Value of `http_proxy`.
    pub http_proxy: Option<String>,
    /// Value of `https_proxy`.
    pub https_proxy: Option<String>,
    /// Value of `no_proxy`.
    pub no_proxy: Option<String>,
    /// PEM file of further certificate authorities: the host's own bundle.
    pub authorities: Option<Vec<u8>>,
    /// Longest silence of a mirror; 30 seconds when absent.
    pub patience: Option<Duration>,
    /// Use only what is in the store.
    pub offline: bool,
}

impl Network {
    /// Takes the proxy settings from environment variables; lowercase wins, as with curl and apt.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Network {
        let value = |name: &str| {
            let upper = name.to_ascii_uppercase();
            // HTTP_PROXY in capitals can be set by a remote client of a CGI program and is ignored everywhere.
            let second = if name == "http_proxy" { None } else { variable(&upper) };
            variable(name).or(second).filter(|text| !text.is_empty())
        };
        let all = value("all_proxy");
        Network {
            http_proxy: value("http_proxy").or_else(|| all.clone()),
            https_proxy: value("https_proxy").or(all),
            no_proxy: value("no_proxy"),
            ..Network::default()
        }
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience.unwrap_or(Duration::from_secs(30))
    }
}

/// An answer: where in the file it begins, and how to ask for the rest later.
pub(super) struct Answer {
    pub reader: Box<dyn Read>,
    /// Offset of the first byte.
    pub start: u64,
    /// Length of the whole file in bytes, where the other side says so.
    pub total: Option<u64>,
    /// Strong entity tag or modification time, for `If-Range`.
    pub validator: Option<String>,
}

/// Makes the HTTP client when the first http mirror is asked: a build from the store never needs one.
pub(super) struct Transport {
    network: Network,
    client: OnceLock<Result<Client, String>>,
}

impl Transport {
    pub(super) fn new(network: Network) -> Transport {
        Transport { network, client: OnceLock::new() }
    }

    pub(super) fn network(&self) -> &Network {
        &self.network
    }

    fn client(&self) -> Result<&Client, FetchError> {
        self.client
            .get_or_init(|| client(&self.network).map_err(|error| root_cause(&error)))
            .as_ref()
            .map_err(|error| FetchError::Client(error.clone()))
    }

    /// Opens a file below a mirror. `from`: the first byte wanted, with the validator of the part that is there.
    ///
    /// The outer error is ours, the inner one the mirror's.
    pub(super) fn open(
        &self,
        mirror: &Url,
        path: &str,
        from: u64,
        validator: Option<&str>,
    ) -> Result<Result<Answer, MirrorError>, FetchError> {
        let Some(url) = join(mirror, path) else {
            return Ok(Err(MirrorError::Address(format!("'{}' can have no path", mirror.scheme()))));
        };
        match url.scheme() {
            "file" => Ok(open_file(mirror, path, from)),
            "http" | "https" => Ok(get(self.client()?, url, from, validator)),
            other => Ok(Err(MirrorError::Address(format!("'{other}:' is not supported, only http, https and file")))),
        }
    }
}

fn open_file(mirror: &Url, path: &str, from: u64) -> Result<Answer, MirrorError> {
    let root = mirror.to_file_path().map_err(|()| MirrorError::Address("it is no absolute file name".to_owned()))?;
    let open = || -> io::Result<(File, u64)> {
        let mut file = File::open(if path.is_empty() { root } else { root.join(path) })?;
        let total = file.metadata()?.len();
        file.seek(SeekFrom::Start(from))?;
        Ok((file, total))
    };
    match open() {
        Ok((file, total)) => Ok(Answer { reader: Box::new(file), start: from, total: Some(total), validator: None }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(MirrorError::Missing),
        Err(error) => Err(MirrorError::Unreachable(error.to_string())),
    }
}

fn get(client: &Client, url: Url, from: u64, validator: Option<&str>) -> Result<Answer, MirrorError> {
    let mut headers = HeaderMap::new();
    if from > 0 {
        headers.insert(RANGE, HeaderValue::from_str(&format!("bytes={from}-")).expect("digits are a header value"));
        if let Some(value) = validator.and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.insert(IF_RANGE, value);
        }
    }
    let response = client.get(url).headers(headers).send().map_err(|e| MirrorError::Unreachable(root_cause(&e)))?;
    let start = match response.status() {
        StatusCode::OK => 0,
        StatusCode::PARTIAL_CONTENT => {
            let range = response.headers().get("content-range").and_then(|value| value.to_str().ok());
            let start = range.and_then(|text| text.strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok());
            match start {
                Some(start) if start == from => start,
                _ => return Err(MirrorError::Unreachable("it answers with another range than asked for".to_owned())),
            }
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => return Err(MirrorError::Missing),
        status => return Err(MirrorError::Status(status.as_u16())),
    };
    let total = response.content_length().map(|rest| start + rest);
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let validator = header(ETAG).filter(|tag| !tag.starts_with("W/")).or(header(LAST_MODIFIED)).map(str::to_owned);
    Ok(Answer { reader: Box::new(response), start, total, validator })
}

fn client(network: &Network) -> reqwest::Result<Client> {
    // Someone may have installed one before; any provider will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut authorities = Vec::new();
    for der in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        authorities.push(Certificate::from_der(der)?);
    }
    if let Some(pem) = &network.authorities {
        authorities.extend(Certificate::from_pem_bundle(pem)?);
    }
    let mut builder = Client::builder()
        .user_agent(concat!("provbuild/", env!("CARGO_PKG_VERSION")))
        .tls_certs_only(authorities)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(network.patience())
        .redirect(reqwest::redirect::Policy::limited(5))
        .no_proxy();
    let exceptions = || network.no_proxy.as_deref().and_then(NoProxy::from_string);
    if let Some(proxy) = &network.http_proxy {
        builder = builder.proxy(Proxy::http(proxy)?.no_proxy(exceptions()));
    }
    if let Some(proxy) = &network.https_proxy {
        builder = builder.proxy(Proxy::https(proxy)?.no_proxy(exceptions()));
    }
    builder.build()
}

/// The innermost cause: the outer ones repeat the address, which may hold a password.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
