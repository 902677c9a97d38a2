//! provbuild compiles a provisioning profile into a reproducible appliance image and its netboot artifacts.
//!
//! The directory listing is the pipeline; ARCHITECTURE.md says what each module may import.
//!
//! ```text
//! profile ─► lock ─► fetch ─► rootfs ─────┐
//!    │                 └────► media ─┐    ├─► image ─► manifest ─► deploy
//!    └─────► render ◄─ netboot ◄─────┘    │
//!               └─── overlay ─────────────┘
//! ```

pub mod build;
pub mod cli;
pub mod deploy;
pub mod diagnostic;
pub mod exec;
pub mod fetch;
pub mod image;
pub mod lock;
pub mod manifest;
pub mod media;
pub mod node;
pub mod profile;
pub mod render;
pub mod rootfs;
pub mod secrets;
pub mod tree;
pub mod vocab;
