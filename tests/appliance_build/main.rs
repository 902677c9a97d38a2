//! The whole build of profiles/debian.toml from the real archive: the same bytes twice, the judges' verdict on the images,
//! and builds that are killed or run out of disk.

#[path = "../common/mod.rs"]
mod common;

mod daemon;
mod images;
mod interrupted;
mod media;
mod reproducible;
mod sum;

use std::path::Path;
use std::process::{Command, Stdio};

/// Runs a judge; panics with everything that it said if it does not agree.
pub(crate) fn judge(package: &str, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
        .output()
        .unwrap_or_else(|error| panic!("{program} cannot be run ({error}): install {package}"));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{said}", output.status);
    said
}

/// Every file below a directory with its digest, in order.
pub(crate) fn digests(directory: &Path) -> Vec<(String, String)> {
    let listing = judge(
        "coreutils",
        "sh",
        &["-c", &format!("cd '{}' && find . -type f -print0 | sort -z | xargs -0 sha256sum", directory.display())],
    );
    listing
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(digest, path)| (path.to_owned(), digest.to_owned()))
        .collect()
}

/// What `provbuild plan` says of a project.
fn plan(project: &common::project::Project) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_provbuild"));
    command.args(["plan", "profile.toml", "--store"]).arg(common::project::Project::store());
    let output = command.current_dir(&project.directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
