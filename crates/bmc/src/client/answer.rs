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
    /// `X-Auth-Token`, of a session that begins.
    pub(super) token: Option<HeaderValue>,
    /// `Null` where there is no body, or none that is JSON.
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
        if said.iter().any(Message::is_about_licence) {
            return Err(Error::Licence { what, said });
        }
        Err(match self.status {
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
