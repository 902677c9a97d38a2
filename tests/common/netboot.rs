//! A stand-in for debian-installer's archive, for tests that need a medium and install nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

pub const KERNEL: &str = "not really a kernel\n";

/// A stand-in for debian-installer's archive, with a kernel that is only some text: DIRECTORY/www/netboot.tar.gz, from where a publisher may serve it.
pub fn netboot(directory: &Path) -> PathBuf {
    let (tree, www) = (directory.join("netboot"), directory.join("www"));
    for (name, text) in [
        ("version.info", "Debian version:  13 (trixie)\n"),
        ("debian-installer/amd64/linux", KERNEL),
        ("debian-installer/amd64/initrd.gz", "not really an initrd\n"),
    ] {
        let path = tree.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    std::fs::create_dir_all(&www).unwrap();
    let archive = www.join("netboot.tar.gz");
    // The same bytes each time, or the appliance would be built anew.
    let pack = "tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw -c . | gzip -n -c";
    let command = format!("cd '{}' && {pack} > '{}'", tree.display(), archive.display());
    assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    archive
}
