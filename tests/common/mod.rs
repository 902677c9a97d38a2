//! What several test binaries share; each uses a part of it.
#![allow(dead_code, unreachable_pub)]

pub mod archive;
pub mod netboot;
pub mod project;
pub mod server;

use std::path::{Path, PathBuf};

/// The genuine Ubuntu material beside the checkout; `$PROVBUILD_UBUNTU_FIXTURES` names another place.
///
/// Where it is absent the caller's test is left out, and says so; with `PROVBUILD_REQUIRE_FIXTURES=1` that is a failure.
pub fn ubuntu_fixtures() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/ubuntu");
    let folder = std::env::var_os("PROVBUILD_UBUNTU_FIXTURES").map_or_else(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("PROVBUILD_REQUIRE_FIXTURES").is_none_or(|value| value != "1"),
        "{} is absent, and PROVBUILD_REQUIRE_FIXTURES=1",
        folder.display()
    );
    eprintln!("LEFT OUT: {} is absent", folder.display());
    None
}
