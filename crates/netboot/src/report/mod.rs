//! What installers and installed systems say to the server, beside what they have a setting for.
//!
//! In: the URL that one installation reports to, the node. Out: texts for the installers' commands.
//!
//! ```text
//! /run/provbuild/url       of the installer: the URL, with its token
//! /run/provbuild/report    a program: report step TEXT | failed [REASON] | installed
//! /run/provbuild/reason    why the preflight has stopped (Ubuntu)
//! /var/lib/provbuild/      of the installed system, until its first boot is told: report-url, first-boot
//! ```
//! Invariants: the URL is in the one command that writes it to a file, and in no other; a report that cannot be made never ends an
//! installation.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use crate::Node;
use crate::shell::quote;

const POST: &str = include_str!("post.sh");
const UBUNTU: &str = include_str!("ubuntu.sh");
const DEBIAN: &str = include_str!("debian.sh");
const FIRST_BOOT: &str = include_str!("first_boot.sh");
const UNIT: &str = include_str!("first_boot.service");
const UNIT_NAME: &str = "provbuild-first-boot.service";

/// Ubuntu's error command.
pub(crate) const UBUNTU_FAILED: &str = "bash /run/provbuild/report failed || true";
/// Ubuntu's last late command.
pub(crate) const UBUNTU_INSTALLED: &str = "bash /run/provbuild/report installed || true";

/// Functions named `stopped`, that the preflight calls with the reason before it stops. In Ubuntu the error command tells it.
pub(crate) const UBUNTU_STOPPED: &str =
    "stopped() { printf '%s\\n' \"$1\" >\"$root/run/provbuild/reason\" 2>/dev/null || :; }\n";
pub(crate) const DEBIAN_STOPPED: &str = "stopped() { sh \"$root/run/provbuild/report\" failed \"$1\" || :; }\n";

/// Puts the program where the installer finds it. It comes first of all commands, and runs in any POSIX shell.
fn prepare(url: &str, program: &str) -> String {
    format!(
        "mkdir -p /run/provbuild && chmod 700 /run/provbuild && printf %s {} >/run/provbuild/url && \
         printf %s {} >/run/provbuild/report",
        quote(url),
        quote(program)
    )
}

/// Ubuntu's first early command.
pub(crate) fn prepare_ubuntu(url: &str) -> String {
    format!("{} || true", prepare(url, &format!("{POST}{UBUNTU}")))
}

/// What early.sh of Debian does when it is started with the word `prepare`, right after the answers were read: the program,
/// its first report, and a script in each place where the installer runs scripts of others.
///
/// The folders are those of base-installer (library.sh: after debootstrap, before the kernel), pkgsel and finish-install (postinst), which run
/// what is in them in the order of the names. 97release-dhcp-lease takes the network away, so the end is told before that.
pub(crate) fn prepare_debian(url: &str) -> String {
    let mut text = format!("if [ \"${{1:-}}\" = prepare ]; then\n{} || exit 0\n", prepare(url, DEBIAN));
    for (folder, name, words) in [
        ("base-installer.d", "05provbuild", "step 'base-installer: has the base system, installs the kernel'"),
        ("pre-pkgsel.d", "95provbuild", "step 'pkgsel: installs packages'"),
        ("finish-install.d", "01provbuild", "step 'finish-install: finishes'"),
        ("finish-install.d", "96provbuild", "installed"),
    ] {
        let script = format!("#!/bin/sh\nsh /run/provbuild/report {words}\n");
        let path = format!("/usr/lib/{folder}/{name}");
        let _ = writeln!(
            text,
            "mkdir -p /usr/lib/{folder} && printf %s {} >{path} && chmod 755 {path} || :",
            quote(&script)
        );
    }
    text.push_str("sh /run/provbuild/report step 'preseed: has read its answers' || :\nexit 0\nfi\n");
    text
}

/// Lays the reporter of the first boot into the new system at /target. It runs in any POSIX shell, and takes the URL from the
/// installer's own file.
pub(crate) fn first_boot(node: &Node) -> String {
    let program = format!("own_mac={}\n{POST}{FIRST_BOOT}", node.mac);
    let (folder, units) = ("/target/var/lib/provbuild", "/target/etc/systemd/system");
    format!(
        "{{ ( umask 077 && mkdir -p {folder} && chmod 700 {folder} && cp /run/provbuild/url {folder}/report-url && \
         printf %s {program} >{folder}/first-boot ) && \
         mkdir -p {units}/multi-user.target.wants && printf %s {unit} >{units}/{UNIT_NAME} && chmod 644 {units}/{UNIT_NAME} && \
         ln -sf ../{UNIT_NAME} {units}/multi-user.target.wants/{UNIT_NAME}; }} || true",
        program = quote(&program),
        unit = quote(UNIT),
    )
}
