//! HTTP to one BMC: a session or basic authentication, a pinned certificate, ETags, patience while it is busy.
//!
//! In: paths below the BMC's root. Out: [`Answer`]s. Invariants: no request goes to another host or scheme, whatever links and redirects
//! say; the password goes out only after the certificate was compared; a write whose answer was lost is not sent again, unless
//! it may be sent any number of times.

mod answer;
mod messages;
mod session;

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_MATCH, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde_json::Value;

use crate::credentials::Credentials;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::patience::Patience;
use crate::trust::{Fingerprint, Pinned, Trust, client_config};

pub(crate) use answer::Answer;
pub use messages::Message;
use session::Login;

/// Bytes of an answer: registries of BIOS attributes are megabytes.
const LONGEST: usize = 16 << 20;
/// Times that a reading is tried when the connection breaks.
const TRIES: u32 = 3;
/// Redirects that are followed, within the BMC.
const REDIRECTS: usize = 3;
/// Between two tries while the BMC is busy and does not say how long.
const PAUSE: Duration = Duration::from_secs(5);
/// At most, whatever it says.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const ROOT: &str = "/redfish/v1/";

/// A BMC that was reached and has accepted the credentials.
pub(crate) struct Client {
    http: reqwest::Client,
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
        let surroundings = |error: &dyn std::fmt::Display| Error::Surroundings(format!("the HTTP client: {error}"));
        let tls = client_config(Arc::clone(&pinned)).map_err(|error| surroundings(&error))?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("provbuild/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::custom(|attempt| {
                let same = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
                if same && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
            }))
            .no_proxy()
            .https_only(true)
            .connect_timeout(patience.connect)
            .timeout(patience.request)
            .pool_max_idle_per_host(1)
            .build()
            .map_err(|error| surroundings(&error))?;
        let base = Url::parse(&format!("https://{}:{}/", endpoint.address, endpoint.port));
        let base = base.map_err(|error| surroundings(&error))?;
        let mut client = Client {
            http,
            base,
            endpoint: name,
            credentials,
            login: tokio::sync::Mutex::new(Login::None),
            pinned,
            first_seen: false,
            patience,
            root: Value::Null,
        };
        // The root is for everybody: whoever answers shows his certificate before he is told the password.
        let root = client.get(ROOT, "read the service root").await?;
        client.keep_certificate(trust, expected).await?;
        client.root = root.body;
        client.log_in().await?;
        Ok(client)
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
            StatusCode::NOT_FOUND | StatusCode::NOT_IMPLEMENTED | StatusCode::METHOD_NOT_ALLOWED => Ok(None),
            _ => answer.success(&self.endpoint, what).map(Some),
        }
    }

    /// Reads, whatever the status is.
    pub(crate) async fn ask(&self, path: &str) -> Result<Answer, Error> {
        let mut broken = 0;
        loop {
            match self.patiently(&Method::GET, path, None, None).await {
                Err(Error::Cut { .. }) if broken + 1 < TRIES => broken += 1,
                result => return result,
            }
        }
    }

    /// Changes properties of a resource: the ETag as the BMC gives it, then the other form, then none. Sent again when its answer
    /// is lost: the second time changes nothing more.
    pub(crate) async fn patch(&self, path: &str, body: &Value, what: &str) -> Result<Answer, Error> {
        let mut refused = None;
        let mut broken = 0;
        let mut etag = self.ask(path).await?.etag;
        let mut forms = forms(etag.as_deref()).into_iter();
        let mut form = forms.next().flatten();
        loop {
            let answer = match self.patiently(&Method::PATCH, path, Some(body), form.as_deref()).await {
                Err(Error::Cut { .. }) if broken + 1 < TRIES => {
                    broken += 1;
                    continue;
                }
                result => result?,
            };
            if !matches!(answer.status, StatusCode::PRECONDITION_FAILED | StatusCode::PRECONDITION_REQUIRED) {
                return self.finished(answer, what).await?.success(&self.endpoint, what);
            }
            let now = self.ask(path).await?.etag;
            if now != etag && refused.is_none() {
                // Somebody changed it in between: the new one, as it is given.
                forms = self::forms(now.as_deref()).into_iter();
                etag = now;
                refused = Some(answer);
                form = forms.next().flatten();
                continue;
            }
            match forms.next() {
                Some(next) => form = next,
                None => return answer.success(&self.endpoint, what),
            }
            refused = Some(answer);
        }
    }

    /// Calls an action. Sent once: see [`Error::Cut`].
    pub(crate) async fn post(&self, path: &str, body: &Value, what: &str) -> Result<Answer, Error> {
        let answer = self.patiently(&Method::POST, path, Some(body), None).await?;
        self.finished(answer, what).await?.success(&self.endpoint, what)
    }

    /// Sends one request until the BMC is not busy any more. A session that has ended is begun anew, once.
    async fn patiently(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        if_match: Option<&str>,
    ) -> Result<Answer, Error> {
        let begun = Instant::now();
        let mut renewed = false;
        loop {
            let answer = self.once(method, path, body, if_match).await?;
            if answer.status == StatusCode::UNAUTHORIZED && !renewed && self.session_ended().await {
                renewed = true;
                self.log_in().await?;
                continue;
            }
            if !answer.is_for_now() {
                return Ok(answer);
            }
            let waited = begun.elapsed();
            if waited >= self.patience.busy {
                let said = answer
                    .said()
                    .first()
                    .map_or_else(|| format!("status {}", answer.status.as_u16()), |m| m.text.clone());
                return Err(Error::Busy { endpoint: self.endpoint.clone(), seconds: waited.as_secs(), said });
            }
            let asked = messages::retry_after(answer.retry_after.as_deref()).unwrap_or(PAUSE);
            let pause = asked.clamp(self.patience.poll.min(PAUSE), LONGEST_PAUSE).min(self.patience.busy - waited);
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends one request, and reads its answer.
    async fn once(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        if_match: Option<&str>,
    ) -> Result<Answer, Error> {
        let mut request = self.http.request(method.clone(), self.url(path)?);
        request = self.login.lock().await.sign(request, &self.credentials);
        if let Some(etag) = if_match.and_then(|etag| HeaderValue::from_str(etag).ok()) {
            request = request.header(IF_MATCH, etag);
        }
        self.exchange(method, path, request, body).await
    }

    async fn exchange(
        &self,
        method: &Method,
        path: &str,
        mut request: RequestBuilder,
        body: Option<&Value>,
    ) -> Result<Answer, Error> {
        request = request.header("OData-Version", "4.0").header("Accept", "application/json");
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let name = || format!("{method} {path}");
        let mut response = request.send().await.map_err(|error| self.failed(&error, name()))?;
        let status = response.status();
        let headers = response.headers();
        let (etag, location, retry_after) = (text(headers, ETAG), text(headers, LOCATION), text(headers, RETRY_AFTER));
        let token = headers.get(session::TOKEN).cloned();
        let mut bytes = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if bytes.len() + chunk.len() <= LONGEST => bytes.extend_from_slice(&chunk),
                Ok(Some(_)) => return Err(self.nonsense(name(), format!("more than {} MiB", LONGEST >> 20))),
                Ok(None) => break,
                Err(error) => return Err(self.failed(&error, name())),
            }
        }
        let body = match serde_json::from_slice(&bytes) {
            Ok(body) => body,
            // Only of an answer that gives something must it be sound.
            Err(error) if status == StatusCode::OK && *method == Method::GET => {
                return Err(self.nonsense(name(), format!("not JSON: {error}")));
            }
            Err(_) => Value::Null,
        };
        let etag = etag.or_else(|| body["@odata.etag"].as_str().map(str::to_owned));
        Ok(Answer { status, etag, location, retry_after, token, body })
    }

    /// The path as a URL of this BMC.
    fn url(&self, path: &str) -> Result<Url, Error> {
        let url = self.base.join(path).ok().filter(|url| url.origin() == self.base.origin() && path.starts_with('/'));
        url.ok_or_else(|| self.nonsense("a link".to_owned(), format!("it leads to '{}'", crate::plain(path))))
    }

    fn failed(&self, error: &reqwest::Error, request: String) -> Error {
        let endpoint = self.endpoint.clone();
        if let (Some(seen), Some(pinned)) = (self.pinned.refused(), self.pinned.expected()) {
            return Error::CertificateChanged { endpoint, pinned, seen };
        }
        let reason = match error.is_timeout() {
            true => "no answer in time".to_owned(),
            false => root_cause(error),
        };
        if error.is_connect() {
            Error::Unreachable { endpoint, reason }
        } else {
            Error::Cut { endpoint, request, reason }
        }
    }

    fn nonsense(&self, request: String, reason: String) -> Error {
        Error::Nonsense { endpoint: self.endpoint.clone(), request, reason }
    }

    /// Follows a task to its end (DSP0266, "Asynchronous operations").
    async fn finished(&self, answer: Answer, what: &str) -> Result<Answer, Error> {
        if answer.status != StatusCode::ACCEPTED {
            return Ok(answer);
        }
        let Some(monitor) = answer.location.clone() else { return Ok(answer) };
        let begun = Instant::now();
        loop {
            let path = self.local(&monitor);
            let now = self.ask(&path).await?;
            let state = now.body["TaskState"].as_str().unwrap_or_default();
            let failed = matches!(state, "Exception" | "Killed" | "Cancelled" | "Interrupted" | "Suspended");
            if failed {
                let mut said = now.said();
                said.extend(messages::of_task(&now.body));
                return Err(Error::Refused { what: what.to_owned(), status: now.status.as_u16(), said });
            }
            // A monitor that is gone has told all that it had to; what was done is read back anyway.
            let gone = matches!(now.status, StatusCode::NOT_FOUND | StatusCode::GONE);
            let runs =
                now.status == StatusCode::ACCEPTED || matches!(state, "New" | "Starting" | "Running" | "Pending");
            if gone {
                return Ok(Answer { status: StatusCode::NO_CONTENT, ..now });
            }
            if !runs {
                return Ok(now);
            }
            if begun.elapsed() >= self.patience.busy {
                let said = format!("its task is {}", if state.is_empty() { "unfinished" } else { state });
                return Err(Error::Busy { endpoint: self.endpoint.clone(), seconds: begun.elapsed().as_secs(), said });
            }
            tokio::time::sleep(self.patience.poll).await;
        }
    }

    /// A link, which may be written with scheme and host.
    fn local(&self, link: &str) -> String {
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

/// What is sent as `If-Match`, one after the other; `None` sends none.
fn forms(etag: Option<&str>) -> Vec<Option<String>> {
    let Some(etag) = etag.map(str::trim).filter(|etag| !etag.is_empty()) else { return vec![None] };
    let other = match etag.strip_prefix("W/") {
        Some(strong) => strong.to_owned(),
        None => format!("W/{etag}"),
    };
    vec![Some(etag.to_owned()), Some(other), None]
}

fn text(headers: &HeaderMap, name: reqwest::header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The innermost reason, which is the one that a person can use; without the URL.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    crate::plain(&cause.to_string())
}

/// Runs what may wait for a file or a database.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Surroundings(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_sent_as_given_then_in_its_other_form_then_not_at_all() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(forms(Some("W/\"a\"")), [some("W/\"a\""), some("\"a\""), None]);
        assert_eq!(forms(Some("\"a\"")), [some("\"a\""), some("W/\"a\""), None]);
        assert_eq!(forms(None), [None]);
    }
}
