//! Which systemd units run: links as `systemctl enable` and `mask` make them, and the presets of the first boot.
//!
//! A new machine's first boot has an uninitialised machine-id; systemd then enables every unit that no preset
//! disables (systemd.preset(5)). The preset file written here names the units that are wanted and disables all others,
//! so that the first boot changes nothing.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{Fault, canvas::Canvas};
use crate::tree::{Change, Kind, Node};
use crate::vocab::ImagePath;

const ADMINISTRATOR: &str = "/etc/systemd/system";
const VENDOR: [&str; 2] = ["/usr/lib/systemd/system", "/lib/systemd/system"];

/// Units that never run, with the reason. Only those that the base has are masked.
const MASKED: &[(&str, &str)] = &[
    // An appliance is replaced as a whole: packages that change by themselves would make it another one than was tested.
    ("apt-daily.timer", "no drift"),
    ("apt-daily-upgrade.timer", "no drift"),
    ("unattended-upgrades.service", "no drift"),
    ("motd-news.timer", "asks the distributor's server at every boot"),
    // Asks on the console for locale, time zone and root's password; all of them are set.
    ("systemd-firstboot.service", "would wait for a person"),
    // Nothing here needs the uplink to be up: nodes are served without it, and boot does not wait for it.
    ("systemd-networkd-wait-online.service", "would delay the services by two minutes and fail"),
    // Host keys live beside the rest of the state; provbuild-host-keys.service makes them.
    ("sshd-keygen.service", "would make keys that are never used"),
    ("grub-common.service", "GRUB's environment block is not used"),
];

const SSH_GENERATOR: &str = "systemd-ssh-generator";

/// Parts of a unit's `[Install]` section.
#[derive(Debug, Default, PartialEq, Eq)]
struct Install {
    wanted_by: Vec<String>,
    required_by: Vec<String>,
    alias: Vec<String>,
    also: Vec<String>,
}

impl Install {
    fn parse(text: &str) -> Self {
        let mut install = Install::default();
        let mut inside = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                inside = line == "[Install]";
            }
            let Some((key, value)) = line.split_once('=').filter(|_| inside && !line.starts_with(['#', ';'])) else {
                continue;
            };
            let list = match key.trim() {
                "WantedBy" => &mut install.wanted_by,
                "RequiredBy" => &mut install.required_by,
                "Alias" => &mut install.alias,
                "Also" => &mut install.also,
                _ => continue,
            };
            list.extend(value.split_whitespace().map(str::to_owned));
        }
        install
    }
}

/// Enables a unit of the base and what it names in `Also=`. A unit that the base lacks is a fault.
pub(super) fn enable(canvas: &mut Canvas<'_>, unit: &str) {
    enable_from_base(canvas, unit, true);
}

fn enable_from_base(canvas: &mut Canvas<'_>, unit: &str, required: bool) {
    if MASKED.iter().any(|(masked, _)| *masked == unit) || canvas.enabled.contains(unit) {
        return;
    }
    let Some(path) = find(canvas, unit) else {
        if required {
            canvas.faults.push(Fault::NoUnit { unit: unit.to_owned() });
        }
        return;
    };
    let Some(text) = canvas.text(&path) else { return };
    link(canvas, unit, &path, &text);
}

/// Writes a unit of our own and enables it as its `[Install]` section says.
pub(super) fn install(canvas: &mut Canvas<'_>, unit: &str, text: &str) {
    let path = format!("{ADMINISTRATOR}/{unit}");
    canvas.file(&path, text);
    link(canvas, unit, &path, text);
}

fn link(canvas: &mut Canvas<'_>, unit: &str, path: &str, text: &str) {
    canvas.enabled.insert(unit.to_owned());
    let install = Install::parse(text);
    for (targets, kind) in [(&install.wanted_by, "wants"), (&install.required_by, "requires")] {
        for target in targets {
            add_link(canvas, &format!("{ADMINISTRATOR}/{target}.{kind}/{unit}"), path);
        }
    }
    for alias in &install.alias {
        add_link(canvas, &format!("{ADMINISTRATOR}/{alias}"), path);
    }
    for also in &install.also {
        enable_from_base(canvas, also, false);
    }
}

fn add_link(canvas: &mut Canvas<'_>, link: &str, target: &str) {
    let Ok(link) = ImagePath::new(link) else { return };
    if canvas.base.tree.get(&link).is_none() && canvas.overlay.get(&link).is_none() {
        canvas.overlay.change(link, Change::Add(Node::symlink(target)));
    }
}

fn find(canvas: &Canvas<'_>, unit: &str) -> Option<String> {
    let candidates = [ADMINISTRATOR].into_iter().chain(VENDOR).map(|directory| format!("{directory}/{unit}"));
    candidates.into_iter().find(|path| canvas.resolve(path).is_some())
}

/// Takes back every link that starts a unit.
pub(super) fn disable(canvas: &mut Canvas<'_>, unit: &str) {
    let root = ImagePath::literal(ADMINISTRATOR);
    let links: Vec<_> = canvas
        .base
        .tree
        .below(&root)
        .filter(|(path, node)| matches!(node.kind, Kind::Symlink { .. }) && path.file_name() == unit)
        .map(|(path, _)| path.clone())
        .collect();
    links.iter().for_each(|path| canvas.remove(path));
}

/// Masks what hinders and writes the presets; runs after every other renderer.
pub(super) fn render(canvas: &mut Canvas<'_>) {
    if find(canvas, "basic.target").is_none() {
        return;
    }
    for (unit, _) in MASKED {
        if find(canvas, unit).is_some() {
            canvas.symlink(&format!("{ADMINISTRATOR}/{unit}"), "/dev/null");
        }
    }
    // It would have sshd listen on AF_VSOCK and on a local socket, past the packet filter, and fails without vsock.
    if canvas.resolve(&format!("/usr/lib/systemd/system-generators/{SSH_GENERATOR}")).is_some() {
        canvas.symlink(&format!("/etc/systemd/system-generators/{SSH_GENERATOR}"), "/dev/null");
    }
    let preset = preset(&canvas.enabled);
    canvas.file("/etc/systemd/system-preset/00-provbuild.preset", preset);
}

fn preset(enabled: &BTreeSet<String>) -> String {
    let mut text =
        "# The first boot enables what presets do not disable; this appliance is complete as it is.\n".to_owned();
    for unit in enabled.iter().map(String::as_str).chain(["getty@.service", "reboot.target"]) {
        let _ = writeln!(text, "enable {unit}");
    }
    text.push_str("disable *\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn install_sections_are_read_and_nothing_else() {
        let text = "[Unit]\nWantedBy=wrong.target\n[Install]\n# Alias=no.service\nWantedBy=multi-user.target a.target\n\
                    Alias=sshd.service\nAlso = x.socket\n[Service]\nAlso=no\n";
        assert_eq!(
            Install::parse(text),
            Install {
                wanted_by: vec!["multi-user.target".to_owned(), "a.target".to_owned()],
                required_by: vec![],
                alias: vec!["sshd.service".to_owned()],
                also: vec!["x.socket".to_owned()],
            }
        );
    }
}
