//! The operations that write and have not ended: what stopping the daemon waits for.
//!
//! In: operations that begin and end. Out: how many are left when nobody waits any more. Invariant: once it is closed none begins.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::{Control, ControlError};

/// Counts them.
#[derive(Debug, Default)]
pub(super) struct Underway(watch::Sender<Count>);

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    going: usize,
    closed: bool,
}

/// One that goes on, until this is dropped.
#[derive(Debug)]
pub(super) struct Going(Arc<Underway>);

impl Underway {
    pub(super) fn begin(self: &Arc<Self>) -> Result<Going, ControlError> {
        let mut begins = false;
        self.0.send_modify(|count| {
            begins = !count.closed;
            count.going += usize::from(begins);
        });
        if begins { Ok(Going(Arc::clone(self))) } else { Err(ControlError::Stopping) }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| count.going = count.going.saturating_sub(1));
    }
}

impl Control {
    /// Lets no operation that writes begin any more, and waits until those that go on have ended, but not for ever: one that is dropped
    /// in its middle may leave a machine off. How many are left.
    pub async fn close(&self, limit: Duration) -> usize {
        self.underway.0.send_modify(|count| count.closed = true);
        let mut watch = self.underway.0.subscribe();
        let going = watch.borrow().going;
        if going > 0 {
            tracing::info!("{going} operations go on: waiting for their end");
        }
        // Nothing but the time can be wrong: the sender is here.
        let _ = tokio::time::timeout(limit, watch.wait_for(|count| count.going == 0)).await;
        self.underway.0.borrow().going
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Settings;

    #[tokio::test]
    async fn what_has_begun_is_waited_for_and_nothing_begins_then() {
        let control = Arc::new(Control::new(Settings::default()));
        let going = control.underway.begin().unwrap();
        assert_eq!(control.close(Duration::from_millis(20)).await, 1);
        assert!(matches!(control.underway.begin(), Err(ControlError::Stopping)));
        let waits = tokio::spawn({
            let control = Arc::clone(&control);
            async move { control.close(Duration::from_secs(20)).await }
        });
        drop(going);
        assert_eq!(waits.await.unwrap(), 0);
    }
}
