//! How long is waited for what.

use std::time::Duration;

/// Lengths of time. The defaults suit real servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patience {
    /// For a TCP connection and its TLS handshake.
    pub connect: Duration,
    /// For one request, from its first byte to the last one of its answer.
    pub request: Duration,
    /// While the BMC answers that it is busy, or that the machine is in POST.
    pub busy: Duration,
    /// For an operating system to shut down when it is asked to.
    pub graceful: Duration,
    /// For a power state, an override or a medium to show after the BMC has accepted it.
    pub settle: Duration,
    /// For the machine to come through POST with its pending settings applied.
    pub post: Duration,
    /// For a whole verb; none where somebody waits who can stop it. The session is ended all the same.
    pub whole: Option<Duration>,
    /// Between two looks.
    pub poll: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            connect: Duration::from_secs(10),
            request: Duration::from_secs(60),
            busy: Duration::from_secs(300),
            graceful: Duration::from_secs(300),
            settle: Duration::from_secs(60),
            post: Duration::from_secs(900),
            whole: None,
            poll: Duration::from_secs(2),
        }
    }
}
