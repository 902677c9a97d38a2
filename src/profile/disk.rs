//! `disk = { ... }` of a node -> [`DiskSelector`], and selectors that no disk can match.
//!
//! A selector that matches nothing stops an installation on the spot, and somebody has to walk there. What is said here
//! of serial numbers, names and WWNs is how udev writes them (udev's 60-persistent-storage.rules), for installers read
//! them from it.

use netboot::DiskSelector;

use super::fault::Fault;
use super::glob::Glob;
use super::nodes::gibibytes;
use super::reader::{At, Decoding, Section};
use super::source::Span;
use super::storage::Needs;
use super::word::*;
use crate::vocab::ByteSize;

/// The smallest disk that any of the systems fits on.
const SMALLEST_SYSTEM: ByteSize = ByteSize::gib(2);
/// ATA and NVMe have 20 characters, udev's ID_SERIAL adds the model's 40; SCSI's page 80h stays far below this, too.
const LONGEST_SERIAL: usize = 128;
/// How the WWNs begin that udev knows: SCSI and ATA, then those of NVMe.
const WWN_FORMS: [&str; 4] = ["0x", "eui.", "nvme.", "uuid."];

/// Block devices that nobody installs on, by their names in front of a number or a further name: optical and floppy
/// drives, files, memory, flash without a disk's interface, and what is made of other disks or of other machines'.
const NO_DISKS: [&str; 13] =
    ["sr", "cdrom", "fd", "loop", "ram", "zram", "mtdblock", "mtd", "dm-", "md", "mapper", "nbd", "drbd"];
/// How the kernel's own names of disks begin: another disk may have such a name after the next boot.
const FOUND_FIRST: [&str; 6] = ["sd", "vd", "xvd", "hd", "nvme", "mmcblk"];
/// The paths of disks below /dev; those of a disk's parts and of other things match as well, and are told apart by name.
const DISKS: [&str; 9] = [
    "sd[a-z]*",
    "vd[a-z]*",
    "xvd[a-z]*",
    "hd[a-z]*",
    "nvme[0-9]*n[0-9]*",
    "mmcblk[0-9]*",
    "pmem[0-9]*",
    "disk/by-id/?*",
    "disk/by-path/?*",
];
/// How names in /dev/disk/by-id begin that are made of other disks: device mapper, RAID, and LVM's name for a disk that is in use.
const MADE_OF_DISKS: [&str; 3] = ["disk/by-id/dm-", "disk/by-id/md-", "disk/by-id/lvm-pv-uuid-"];
/// udev's names for what lies on a disk.
const CONTENTS: [&str; 4] = ["disk/by-uuid", "disk/by-partuuid", "disk/by-label", "disk/by-partlabel"];

const KEYS: [&str; 8] = ["serial", "model", "vendor", "wwn", "path", "min-size", "max-size", "ssd"];
const NARROW: &str =
    "say by at least one of serial, model, vendor, wwn, path, min-size, max-size, ssd which disk is meant";

/// A selector and the places of what it is compared by.
pub(super) struct Selected {
    pub(super) selector: DiskSelector,
    max_size: Option<At<ByteSize>>,
    /// Serial number and WWN, where they are no patterns.
    pub(super) exact: Vec<(&'static str, At<String>)>,
}

pub(super) fn disk(cx: &mut Decoding, node: &Section<'_>) -> Option<Selected> {
    let section = node.written("disk")?;
    let mut pattern = |key: &str| section.word::<Line>(cx, key).map(|at| At { value: at.value.0, span: at.span });
    let (serial, model) = (pattern("serial"), pattern("model"));
    let (vendor, wwn) = (pattern("vendor"), pattern("wwn"));
    let path = section.word::<DevicePath>(cx, "path").map(|at| At { value: at.value.0, span: at.span });
    let min_size = section.word::<ByteSize>(cx, "min-size");
    let max_size = section.word::<ByteSize>(cx, "max-size");
    let ssd = section.flag(cx, "ssd");

    for at in [&serial, &model, &vendor, &wwn, &path].into_iter().flatten() {
        possible(cx, at);
    }
    [("serial number", &serial), ("WWN", &wwn)].into_iter().for_each(|(what, at)| blanks(cx, what, at.as_ref()));
    for at in [&model, &vendor].into_iter().flatten() {
        if at.value.contains(' ') {
            let warning = Fault::at(at.span, "udev writes '_' where the maker has a blank: this may match no disk");
            let either = at.value.trim().replace(' ', "?");
            cx.warn(warning.help(format!("write \"{either}\", which matches either")));
        }
    }
    if let Some(serial) = &serial
        && serial.value.chars().count() > LONGEST_SERIAL
    {
        let fault = Fault::at(serial.span, "no disk can match: no serial number is that long");
        cx.fault(fault.help(format!("{LONGEST_SERIAL} characters are more than any has")));
    }
    if let Some(wwn) = &wwn {
        check_wwn(cx, wwn);
    }
    if let Some(path) = &path {
        check_path(cx, path);
    }
    check_sizes(cx, min_size.as_ref(), max_size.as_ref());
    if section.is_empty() {
        let fault = Fault::at(section.span, "the disk selector is empty: it would match any disk");
        cx.fault(fault.help(NARROW));
    }
    let texts = [&serial, &model, &vendor, &wwn].into_iter().flatten().filter(|at| matches_any(&at.value));
    let paths = path.iter().filter(|at| at.value.strip_prefix("/dev/").is_some_and(matches_any));
    let sizes = min_size.iter().filter(|at| at.bytes() == 0);
    let idle = texts.count() + paths.count() + sizes.count();
    if idle > 0 && section.is_whole() && KEYS.iter().filter(|key| section.key(key).is_some()).count() == idle {
        let fault = Fault::at(section.span, "the disk selector matches any disk");
        cx.fault(fault.help(NARROW));
    }
    let exact = [("serial number", &serial), ("WWN", &wwn)].into_iter();
    let exact = exact.filter_map(|(what, at)| at.clone().filter(|at| !is_pattern(&at.value)).map(|at| (what, at)));
    let exact = exact.collect();
    let text = |at: Option<At<String>>| at.map(|at| at.value);
    let selector = DiskSelector {
        serial: text(serial),
        model: text(model),
        vendor: text(vendor),
        wwn: text(wwn),
        path: text(path),
        min_size: min_size.map(|at| at.bytes()),
        max_size: max_size.as_ref().map(|at| at.bytes()),
        ssd,
    };
    Some(Selected { selector, max_size, exact })
}

/// The largest disk that a node may choose must hold the partitions of its installer.
pub(super) fn holds(cx: &mut Decoding, disk: &Selected, needs: &Needs, installer: &str) {
    if let Some(most) = &disk.max_size
        && most.bytes() <= needs.bytes
    {
        let sum = gibibytes(needs.bytes);
        let message = format!("no disk can match: the partitions of '{installer}' take {sum} without the bootloader's");
        let fault = Fault::new(message).label(most.span, "at most").label(needs.span, "the partitions");
        cx.fault(fault.help("allow a larger disk, or make the partitions smaller"));
    }
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// A glob of stars, perhaps with one character that must be there.
fn matches_any(glob: &str) -> bool {
    glob.contains('*') && matches!(glob.trim_matches('*'), "" | "?")
}

/// A pattern that fnmatch(3) matches with nothing that a disk has in its name: a `[` without its `]` stands for itself.
fn possible(cx: &mut Decoding, at: &At<String>) {
    match Glob::parse(&at.value) {
        Ok(glob) if glob.is_possible() => {}
        Ok(_) => {
            let fault = Fault::at(at.span, "no disk can match: a range of the pattern ends before it begins");
            cx.fault(fault.help("write the lower character first, as in '[a-z]'"));
        }
        Err(_) => {
            let fault = Fault::at(at.span, "no disk can match: a '[' of the pattern is never closed");
            cx.fault(fault.help("close it with ']', or write '?' for any one character"));
        }
    }
}

fn blanks(cx: &mut Decoding, what: &str, at: Option<&At<String>>) {
    if let Some(at) = at
        && at.value.contains(char::is_whitespace)
    {
        let fault = Fault::at(at.span, format!("no disk can match: a {what} has no blanks"));
        let fixed = at.value.split_whitespace().collect::<Vec<_>>().join("_");
        cx.fault(fault.help(format!("udev leaves them out at the ends and writes '_' between: \"{fixed}\"")));
    }
}

fn check_wwn(cx: &mut Decoding, wwn: &At<String>) {
    let text = wwn.value.as_str();
    let lower = text.to_ascii_lowercase();
    if text.starts_with(['*', '?', '[']) || text.contains(char::is_whitespace) {
        return;
    }
    if text == lower && WWN_FORMS.iter().any(|form| text.starts_with(form)) {
        return;
    }
    let bare = lower.trim_start_matches("wwn-").replace([':', '-'], "");
    let digits = bare.strip_prefix("0x").unwrap_or(&bare);
    let fault = Fault::at(wwn.span, "no disk can match: this is not how udev writes a WWN");
    cx.fault(
        fault.help(match digits.bytes().all(|b| b.is_ascii_hexdigit() || b"*?".contains(&b)) {
            true if !digits.is_empty() => format!("write \"0x{digits}\""),
            _ => "write it as `udevadm info` shows ID_WWN: \"0x5002538e40b2f7a4\", for NVMe \"eui.0025385b71b12345\""
                .to_owned(),
        }),
    );
}

fn check_path(cx: &mut Decoding, path: &At<String>) {
    let Some(device) = path.value.strip_prefix("/dev/") else {
        let fault = Fault::at(path.span, "no disk can match: devices are below /dev");
        cx.fault(fault.help("write it as in \"/dev/disk/by-id/nvme-...\""));
        return;
    };
    let follows = |rest: &str| rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_digit() || "/*?[".contains(c));
    let named = |name: &&str| device.strip_prefix(*name).is_some_and(follows);
    // A card's boot areas and its protected memory are devices of their own.
    let card = device.starts_with("mmcblk") && (device.contains("boot") || device.contains("rpmb"));
    if device.is_empty() {
        let fault = Fault::at(path.span, "no disk can match: /dev/ is the folder of all devices");
        cx.fault(fault.help("write a disk's path, as in \"/dev/disk/by-id/nvme-SN123*\""));
    } else if device.contains(char::is_whitespace) {
        let fault = Fault::at(path.span, "no disk can match: a device path has no blanks");
        cx.fault(fault.help(format!("write \"{}\"", path.value.split_whitespace().collect::<Vec<_>>().join("_"))));
    } else if CONTENTS.iter().any(named) {
        let fault =
            Fault::at(path.span, "such a name is a partition's or a file system's, which the installation erases");
        cx.fault(fault.help("disks are named in /dev/disk/by-id and /dev/disk/by-path"));
    } else if device
        .strip_prefix("nvme")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    {
        let fault = Fault::at(path.span, format!("no disk can match: {} is an NVMe controller", path.value));
        cx.fault(fault.help(format!("write its disk: \"/dev/{device}n1\"")));
    } else if card || NO_DISKS.iter().any(named) || MADE_OF_DISKS.iter().any(|name| device.starts_with(name)) {
        let fault = Fault::at(path.span, format!("no disk can match: {} is not a disk to install on", path.value));
        cx.fault(fault.help("`lsblk --nodeps --paths` lists the disks of a machine"));
    } else if let Some(whole) = without_partition(device) {
        let fault = Fault::at(path.span, format!("no disk can match: {} is a partition", path.value));
        cx.fault(fault.help(format!("write the whole disk: \"/dev/{whole}\"")));
    } else if Glob::parse(device)
        .is_ok_and(|glob| !DISKS.iter().any(|disk| Glob::parse(disk).is_ok_and(|disk| disk.meets(&glob))))
    {
        let fault = Fault::at(path.span, format!("no disk can match: {} is no path of a disk", path.value));
        cx.fault(fault.help(
            "disks are /dev/disk/by-id/NAME, /dev/disk/by-path/NAME, and by the kernel's names /dev/sda, /dev/nvme0n1 and so on",
        ));
    } else if !is_pattern(device) && FOUND_FIRST.iter().any(|name| device.starts_with(name)) {
        let message =
            format!("{} is a disk's name until the next boot: the kernel gives it in the order of finding", path.value);
        let help = "name the disk by `serial` or `wwn`, or by its path below /dev/disk/by-id or /dev/disk/by-path";
        cx.warn(Fault::at(path.span, message).help(help));
    }
}

/// The disk of a partition's name: "sda1" -> "sda", "nvme0n1p2" -> "nvme0n1", "disk/by-id/x-part1" -> "disk/by-id/x".
fn without_partition(device: &str) -> Option<&str> {
    let stem = device.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == device.len() {
        return None;
    }
    let letters = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase());
    if let Some(disk) = stem.strip_suffix("part")
        && let Some(disk) = disk.strip_suffix('-').or(disk.ends_with(['*', '?', ']']).then_some(disk))
    {
        return device.starts_with("disk/").then_some(disk);
    }
    if let Some(disk) = stem.strip_suffix('p')
        && disk.ends_with(|c: char| c.is_ascii_digit())
        && ["nvme", "mmcblk"].iter().any(|name| disk.starts_with(name))
    {
        return Some(disk);
    }
    ["sd", "vd", "xvd", "hd"].iter().any(|name| stem.strip_prefix(name).is_some_and(letters)).then_some(stem)
}

fn check_sizes(cx: &mut Decoding, min: Option<&At<ByteSize>>, max: Option<&At<ByteSize>>) {
    if let (Some(min), Some(max)) = (min, max)
        && min.value > max.value
    {
        let fault = Fault::new("no disk can match: the smallest size is larger than the largest");
        cx.fault(fault.label(min.span, "at least").label(max.span, "at most"));
    }
    if let Some(max) = max
        && max.value < SMALLEST_SYSTEM
    {
        let fault = Fault::at(max.span, "no disk can match: none that small holds a system");
        cx.fault(fault.help("sizes are written as in \"200GB\" or \"2TB\""));
    }
}

/// Warns where two nodes name one disk: it is in one of them.
pub(super) fn named_twice(cx: &mut Decoding, what: &str, at: &At<String>, before: Span) {
    let warning = Fault::new(format!("two nodes name the disk of {what} {}", at.value));
    cx.warn(warning.label(at.span, "this one").label(before, "and this one").help("a disk is in one machine only"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_told_from_disks() {
        for (partition, disk) in [
            ("sda1", "sda"),
            ("vdb12", "vdb"),
            ("nvme0n1p2", "nvme0n1"),
            ("mmcblk0p1", "mmcblk0"),
            ("disk/by-id/ata-X-part1", "disk/by-id/ata-X"),
            ("disk/by-id/ata-1*part1", "disk/by-id/ata-1*"),
        ] {
            assert_eq!(without_partition(partition), Some(disk));
        }
        for disk in ["sda", "nvme0n1", "mmcblk0", "disk/by-id/ata-X123", "disk/by-path/pci-0000:00:1f.2-ata-1", "md0"] {
            assert_eq!(without_partition(disk), None, "{disk}");
        }
    }
}
