//! GRUB's scripts: for machines whose firmware takes only signed loaders, by way of shim.
//!
//! GRUB asks the server that it came from for `grub/grub.cfg`, by TFTP after PXE and by HTTP after UEFI HTTP boot. That
//! file is the same for every machine; it looks for the script of the NIC that booted, and boots the machine's own disk
//! when there is none or when anything fails. Paths without a device stand for files of that same server, so that the
//! scripts need no HTTP in GRUB, that not every distribution builds in.
//!
//! The language is that of the GRUB manual, section "Shell-like scripting". A command that fails does not end a script;
//! every step therefore stands in the condition of the next.

use std::fmt::Write as _;

use crate::{Decision, MacAddr, Node};

/// Where signed network GRUBs look for their configuration, below the boot server's root: a path that the distributor
/// compiled in. Ubuntu's and Debian's use the first; Debian's GRUB for its installer uses the second.
pub const GRUB_CONFIGURATIONS: [&str; 2] = ["grub/grub.cfg", "debian-installer/amd64/grub/grub.cfg"];

/// Loaders of installed systems, in the order in which they are tried. The last one is the path for disks without a boot
/// entry (UEFI 2.10, section 3.5.1.1).
const INSTALLED: [&str; 3] = ["/EFI/ubuntu/shimx64.efi", "/EFI/debian/shimx64.efi", "/EFI/BOOT/BOOTX64.EFI"];

/// A word as GRUB's shell must read it: bare where nothing in it is special, otherwise in single quotes, inside which
/// nothing is. A `;` outside quotes would end the command and cut the kernel's arguments short.
pub fn quote(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.,:/=+@%".contains(&b);
    match !word.is_empty() && word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Path of a node's script below the boot server's root.
pub fn grub_node_script_path(mac: MacAddr) -> String {
    format!("grub/nodes/{}.cfg", mac.hyphenated())
}

/// Boots the machine's own disk. On EFI, Debian's GRUB reports success however it is left, whereupon the firmware stops in
/// its setup menu; so GRUB starts the disk's loader itself, from `root`, as the loader is told that it came from there.
/// Where there is none, `exit 1` goes back to the firmware.
fn local_disk() -> String {
    format!(
        "echo 'This machine boots its own disk.'
for loader in {}; do
  if search --no-floppy --set=root --file $loader; then
    if chainloader $loader; then
      boot
    fi
  fi
done
exit 1
",
        INSTALLED.join(" ")
    )
}

/// The configuration that every GRUB gets.
pub fn grub_entry_script() -> String {
    let (search, groups): (Vec<_>, Vec<_>) = ('a'..='f')
        .enumerate()
        .map(|(index, name)| (format!("--set={}:{name}", index + 1), format!("${name}")))
        .unzip();
    format!(
        "# Every machine that boots from this network by way of shim starts here. A node has a script of its own, named
# after the NIC that booted; any other machine boots its own disk.
if regexp {} '^(..):(..):(..):(..):(..):(..)$' \"$net_default_mac\"; then
  source /grub/nodes/{}.cfg
fi
{}",
        search.join(" "),
        groups.join("-"),
        local_disk()
    )
}

/// A node's own script. What follows it is the end of [`grub_entry_script`]: the machine's own disk.
pub fn grub_node_script(node: &Node, decision: &Decision<'_>) -> String {
    let mut script = format!("# {} ({}, {}): ", node.hostname, node.mac, node.address);
    let _ = match decision {
        Decision::LocalDisk(reason) => {
            writeln!(script, "boots its own disk ({reason}).\necho {}", quote(&format!("{}: {reason}.", node.hostname)))
        }
        Decision::Install(installation) => {
            let (kernel, initrd) = (installation.kernel(), installation.initrd());
            let arguments: String = installation.arguments().iter().map(|word| format!(" {}", quote(word))).collect();
            writeln!(
                script,
                "ARMED, installs and erases its disk.
if linux {}{arguments}; then
  if initrd {}; then
    boot
  fi
fi",
                quote(&format!("/{kernel}")),
                quote(&format!("/{initrd}"))
            )
        }
    };
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::tests::node;
    use crate::{Armed, Installation};

    #[test]
    fn special_characters_are_taken_literally() {
        assert_eq!(quote("root=UUID=6f1c-9d0e"), "root=UUID=6f1c-9d0e");
        assert_eq!(quote("ds=nocloud;s=http://x/"), "'ds=nocloud;s=http://x/'");
        assert_eq!(quote("it's $x"), r"'it'\''s $x'");
        assert_eq!(quote(""), "''");
    }

    #[test]
    fn entry() {
        insta::assert_snapshot!(grub_entry_script(), @r#"
        # Every machine that boots from this network by way of shim starts here. A node has a script of its own, named
        # after the NIC that booted; any other machine boots its own disk.
        if regexp --set=1:a --set=2:b --set=3:c --set=4:d --set=5:e --set=6:f '^(..):(..):(..):(..):(..):(..)$' "$net_default_mac"; then
          source /grub/nodes/$a-$b-$c-$d-$e-$f.cfg
        fi
        echo 'This machine boots its own disk.'
        for loader in /EFI/ubuntu/shimx64.efi /EFI/debian/shimx64.efi /EFI/BOOT/BOOTX64.EFI; do
          if search --no-floppy --set=root --file $loader; then
            if chainloader $loader; then
              boot
            fi
          fi
        done
        exit 1
        "#);
    }

    #[test]
    fn a_node_that_is_not_armed_is_left_to_the_entry_script() {
        let mut node = node("node1", "ac:1f:6b:6c:5a:76", "10.10.1.21");
        node.install = Some("ubuntu-24-04".to_owned());
        let installation = Installation::new("vmlinuz", "initrd", vec![]).unwrap();
        let decision = Decision::of(Some(&node), &Armed::none(), Some(&installation));
        insta::assert_snapshot!(
            grub_node_script(&node, &decision),
            @"
        # node1 (ac:1f:6b:6c:5a:76, 10.10.1.21): boots its own disk (not armed).
        echo 'node1: not armed.'
        "
        );
        assert_eq!(grub_node_script_path(node.mac), "grub/nodes/ac-1f-6b-6c-5a-76.cfg");
    }

    #[test]
    fn an_armed_node_installs_and_every_failure_goes_on_to_its_own_disk() {
        let mut node = node("node1", "ac:1f:6b:6c:5a:76", "10.10.1.21");
        node.install = Some("ubuntu-24-04".to_owned());
        let arguments = ["ip=dhcp", "autoinstall", "ds=nocloud;s=http://10.10.1.1/seed/node1/", "odd=a|b"];
        let arguments = arguments.map(str::to_owned).into();
        let installation = Installation::new("media/u/vmlinuz", "media/u/initrd", arguments).unwrap();
        let decision = Decision::of(Some(&node), &Armed::of([node.mac]), Some(&installation));
        insta::assert_snapshot!(grub_node_script(&node, &decision), @"
        # node1 (ac:1f:6b:6c:5a:76, 10.10.1.21): ARMED, installs and erases its disk.
        if linux /media/u/vmlinuz ip=dhcp autoinstall 'ds=nocloud;s=http://10.10.1.1/seed/node1/' 'odd=a|b'; then
          if initrd /media/u/initrd; then
            boot
          fi
        fi
        ");
    }
}
