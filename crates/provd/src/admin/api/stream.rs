//! Changes as they happen: server-sent events (HTML Living Standard, 9.2).
//!
//! ```text
//! id: 17                     the audit log's line; a watcher that comes back with it misses nothing
//! event: transition          or report, operation, pen, reload
//! data: {"audit":{...},"node":{...}}
//! ```
//! A watcher that lags behind is told to reload and is let go. Streams are bounded in number and, so that whoever loses his right to
//! watch loses the stream as well, in time.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _, stream};
use netboot::MacAddr;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use utoipa::ToSchema;

use super::model::{AuditEntry, NodeRow, StreamQuery};
use crate::admin::Admin;
use crate::admin::failure::{ErrorBody, Failure, blocking};
use crate::registry::{Change, OperationChange, ReportedEvent};
use crate::store::Audited;

/// Lines that a watcher may have missed; with more it reads everything anew.
const MISSED: usize = 500;
/// How long one stream lasts: the browser comes back by itself, and shows again who it is.
const LIFE: Duration = Duration::from_secs(15 * 60);
const ALIVE: Duration = Duration::from_secs(15);

/// A node's state has changed.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct TransitionItem {
    audit: AuditEntry,
    /// The node as it is when this is sent.
    #[schema(required)]
    node: Option<NodeRow>,
}

/// An installer has reported.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct ReportItem {
    #[schema(value_type = Object)]
    event: ReportedEvent,
    #[schema(required)]
    node: Option<NodeRow>,
}

/// Something goes on with a node's BMC, or has ended.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct OperationItem {
    /// Null for a reading, which is not kept.
    #[schema(required)]
    id: Option<u64>,
    mac: String,
    hostname: String,
    /// "power cycle"
    title: String,
    /// "running", "done" or "failed".
    state: String,
    /// What is done now, or one line about what became of it.
    text: String,
}

impl From<OperationChange> for OperationItem {
    fn from(change: OperationChange) -> Self {
        let OperationChange { id, mac, hostname, title, state, text } = change;
        OperationItem { id, mac: mac.to_string(), hostname, title, state: state.to_owned(), text }
    }
}

/// What changes, as it happens.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(StreamQuery,
    ("Last-Event-ID" = Option<String>, Header, description = "Number of the last line of the audit log that was received")),
    responses(
    (status = 200, content_type = "text/event-stream", body = String,
     description = "Events `transition` (TransitionItem), `report` (ReportItem), `operation` (OperationItem), `pen` (a MAC address), `reload` (too much was missed)"),
    (status = 400, body = ErrorBody), (status = 503, description = "Too many watch already", body = ErrorBody)))]
pub(in crate::admin) async fn events(
    State(admin): State<Arc<Admin>>,
    headers: HeaderMap,
    query: Result<Query<StreamQuery>, QueryRejection>,
) -> Result<Response, Failure> {
    let Query(StreamQuery { after }) = query.map_err(|error| Failure::bad(error.body_text()))?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let permit = Arc::clone(&admin.streams)
        .try_acquire_owned()
        .map_err(|_| Failure::new(StatusCode::SERVICE_UNAVAILABLE, "too many watch already: close some pages"))?;
    // First this, then the past: what happens between the two is in both, and sent once.
    let receiver = admin.app.registry.subscribe();
    let feed = Feed::new(admin, receiver, last.or(after), permit).await?;
    let stream = stream::unfold(feed, |mut feed| async { feed.next().await.map(|event| (event, feed)) });
    let stream = stream.take_until(tokio::time::sleep(LIFE));
    let kept = KeepAlive::new().interval(ALIVE).text("alive");
    // nginx would collect them otherwise.
    Ok(([("x-accel-buffering", "no")], Sse::new(infallible(stream)).keep_alive(kept)).into_response())
}

fn infallible(stream: impl Stream<Item = Event>) -> impl Stream<Item = Result<Event, Infallible>> {
    stream.map(Ok)
}

struct Feed {
    admin: Arc<Admin>,
    receiver: Receiver<Change>,
    past: VecDeque<Audited>,
    /// Number of the last line that was sent.
    last: u64,
    missed_too_much: bool,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl Feed {
    async fn new(
        admin: Arc<Admin>,
        receiver: Receiver<Change>,
        after: Option<u64>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, Failure> {
        let app = Arc::clone(&admin.app);
        let (head, past) = blocking(move || {
            let (head, _) = app.registry.store().read(Audited::head)?;
            let past = match after {
                None => Some(Vec::new()),
                // A number of another database, or of one that was set back.
                Some(after) if after > head => None,
                Some(after) => Some(app.registry.audit(None, after, MISSED + 1)?).filter(|past| past.len() <= MISSED),
            };
            Ok((head, past))
        })
        .await?;
        let missed_too_much = past.is_none();
        let past = past.unwrap_or_default();
        let last = past.first().map_or(head, |first| first.line.seq.saturating_sub(1));
        Ok(Feed { admin, receiver, past: past.into(), last, missed_too_much, ended: false, _permit: permit })
    }

    async fn next(&mut self) -> Option<Event> {
        if self.ended {
            return None;
        }
        if self.missed_too_much {
            return Some(self.reload());
        }
        if let Some(audited) = self.past.pop_front() {
            return Some(self.transition(audited).await);
        }
        loop {
            match self.receiver.recv().await {
                Ok(Change::Transition(audited)) if audited.line.seq <= self.last => {}
                Ok(Change::Transition(audited)) => return Some(self.transition(audited).await),
                Ok(Change::Reported(event)) => return Some(self.report(event).await),
                Ok(Change::Operation(change)) => return Some(event("operation", &OperationItem::from(change))),
                Ok(Change::Pen { mac }) => return Some(Event::default().event("pen").data(mac.to_string())),
                Err(RecvError::Lagged(_)) => return Some(self.reload()),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn reload(&mut self) -> Event {
        self.ended = true;
        Event::default().event("reload").data("too much was missed")
    }

    async fn transition(&mut self, audited: Audited) -> Event {
        self.last = audited.line.seq;
        let node = self.row(audited.line.mac).await;
        let id = audited.line.seq.to_string();
        event("transition", &TransitionItem { audit: audited.into(), node }).id(id)
    }

    async fn report(&self, reported: ReportedEvent) -> Event {
        let node = self.row(reported.mac).await;
        event("report", &ReportItem { event: reported, node })
    }

    async fn row(&self, mac: MacAddr) -> Option<NodeRow> {
        let app = Arc::clone(&self.admin.app);
        blocking(move || Ok(app.registry.node(mac).as_ref().map(NodeRow::of))).await.ok().flatten()
    }
}

fn event(name: &str, item: &impl Serialize) -> Event {
    // These are plain structures, which always become JSON; `data` refuses newlines, which JSON has none of.
    Event::default().event(name).data(serde_json::to_string(item).unwrap_or_default())
}
