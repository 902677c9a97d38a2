//! Answers for debian-installer: the preseed file of one node, and the scripts that it runs.
//!
//! In: the node, its [`System`], the site. Out: `preseed.cfg` and, beside it, `early.sh` (the profile's early commands, then
//! the disk's choice) and `late.sh` (what the installer has no question for, then the profile's late commands). Questions are those of
//! the Debian 13 installation guide, appendix B, and of the udebs' templates.
//!
//! A preseed file holds one answer a line, as debconf-set-selections(1) reads it; a text that cannot stand there is refused
//! ([`SeedError::Preseed`]). Scripts have no such limits: their words are quoted.

use std::fmt::Write as _;

use crate::disk_choice::{self, PLACEHOLDER, Told};
use crate::seed::{SeedError, SeedFiles};
use crate::shell::quote;
use crate::{Addressing, FileSystem, Node, Partition, Site, Sizing, Storage, System, report};

const MB: u64 = 1_000_000;
/// Megabytes of the EFI system partition.
const ESP: u64 = 1074;
/// Where a profile names no mirror: Debian's own.
const ARCHIVE: &str = "http://deb.debian.org/debian";

/// The files of a Debian node.
pub(crate) fn files(
    node: &Node,
    system: &System,
    site: &Site<'_>,
    report: Option<&str>,
) -> Result<SeedFiles, SeedError> {
    Ok(vec![
        ("early.sh", early(node, system, report)?),
        ("late.sh", late(node, system, site, report.is_some())),
        ("preseed.cfg", answers(node, system, site, report.is_some())?),
    ])
}

/// The lines of a preseed file.
struct Answers(String);

impl Answers {
    fn heading(&mut self, text: &str) {
        let _ = writeln!(self.0, "\n# {text}");
    }

    /// `owner` is the package that asks.
    fn owned(&mut self, owner: &str, question: &str, kind: &str, value: &str) {
        let _ = writeln!(self.0, "{owner} {question} {kind} {value}");
    }

    fn set(&mut self, question: &str, kind: &str, value: &str) {
        self.owned("d-i", question, kind, value);
    }
}

/// A text of the profile, if it can stand on a line.
fn line<'a>(what: &'static str, value: &'a str) -> Result<&'a str, SeedError> {
    let reason = match value {
        _ if value.chars().any(char::is_control) => "it has a control character",
        _ if value.ends_with('\\') => "a backslash at the end would join the next line",
        _ if value.trim() != value => "blanks at its ends would be lost",
        _ => return Ok(value),
    };
    Err(SeedError::Preseed { what, value: value.to_owned(), reason })
}

fn answers(node: &Node, system: &System, site: &Site<'_>, reports: bool) -> Result<String, SeedError> {
    let mut file = Answers(format!("# {}: answers for the installer of {}.\n", node.hostname, system.release));
    let name = node.hostname.as_str();
    file.heading("Language and keyboard");
    // The installer itself has no C.UTF-8; late.sh sets what was asked for.
    let locale = line("locale", &system.locale)?;
    file.set("debian-installer/locale", "string", if is_c(locale) { "en_US.UTF-8" } else { locale });
    let (layout, variant) = (line("keyboard layout", &system.keyboard.layout)?, system.keyboard.variant.as_deref());
    file.set("keyboard-configuration/xkb-keymap", "select", layout);
    file.set("keyboard-configuration/layoutcode", "string", layout);
    if let Some(variant) = variant {
        file.set("keyboard-configuration/variantcode", "string", line("keyboard variant", variant)?);
    }

    file.heading("Network: it was up before this file came; late.sh writes what is not by DHCP");
    file.set("netcfg/choose_interface", "select", &node.mac.to_string());
    file.set("netcfg/get_hostname", "string", name);
    file.set("netcfg/hostname", "string", name);
    file.set("netcfg/get_domain", "string", line("domain", site.domain)?);
    file.set("netcfg/target_network_config", "select", "ifupdown");

    file.heading("Archive");
    let url = line("mirror", system.mirror.as_deref().unwrap_or(ARCHIVE))?;
    let (protocol, host, directory) = parts(url).ok_or(SeedError::Preseed {
        what: "mirror",
        value: url.to_owned(),
        reason: "it is not an http or https URL",
    })?;
    file.set("mirror/country", "string", "manual");
    file.set("mirror/protocol", "select", protocol);
    file.set(&format!("mirror/{protocol}/hostname"), "string", host);
    file.set(&format!("mirror/{protocol}/directory"), "string", directory);
    file.set(&format!("mirror/{protocol}/proxy"), "string", "");
    file.set("mirror/suite", "string", system.release.traits().codename);
    file.set("apt-setup/cdrom/set-first", "boolean", "false");
    file.set("apt-setup/non-free-firmware", "boolean", "true");
    file.set("apt-setup/enable-source-repositories", "boolean", "false");
    // Security updates have an archive of their own, outside: a node without a router cannot reach it.
    let services = if site.gateway.is_some() { "security, updates" } else { "updates" };
    file.set("apt-setup/services-select", "multiselect", services);

    file.heading("Account");
    let account = line("account name", &system.account.name)?;
    file.set("passwd/root-login", "boolean", "false");
    file.set("passwd/make-user", "boolean", "true");
    file.set("passwd/user-fullname", "string", account);
    file.set("passwd/username", "string", account);
    // "!" is no hash of any password: only a key opens the account.
    let hash = line("password hash", system.account.password_hash.as_deref().unwrap_or("!"))?;
    file.set("passwd/user-password-crypted", "password", hash);

    file.heading("Clock");
    file.set("clock-setup/utc", "boolean", "true");
    file.set("time/zone", "string", line("timezone", &system.timezone)?);
    file.set("clock-setup/ntp", "boolean", if site.gateway.is_some() { "true" } else { "false" });

    file.heading("Disk: early.sh puts the name of the one that the node's selector matches in place of this one");
    file.set("partman-auto/disk", "string", PLACEHOLDER);
    file.set("grub-installer/bootdev", "string", PLACEHOLDER);
    const WAIT: &str = " || while :; do sleep 60; done";
    if reports {
        file.set("preseed/early_command", "string", FETCH_ALL);
        file.set("partman/early_command", "string", &format!("sh /tmp/early.sh{WAIT}"));
    } else {
        file.set("partman/early_command", "string", &run("early.sh", WAIT));
    }
    file.set(
        "partman-auto/method",
        "string",
        if matches!(system.storage, Storage::Lvm { .. }) { "lvm" } else { "regular" },
    );
    file.set("partman-auto/choose_recipe", "select", "provbuild");
    if let Storage::Lvm { sizing } = system.storage {
        file.set("partman-auto-lvm/new_vg_name", "string", "vg0");
        file.set("partman-auto-lvm/guided_size", "string", if sizing == Sizing::All { "max" } else { "50%" });
    }
    for question in [
        "partman-lvm/device_remove_lvm",
        "partman-md/device_remove_md",
        "partman-lvm/confirm",
        "partman-lvm/confirm_nooverwrite",
        "partman-partitioning/confirm_write_new_label",
        "partman/confirm",
        "partman/confirm_nooverwrite",
    ] {
        file.set(question, "boolean", "true");
    }
    // Asked in UEFI mode where some disk was made for a BIOS, as our own recipe makes it: the firmware has chosen already.
    file.set("partman-efi/non_efi_system", "boolean", "true");
    file.set("partman-partitioning/default_label", "string", "gpt");
    file.set("partman-partitioning/choose_label", "select", "gpt");
    file.set("partman-basicfilesystems/no_swap", "boolean", "false");
    file.set("partman/mount_style", "select", "uuid");
    file.set("partman/choose_partition", "select", "finish");

    file.heading("Packages");
    file.owned("tasksel", "tasksel/first", "multiselect", "standard, ssh-server");
    let mut packages = vec!["openssh-server", "sudo"];
    for package in &system.packages {
        packages.push(line("package", package)?);
    }
    file.set("pkgsel/include", "string", &packages.join(" "));
    file.set("pkgsel/upgrade", "select", "full-upgrade");
    file.set("pkgsel/update-policy", "select", "none");
    file.owned("popularity-contest", "popularity-contest/participate", "boolean", "false");

    file.heading("Boot loader and end");
    file.set("grub-installer/only_debian", "boolean", "true");
    file.set("grub-installer/with_other_os", "boolean", "false");
    file.set("cdrom-detect/eject", "boolean", "false");
    let late = if reports { "sh /tmp/late.sh".to_owned() } else { run("late.sh", "") };
    file.set("preseed/late_command", "string", &late);
    file.set("finish-install/keep-consoles", "boolean", "true");
    file.set("finish-install/reboot_in_progress", "note", "");
    Ok(file.0)
}

/// Fetches both scripts right after the answers were read: with the first report the token in their URL ends. What is missing
/// then stops the installation before the disk is touched.
const FETCH_ALL: &str = "seed=$(debconf-get preseed/url); for file in late.sh early.sh; do \
    fetch-url \"${seed%/*}/$file\" /tmp/$file || { sleep 5; fetch-url \"${seed%/*}/$file\" /tmp/$file; } || exit 1; \
    done; sh /tmp/early.sh prepare";

/// Fetches a script from beside the preseed file, and runs it. `preseed_fetch` knows where that is only after an include.
fn run(script: &str, otherwise: &str) -> String {
    format!(
        "seed=$(debconf-get preseed/url); fetch-url \"${{seed%/*}}/{script}\" /tmp/{script} && sh /tmp/{script}{otherwise}"
    )
}

fn is_c(locale: &str) -> bool {
    matches!(locale.split('.').next(), Some("C" | "POSIX"))
}

/// Protocol, host with port, and directory.
fn parts(url: &str) -> Option<(&'static str, &str, &str)> {
    let (protocol, rest) = match url.split_once("://")? {
        ("http", rest) => ("http", rest),
        ("https", rest) => ("https", rest),
        _ => return None,
    };
    let at = rest.find('/').unwrap_or(rest.len());
    let directory = if rest[at..].is_empty() { "/" } else { &rest[at..] };
    (at > 0).then_some((protocol, &rest[..at], directory))
}

/// Before the disk is touched.
fn early(node: &Node, system: &System, report: Option<&str>) -> Result<String, SeedError> {
    let mut script = "#!/bin/sh\n".to_owned();
    if let Some(url) = report {
        script.push_str(&report::prepare_debian(url));
        script.push_str("sh /run/provbuild/report step 'partman: looks for the disk' || :\n");
    }
    for (index, command) in system.early_commands.iter().enumerate() {
        // A command that fails ends the installation; the line in preseed.cfg then waits.
        let tells = report.map_or(String::new(), |_| {
            format!("sh /run/provbuild/report failed 'early command {} of the profile has failed' || :; ", index + 1)
        });
        let _ = match tells.as_str() {
            "" => writeln!(script, "sh -c {} || exit 1", quote(command)),
            tells => writeln!(script, "sh -c {} || {{ {tells}exit 1; }}", quote(command)),
        };
    }
    script.push_str(&disk_choice::script(node, Told::Debian, report.is_some()));
    let (bios, efi) = (recipe(&system.storage, Firmware::Bios)?, recipe(&system.storage, Firmware::Efi)?);
    let _ = write!(
        script,
        r#"
recipe={}
[ ! -d "$root/sys/firmware/efi" ] || recipe={}
debconf-set partman-auto/expert_recipe "$recipe" && debconf-set partman-auto/disk "$found" &&
    debconf-set grub-installer/bootdev "$found" || stop 'the installer does not take the answer'
"#,
        quote(&bios),
        quote(&efi)
    );
    if report.is_some() {
        script.push_str("sh \"$root/run/provbuild/report\" step \"partman: partitions $found\" || :\n");
    }
    Ok(script)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Firmware {
    Bios,
    Efi,
}

/// A recipe of partman-auto (debian-installer's doc/devel/partman-auto-recipe.txt): for each partition its smallest size, its
/// priority and its largest size in megabytes, a file system, and words with values in braces; a full stop ends it.
///
/// One for each kind of firmware: partman's method "efi" exists only where the machine was started by UEFI.
fn recipe(storage: &Storage, firmware: Firmware) -> Result<String, SeedError> {
    let lvm = matches!(storage, Storage::Lvm { .. });
    let mut parts = vec!["provbuild ::".to_owned()];
    parts.push(match firmware {
        Firmware::Bios => "1 1 1 free $iflabel{ gpt } method{ biosgrub } .".to_owned(),
        Firmware::Efi => format!("{ESP} {ESP} {ESP} free $iflabel{{ gpt }} method{{ efi }} format{{ }} ."),
    });
    let mut filled = |size: String, format: &str, mount: &str, more: &str| {
        parts.push(format!(
            "{size} {format} {more}method{{ format }} format{{ }} use_filesystem{{ }} filesystem{{ {format} }} mountpoint{{ {mount} }} ."
        ));
    };
    // A volume of the group that partman-auto-lvm makes by itself, of all that is left. in_vg{ } would ask for a group that the
    // recipe makes, "No physical volume defined in volume group".
    let volume = if lvm { "$lvmok{ } lv_name{ root } " } else { "" };
    match storage {
        Storage::Zfs => {
            let release = crate::Release::Debian13;
            return Err(SeedError::Zfs { release, reason: "debian-installer has no ZFS" });
        }
        Storage::Direct => filled("2000 10000 -1".to_owned(), "ext4", "/", ""),
        Storage::Lvm { sizing } => {
            filled("1074 1074 1074".to_owned(), "ext4", "/boot", "$bootable{ } ");
            // Scaled: half of the group at most (guided_size), and 100 GiB at most, much as Ubuntu's installer does.
            let size = if *sizing == Sizing::All { "2000 10000 -1" } else { "2000 10000 107374" };
            filled(size.to_owned(), "ext4", "/", volume);
        }
        Storage::Partitions(partitions) => {
            for Partition { mount, size, format } in partitions {
                let size = size.map(|bytes| bytes.div_ceil(MB));
                let size = size.map_or("500 10000 -1".to_owned(), |size| format!("{size} {size} {size}"));
                let format = match format {
                    FileSystem::Ext4 => "ext4",
                    FileSystem::Xfs => "xfs",
                    FileSystem::Btrfs => "btrfs",
                    FileSystem::Swap => {
                        parts.push(format!("{size} linux-swap method{{ swap }} format{{ }} ."));
                        continue;
                    }
                };
                let mount = mount.as_deref().unwrap_or_default();
                let plain = |c: char| c.is_ascii_alphanumeric() || "/_-.+@".contains(c);
                if !mount.starts_with('/') || !mount.chars().all(plain) {
                    let reason = "a recipe takes letters, digits and /_-.+@ only";
                    return Err(SeedError::Preseed { what: "mount point", value: mount.to_owned(), reason });
                }
                parts.push(format!(
                    "{size} {format} method{{ format }} format{{ }} use_filesystem{{ }} filesystem{{ {format} }} mountpoint{{ {mount} }} ."
                ));
            }
        }
    }
    Ok(parts.join(" "))
}

/// With the new system at /target, before the installer's last words.
fn late(node: &Node, system: &System, site: &Site<'_>, reports: bool) -> String {
    let mut script = "#!/bin/sh\nset -e\n".to_owned();
    if reports {
        script.push_str(
            "trap '[ $? = 0 ] || sh /run/provbuild/report failed \"the late commands have failed\" || :' EXIT\n\
             sh /run/provbuild/report step 'late commands' || :\n",
        );
    }
    let mut write = |path: &str, mode: &str, text: &str| {
        let directory = path.rsplit_once('/').map_or("/", |(directory, _)| directory);
        let _ = writeln!(
            script,
            "mkdir -p {0} && printf %s {1} >{2} && chmod {mode} {2}",
            quote(directory),
            quote(text),
            quote(path)
        );
    };
    let account = &system.account;
    write("/target/etc/ssh/sshd_config.d/60-provbuild.conf", "644", "PasswordAuthentication no\nPermitRootLogin no\n");
    if account.password_hash.is_none() {
        // There is no password to give.
        let rule = format!("{} ALL=(ALL:ALL) NOPASSWD:ALL\n", account.name);
        write("/target/etc/sudoers.d/60-provbuild", "440", &rule);
    }
    if is_c(&system.locale) {
        write("/target/etc/default/locale", "644", &format!("LANG={}\n", system.locale));
    }
    if !account.ssh_keys.is_empty() {
        let keys: String = account.ssh_keys.iter().map(|key| format!("{key}\n")).collect();
        let home = format!("/home/{}", account.name);
        write(&format!("/target{home}/.ssh/authorized_keys"), "600", &keys);
        let (target, owner) = (quote(&format!("{home}/.ssh")), quote(&format!("{0}:{0}", account.name)));
        let _ = writeln!(script, "chmod 700 /target{target}\nin-target chown -R {owner} {target}");
    }
    if let Some(stanzas) = stanzas(node, system, site) {
        let _ = write!(
            script,
            "\
nic=
for folder in /sys/class/net/*; do
    [ \"$(cat \"$folder/address\")\" != {mac} ] || [ ! -e \"$folder/device\" ] || nic=${{folder##*/}}
done
[ -n \"$nic\" ]
printf %s {stanzas} | sed \"s/@NIC@/$nic/g\" >/target/etc/network/interfaces
",
            mac = node.mac,
            stanzas = quote(&stanzas)
        );
        if system.addressing == Addressing::Static {
            let resolver = format!("search {}\nnameserver {}\n", site.domain, site.server);
            let _ = writeln!(
                script,
                "rm -f /target/etc/resolv.conf\nprintf %s {} >/target/etc/resolv.conf",
                quote(&resolver)
            );
        }
    }
    for command in &system.late_commands {
        let _ = writeln!(script, "sh -c {}", quote(command));
    }
    if reports {
        let _ = writeln!(script, "{}", report::first_boot(node));
    }
    script
}

/// interfaces(5), where the installer's own file (DHCP) does not do.
fn stanzas(node: &Node, system: &System, site: &Site<'_>) -> Option<String> {
    let mut text = "source /etc/network/interfaces.d/*\n\nauto lo\niface lo inet loopback\n\nauto @NIC@\n".to_owned();
    match (system.addressing, node.address6) {
        (Addressing::Dhcp, None) => return None,
        (Addressing::Dhcp, Some(_)) => text.push_str("iface @NIC@ inet dhcp\n"),
        (Addressing::Static, _) => {
            let _ =
                writeln!(text, "iface @NIC@ inet static\n    address {}/{}", node.address, site.subnet.prefix_len());
            if let Some(gateway) = site.gateway {
                let _ = writeln!(text, "    gateway {gateway}");
            }
        }
    }
    if let Some(address) = node.address6 {
        let _ = writeln!(text, "iface @NIC@ inet6 static\n    address {address}");
    }
    Some(text)
}

#[cfg(test)]
#[path = "preseed_tests.rs"]
mod tests;
