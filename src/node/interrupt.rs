//! Ctrl-C: the first time what has begun is finished, the second time it is left.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How often somebody has asked to end.
#[derive(Debug, Clone)]
pub struct Interrupt(watch::Receiver<u32>);

impl Interrupt {
    /// Counts SIGINT, SIGTERM and SIGHUP (a session that was dropped) from now on. Only inside a runtime.
    ///
    /// SIGHUP stays ignored where it is, as nohup(1) has it.
    ///
    /// # Errors
    /// The signals cannot be caught.
    pub fn listen() -> io::Result<Self> {
        let (mut interrupts, mut terms) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let mut hangups = if hangups_are_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        let (sender, receiver) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                let hangup = async {
                    match &mut hangups {
                        Some(hangups) => hangups.recv().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    Some(()) = interrupts.recv() => {}
                    Some(()) = terms.recv() => {}
                    Some(()) = hangup => {}
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

/// From proc_pid_status(5): catching it would take back what nohup has set.
fn hangups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    ignored & (1 << (nix::libc::SIGHUP - 1)) != 0
}
