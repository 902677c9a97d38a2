//! Disk selectors (`match`): what fits no disk, and what fits any.

use crate::disk_choice::PLACEHOLDER;
use crate::lint::facts::Facts;
use crate::lint::report::Report;
use crate::lint::shape::{Shape, check as check_shape, key_shown, meant, shown};
use crate::lint::yaml::{Entry, Node};

/// Keys whose values are compared by fnmatch(3) with what udev knows of a disk.
const GLOBBED: &[&str] = &["serial", "model", "vendor", "path", "id_path", "devpath"];

/// Models without a number that are whole.
const WHOLE_MODELS: &[&str] = &[
    "LOGICAL_VOLUME",
    "QEMU_HARDDISK",
    "QEMU_NVMe_Ctrl",
    "VBOX_HARDDISK",
    "VIRTUAL-DISK",
    "Virtual_Disk",
    "Virtual_disk",
    "VMware_Virtual_NVMe_Disk",
];

/// Vendors as disks and controllers name themselves.
const VENDORS: &[&str] = &[
    "3PARdata", "ADAPTEC", "AMCC", "ATA", "AVAGO", "Adaptec", "Areca", "BROADCOM", "Cisco", "DELL", "EMC", "FUJITSU",
    "Generic", "HGST", "HITACHI", "HP", "HPE", "HUAWEI", "IBM", "INTEL", "Intel", "KIOXIA", "Kingston", "LENOVO",
    "LIO-ORG", "LSI", "Lenovo", "MICRON", "Micron", "Msft", "NETAPP", "NVMe", "Nimble", "PURE", "QEMU", "SAMSUNG",
    "SEAGATE", "SMC", "SUN", "SanDisk", "Samsung", "Seagate", "TOSHIBA", "VBOX", "VMware", "WD", "WDC",
];

/// Keys that people write beside `match`, where they have no meaning.
pub(super) const OF_SELECTOR: &[&str] = &["size", "model", "vendor", "ssd", "install-media", "id_path", "devpath"];

/// Checks the value of an entry `match`: a selector, or a list of which the first that fits a disk counts.
pub(super) fn check(path: &str, entry: &Entry, facts: &Facts, report: &mut Report<'_>) {
    let one = |node: &Node, report: &mut Report<'_>| match node.map() {
        Some(entries) => check_one(path, entry, entries, facts, report),
        None => {
            report
                .error(&entry.key.range, format!("'{path}' is {}, and must be a mapping", node.kind()))
                .help("write 'match: {serial: ...}'");
        }
    };
    let Some(items) = entry.value.list() else { return one(&entry.value, report) };
    if !facts.match_lists {
        report
            .warning(&entry.key.range, format!("only later media of {} take a list as 'match'", facts.version))
            .help("write one mapping");
    }
    if items.is_empty() {
        report.error(&entry.key.range, format!("'{path}' is an empty list: it fits no disk, and the installer stops"));
    }
    items.iter().for_each(|item| one(item, report));
}

fn check_one(path: &str, at: &Entry, entries: &[Entry], facts: &Facts, report: &mut Report<'_>) {
    if entries.is_empty() {
        report
            .warning(&at.key.range, format!("'{path}' is empty: it fits any disk"))
            .help("write what the disk has, for example its serial number");
    }
    for entry in entries {
        let name = key_shown(entry);
        if !facts.match_keys.contains(&name.as_str()) {
            report
                .error(
                    &entry.key.range,
                    format!(
                        "'{path}' knows no key '{name}' on {}: it is silently ignored, and any disk may be taken",
                        facts.version
                    ),
                )
                .help(meant(&name, facts.match_keys));
            continue;
        }
        let value = entry.value.as_ref();
        match name.as_str() {
            "size" if !matches!(value.text(), Some("largest" | "smallest")) => {
                report
                    .error(
                        &value.range,
                        format!("'{path}.size' is neither 'largest' nor 'smallest': it is silently ignored"),
                    )
                    .help("a size cannot be compared; match by serial, model or path");
            }
            "ssd" | "install-media" => {
                check_shape(report, &format!("{path}.{name}"), &entry.key.range, value, &Shape::Bool);
            }
            globbed if GLOBBED.contains(&globbed) => {
                check_shape(report, &format!("{path}.{name}"), &entry.key.range, value, &Shape::Text);
                if let Some(text) = value.text() {
                    check_value(path, globbed, value, text, report);
                }
            }
            _ => {}
        }
    }
}

fn check_value(path: &str, name: &str, value: &Node, text: &str, report: &mut Report<'_>) {
    let globs = is_glob(text);
    if text.is_empty() {
        report
            .error(&value.range, format!("'{path}.{name}' is empty: it fits only a disk without one"))
            .help("write a value");
        return;
    }
    if name == "path" && is_link(&format!("{path}.path"), value, text, report) {
        return;
    }
    if text.bytes().all(|b| b == b'*') {
        report.warning(&value.range, format!("'{path}.{name}' fits any disk")).help("write more of the value");
        return;
    }
    // What provbuild itself writes names no disk on purpose: its preflight puts the right one there.
    let prefix = !globs && text != PLACEHOLDER && !is_whole(name, text);
    if name == "model" && !globs && text.contains(' ') {
        report
            .warning(&value.range, format!("'{path}.model' has a blank, but udev writes '_' for it: it fits no disk"))
            .help(format!("write '{}'", shown(&text.replace(' ', "_"))));
    } else if prefix {
        report
            .warning(
                &value.range,
                format!(
                    "'{path}.{name}' has no glob: it fits only a disk whose {} is exactly '{}'",
                    udev(name),
                    shown(text)
                ),
            )
            .help(format!("write '{0}*' for what begins so, or '*{0}*' for what contains it", shown(text)));
    }
}

fn is_link(name: &str, value: &Node, text: &str, report: &mut Report<'_>) -> bool {
    let link = text.starts_with("/dev/disk/");
    if link {
        report
            .error(
                &value.range,
                format!("'{name}' is compared with kernel names, never with links: '{}' fits no disk", shown(text)),
            )
            .help("match by 'serial' or 'id_path', or write the kernel's name, as in '/dev/sda'");
    }
    link
}

/// The value of a disk's own `serial` or `path`, which takes no glob: whether it can be all that udev has.
pub(super) fn check_whole(name: &str, value: &Node, text: &str, report: &mut Report<'_>) {
    if text == PLACEHOLDER || name == "path" && is_link("disk.path", value, text, report) || is_whole(name, text) {
        return;
    }
    report
        .warning(
            &value.range,
            format!("'disk.{name}' fits only a disk whose {} is exactly '{}'", udev(name), shown(text)),
        )
        .help(format!("write it below 'match', where it may have a glob: 'match: {{{name}: \"*{}*\"}}'", shown(text)));
}

fn udev(name: &str) -> &'static str {
    match name {
        "serial" => "ID_SERIAL (as udev has it, most often MODEL_SERIAL)",
        "model" => "ID_MODEL",
        "vendor" => "ID_VENDOR",
        "id_path" => "ID_PATH",
        "devpath" => "DEVPATH",
        _ => "path",
    }
}

/// Whether a value without a glob could be all that udev has, by its form.
fn is_whole(name: &str, text: &str) -> bool {
    let has_digit = |text: &str| text.bytes().any(|b| b.is_ascii_digit());
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    match name {
        // ID_SERIAL is MODEL_SERIAL on nearly every disk, with the namespace after it on NVMe; or a world wide name.
        "serial" => {
            let name = ["eui.", "naa.", "nvme.", "uuid."].into_iter().find_map(|kind| text.strip_prefix(kind));
            if name.is_some() || text.bytes().all(|b| b.is_ascii_hexdigit()) {
                return name.unwrap_or(text).len() >= 16;
            }
            let Some((model, last)) = text.rsplit_once('_') else { return false };
            let serial = match model.rsplit_once('_') {
                Some((_, serial)) if last.len() <= 2 && is_number(last) => serial,
                _ => last,
            };
            serial.len() >= 6 && has_digit(serial)
        }
        // "Samsung_SSD_870" is a family.
        "model" => {
            let family = text.rsplit('_').next().is_some_and(is_number);
            WHOLE_MODELS.contains(&text) || text.len() >= 8 && has_digit(text) && !family
        }
        "vendor" => VENDORS.contains(&text) || text.strip_prefix("0x").is_some_and(|id| id.len() == 4),
        "path" => is_disk_path(text),
        "id_path" => is_id_path(text),
        "devpath" => text.split_once("/block/").is_some_and(|(_, disk)| !disk.is_empty()),
        _ => true,
    }
}

/// `pci-0000:00:1f.2-ata-1`: the whole address of a function, and a number at the end of what is behind it.
fn is_id_path(text: &str) -> bool {
    let last_has_digit =
        |text: &str| text.rsplit('-').next().is_some_and(|last| last.bytes().any(|b| b.is_ascii_digit()));
    let Some(address) = text.strip_prefix("pci-") else { return text.contains('-') && last_has_digit(text) };
    let (function, behind) = address.split_once('-').map_or((address, None), |(function, rest)| (function, Some(rest)));
    let parts: Vec<usize> = function.split([':', '.']).map(str::len).collect();
    parts == [4, 2, 2, 1] && behind.is_none_or(last_has_digit)
}

pub(super) fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// A whole disk's name as the kernel gives it.
fn is_disk_path(path: &str) -> bool {
    let Some(name) = path.strip_prefix("/dev/") else { return false };
    let letters = |prefix: &str| {
        name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_lowercase()))
    };
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    ["sd", "vd", "hd", "xvd", "dasd"].into_iter().any(letters)
        || ["mmcblk", "md", "dm-", "pmem", "loop"].into_iter().any(|p| name.strip_prefix(p).is_some_and(number))
        || name
            .strip_prefix("nvme")
            .and_then(|rest| rest.split_once('n'))
            .is_some_and(|(controller, namespace)| number(controller) && number(namespace))
        // "mapper/mpatha", "cciss/c0d0"
        || name.split_once('/').is_some_and(|(folder, name)| !folder.is_empty() && !name.is_empty())
}
