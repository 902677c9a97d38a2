//! Outgoing webhooks: every transition is put into the outbox in its own transaction, and posted until it is taken.
//!
//! ```text
//! registry ─ same transaction ─► outbox ─► one task for each URL ─► POST, in order ─► taken: the row goes
//!                                              ▲ pause, 1 s to 5 min ◄──────────────┘ anything else
//! ```
//! In: lines of the audit log. Out: POSTs of their JSON, each at least once for as long as its row is there. Invariants: for one URL
//! a line is posted after all lines before it were taken; the outbox holds at most [`LIMIT`] lines for a URL, the oldest goes
//! first; a receiver that is slow or dead delays nobody else. `docs/webhooks.md` is for receivers.

mod client;
mod deliver;
mod outbox;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::app::Shared;
use crate::store::{Store, StoreError};

pub(crate) use outbox::enqueue;

/// Lines that wait for one URL at most.
pub const LIMIT: i64 = 1000;

/// What is needed beside the URLs. A file that is not there is not used.
#[derive(Debug, Clone, clap::Args)]
pub struct Files {
    /// Secret that webhooks are signed with, where the file is there.
    #[arg(long, default_value = "/var/lib/provbuild/secrets/webhook")]
    pub webhook_secret: PathBuf,
    /// Certificate authorities for webhooks' receivers beside the public ones (PEM), where the file is there.
    #[arg(long, default_value = "/etc/provbuild/webhook-ca.pem")]
    pub webhook_authorities: PathBuf,
}

/// What has happened since the daemon was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Lines that a receiver has taken.
    pub delivered: u64,
    /// Posts that failed, and are tried again.
    pub failed: u64,
    /// Lines that were dropped because too many waited.
    pub dropped: u64,
}

static DELIVERED: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicU64 = AtomicU64::new(0);
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// For the metrics.
pub fn figures() -> Figures {
    Figures {
        delivered: DELIVERED.load(Ordering::Relaxed),
        failed: FAILED.load(Ordering::Relaxed),
        dropped: DROPPED.load(Ordering::Relaxed),
    }
}

/// Lines that wait, for all URLs.
///
/// # Errors
/// The store cannot be read.
pub fn waiting(store: &Store) -> Result<u64, StoreError> {
    store.read(outbox::waiting)
}

/// Why webhooks cannot be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: no certificate that can be used: {reason}", path.display())]
    Authorities { path: PathBuf, reason: String },
    #[error("the client for webhooks: {0}")]
    Client(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Posts what the outbox holds, for as long as the daemon runs.
///
/// # Errors
/// A file that is there and is of no use. The nodes do not depend on this; the caller may go on.
pub fn start(app: &Shared, files: &Files) -> Result<(), WebhookError> {
    let urls = &app.registry.declared().control.webhooks;
    let dropped = app.registry.store().write(|transaction| outbox::keep_only(transaction, urls))?;
    if dropped > 0 {
        tracing::warn!("{dropped} lines for webhooks that are not declared any more were dropped");
    }
    if urls.is_empty() {
        return Ok(());
    }
    let client = client::Poster::new(files)?;
    let mut started = std::collections::BTreeSet::new();
    for url in urls {
        if started.insert(url) {
            tokio::spawn(deliver::deliver(std::sync::Arc::clone(app), url.clone(), client.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
