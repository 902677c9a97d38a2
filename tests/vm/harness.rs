//! The harness itself, proven against a server that is not ours: dnsmasq in the lab.

use std::time::Duration;

use crate::client::{Asks, Client};
use crate::lab::{BRIDGE, Lab};

/// The client sees what a DHCP, TFTP server gives it: a peer's namespace would do the same as the appliance.
#[test]
#[ignore = "needs namespaces, dnsmasq and busybox"]
fn sandbox_the_pxe_client_reads_a_lease_and_a_file() {
    let lab = Lab::new("harness-client", 0);
    // The server sits at the other end of a cable, in a namespace inside the lab.
    let files = lab.directory.join("files");
    std::fs::create_dir(&files).unwrap();
    std::fs::write(files.join("boot.efi"), vec![7; 100_000]).unwrap();
    let serve = format!(
        "set -e; ip link set lo up; ip link add far type veth peer name near netns {holder}; ip link set far up; \
         ip addr add 10.10.1.1/24 dev far; echo ready; \
         exec dnsmasq --conf-file=/dev/null --keep-in-foreground --port=0 --interface=far --bind-interfaces --user= --group= \
         --dhcp-range=10.10.1.100,10.10.1.150 --dhcp-host=52:54:00:aa:00:01,10.10.1.21,node1 --dhcp-leasefile={leases} \
         --pid-file= --enable-tftp --tftp-root={files} --dhcp-userclass=set:ipxe,iPXE --dhcp-boot=tag:!ipxe,boot.efi \
         --dhcp-boot=tag:ipxe,http://10.10.1.1/boot.ipxe --log-facility={log}",
        holder = lab.holder_id(),
        leases = lab.directory.join("leases").display(),
        files = files.display(),
        log = lab.directory.join("dnsmasq.log").display(),
    );
    let mut server = lab.command("unshare").args(["--net", "sh", "-c", &serve]).spawn().unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !lab.try_run("ip", &["link", "set", "near", "master", BRIDGE, "up"]).status.success() {
        assert!(std::time::Instant::now() < deadline, "the server's cable did not appear");
        std::thread::sleep(Duration::from_millis(50));
    }

    let client = Client::new(&lab, "52:54:00:aa:00:01");
    let firmware = client.dhcp(Asks::UefiFirmware).unwrap();
    assert_eq!((firmware.address(), firmware.boot_file()), ("10.10.1.21", "boot.efi"));
    assert_eq!(client.tftp(firmware.next_server(), "boot.efi").unwrap(), vec![7; 100_000]);
    client.tftp(firmware.next_server(), "absent.efi").unwrap_err();
    let ipxe = client.dhcp(Asks::Ipxe).unwrap();
    assert_eq!(ipxe.boot_file(), "http://10.10.1.1/boot.ipxe");
    client.http("http://10.10.1.1/boot.ipxe").unwrap_err();
    assert!(Client::new(&lab, "52:54:00:aa:00:02").dhcp(Asks::Ipxe).unwrap().address().starts_with("10.10.1.1"));

    server.kill().unwrap();
    server.wait().unwrap();
}
