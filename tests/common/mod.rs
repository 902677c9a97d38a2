//! What several test binaries share.
#![allow(dead_code, unreachable_pub)]

pub mod archive;
pub mod server;
