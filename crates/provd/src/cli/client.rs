//! The command line's way to the daemon: HTTP over the local socket.
//!
//! In: a method, a path, a body. Out: what was answered, or an [`Error`] with its exit code.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;

/// Where the daemon listens for the command line.
pub(super) const SOCKET: &str = "/run/provd/local.sock";
/// Time until an answer begins: longer than the daemon gives itself. Its socket may listen while it does not run, since systemd
/// keeps it open.
const PATIENCE: Duration = Duration::from_secs(35);
/// Bytes of an answer that are read.
const ANSWER: usize = 64 << 20;

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{}: {reason}", socket.display())]
    NoDaemon { socket: PathBuf, reason: String },
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// 1 refused or failed, 2 wrong usage, 3 not found, 4 the daemon cannot be reached.
    pub(super) fn code(&self) -> u8 {
        match self {
            Error::Refused(_) | Error::Other(_) => 1,
            Error::Usage(_) => 2,
            Error::NotFound(_) => 3,
            Error::NoDaemon { .. } => 4,
        }
    }

    pub(super) fn exit(&self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

#[derive(Clone)]
pub(super) struct Client {
    socket: PathBuf,
    patience: Duration,
}

impl Client {
    pub(super) fn new(socket: &Path) -> Self {
        Client { socket: socket.to_owned(), patience: PATIENCE }
    }

    /// The same, waiting so long for an answer.
    pub(super) fn patient(&self, patience: Duration) -> Self {
        Client { patience, ..self.clone() }
    }

    /// Asks for JSON.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.json(Method::GET, path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.json(Method::POST, path, Some(body)).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<(), Error> {
        self.text(Method::DELETE, path, None).await.map(drop)
    }

    async fn json<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<&Value>) -> Result<T, Error> {
        let text = self.text(method, path, body).await?;
        serde_json::from_str(&text).map_err(|error| Error::Other(format!("the daemon's answer to {path}: {error}")))
    }

    pub(super) async fn text(&self, method: Method, path: &str, body: Option<&Value>) -> Result<String, Error> {
        let answer = self.ask(method, path, body, None).await?;
        let limited = http_body_util::Limited::new(answer.into_body(), ANSWER);
        let bytes = limited.collect().await.map_err(|error| self.lost(error.to_string()))?.to_bytes();
        String::from_utf8(bytes.into()).map_err(|error| Error::Other(format!("the daemon's answer to {path}: {error}")))
    }

    /// An answer whose body is still to come, for as long as it may take.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        last: Option<u64>,
    ) -> Result<Response<Incoming>, Error> {
        let exchange = self.exchange(method, path, body, last);
        tokio::time::timeout(self.patience, exchange).await.unwrap_or_else(|_| Err(self.silent()))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        last: Option<u64>,
    ) -> Result<Response<Incoming>, Error> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.unreachable(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.lost(error.to_string()))?;
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "provd");
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Error::Usage(format!("this cannot be asked: {error}")))?;
        let answer = sender.send_request(request).await.map_err(|error| self.lost(error.to_string()))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let limited = http_body_util::Limited::new(answer.into_body(), 1 << 20);
        let bytes = limited.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let text = serde_json::from_slice::<Value>(&bytes)
            .ok()
            .and_then(|said| said.get("error").or_else(|| said.get("status"))?.as_str().map(str::to_owned))
            .unwrap_or_else(|| status.to_string());
        Err(if status == StatusCode::NOT_FOUND { Error::NotFound(text) } else { Error::Refused(text) })
    }

    fn lost(&self, reason: String) -> Error {
        Error::NoDaemon { socket: self.socket.clone(), reason }
    }

    fn silent(&self) -> Error {
        self.lost("it does not answer: journalctl -u provd".to_owned())
    }

    fn unreachable(&self, error: &io::Error) -> Error {
        let remedy = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "you may not open it: be root, or a member of the group 'provd' (`sudo adduser NAME provd`, then log in again)"
            }
            io::ErrorKind::NotFound => "it is not there: does the daemon run (`systemctl status provd-local.socket`)?",
            io::ErrorKind::ConnectionRefused => "nobody listens: does the daemon run (`systemctl status provd`)?",
            // So many wait that the socket takes no more.
            io::ErrorKind::WouldBlock => return self.silent(),
            _ => return self.lost(error.to_string()),
        };
        self.lost(remedy.to_owned())
    }
}

/// A name as one part of a path (RFC 3986, 2.3).
pub(super) fn segment(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b':');
    name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_daemon_that_never_answers_is_not_waited_for_without_end() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("local.sock");
        // It listens, as systemd does for a daemon that does not start, and nobody accepts.
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let client = Client { patience: Duration::from_millis(50), ..Client::new(&socket) };
        let error = client.get::<Value>("/api/v1/nodes").await.unwrap_err();
        assert_eq!(error.to_string(), format!("{}: it does not answer: journalctl -u provd", socket.display()));
        assert_eq!(error.exit(), ExitCode::from(4));
    }
}
