//! What every front end shares.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::control::Control;
use crate::pen::Pen;
use crate::registry::Registry;

pub struct App {
    pub registry: Registry,
    pub pen: Pen,
    pub control: Control,
    /// SHA-256 of the image that runs, as its manifest names it; `None` outside an image.
    pub image: Option<String>,
    /// Directory with everything that outlives the image: where the state disk is mounted.
    pub state: PathBuf,
}

pub type Shared = Arc<App>;

static REFUSALS: AtomicU64 = AtomicU64::new(0);

/// Counts a request that was refused, by any front end.
pub fn count_refusal() {
    REFUSALS.fetch_add(1, Ordering::Relaxed);
}

/// Requests that were refused since this process was started.
pub fn refusals() -> u64 {
    REFUSALS.load(Ordering::Relaxed)
}
