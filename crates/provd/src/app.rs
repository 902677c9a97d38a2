//! What every front end shares.

use std::sync::Arc;

use crate::pen::Pen;
use crate::registry::Registry;

pub struct App {
    pub registry: Registry,
    pub pen: Pen,
    /// SHA-256 of the image that runs, as its manifest names it; `None` outside an image.
    pub image: Option<String>,
}

pub type Shared = Arc<App>;
