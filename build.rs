//! Stamps the binary with a digest of its own source: what a stage's key names as the stage's code.
//!
//! Two builds of the same source, on whatever machine, have the same stamp, so that the manifest stays reproducible.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules that decide what the `rootfs` stage makes; everything else may change without a new root file system.
const ROOTFS: [&str; 7] = ["src/exec", "src/rootfs", "src/tree", "src/vocab", "Cargo.lock", "Cargo.toml", "build.rs"];
const ALL: [&str; 5] = ["src", "crates", "Cargo.lock", "Cargo.toml", "build.rs"];

fn main() {
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rerun-if-changed=crates");
    println!("cargo:rerun-if-changed=Cargo.lock");
    println!("cargo:rerun-if-changed=Cargo.toml");
    println!("cargo:rustc-env=PROVBUILD_ROOTFS_CODE={:032x}", fingerprint(&ROOTFS));
    println!("cargo:rustc-env=PROVBUILD_CODE={:032x}", fingerprint(&ALL));
}

/// FNV-1a over the names and bytes of all files, in the order of their names (draft-eastlake-fnv, 128 bits).
///
/// It tells versions of our own source apart; nothing is trusted because of it.
fn fingerprint(roots: &[&str]) -> u128 {
    let mut files = Vec::new();
    roots.iter().for_each(|root| collect(Path::new(root), &mut files));
    files.sort();
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    let mut feed = |bytes: &[u8]| {
        for byte in bytes.len().to_le_bytes().iter().chain(bytes) {
            hash = (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    };
    for file in files {
        feed(file.to_string_lossy().as_bytes());
        feed(&fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())));
    }
    hash
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        entries.for_each(|entry| collect(&entry.expect("directory entry").path(), files));
    } else {
        files.push(path.to_owned());
    }
}
