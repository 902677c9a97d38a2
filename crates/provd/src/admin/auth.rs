//! Who asks: found out once for each request, before any handler runs.
//!
//! In: the session cookie or bearer token of a request through nginx, or what the kernel says of the peer of the local socket.
//! Out: a [`Caller`]. Invariant: a handler that changes something is reached only by a caller who may act, and with a cookie only
//! from a page of ours: [`gate`] checks that for every method but GET and HEAD, so that no handler can forget it. The right to act is
//! left to the two handlers that also read BMCs.

use std::fs;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::serve::IncomingStream;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use tokio::net::UnixListener;

use super::access::{self, Holder};
use super::failure::{Failure, blocking};
use super::{Admin, BODY_LIMIT, page};
use crate::nodes::CLIENT_ADDRESS;
use crate::registry::Actor;
use crate::store::Token;

/// `__Host-`: sent over TLS only, to this host only (RFC 6265bis, 4.1.3.2).
pub(super) const COOKIE: &str = "__Host-provd";
/// Header in which our own script gives the session's CSRF token.
const CSRF_HEADER: &str = "x-csrf-token";
/// Longest CSRF field and form that is looked into.
const FORM: &str = "application/x-www-form-urlencoded";

/// Who asks, and what he may do.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) actor: Actor,
    pub(super) may_act: bool,
    /// Until when his right to ask lasts.
    pub(super) expires: Option<Timestamp>,
    pub(super) by: By,
}

#[derive(Debug, Clone)]
pub(super) enum By {
    /// The kernel.
    Local,
    /// A program's token.
    Bearer,
    /// A cookie.
    Session { token: Token, csrf: String },
}

impl Caller {
    /// What the forms of this caller's pages must carry.
    pub(super) fn csrf(&self) -> &str {
        match &self.by {
            By::Session { csrf, .. } => csrf,
            By::Local | By::Bearer => "",
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Failure> {
        parts.extensions.get::<Caller>().cloned().ok_or_else(Failure::unauthorized)
    }
}

/// The process at the other end of the local socket.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    pub uid: Option<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Peer { uid: stream.io().peer_cred().ok().map(|peer| peer.uid()) }
    }
}

/// Whoever may open the local socket may act; the kernel says who he is.
pub(super) async fn local(mut request: Request, next: Next) -> Response {
    let Some(uid) = request.extensions().get::<ConnectInfo<Peer>>().and_then(|ConnectInfo(peer)| peer.uid) else {
        return Failure::unauthorized().into_response();
    };
    let who = user_name(&fs::read_to_string("/etc/passwd").unwrap_or_default(), uid);
    let actor = Actor { who, origin: "local".to_owned() };
    request.extensions_mut().insert(Caller { actor, may_act: true, expires: None, by: By::Local });
    next.run(request).await
}

/// The user's name (passwd(5)). Read from the file: the C library's way needs its modules, which a static program has not.
fn user_name(passwd: &str, uid: u32) -> String {
    let uid = uid.to_string();
    let line = passwd.lines().find(|line| line.split(':').nth(2) == Some(&uid));
    let name = line.and_then(|line| line.split(':').next()).filter(|name| !name.is_empty());
    name.map_or_else(|| format!("uid {uid}"), str::to_owned)
}

/// Lets a request through that shows who asks; a change only with the right to act, and from a page of ours.
pub(super) async fn gate(State(admin): State<Arc<Admin>>, mut request: Request, next: Next) -> Response {
    let now = Timestamp::now();
    let caller = match caller(&admin, request.headers(), now).await {
        Ok(Some(caller)) => caller,
        Ok(None) if page::is_page(request.method(), request.uri().path()) => return page::to_login(),
        Ok(None) => return Failure::unauthorized().into_response(),
        Err(failure) => return failure.into_response(),
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        request = match changing(&caller, request).await {
            Ok(request) => request,
            Err(failure) => return failure.into_response(),
        };
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

async fn caller(admin: &Arc<Admin>, headers: &HeaderMap, now: Timestamp) -> Result<Option<Caller>, Failure> {
    let address = client_address(headers);
    let origin = origin_of(address);
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        if admin.limit.reached(address, now) {
            return Err(too_often());
        }
        let bearer = value.to_str().ok().and_then(|value| value.split_once(' '));
        let secret = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let found = match secret.and_then(|(_, secret)| secret.trim().parse::<Token>().ok()) {
            Some(secret) => {
                let app = Arc::clone(&admin.app);
                blocking(move || Ok(access::program(app.registry.store(), &secret, now)?)).await?
            }
            None => None,
        };
        let Some(holder) = found else {
            admin.limit.failed(address, now);
            tracing::warn!(%origin, "a token that is none was shown");
            return Err(Failure::new(StatusCode::UNAUTHORIZED, "this token is not known, or is no longer good"));
        };
        return Ok(Some(of(holder, origin, By::Bearer)));
    }
    let Some(token) = cookie(headers) else { return Ok(None) };
    let (app, secret) = (Arc::clone(&admin.app), token.clone());
    let found = blocking(move || Ok(access::session(app.registry.store(), &secret, now)?)).await?;
    let csrf = csrf_of(&token);
    Ok(found.map(|holder| of(holder, origin, By::Session { token, csrf })))
}

fn of(holder: Holder, origin: String, by: By) -> Caller {
    let Holder { name, may_act, expires, .. } = holder;
    Caller { actor: Actor { who: name, origin }, may_act, expires, by }
}

/// What a change needs beyond a name.
async fn changing(caller: &Caller, request: Request) -> Result<Request, Failure> {
    let (request, given) = match &caller.by {
        By::Local | By::Bearer => (request, None),
        By::Session { .. } => {
            same_origin(request.headers())?;
            let (request, given) = csrf_in(request).await?;
            (request, Some(given))
        }
    };
    if given.is_some_and(|given| given.as_deref() != Some(caller.csrf())) {
        return Err(Failure::forbidden("this form is not of this session: load the page again"));
    }
    if !caller.may_act && request.uri().path() != "/logout" && !judges_itself(request.uri().path()) {
        return Err(Failure::forbidden("this login may only read"));
    }
    Ok(request)
}

/// The places that also take what only reads a BMC: their handlers see to the rest.
fn judges_itself(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(parts[..], ["", "api", "v1", "nodes", _, "operations"] | ["", "nodes", _, "status"])
}

/// The CSRF token that a request carries, in its header or its form.
async fn csrf_in(request: Request) -> Result<(Request, Option<String>), Failure> {
    if let Some(value) = request.headers().get(CSRF_HEADER) {
        let value = value.to_str().ok().map(str::to_owned);
        return Ok((request, value));
    }
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().map(str::trim) != Some(FORM) {
        return Ok((request, None));
    }
    let (parts, body) = request.into_parts();
    let bytes: Bytes = axum::body::to_bytes(body, BODY_LIMIT)
        .await
        .map_err(|_| Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "the form is too long"))?;
    let given = field(&bytes, "csrf");
    Ok((Request::from_parts(parts, Body::from(bytes)), given))
}

/// A field whose value needs no decoding, as ours does not.
fn field(form: &[u8], name: &str) -> Option<String> {
    let form = std::str::from_utf8(form).ok()?;
    form.split('&')
        .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))
        .map(|(_, value)| value.to_owned())
}

/// That a change comes from a page of this host: by the browser's word for it (Fetch Metadata, `Sec-Fetch-Site`), or where it
/// has none, by its `Origin` (RFC 6454).
pub(super) fn same_origin(headers: &HeaderMap) -> Result<(), Failure> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let site = headers.get("sec-fetch-site").map(|value| value.as_bytes());
    let origin = text(header::ORIGIN).map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host));
    let ours = match (site, origin) {
        (Some(site), _) => site == b"same-origin",
        (None, Some(origin)) => text(header::HOST).is_some_and(|host| host.eq_ignore_ascii_case(origin)),
        (None, None) => false,
    };
    if ours { Ok(()) } else { Err(Failure::forbidden("this change was not asked for by a page of this host")) }
}

/// Follows from the session's secret and does not lead back to it.
fn csrf_of(session: &Token) -> String {
    hex::encode(&Sha256::digest(format!("csrf {}", session.reveal()))[..16])
}

fn cookie(headers: &HeaderMap) -> Option<Token> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).and_then(|(_, value)| value.parse().ok())
}

/// As nginx gives it.
pub(super) fn client_address(headers: &HeaderMap) -> Option<IpAddr> {
    headers.get(CLIENT_ADDRESS).and_then(|value| value.to_str().ok()).and_then(|value| value.parse().ok())
}

pub(super) fn origin_of(address: Option<IpAddr>) -> String {
    address.map_or_else(|| "unknown".to_owned(), |address| address.to_string())
}

pub(super) fn too_often() -> Failure {
    Failure::new(StatusCode::TOO_MANY_REQUESTS, "too many failed logins from this address: wait five minutes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_names_or_numbers() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nada:x:1000:1000::/home/ada:/bin/sh\n:x:7:\nbroken\n";
        assert_eq!(user_name(passwd, 1000), "ada");
        assert_eq!(user_name(passwd, 0), "root");
        assert_eq!(user_name(passwd, 7), "uid 7");
        assert_eq!(user_name(passwd, 100), "uid 100");
    }

    #[test]
    fn only_our_own_pages_change_things() {
        let ours = |pairs: &[(&'static str, &str)]| {
            let headers = pairs.iter().map(|(name, value)| {
                (header::HeaderName::from_static(name), value.parse::<header::HeaderValue>().unwrap())
            });
            same_origin(&headers.collect()).is_ok()
        };
        assert!(ours(&[("sec-fetch-site", "same-origin")]));
        assert!(!ours(&[("sec-fetch-site", "same-site")]));
        assert!(!ours(&[("sec-fetch-site", "cross-site"), ("origin", "https://a"), ("host", "a")]));
        assert!(!ours(&[("sec-fetch-site", "none")]));
        assert!(ours(&[("origin", "https://Boot.lab"), ("host", "boot.lab")]));
        assert!(!ours(&[("origin", "https://boot.lab.evil"), ("host", "boot.lab")]));
        assert!(!ours(&[("origin", "null"), ("host", "boot.lab")]));
        assert!(!ours(&[("host", "boot.lab")]));
    }
}
