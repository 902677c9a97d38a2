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

// They panic where the reader has gone away, in the middle of whatever is under way: `cli::output` does not.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

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
