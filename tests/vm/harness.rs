//! The harness itself, proven against a server that is not ours: dnsmasq in the lab. And dnsmasq, told by us what each
//! machine boots, asked by machines of every kind.

use std::time::Duration;

use netboot::{ARCHITECTURES, Inventory, Leases, Way};

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

/// Listed machines by what they are listed as, others by what the network says; whoever cannot be served gets an address
/// and no loader; iPXE never gets iPXE again.
#[test]
#[ignore = "needs namespaces, dnsmasq and busybox"]
fn sandbox_every_machine_is_given_its_own_loader() {
    let node = |name: &str, last: u8, secure_boot: bool| -> netboot::Node {
        serde_json::from_value(serde_json::json!({
            "hostname": name, "mac": format!("52:54:00:aa:02:{last:02x}"), "address": format!("10.10.1.{}", 20 + last),
            "address6": null, "addresses": {}, "memory": null, "secure-boot": secure_boot, "install": null, "disk": null,
            "bmc": null, "roles": [], "dhcp-options": {}
        }))
        .unwrap()
    };
    let inventory = Inventory { nodes: vec![node("plain", 1, false), node("secure", 2, true)] };
    for strangers_secure in [false, true] {
        let lab = Lab::new(if strangers_secure { "loaders-secure" } else { "loaders" }, 0);
        let configuration = format!(
            "port=0\nbind-dynamic\nlisten-address=10.10.1.1\ndhcp-authoritative\ndhcp-range=10.10.1.100,10.10.1.150,255.255.255.0,600\n{}{}",
            netboot::boot_lines("10.10.1.1".parse().unwrap(), strangers_secure, Leases::Served),
            netboot::host_lines(&inventory, &[], "lab.example", Leases::Served)
        );
        let file = lab.directory.join("dnsmasq.conf");
        std::fs::write(&file, configuration).unwrap();
        let serve = format!(
            "set -e; ip link set lo up; ip link add far type veth peer name near netns {holder}; ip link set far up; \
             ip addr add 10.10.1.1/24 dev far; exec dnsmasq --conf-file={file} --keep-in-foreground --user= --group= --pid-file= \
             --dhcp-leasefile={leases} --log-facility={log}",
            holder = lab.holder_id(),
            file = file.display(),
            leases = lab.directory.join("leases").display(),
            log = lab.directory.join("dnsmasq.log").display(),
        );
        let mut server = lab.command("unshare").args(["--net", "sh", "-c", &serve]).spawn().unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while !lab.try_run("ip", &["link", "set", "near", "master", BRIDGE, "up"]).status.success() {
            assert!(std::time::Instant::now() < deadline, "the server's cable did not appear");
            std::thread::sleep(Duration::from_millis(50));
        }
        for (last, secure) in [(1, false), (2, true), (9, strangers_secure)] {
            let client = Client::new(&lab, &format!("52:54:00:aa:02:{last:02x}"));
            for architecture in ARCHITECTURES {
                let lease = client.dhcp(Asks::Architecture(architecture.number)).unwrap();
                let expected = match architecture.way {
                    None => {
                        assert!(!lease.boots(), "{architecture:?}: {:?}", lease.fields);
                        continue;
                    }
                    Some(Way::Bios) => "undionly.kpxe".to_owned(),
                    Some(way) => {
                        let loader = if secure { "shimx64.efi" } else { "snponly.efi" };
                        if way == Way::UefiHttp { format!("http://10.10.1.1/{loader}") } else { loader.to_owned() }
                    }
                };
                assert_eq!(lease.boot_file(), expected, "{architecture:?}, client {last}");
            }
            assert_eq!(client.dhcp(Asks::Ipxe).unwrap().boot_file(), "http://10.10.1.1/boot.ipxe");
        }
        server.kill().unwrap();
        server.wait().unwrap();
    }
}
