//! An answer, read whole, before anybody judges it.

use reqwest::StatusCode;
use reqwest::header::HeaderValue;
use serde_json::Value;

use super::messages::{Message, messages};
use crate::error::Error;

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The header, or the body's own (`@odata.etag`) where there is none.
    pub(crate) etag: Option<String>,
    pub(crate) location: Option<String>,
    pub(crate) retry_after: Option<String>,
    /// `X-Auth-Token`, of a session that begins. Marked as sensitive: no `Debug` shows it.
    pub(super) token: Option<HeaderValue>,
    /// Whether the request was made in a session.
    pub(super) in_session: bool,
    /// `Null` where there is no body, or none that can be read; a string where a failure's body is text.
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn said(&self) -> Vec<Message> {
        messages(&self.body)
    }

    /// Whether the same request succeeds later.
    pub(crate) fn is_for_now(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
            || !self.status.is_success() && self.said().iter().any(Message::is_for_now)
    }

    /// Whether a request was refused because of a licence, whatever the status is.
    pub(crate) fn is_about_licence(&self) -> bool {
        !self.status.is_success() && self.said().iter().any(Message::is_about_licence)
    }

    /// The account whose password must be changed before anything else, as the BMC says, also where the answer is a good one.
    pub(super) fn password_change(&self, endpoint: &str) -> Option<Error> {
        let said = self.said().into_iter().find(|message| message.is(&["PasswordChangeRequired"]))?;
        let account = said.about.into_iter().find(|about| about.starts_with("/redfish"));
        Some(Error::PasswordChange { endpoint: endpoint.to_owned(), account })
    }

    /// The answer of a request that succeeded.
    ///
    /// # Errors
    /// The failure that it tells, for something that would `what` ("set the one-time boot").
    pub(crate) fn success(self, endpoint: &str, what: &str) -> Result<Answer, Error> {
        if self.status.is_success() {
            return Ok(self);
        }
        let said = self.said();
        let what = what.to_owned();
        if self.is_about_licence() {
            return Err(Error::Licence { what, said });
        }
        if let Some(error) = self.password_change(endpoint) {
            return Err(error);
        }
        Err(match self.status {
            // A session that has just begun proves that the password is right.
            StatusCode::UNAUTHORIZED if self.in_session => Error::Forbidden { what, said },
            StatusCode::UNAUTHORIZED => Error::Credentials { endpoint: endpoint.to_owned(), said },
            StatusCode::FORBIDDEN => Error::Forbidden { what, said },
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                let mut reason = format!("status {}", self.status.as_u16());
                for message in &said {
                    reason += &format!(": {}", message.text);
                }
                Error::Unsupported { what, reason }
            }
            status => Error::Refused { what, status: status.as_u16(), said },
        })
    }
}
