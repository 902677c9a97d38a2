//! What nodes may ask: their boot script, their answers, their reports; behind nginx, on the provisioning network.
//!
//! ```text
//! GET  /nodes/MAC.ipxe, /grub/nodes/MAC.cfg       its boot script
//! GET  /seed/TOKEN/FILE                           its answers
//! GET, HEAD /seed/TOKEN/cidata.iso                the same as a CD, for its BMC; also a part of it
//! POST /report/TOKEN                              subiquity's webhook, JSON
//! POST /report/TOKEN/step|installed|failed        debian-installer's commands, and Ubuntu's
//! POST /report/TOKEN/first-boot                   the installed system, JSON
//! ```
//! Everything here comes from machines that nobody has proved to be what they say: sizes and counts are bounded, what is not
//! understood is refused with a status of 4xx and one line of JSON, and a refusal changes no state. A failing store answers 503,
//! at which a loader goes on to the machine's own disk. No token is ever in a line of the log.

mod cd;
mod limit;
pub mod read;
mod refusal;
mod request;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use netboot::MacAddr;
use tokio::sync::Semaphore;

use crate::app::{self, Shared};
use crate::pen::Sighting;
use crate::registry::{Change, Outcome, Refused};
use crate::store::Token;

use limit::Limit;
use refusal::Refusal;
pub(crate) use request::CD;
pub use request::{Asked, ReportKind, asked};

/// Header in which nginx gives the client's address; nginx replaces what the client sends under this name.
pub const CLIENT_ADDRESS: &str = "x-provbuild-address";

/// nginx hands a body over whole: whoever takes longer is not nginx.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Long bodies that are in memory at one time.
const LONG_BODIES: usize = 8;
/// Requests that wait for the store at one time; the others wait without a thread.
const AT_ONCE: usize = 16;

/// Shared by all requests.
struct Nodes {
    app: Shared,
    long_bodies: Arc<Semaphore>,
    at_once: Arc<Semaphore>,
    /// Lines about what was given.
    given: Limit,
    /// Lines about what was refused.
    refused: Limit,
    /// Machines that are put into the pen.
    strangers: Limit,
}

pub fn router(app: Shared) -> Router {
    let nodes = Nodes {
        app,
        long_bodies: Arc::new(Semaphore::new(LONG_BODIES)),
        at_once: Arc::new(Semaphore::new(AT_ONCE)),
        given: Limit::new(500, 50),
        refused: Limit::new(50, 2),
        strangers: Limit::new(256, 10),
    };
    // One handler: the path is judged as it came, before anything decodes it.
    Router::new().fallback(answer).with_state(Arc::new(nodes))
}

async fn answer(State(nodes): State<Arc<Nodes>>, request: Request<Body>) -> Response {
    let from = client(request.headers());
    let address = from.as_ref().map_or("-".to_owned(), IpAddr::to_string);
    let result = match from {
        Ok(from) => nodes.handle(request, from).await,
        Err(refusal) => Err(refusal),
    };
    let mut response = result.unwrap_or_else(|refusal| {
        if refusal.status.is_client_error() {
            app::count_refusal();
        }
        if let Some(left_out) = nodes.refused.take(Instant::now()) {
            let (status, why, detail) = (refusal.status.as_u16(), refusal.why, &refusal.detail);
            match refusal.status.is_server_error() {
                true => tracing::error!(from = address, status, left_out, "refused: {why} {detail}"),
                false => tracing::warn!(from = address, status, left_out, "refused: {why} {detail}"),
            }
        }
        refusal.into_response()
    });
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

/// The node's address as nginx saw it.
fn client(headers: &HeaderMap) -> Result<IpAddr, Refusal> {
    let mut values = headers.get_all(CLIENT_ADDRESS).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Refusal::bad("the client's address is not known"));
    };
    let address: Option<IpAddr> = value.to_str().ok().and_then(|text| text.parse().ok());
    Ok(address.ok_or(Refusal::bad("the client's address is not known"))?.to_canonical())
}

impl Nodes {
    async fn handle(self: &Arc<Self>, request: Request<Body>, from: IpAddr) -> Result<Response, Refusal> {
        if request.uri().query().is_some() {
            return Err(Refusal::bad("a query is not understood here"));
        }
        match asked(request.method(), request.uri().path())? {
            Asked::Boot { mac, grub } => self.boot(mac, grub, from).await,
            Asked::Seed { token, file } => self.seed(token, file, from).await,
            Asked::Cd { token, head } => self.cd(token, head, request.headers(), from).await,
            Asked::Report { token, kind } => self.report(token, kind, request.into_body(), from).await,
        }
    }

    async fn boot(self: &Arc<Self>, mac: MacAddr, grub: bool, from: IpAddr) -> Result<Response, Refusal> {
        let now = Timestamp::now();
        let answer = self.blocking(move |nodes| nodes.app.registry.boot(mac, from, now)).await?;
        let Some(answer) = answer.map_err(Refusal::store)? else {
            if self.strangers.take(Instant::now()).is_some() {
                let noted = self.blocking(move |nodes| {
                    let seen = Sighting { address: Some(from), ..Sighting::default() };
                    nodes.app.pen.note(mac, &seen, now)
                });
                if noted.await?.map_err(Refusal::store)? {
                    self.app.registry.tell(Change::Pen { mac });
                }
            }
            return Err(Refusal::new(StatusCode::NOT_FOUND, "this machine is no node").about(mac));
        };
        self.log(from, &mac, &answer.verdict);
        Ok(text(if grub { answer.grub } else { answer.ipxe }))
    }

    async fn seed(self: &Arc<Self>, token: Token, file: String, from: IpAddr) -> Result<Response, Refusal> {
        let now = Timestamp::now();
        let seed = self.blocking(move |nodes| {
            let seed = nodes.app.registry.seed(&token, &file, from, now);
            seed.map(|seed| (seed, file))
        });
        let (seed, file) = seed.await?.map_err(refused)?;
        self.log(from, &seed.hostname, &format!("reads {file}"));
        Ok(text(seed.text))
    }

    async fn cd(
        self: &Arc<Self>,
        token: Token,
        head: bool,
        headers: &HeaderMap,
        from: IpAddr,
    ) -> Result<Response, Refusal> {
        let now = Timestamp::now();
        let cd = self.blocking(move |nodes| nodes.app.registry.cd(&token, from, now)).await?.map_err(refused)?;
        let part = cd::Part::asked(head, headers, cd.image.len());
        if part.begins() && !head {
            self.log(from, &cd.hostname, &format!("its BMC reads {CD}"));
        }
        Ok(part.answer(head, &cd.image))
    }

    async fn report(
        self: &Arc<Self>,
        token: Token,
        kind: ReportKind,
        body: Body,
        from: IpAddr,
    ) -> Result<Response, Refusal> {
        let long = match kind {
            ReportKind::Failed => Some(Arc::clone(&self.long_bodies).acquire_owned().await.map_err(Refusal::fault)?),
            _ => None,
        };
        let body = tokio::time::timeout(BODY_TIME, axum::body::to_bytes(body, kind.limit()));
        let body = body.await.map_err(|_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body did not come"))?;
        let body = body.map_err(|error| match std::error::Error::source(&error) {
            Some(source) if source.is::<http_body_util::LengthLimitError>() => {
                Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long")
            }
            _ => Refusal::bad("the body breaks off"),
        })?;
        let report = read::report(kind, &body).map_err(Refusal::bad)?;
        drop(body);
        let outcome = self.blocking(move |nodes| {
            let _long = long;
            nodes.app.registry.report(&token, report, from, Timestamp::now())
        });
        let outcome = outcome.await?.map_err(refused)?;
        let (word, body) = match outcome {
            Outcome::Taken => ("taken", "{\"outcome\":\"taken\"}\n"),
            Outcome::Ignored => ("ignored", "{\"outcome\":\"ignored\"}\n"),
        };
        // A report is good from its node's own address only.
        let mut nodes = self.app.registry.declared().inventory.nodes.iter();
        let hostname = nodes.find(|node| from == IpAddr::from(node.address)).map(|node| node.hostname.as_str());
        self.log(from, &hostname.unwrap_or("-"), &format!("reports {}: {word}", kind.name()));
        Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
    }

    /// Runs what may wait for the disk. The work goes on when its client hangs up, and counts until it ends.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Nodes) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let permit = Arc::clone(&self.at_once).acquire_owned().await.map_err(Refusal::fault)?;
        let nodes = Arc::clone(self);
        let work = move || {
            let _permit = permit;
            work(&nodes)
        };
        tokio::task::spawn_blocking(work).await.map_err(Refusal::fault)
    }

    fn log(&self, from: IpAddr, node: &dyn std::fmt::Display, verdict: &str) {
        if let Some(left_out) = self.given.take(Instant::now()) {
            tracing::info!(%from, %node, left_out, "{verdict}");
        }
    }
}

fn text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

fn refused(refused: Refused) -> Refusal {
    let status = match &refused {
        Refused::Token | Refused::Address => StatusCode::FORBIDDEN,
        Refused::Gone => StatusCode::GONE,
        Refused::File => StatusCode::NOT_FOUND,
        Refused::Limit => StatusCode::TOO_MANY_REQUESTS,
        Refused::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        Refused::Seed(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let why = match &refused {
        Refused::Token => "this token is not known",
        Refused::Address => "this token belongs to another address",
        Refused::Gone => "this token is used up",
        Refused::File => "there is no such file",
        Refused::Limit => "too many requests of this attempt",
        Refused::Store(_) | Refused::Seed(_) => "not now",
    };
    match status.is_server_error() {
        true => Refusal::new(status, why).about(refused),
        false => Refusal::new(status, why),
    }
}
