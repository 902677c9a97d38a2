//! Logging in: a session (DSP0266, "Redfish session login authentication"), or basic authentication where there are none.
//!
//! In: the service root, the credentials. Out: a [`Login`]. Invariants: refused credentials are not tried a second time (some BMCs lock
//! the account); a session is ended when the client is closed, since a BMC has room for a few only.

use reqwest::header::HeaderValue;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::wire::Request;
use super::{Answer, Client};
use crate::credentials::Credentials;
use crate::error::Error;

pub(super) const TOKEN: &str = "x-auth-token";
const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";

/// How requests show who asks.
#[derive(Clone)]
pub(super) enum Login {
    /// Not yet.
    None,
    Session {
        token: HeaderValue,
        path: Option<String>,
    },
    /// RFC 7617, inside TLS.
    Basic,
}

impl Login {
    pub(super) fn sign(&self, request: RequestBuilder, credentials: &Credentials) -> RequestBuilder {
        match self {
            Login::None => request,
            Login::Session { token, .. } => request.header(TOKEN, token.clone()),
            Login::Basic => request.basic_auth(credentials.user(), Some(credentials.password())),
        }
    }
}

impl Client {
    /// Begins a session; a BMC that has none, or none left, gets the password with each request.
    pub(super) async fn log_in(&self) -> Result<(), Error> {
        let Some(path) = sessions(&self.root) else {
            // Asked nevertheless, some services would answer 401 for what is not there, as if the password were wrong.
            *self.login.lock().await = Login::Basic;
            return Ok(());
        };
        let body = json!({ "UserName": self.credentials.user(), "Password": self.credentials.password() });
        let request = Request { body: Some(&body), ..Request::new(&Method::POST, &path) };
        let answer = self.exchange(&Login::None, request).await?;
        if refuses(&answer) {
            return Err(Error::Credentials { endpoint: self.endpoint.clone(), said: answer.said() });
        }
        let must_change = answer.password_change(&self.endpoint);
        let login = match answer.token {
            Some(token) if answer.status.is_success() => {
                let path = answer.location.as_deref().or_else(|| answer.body["@odata.id"].as_str());
                Login::Session { token, path: path.map(|path| self.local(path)) }
            }
            _ => Login::Basic,
        };
        *self.login.lock().await = login;
        must_change.map_or(Ok(()), Err)
    }

    /// Whether a refused request was made in a session, which may have ended.
    pub(super) async fn has_session(&self) -> bool {
        matches!(*self.login.lock().await, Login::Session { .. })
    }

    /// "session" or "basic".
    pub(crate) async fn authentication(&self) -> &'static str {
        match *self.login.lock().await {
            Login::Session { .. } => "session",
            Login::Basic | Login::None => "basic",
        }
    }

    /// Ends the session. One that cannot be ended will end by itself.
    pub(crate) async fn close(self) {
        let login = self.login.lock().await.clone();
        if let Login::Session { path: Some(path), .. } = &login {
            let end = self.exchange(&login, Request::new(&Method::DELETE, path));
            // A BMC that is stuck holds nobody up.
            let _ = tokio::time::timeout(self.patience.connect, end).await;
        }
    }
}

/// Where sessions begin: as the service root says, or by custom where it could not be read. `None` where it names none.
fn sessions(root: &Value) -> Option<String> {
    let linked = root["Links"]["Sessions"]["@odata.id"].as_str().map(str::to_owned);
    let service = || root["SessionService"]["@odata.id"].as_str();
    let below = || service().map(|service| format!("{}/Sessions", service.trim_end_matches('/')));
    linked.or_else(below).or_else(|| root.is_null().then(|| SESSIONS.to_owned()))
}

/// Whether it is the credentials that are refused, rather than the session. Older firmware has other statuses than 401 for it.
fn refuses(answer: &Answer) -> bool {
    const KEYS: [&str; 7] = [
        "UnauthorizedLoginAttempt",
        "ResourceAtUriUnauthorized",
        "AccessUnauthorized",
        "AccessDenied",
        "NoValidSession",
        "InvalidCredentials",
        "AccountLocked",
    ];
    let said = answer.said();
    if said.iter().any(|message| message.is(&["SessionLimitExceeded", "RAC0218"])) || answer.is_about_licence() {
        return false;
    }
    match answer.status {
        StatusCode::UNAUTHORIZED => true,
        StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN => said.iter().any(|message| message.is(&KEYS)),
        _ => false,
    }
}
