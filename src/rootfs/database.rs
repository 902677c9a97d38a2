//! dpkg's own record of what is unpacked, written the way that `dpkg --unpack` would have left it.
//!
//! ```text
//! /var/lib/dpkg/status            one stanza per package, "Status: install ok unpacked"   (dpkg(1), deb822(5))
//! /var/lib/dpkg/info/NAME.list    the files of the package, one per line
//! /var/lib/dpkg/info/NAME.*       the control files but `control` itself
//! /var/lib/dpkg/triggers/         File: "PATH NAME" per interest in a path; other files: interest in a named trigger
//! ```
//! NAME is `package`, or `package:arch` for a package that is Multi-Arch: same.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;

use md5::{Digest as _, Md5};

use super::deb::Control;
use super::failure::Failure;
use super::in_tree;
use super::unpack::Unpacked;

const ADMIN: &str = "/var/lib/dpkg";

/// Writes the database. The sandbox's dpkg takes over from there.
pub(super) fn write(packages: &[Unpacked]) -> Result<(), Failure> {
    let make = |path: &str| fs::create_dir_all(path).map_err(Failure::io(format!("make {path}")));
    ["info", "triggers", "updates", "parts", "alternatives"]
        .iter()
        .try_for_each(|name| make(&format!("{ADMIN}/{name}")))?;
    let put = |path: String, bytes: &[u8]| fs::write(&path, bytes).map_err(Failure::io(format!("write {path}")));
    for name in ["available", "diversions", "statoverride", "lock", "triggers/Lock", "triggers/Unincorp"] {
        put(format!("{ADMIN}/{name}"), b"")?;
    }
    put(format!("{ADMIN}/info/format"), b"1\n")?;
    let native = packages.iter().map(|package| package.control.architecture()).find(|name| *name != "all");
    put(format!("{ADMIN}/arch"), format!("{}\n", native.unwrap_or("amd64")).as_bytes())?;

    let mut status = String::new();
    let mut interests = Interests::default();
    for package in packages {
        let control = &package.control;
        write_info(package).map_err(Failure::io(format!("record package {}", control.package())))?;
        status.push_str(&stanza(control).map_err(Failure::io(format!("read the conffiles of {}", control.package())))?);
        interests.add(control);
    }
    put(format!("{ADMIN}/status"), status.as_bytes())?;
    interests.files().try_for_each(|(name, text)| put(format!("{ADMIN}/triggers/{name}"), text.as_bytes()))
}

/// Name of a package's files below `info/`.
fn info_name(control: &Control) -> String {
    match control.field("Multi-Arch") {
        Some("same") => format!("{}:{}", control.package(), control.architecture()),
        _ => control.package().to_owned(),
    }
}

fn write_info(package: &Unpacked) -> io::Result<()> {
    let control = &package.control;
    let base = format!("{ADMIN}/info/{}", info_name(control));
    let mut list = package.names.join("\n");
    list.push('\n');
    fs::write(format!("{base}.list"), list)?;
    for (name, file) in control.files().filter(|(name, _)| *name != "control") {
        let path = format!("{base}.{name}");
        fs::write(&path, &file.bytes)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(file.mode))?;
    }
    Ok(())
}

/// The package's stanza in `status`: its control fields, the status, and the conffiles with their MD5 sums.
fn stanza(control: &Control) -> io::Result<String> {
    let mut text = String::new();
    for (name, value) in control.fields() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}: {value}");
        if name == "Package" {
            let _ = writeln!(text, "Status: install ok unpacked");
        }
    }
    let conffiles = control.lines("conffiles");
    if !conffiles.is_empty() {
        text.push_str("Conffiles:\n");
        for line in conffiles {
            // The flag (deb-conffiles(5)) says that the package no longer ships the file.
            let _ = match line.strip_prefix("remove-on-upgrade ") {
                Some(path) => writeln!(text, " {} newconffile remove-on-upgrade", path.trim()),
                None => writeln!(text, " {line} {}", hex::encode(Md5::digest(in_tree::read(&line)?))),
            };
        }
    }
    text.push('\n');
    Ok(text)
}

/// Interests in triggers (deb-triggers(5)).
#[derive(Default)]
struct Interests {
    /// Path -> packages, in the order in which they came.
    paths: Vec<(String, String)>,
    named: BTreeMap<String, Vec<String>>,
}

impl Interests {
    fn add(&mut self, control: &Control) {
        for line in control.lines("triggers") {
            let mut words = line.split('#').next().unwrap_or("").split_whitespace();
            let (Some(verb), Some(trigger)) = (words.next(), words.next()) else { continue };
            // A named trigger becomes the name of a file.
            if !trigger.starts_with('/') && (trigger.contains('/') || trigger.starts_with('.')) {
                continue;
            }
            let suffix = match verb {
                "interest" | "interest-await" => "",
                "interest-noawait" => "/noawait",
                _ => continue,
            };
            let package = format!("{}{suffix}", info_name(control));
            match trigger.starts_with('/') {
                true => self.paths.push((trigger.to_owned(), package)),
                false => self.named.entry(trigger.to_owned()).or_default().push(package),
            }
        }
    }

    /// The files below `triggers/`.
    fn files(&self) -> impl Iterator<Item = (&str, String)> {
        let paths: String = self.paths.iter().map(|(path, package)| format!("{path} {package}\n")).collect();
        let named = self.named.iter().map(|(name, packages)| {
            let lines: String = packages.iter().map(|package| format!("{package}\n")).collect();
            (name.as_str(), lines)
        });
        (!paths.is_empty()).then_some(("File", paths)).into_iter().chain(named)
    }
}
