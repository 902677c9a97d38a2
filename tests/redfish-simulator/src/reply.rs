//! Requests and replies, apart from the wire.
//!
//! Input: what `server` read; output: what it is to send, and how (late, slowly, cut). Invariant: a reply with a JSON body says so in its
//! `Content-Type`.

use std::time::Duration;

use hyper::HeaderMap;
use serde_json::Value;

use crate::faults::Cut;
use crate::messages::{self, Message};

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without query and without a slash at the end.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// How a reply goes out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Delivery {
    pub(crate) before: Duration,
    pub(crate) between_bytes: Option<Duration>,
    pub(crate) cut: Option<Cut>,
}

#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) delivery: Delivery,
}

impl Reply {
    pub(crate) fn empty(status: u16) -> Reply {
        Reply { status, headers: Vec::new(), body: Vec::new(), delivery: Delivery::default() }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Reply {
        Reply { body: body.to_string().into_bytes(), ..Reply::empty(status) }
            .with("Content-Type", "application/json; charset=utf-8")
    }

    pub(crate) fn error(status: u16, messages: &[Message]) -> Reply {
        Reply::json(status, &messages::error(messages))
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// What came in, and how it was answered: for tests to look at. Passwords are not kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub method: String,
    /// With its query.
    pub path: String,
    pub if_match: Option<String>,
    pub authentication: Authentication,
    /// Null if there was none, or none that is JSON.
    pub body: Value,
    pub status: u16,
}

/// What a request showed to say who sends it; whether it was accepted is in the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    Nothing,
    Basic,
    Token,
}

impl Recorded {
    pub(crate) fn of(request: &Request, status: u16) -> Recorded {
        let mut body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        if let Some(password) = body.get_mut("Password") {
            *password = Value::from("(not recorded)");
        }
        let authentication = match (request.header("x-auth-token"), request.header("authorization")) {
            (Some(_), _) => Authentication::Token,
            (None, Some(_)) => Authentication::Basic,
            (None, None) => Authentication::Nothing,
        };
        let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
        Recorded {
            method: request.method.clone(),
            path: format!("{}{query}", request.path),
            if_match: request.header("if-match").map(str::to_string),
            authentication,
            body,
            status,
        }
    }
}
