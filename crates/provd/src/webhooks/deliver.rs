//! One task for each URL: posts its oldest line until it is taken, then the next.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::broadcast::error::RecvError;

use super::client::Poster;
use super::outbox::{self, Letter};
use super::{DELIVERED, FAILED};
use crate::app::Shared;
use crate::store::{Store, StoreError};

/// The pause after the first failure; it doubles with each.
const FIRST_PAUSE: u64 = 1;
const LONGEST_PAUSE: u64 = 300;
/// The pause after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(5);

pub(super) async fn deliver(app: Shared, url: String, poster: Poster) {
    // Subscribed before the first look: no line can come unseen in between.
    let mut changes = app.registry.subscribe();
    let store = Arc::clone(app.registry.store());
    drop(app);
    loop {
        match look(&store, &url, &poster).await {
            Ok(Look::Empty) => match changes.recv().await {
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            Ok(Look::Again) => {}
            Ok(Look::Later(pause)) => tokio::time::sleep(pause).await,
            Err(error) => {
                tracing::error!("the webhook at {}: {error}", outbox::host(&url));
                tokio::time::sleep(STORE_PAUSE).await;
            }
        }
    }
}

enum Look {
    Empty,
    Again,
    Later(Duration),
}

async fn look(store: &Arc<Store>, url: &str, poster: &Poster) -> Result<Look, StoreError> {
    let wanted = url.to_owned();
    let Some(letter) = blocking(store, move |store| store.read(|c| outbox::first(c, &wanted))).await? else {
        return Ok(Look::Empty);
    };
    let Letter { id, body, tries, next } = letter;
    // A clock that was set back must not make it wait for longer than a pause.
    let wait = next.duration_since(Timestamp::now()).min(SignedDuration::from_secs(LONGEST_PAUSE as i64));
    match Duration::try_from(wait) {
        Ok(wait) if !wait.is_zero() => return Ok(Look::Later(wait)),
        // It is due, or overdue.
        _ => {}
    }
    match poster.post(url, &body).await {
        Ok(()) => {
            blocking(store, move |store| store.write(|t| outbox::taken(t, id))).await?;
            DELIVERED.fetch_add(1, Ordering::Relaxed);
            Ok(Look::Again)
        }
        Err(reason) => {
            FAILED.fetch_add(1, Ordering::Relaxed);
            let pause = pause(tries);
            let host = outbox::host(url);
            tracing::warn!("the webhook at {host}, try {}: {reason}; again in {pause} s", tries.saturating_add(1));
            let next = Timestamp::now() + SignedDuration::from_secs(pause as i64);
            blocking(store, move |store| store.write(|t| outbox::postpone(t, id, tries.saturating_add(1), next)))
                .await?;
            Ok(Look::Again)
        }
    }
}

/// Seconds to wait after so many failures before the last one.
fn pause(tries: u32) -> u64 {
    FIRST_PAUSE.checked_shl(tries.min(32)).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)
}

async fn blocking<T: Send + 'static>(
    store: &Arc<Store>,
    work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let store = Arc::clone(store);
    let done = tokio::task::spawn_blocking(move || work(&store)).await;
    done.unwrap_or_else(|error| Err(StoreError::Content(error.to_string())))
}

#[cfg(test)]
mod tests {
    #[test]
    fn pauses_grow_and_end_growing() {
        let pauses: Vec<u64> = [0, 1, 2, 8, 9, 40, u32::MAX].map(super::pause).to_vec();
        assert_eq!(pauses, [1, 2, 4, 256, 300, 300, 300]);
    }
}
