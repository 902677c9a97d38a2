//! The preflight: the installer's own look at the disks, right before one is erased.
//!
//! In: a node with its [`DiskSelector`]. Out: a POSIX shell script that runs in the installer's environment (disk_choice.sh), and
//! ends with `found` set to the one disk that every given field matches, or stops the installation, naming the selector
//! and all disks. It applies what no installer can say itself (sizes, WWN, links below /dev/disk), leaves out whatever
//! the installer runs from, refuses a disk whose RAID or volumes reach over other disks, and refuses to run on another
//! machine than the node. It is the only source of the disk's name: what the installer reads has a placeholder that is
//! no disk. Should the script not run, nothing is erased.
//!
//! A node without a selector has consented to "its disk": with one disk there is no doubt; with several, be they broken or
//! read-only, the script stops, and a disk that can be removed is never meant.

use std::fmt::Write as _;

use crate::shell::quote;
use crate::{DiskSelector, Node, report};

/// Stands in the documents where the disk's name will be. No device has this name.
pub(crate) const PLACEHOLDER: &str = "/dev/provbuild-disk";
/// Stands where subiquity must hear whether the machine was started by UEFI.
pub(crate) const UEFI_PLACEHOLDER: &str = "provbuild-uefi";

const SEARCH: &str = include_str!("disk_choice.sh");
/// The line of it after which the reason is reported.
const STOPS: &str = "    say \"STOPPED, nothing was erased: $1\"\n";
/// Bytes of the unit in which sysfs counts a disk's size, whatever its own sectors are.
const SECTOR: u64 = 512;

/// Which program the chosen disk is told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// By rewriting /autoinstall.yaml, which subiquity reads again after its early commands ("early-commands" in the
    /// Autoinstall reference).
    Subiquity,
    /// By answers of debconf.
    Debian,
}

/// The script without what tells the installer. Where there is a server to report to, it hears why the script stops.
pub(crate) fn script(node: &Node, told: Told, reports: bool) -> String {
    let disk = node.disk.as_ref();
    let none = DiskSelector::default();
    let selector = disk.unwrap_or(&none);
    let DiskSelector { serial, model, vendor, wwn, path, min_size, max_size, ssd } = selector;
    let number = |bytes: u64| bytes.to_string();
    let wanted = [
        ("want_serial", serial.clone()),
        ("want_model", model.clone()),
        ("want_vendor", vendor.clone()),
        ("want_wwn", wwn.clone()),
        ("want_path", path.clone()),
        ("min_sectors", min_size.map(|bytes| number(bytes.div_ceil(SECTOR)))),
        ("max_sectors", max_size.map(|bytes| number(bytes / SECTOR))),
        ("want_ssd", ssd.map(|ssd| u8::from(ssd).to_string())),
        ("only_disk", disk.is_none().then(|| "yes".to_owned())),
    ];
    let selector = disk.map_or_else(|| "which is \"the only disk\" as none is written".to_owned(), describe);
    // The environment of the installer may not stand in for what the selector leaves out.
    let mut script = format!("unset {}\n", wanted.each_ref().map(|(name, _)| *name).join(" "));
    let installer = if told == Told::Subiquity { "ubuntu" } else { "debian" };
    let _ = writeln!(script, "installer={installer} own_mac={} selector={}", node.mac, quote(&selector));
    for (name, value) in wanted.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        let _ = writeln!(script, "{name}={}", quote(value));
    }
    match reports {
        false => script.push_str(SEARCH),
        true => {
            script.push_str(match told {
                Told::Subiquity => report::UBUNTU_STOPPED,
                Told::Debian => report::DEBIAN_STOPPED,
            });
            script.push_str(&SEARCH.replacen(STOPS, &format!("{STOPS}    stopped \"$1\"\n"), 1));
        }
    }
    script
}

/// As the person wrote it in nodes.toml.
fn describe(selector: &DiskSelector) -> String {
    let DiskSelector { serial, model, vendor, wwn, path, min_size, max_size, ssd } = selector;
    let texts = [("serial", serial), ("model", model), ("vendor", vendor), ("wwn", wwn), ("path", path)];
    let numbers = [("min-size", min_size), ("max-size", max_size)];
    let mut fields: Vec<String> =
        texts.iter().filter_map(|(name, value)| Some(format!("{name} = \"{}\"", value.as_ref()?))).collect();
    fields.extend(numbers.iter().filter_map(|(name, value)| Some(format!("{name} = {} bytes", (*value).as_ref()?))));
    fields.extend(ssd.map(|ssd| format!("ssd = {ssd}")));
    format!("{{ {} }}", fields.join(", "))
}

/// What subiquity's early command is: the search, and the disk's name put into the one place of /autoinstall.yaml.
///
/// The name is the kernel's: it is the same until the next boot, and subiquity compares it with the device's own name. It
/// probes the disks after this.
pub(crate) fn for_subiquity(node: &Node, reports: bool) -> String {
    // The placeholders are put together here, so that this text, itself a part of the file, has none.
    const TELL: &str = r#"
file=$root/autoinstall.yaml
mark=/dev/provbuild; mark=$mark-disk
[ "$(grep -c "^[- ]*path: $mark\$" "$file")" = 1 ] || stop "$file has not exactly one line 'path: $mark'"
uefi=false; [ ! -d "$root/sys/firmware/efi" ] || uefi=true
umask 077
sed -e "s|^\([- ]*path: \)$mark\$|\1$found|" -e "s|^\([- ]*grub_device: \)provbuild-uefi\$|\1$uefi|" "$file" >"$file.new" ||
    stop "$file cannot be rewritten"
mv "$file.new" "$file" || stop "$file cannot be rewritten"
grep -q "^[- ]*path: $found\$" "$file" || stop "$file does not name $found"
"#;
    script(node, Told::Subiquity, reports) + TELL
}

#[cfg(test)]
#[path = "disk_choice_tests.rs"]
mod tests;
