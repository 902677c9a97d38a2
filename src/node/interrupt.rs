//! Ctrl-C: the first time what has begun is finished, the second time it is left.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How often somebody has asked to end.
#[derive(Debug, Clone)]
pub struct Interrupt(watch::Receiver<u32>);

impl Interrupt {
    /// Counts SIGINT and SIGTERM from now on. Only inside a runtime.
    ///
    /// # Errors
    /// The signals cannot be caught.
    pub fn listen() -> io::Result<Self> {
        let (mut interrupts, mut terms) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let (sender, receiver) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    Some(()) = interrupts.recv() => {}
                    Some(()) = terms.recv() => {}
                    else => return,
                }
                sender.send_modify(|count| *count += 1);
            }
        });
        Ok(Interrupt(receiver))
    }

    /// For what may be cut off anywhere: the signals keep their usual effect.
    pub fn never() -> Self {
        Interrupt(watch::channel(0).1)
    }

    pub fn count(&self) -> u32 {
        *self.0.borrow()
    }

    /// Returns when it was asked for so many times.
    pub async fn reaches(&self, count: u32) {
        if self.0.clone().wait_for(|now| *now >= count).await.is_err() {
            // Nobody can ask any more.
            std::future::pending::<()>().await;
        }
    }
}
