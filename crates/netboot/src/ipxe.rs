//! iPXE scripts.
//!
//! `boot.ipxe` is the one name that DHCP gives to every iPXE; it asks for the script of the NIC that booted and falls
//! back to the machine's own disk when there is none, or when anything on the way fails. iPXE splits a line at blanks and
//! expands `${...}`; [`Installation`](crate::Installation) admits only words that pass through this unchanged.

use std::fmt::Write as _;

use crate::{Decision, MacAddr, Node};

/// Boots the machine's own disk. On EFI the firmware goes on with its next boot option only when the loader *fails*: after
/// a success it stays in its setup menu, therefore `exit 1`.
const LOCAL_DISK: &str = "\
:local
echo This machine boots its own disk.
iseq ${platform} efi && goto firmware ||
sanboot --no-describe --drive 0x80 ||
:firmware
exit 1
";

/// Path of a node's script below the boot server's root.
pub fn node_script_path(mac: MacAddr) -> String {
    format!("nodes/{}.ipxe", mac.hyphenated())
}

/// The script that every iPXE client gets. `server` is the boot server's URL without a trailing slash.
pub fn entry_script(server: &str) -> String {
    format!(
        "#!ipxe
# Every machine that boots from this network starts here. A node has a script of its own, named after the NIC that
# booted; any other machine boots its own disk.
chain {server}/nodes/${{netX/mac:hexhyp}}.ipxe || goto local
{LOCAL_DISK}"
    )
}

/// A node's own script.
pub fn node_script(node: &Node, decision: &Decision<'_>, server: &str) -> String {
    let mut script = format!("#!ipxe\n# {} ({}, {}): ", node.hostname, node.mac, node.address);
    let rest = match decision {
        Decision::LocalDisk(reason) => format!("boots its own disk ({reason}).\n"),
        Decision::Install(installation) => {
            // `initrd=` names the initrd for a kernel that is started through its EFI stub; without it the kernel panics.
            let arguments: String = installation.arguments().iter().map(|word| format!(" {word}")).collect();
            let (kernel, initrd) = (installation.kernel(), installation.initrd());
            format!(
                "ARMED, installs and erases its disk.
kernel {server}/{kernel} initrd=initrd{arguments} || goto local
initrd --name initrd {server}/{initrd} || goto local
boot || goto local
"
            )
        }
    };
    let _ = write!(script, "{rest}{LOCAL_DISK}");
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::tests::node;
    use crate::{Armed, Installation};

    #[test]
    fn entry() {
        insta::assert_snapshot!(entry_script("http://10.10.1.1"));
    }

    #[test]
    fn a_node_that_is_not_armed_boots_its_own_disk() {
        let mut node = node("node1", "ac:1f:6b:6c:5a:76", "10.10.1.21");
        node.install = Some("ubuntu-24-04".to_owned());
        let installation = Installation::new("vmlinuz", "initrd", vec![]).unwrap();
        let decision = Decision::of(Some(&node), &Armed::none(), Some(&installation));
        let script = node_script(&node, &decision, "http://10.10.1.1");
        assert!(!script.contains("kernel"), "{script}");
        insta::assert_snapshot!(script);
    }

    #[test]
    fn an_armed_node_installs_and_every_failure_ends_at_its_own_disk() {
        let mut node = node("node1", "ac:1f:6b:6c:5a:76", "10.10.1.21");
        node.install = Some("ubuntu-24-04".to_owned());
        let arguments = ["autoinstall", "ds=nocloud;s=http://10.10.1.1/seed/node1/", "ip=dhcp"].map(str::to_owned);
        let installation =
            Installation::new("installers/ubuntu-24-04/vmlinuz", "installers/ubuntu-24-04/initrd", arguments.into())
                .unwrap();
        let decision = Decision::of(Some(&node), &Armed::of([node.mac]), Some(&installation));
        insta::assert_snapshot!(node_script(&node, &decision, "http://10.10.1.1"));
    }
}
