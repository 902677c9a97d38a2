//! Logging in: a session (DSP0266, "Redfish session login authentication"), or basic authentication where there are none.

use reqwest::header::HeaderValue;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;

use super::Client;
use crate::credentials::Credentials;
use crate::error::Error;

pub(super) const TOKEN: &str = "x-auth-token";
const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";

/// How requests show who asks.
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
    /// Begins a session; a BMC that has none, or none left, gets the password with each request. Refused credentials are not
    /// tried a second time: some BMCs lock the account.
    pub(super) async fn log_in(&self) -> Result<(), Error> {
        let path = self.root["Links"]["Sessions"]["@odata.id"].as_str().unwrap_or(SESSIONS).to_owned();
        let body = json!({ "UserName": self.credentials.user(), "Password": self.credentials.password() });
        let request = self.http.request(Method::POST, self.url(&path)?);
        let answer = self.exchange(&Method::POST, &path, request, Some(&body)).await?;
        let token = answer.token.clone();
        let login = match (answer.status, token) {
            (status, Some(mut token)) if status.is_success() => {
                token.set_sensitive(true);
                let path = answer.location.as_deref().or_else(|| answer.body["@odata.id"].as_str());
                Login::Session { token, path: path.map(|path| self.local(path)) }
            }
            (StatusCode::UNAUTHORIZED, _) => {
                return Err(Error::Credentials { endpoint: self.endpoint.clone(), said: answer.said() });
            }
            _ => Login::Basic,
        };
        *self.login.lock().await = login;
        Ok(())
    }

    /// Whether a refused request was made in a session, which may have ended.
    pub(super) async fn session_ended(&self) -> bool {
        matches!(*self.login.lock().await, Login::Session { .. })
    }

    /// "session" or "basic".
    pub(crate) async fn authentication(&self) -> &'static str {
        match *self.login.lock().await {
            Login::Session { .. } => "session",
            Login::Basic | Login::None => "basic",
        }
    }

    /// Ends the session: a BMC has room for a few only. One that cannot be ended will end by itself.
    pub(crate) async fn close(self) {
        let path = match &*self.login.lock().await {
            Login::Session { path: Some(path), .. } => path.clone(),
            _ => return,
        };
        let _ = self.once(&Method::DELETE, &path, None, None).await;
    }
}
