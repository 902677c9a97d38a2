//! One request and its answer, as they go over the wire.
//!
//! In: a method, a path, who asks. Out: an [`Answer`], read whole. Invariants: nothing goes to another host or scheme, whatever links and
//! redirects say; an answer has a longest length, also after it was unpacked.

use std::io::Read as _;

use flate2::read::GzDecoder;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH,
    LOCATION, RETRY_AFTER,
};
use reqwest::{Method, Response, StatusCode, Url};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::failure::failure;
use super::session::{Login, TOKEN};
use super::{Answer, Client};
use crate::error::Error;
use crate::plain::plain;

/// Bytes of an answer: registries of BIOS attributes are megabytes.
const LONGEST: usize = 16 << 20;
/// Values in an answer: a registry of 3,000 attributes has a hundred thousand.
const MOST_VALUES: usize = 300_000;
/// Large answers in memory at the same time, of all BMCs.
static LARGE: Semaphore = Semaphore::const_new(4);
/// Bytes of an answer that is not large.
const SMALL: usize = 1 << 20;
/// Redirects that are followed, within the BMC.
const REDIRECTS: usize = 3;

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) body: Option<&'a Value>,
    pub(super) if_match: Option<&'a str>,
}

impl<'a> Request<'a> {
    pub(super) fn new(method: &'a Method, path: &'a str) -> Self {
        Request { method, path, body: None, if_match: None }
    }

    /// For errors.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, plain(self.path))
    }
}

impl Client {
    /// Sends a request, and reads its answer.
    pub(super) async fn exchange(&self, login: &Login, request: Request<'_>) -> Result<Answer, Error> {
        let mut url = self.url(request.path)?;
        let mut redirects = 0;
        loop {
            let response = self.send(login, request, url.clone()).await?;
            let status = response.status();
            let to = text(response.headers(), LOCATION).filter(|_| status.is_redirection());
            let Some(to) = to.and_then(|to| url.join(&to).ok()) else {
                return self.read(request, login, response).await;
            };
            if to.origin() != self.base.origin() {
                let reason = format!("it redirects to '{}', which is not this BMC", plain(to.as_str()));
                return Err(self.nonsense(request.name(), reason));
            }
            redirects += 1;
            // Other redirects of a write would make a GET of it.
            let same = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
            if redirects > REDIRECTS || !same && *request.method != Method::GET {
                return self.read(request, login, response).await;
            }
            url = to;
        }
    }

    async fn send(&self, login: &Login, request: Request<'_>, url: Url) -> Result<Response, Error> {
        // A kept connection may be closed by the BMC in the moment in which it is used: an action is not to get lost by that.
        let action = *request.method == Method::POST && !matches!(login, Login::None);
        let http = if action { &self.fresh } else { &self.http };
        let mut sent = http.request(request.method.clone(), url);
        sent = login.sign(sent, &self.credentials);
        // Compression turns strong ETags into weak ones.
        sent =
            sent.header("OData-Version", "4.0").header(ACCEPT, "application/json").header(ACCEPT_ENCODING, "identity");
        if let Some(etag) = request.if_match.and_then(|etag| HeaderValue::from_str(etag).ok()) {
            sent = sent.header(IF_MATCH, etag);
        }
        if let Some(body) = request.body {
            sent = sent.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        sent.send().await.map_err(|error| self.failed(&error, request))
    }

    async fn read(&self, request: Request<'_>, login: &Login, mut response: Response) -> Result<Answer, Error> {
        let status = response.status();
        let headers = response.headers();
        let (etag, location, retry_after) = (text(headers, ETAG), text(headers, LOCATION), text(headers, RETRY_AFTER));
        let gzip = text(headers, CONTENT_ENCODING).is_some_and(|coding| coding.eq_ignore_ascii_case("gzip"));
        let mut token = headers.get(TOKEN).cloned();
        if let Some(token) = &mut token {
            token.set_sensitive(true);
        }
        let too_long = || self.nonsense(request.name(), format!("more than {} MiB", LONGEST >> 20));
        if response.content_length().is_some_and(|length| length > LONGEST as u64) {
            return Err(too_long());
        }
        let mut bytes = Vec::new();
        let mut _large = None;
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(&error, request))? {
            if bytes.len() + chunk.len() > LONGEST {
                return Err(too_long());
            }
            bytes.extend_from_slice(&chunk);
            if bytes.len() > SMALL && _large.is_none() {
                _large = LARGE.acquire().await.ok();
            }
        }
        if gzip {
            bytes = unpack(&bytes).map_err(|reason| self.nonsense(request.name(), reason))?;
        }
        if values(&bytes) > MOST_VALUES {
            return Err(self.nonsense(request.name(), format!("more than {MOST_VALUES} values")));
        }
        let body = match parse(&bytes) {
            Ok(body) => body,
            // Only of an answer that gives something must it be sound.
            Err(error) if status == StatusCode::OK && *request.method == Method::GET => {
                return Err(self.nonsense(request.name(), format!("not JSON: {error}")));
            }
            Err(_) => words(&bytes, status),
        };
        let etag = etag.or_else(|| body["@odata.etag"].as_str().map(str::to_owned));
        let in_session = matches!(login, Login::Session { .. });
        Ok(Answer { status, etag, location, retry_after, token, in_session, body })
    }

    fn failed(&self, error: &reqwest::Error, request: Request<'_>) -> Error {
        let endpoint = self.endpoint.clone();
        match (self.pinned.refused(), self.pinned.expected()) {
            (Some(seen), Some(pinned)) => Error::CertificateChanged { endpoint, pinned, seen },
            _ => failure(error, endpoint, request.name()),
        }
    }

    /// The path as a URL of this BMC.
    fn url(&self, path: &str) -> Result<Url, Error> {
        let url = self.base.join(path).ok().filter(|url| url.origin() == self.base.origin() && path.starts_with('/'));
        url.ok_or_else(|| self.nonsense("a link".to_owned(), format!("it leads to '{}'", plain(path))))
    }

    /// A link, which may be written with scheme and host.
    pub(super) fn local(&self, link: &str) -> String {
        match self.base.join(link) {
            Ok(url) if url.origin() == self.base.origin() => match url.query() {
                Some(query) => format!("{}?{query}", url.path()),
                None => url.path().to_owned(),
            },
            // Refused where it is used.
            _ => link.to_owned(),
        }
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Some BMCs pack some answers whatever they are asked for.
fn unpack(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    let read = GzDecoder::new(bytes).take(LONGEST as u64 + 1).read_to_end(&mut unpacked);
    match read {
        Ok(_) if unpacked.len() > LONGEST => Err(format!("more than {} MiB", LONGEST >> 20)),
        Ok(_) => Ok(unpacked),
        Err(error) => Err(format!("not gzip: {error}")),
    }
}

/// Values that JSON can have at most, by its separators. In memory each takes up to a hundred bytes, in the text two.
fn values(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count()
}

/// JSON, also with a byte order mark or with bytes that are no UTF-8.
fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_str(&String::from_utf8_lossy(bytes)),
    }
}

/// A failure's body that is text, but no page for a browser.
fn words(bytes: &[u8], status: StatusCode) -> Value {
    let text = plain(&String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]));
    match status.is_success() || text.is_empty() || text.starts_with('<') {
        true => Value::Null,
        false => Value::String(text),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_packed_body_is_unpacked_and_a_bomb_is_not() {
        assert_eq!(unpack(&packed(b"{}")).unwrap(), b"{}");
        assert_eq!(unpack(&packed(&vec![b'x'; LONGEST + 2])).unwrap_err(), "more than 16 MiB");
        assert!(unpack(b"no gzip").is_err());
    }

    #[test]
    fn a_body_with_a_byte_order_mark_or_latin_1_is_read() {
        assert_eq!(parse(b"\xef\xbb\xbf{\"a\": 1}").unwrap()["a"], 1);
        assert_eq!(parse(b"{\"a\": \"\xb0C\"}").unwrap()["a"], "\u{fffd}C");
        assert!(parse(b"").is_err());
    }

    #[test]
    fn small_texts_that_are_large_in_memory_are_counted_before_they_are_parsed() {
        assert!(values("[0,0]".repeat(MOST_VALUES).as_bytes()) > MOST_VALUES);
        assert!(values("{}".repeat(MOST_VALUES + 1).as_bytes()) > MOST_VALUES);
        assert_eq!(values(b"{\"a\": [1, 2]}"), 3);
    }

    #[test]
    fn a_failure_in_plain_text_is_kept_and_a_page_is_not() {
        let status = StatusCode::BAD_REQUEST;
        assert_eq!(words(b"Missing the BootSourceOverrideTarget\n", status), "Missing the BootSourceOverrideTarget");
        assert_eq!(words(b"<!DOCTYPE html><h1>404</h1>", status), Value::Null);
        assert_eq!(words(b"done", StatusCode::OK), Value::Null);
    }

    proptest! {
        #[test]
        fn no_bytes_of_a_bmc_make_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = unpack(&bytes);
            let body = parse(&bytes).unwrap_or_else(|_| words(&bytes, StatusCode::BAD_REQUEST));
            for message in super::super::messages::messages(&body) {
                prop_assert!(!message.text.chars().any(char::is_control));
            }
        }
    }
}
