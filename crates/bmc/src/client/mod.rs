//! HTTP to one BMC: a session or basic authentication, a pinned certificate, ETags, patience while it is busy.
//!
//! In: paths below the BMC's root. Out: [`Answer`]s. Invariants: no request goes to another host or scheme; the password goes out only
//! after the certificate was compared; a write whose answer was lost is not sent again, unless it may be sent any number of times.

mod answer;
mod etag;
mod failure;
mod messages;
mod session;
mod task;
mod wire;

use std::sync::Arc;
use std::time::Instant;

use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;

use crate::credentials::Credentials;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::patience::Patience;
use crate::trust::{Fingerprint, Pinned, Trust, client_config};

pub(crate) use answer::Answer;
pub use messages::Message;
use session::Login;
use wire::Request;

/// Times that a request is tried when the connection breaks.
const TRIES: u32 = 3;
/// Between two tries while the BMC is busy: as often as one looks, unless it says how long; and at most so many times that long.
const LONGEST_PAUSE: u32 = 15;
const ROOT: &str = "/redfish/v1/";

/// A BMC that was reached and has accepted the credentials.
pub(crate) struct Client {
    http: reqwest::Client,
    /// The same, but each request has a connection of its own.
    fresh: reqwest::Client,
    base: Url,
    endpoint: String,
    credentials: Credentials,
    login: tokio::sync::Mutex<Login>,
    pinned: Arc<Pinned>,
    first_seen: bool,
    pub(crate) patience: Patience,
    /// The service root.
    pub(crate) root: Value,
}

impl Client {
    /// Connects, compares or pins the certificate, logs in.
    pub(crate) async fn connect(
        endpoint: Endpoint,
        credentials: Credentials,
        trust: &Trust,
        patience: Patience,
    ) -> Result<Client, Error> {
        let name = endpoint.to_string();
        let expected = match trust {
            Trust::FirstUse(pins) => {
                let (pins, name) = (Arc::clone(pins), name.clone());
                blocking(move || pins.pinned(&name)).await??
            }
            Trust::Insecure => None,
        };
        let pinned = Pinned::new(expected, matches!(trust, Trust::Insecure));
        let base = Url::parse(&format!("https://{}:{}/", endpoint.address, endpoint.port));
        let mut client = Client {
            http: http(&pinned, &patience, 1)?,
            fresh: http(&pinned, &patience, 0)?,
            base: base.map_err(|error| Error::Surroundings(error.to_string()))?,
            endpoint: name,
            credentials,
            login: tokio::sync::Mutex::new(Login::None),
            pinned,
            first_seen: false,
            patience,
            root: Value::Null,
        };
        // The root is for everybody: whoever answers shows his certificate before he is told the password.
        let root = client.ask(ROOT).await?;
        client.keep_certificate(trust, expected).await?;
        // Some firmware shows not even the root to strangers.
        let hidden =
            matches!(root.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) && !root.is_about_licence();
        if !hidden {
            client.root = root.success(&client.endpoint, "read the service root")?.body;
        }
        match client.begin(hidden).await {
            Ok(()) => Ok(client),
            Err(error) => {
                client.close().await;
                Err(error)
            }
        }
    }

    async fn begin(&mut self, hidden: bool) -> Result<(), Error> {
        self.log_in().await?;
        if hidden {
            self.root = self.get(ROOT, "read the service root").await?.body;
        }
        Ok(())
    }

    async fn keep_certificate(&mut self, trust: &Trust, expected: Option<Fingerprint>) -> Result<(), Error> {
        let (Trust::FirstUse(pins), None, Some(seen)) = (trust, expected, self.pinned.expected()) else {
            return Ok(());
        };
        let (pins, name) = (Arc::clone(pins), self.endpoint.clone());
        let kept = blocking(move || {
            pins.pin(&name, seen)?;
            pins.pinned(&name)
        })
        .await??;
        match kept {
            // Another process was first, and saw another one.
            Some(kept) if kept != seen => {
                Err(Error::CertificateChanged { endpoint: self.endpoint.clone(), pinned: kept, seen })
            }
            _ => {
                self.first_seen = true;
                Ok(())
            }
        }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The certificate that the BMC shows, and whether it was seen for the first time.
    pub(crate) fn certificate(&self) -> (Option<Fingerprint>, bool) {
        (self.pinned.expected(), self.first_seen)
    }

    /// Reads a resource.
    pub(crate) async fn get(&self, path: &str, what: &str) -> Result<Answer, Error> {
        self.ask(path).await?.success(&self.endpoint, what)
    }

    /// Reads a resource that need not be there: `None` for one that is not.
    pub(crate) async fn find(&self, path: &str, what: &str) -> Result<Option<Answer>, Error> {
        let answer = self.ask(path).await?;
        match answer.status {
            StatusCode::NOT_FOUND | StatusCode::NOT_IMPLEMENTED | StatusCode::METHOD_NOT_ALLOWED
                if !answer.is_about_licence() =>
            {
                Ok(None)
            }
            _ => answer.success(&self.endpoint, what).map(Some),
        }
    }

    /// Reads, whatever the status is.
    pub(crate) async fn ask(&self, path: &str) -> Result<Answer, Error> {
        self.again(Request::new(&Method::GET, path)).await
    }

    /// Changes properties of a resource; the ETag as [`etag::forms`] has it. Sent again when its answer is lost: the second time changes
    /// nothing more.
    pub(crate) async fn patch(&self, path: &str, body: &Value, what: &str) -> Result<Answer, Error> {
        let mut etag = self.ask(path).await?.etag;
        let mut forms = etag::forms(etag.as_deref()).into_iter();
        let mut form = forms.next().flatten();
        let mut fresh = false;
        loop {
            let request = Request { body: Some(body), if_match: form.as_deref(), ..Request::new(&Method::PATCH, path) };
            let answer = self.again(request).await?;
            if !matches!(answer.status, StatusCode::PRECONDITION_FAILED | StatusCode::PRECONDITION_REQUIRED) {
                return self.finished(answer, what).await?.success(&self.endpoint, what);
            }
            if !fresh {
                fresh = true;
                let now = self.ask(path).await?.etag;
                if now != etag {
                    // Somebody changed it in between: the new one, as it is given.
                    forms = etag::forms(now.as_deref()).into_iter();
                    etag = now;
                }
            }
            match forms.next() {
                Some(next) => form = next,
                None => return answer.success(&self.endpoint, what),
            }
        }
    }

    /// Calls an action. Sent once: see [`Error::Cut`]. Never with an ETag: iDRAC refuses such ones.
    pub(crate) async fn post(&self, path: &str, body: &Value, what: &str) -> Result<Answer, Error> {
        let answer = self.patiently(Request { body: Some(body), ..Request::new(&Method::POST, path) }).await?;
        match self.finished(answer, what).await {
            // It was accepted: whoever takes "unreachable" for "nothing was sent" would be wrong.
            Err(Error::Unreachable { endpoint, reason }) => {
                Err(Error::Cut { endpoint, request: format!("POST {}", crate::plain(path)), reason })
            }
            answer => answer?.success(&self.endpoint, what),
        }
    }

    /// Sends a request that may be sent any number of times, until its answer is not cut. One that came too late is not asked for
    /// again: that was waited for long enough.
    async fn again(&self, request: Request<'_>) -> Result<Answer, Error> {
        let mut tries = 1;
        loop {
            match self.patiently(request).await {
                Err(Error::Cut { reason, .. }) if tries < TRIES && reason != failure::LATE => tries += 1,
                result => return result,
            }
        }
    }

    /// Sends one request until the BMC is not busy any more. A session that has ended is begun anew, once.
    async fn patiently(&self, request: Request<'_>) -> Result<Answer, Error> {
        let begun = Instant::now();
        let mut renewed = false;
        loop {
            let login = self.login.lock().await.clone();
            let answer = self.exchange(&login, request).await?;
            let ended = answer.status == StatusCode::UNAUTHORIZED && !answer.is_about_licence();
            if ended && !renewed && self.has_session().await {
                renewed = true;
                self.log_in().await?;
                continue;
            }
            if !answer.is_for_now() {
                return Ok(answer);
            }
            let waited = begun.elapsed();
            if waited >= self.patience.busy {
                let status = || format!("status {}", answer.status.as_u16());
                let said = answer.said().first().map_or_else(status, |message| message.text.clone());
                return Err(Error::Busy { endpoint: self.endpoint.clone(), seconds: waited.as_secs(), said });
            }
            let poll = self.patience.poll;
            let asked = messages::retry_after(answer.retry_after.as_deref()).unwrap_or(poll);
            let pause = asked.clamp(poll, poll * LONGEST_PAUSE).min(self.patience.busy - waited);
            tokio::time::sleep(pause).await;
        }
    }

    fn nonsense(&self, request: String, reason: String) -> Error {
        Error::Nonsense { endpoint: self.endpoint.clone(), request, reason }
    }
}

fn http(pinned: &Arc<Pinned>, patience: &Patience, idle: usize) -> Result<reqwest::Client, Error> {
    let surroundings = |error: &dyn std::fmt::Display| Error::Surroundings(format!("the HTTP client: {error}"));
    let tls = client_config(Arc::clone(pinned)).map_err(|error| surroundings(&error))?;
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("provbuild/", env!("CARGO_PKG_VERSION")))
        // Followed by `wire`, which knows what is written.
        .redirect(Policy::none())
        .no_proxy()
        .https_only(true)
        .connect_timeout(patience.connect)
        .timeout(patience.request)
        .pool_max_idle_per_host(idle)
        .build()
        .map_err(|error| surroundings(&error))
}

/// Runs what may wait for a file or a database.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Surroundings(error.to_string()))
}
