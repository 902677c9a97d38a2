//! A node as its firmware would behave, played by small tools in the lab: DHCP as a PXE client, TFTP, HTTP.
//!
//! Quicker and more exact than a second machine: every option of the offer can be looked at.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use crate::lab::{BRIDGE, Lab};

/// What asks: the machine's own firmware, or the iPXE that it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    UefiFirmware,
    /// Firmware of a client system architecture (RFC 4578, section 2.1, and IANA's registry).
    Architecture(u16),
    Ipxe,
}

/// A lease, with the names that udhcpc gives the options.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub(crate) fields: BTreeMap<String, String>,
}

impl Lease {
    pub(crate) fn address(&self) -> &str {
        self.field("ip")
    }

    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).unwrap_or_else(|| panic!("the lease has no `{name}`: {:#?}", self.fields))
    }

    /// Name of the boot file: from the option, else from the BOOTP header.
    pub(crate) fn boot_file(&self) -> &str {
        if self.fields.contains_key("bootfile") { self.field("bootfile") } else { self.field("boot_file") }
    }

    /// Whether the server told what to boot.
    pub(crate) fn boots(&self) -> bool {
        self.fields.contains_key("bootfile") || self.fields.contains_key("boot_file")
    }

    /// Address of the TFTP server.
    pub(crate) fn next_server(&self) -> &str {
        if self.fields.contains_key("siaddr") { self.field("siaddr") } else { self.field("serverid") }
    }
}

/// A client on the provisioning network with a node's MAC address.
pub(crate) struct Client<'a> {
    lab: &'a Lab,
}

impl<'a> Client<'a> {
    pub(crate) fn new(lab: &'a Lab, mac: &str) -> Self {
        lab.run("ip", &["link", "set", BRIDGE, "down"]);
        lab.run("ip", &["link", "set", BRIDGE, "address", mac]);
        lab.run("ip", &["addr", "flush", "dev", BRIDGE]);
        lab.run("ip", &["link", "set", BRIDGE, "up"]);
        Client { lab }
    }

    /// Takes a lease and the address in it, or says that nobody offered one.
    pub(crate) fn dhcp(&self, asks: Asks) -> Result<Lease, String> {
        let answer = self.lab.directory.join("lease");
        let script = self.lab.directory.join("lease.sh");
        let text = format!(
            "#!/bin/sh\n[ \"$1\" = bound ] || exit 0\nenv > {0}.new && mv {0}.new {0}\n\
             ip addr flush dev {BRIDGE}; ip addr add \"$ip/$mask\" dev {BRIDGE}\n",
            answer.display()
        );
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let _ = std::fs::remove_file(&answer);

        let script = script.to_str().unwrap();
        let mut arguments = vec!["udhcpc", "-i", BRIDGE, "-f", "-q", "-n", "-t", "8", "-T", "3", "-s", script];
        arguments
            .extend(["-O", "bootfile", "-O", "tftp", "-O", "domain", "-O", "hostname", "-O", "router", "-O", "dns"]);
        // RFC 4578: client system architecture 7 is x64 UEFI; vendor class as the UEFI specification has it. RFC 3004: user class.
        let architecture = if let Asks::Architecture(number) = asks { number } else { 7 };
        // UEFI HTTP boot calls itself another class (UEFI 2.10, section 24.7.2).
        let class = if matches!(architecture, 15..=20) { "HTTPClient" } else { "PXEClient" };
        let class = format!("{class}:Arch:{architecture:05}:UNDI:003016");
        let architecture = format!("0x5d:{architecture:04x}");
        arguments.extend(["-V", &class, "-x", &architecture]);
        if asks == Asks::Ipxe {
            // "iPXE", as iPXE itself sends it, and its encapsulated options (175) with `bzimage` and `http`, so that
            // both ways of recognising it match.
            arguments.extend(["-x", "0x4d:69505845", "-x", "0xaf:130101180101"]);
        }
        let output = self.lab.try_run("busybox", &arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            return Err(said);
        }
        let text =
            std::fs::read_to_string(&answer).map_err(|error| format!("{}: {error}\n{said}", answer.display()))?;
        let fields = text.lines().filter_map(|line| line.split_once('=')).map(|(a, b)| (a.to_owned(), b.to_owned()));
        Ok(Lease { fields: fields.collect() })
    }

    /// Fetches a file by TFTP.
    pub(crate) fn tftp(&self, server: &str, name: &str) -> Result<Vec<u8>, String> {
        let local = self.lab.directory.join("tftp");
        let _ = std::fs::remove_file(&local);
        let arguments = ["60", "busybox", "tftp", "-g", "-r", name, "-l", local.to_str().unwrap(), server];
        let output = self.lab.try_run("timeout", &arguments);
        if !output.status.success() {
            return Err(format!("tftp {server} {name}: {}", String::from_utf8_lossy(&output.stderr)));
        }
        std::fs::read(&local).map_err(|error| format!("tftp {server} {name}: {error}"))
    }

    /// Asks for the management page by TLS, by way of the appliance.
    pub(crate) fn tls(&self, address: &str) -> Result<Vec<u8>, String> {
        if address != "10.10.1.1" {
            self.lab.run("ip", &["route", "replace", address, "via", "10.10.1.1", "dev", BRIDGE]);
        }
        let url = format!("https://{address}/");
        let output = self.lab.try_run("curl", &["--silent", "--show-error", "--insecure", "--max-time", "10", &url]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(output.stdout) } else { Err(said) }
    }

    /// Fetches a URL; anything but success is an error with the status.
    pub(crate) fn http(&self, url: &str) -> Result<Vec<u8>, String> {
        let output = self.lab.try_run("curl", &["--silent", "--show-error", "--fail", "--max-time", "60", url]);
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(format!("{url}: {}", String::from_utf8_lossy(&output.stderr)))
        }
    }
}
