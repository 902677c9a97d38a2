//! NoCloud seeds for Ubuntu's installer (subiquity): user-data, meta-data, vendor-data and network-config of one node.
//!
//! The documents hold no secret: the installed system is entered by ssh key. Fields are those of subiquity's schema for
//! 24.04 ("Autoinstall configuration reference manual"); strings are quoted by the YAML serializer, never by hand.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{DiskSelector, Node, Site, Storage, System};

/// The files of a NoCloud seed directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedDocuments {
    pub user_data: String,
    pub meta_data: String,
    pub vendor_data: String,
    pub network_config: String,
}

impl SeedDocuments {
    /// File name and text, in the order of the names.
    pub fn files(&self) -> [(&'static str, &str); 4] {
        [
            ("meta-data", &self.meta_data),
            ("network-config", &self.network_config),
            ("user-data", &self.user_data),
            ("vendor-data", &self.vendor_data),
        ]
    }

    pub fn render(node: &Node, system: &System, site: &Site<'_>) -> Result<Self, serde_saphyr::ser::Error> {
        let name = node.hostname.as_str();
        let layout = match system.storage {
            Storage::Lvm { .. } => "lvm",
            Storage::Zfs => "zfs",
            Storage::Direct | Storage::Partitions(_) => "direct",
        };
        let document = UserData {
            autoinstall: Autoinstall {
                version: 1,
                locale: &system.locale,
                keyboard: Keyboard { layout: "us" },
                timezone: &system.timezone,
                network: Netplan::of(node),
                apt: Apt { fallback: "offline-install" },
                storage: StorageSection { layout: Layout { name: layout, matching: Match::of(node.disk.as_ref()) } },
                ssh: Ssh { install_server: true, allow_pw: false, authorized_keys: &system.account.ssh_keys },
                packages: &system.packages,
                late_commands: &system.late_commands,
                user_data: CloudConfig {
                    hostname: name,
                    fqdn: format!("{name}.{}", site.domain),
                    disable_root: true,
                    users: [CloudUser {
                        name: &system.account.name,
                        shell: "/bin/bash",
                        sudo: "ALL=(ALL) NOPASSWD:ALL",
                        lock_passwd: true,
                        ssh_authorized_keys: &system.account.ssh_keys,
                    }],
                },
                shutdown: "reboot",
            },
        };
        let meta = MetaData { instance_id: format!("provbuild-{name}"), local_hostname: name };
        Ok(SeedDocuments {
            user_data: format!("#cloud-config\n{}", serde_saphyr::to_string(&document)?),
            meta_data: serde_saphyr::to_string(&meta)?,
            vendor_data: "#cloud-config\n{}\n".to_owned(),
            network_config: serde_saphyr::to_string(&Netplan::of(node))?,
        })
    }
}

#[derive(Serialize)]
struct UserData<'a> {
    autoinstall: Autoinstall<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Autoinstall<'a> {
    version: u32,
    locale: &'a str,
    keyboard: Keyboard,
    timezone: &'a str,
    network: Netplan,
    apt: Apt,
    storage: StorageSection<'a>,
    ssh: Ssh<'a>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    packages: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    late_commands: &'a [String],
    user_data: CloudConfig<'a>,
    shutdown: &'static str,
}

#[derive(Serialize)]
struct Keyboard {
    layout: &'static str,
}

/// Without network the packages of the medium are enough: the install goes on.
#[derive(Serialize)]
struct Apt {
    fallback: &'static str,
}

#[derive(Serialize)]
struct StorageSection<'a> {
    layout: Layout<'a>,
}

#[derive(Serialize)]
struct Layout<'a> {
    name: &'a str,
    #[serde(rename = "match", skip_serializing_if = "Match::is_empty")]
    matching: Match<'a>,
}

/// The keys of subiquity's disk match that a [`DiskSelector`] can be said in. The rest (sizes, WWN) it does not know.
#[derive(Default, PartialEq, Serialize)]
struct Match<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vendor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ssd: Option<bool>,
}

impl<'a> Match<'a> {
    fn of(disk: Option<&'a DiskSelector>) -> Self {
        disk.map_or_else(Match::default, |disk| Match {
            serial: disk.serial.as_deref(),
            model: disk.model.as_deref(),
            vendor: disk.vendor.as_deref(),
            path: disk.path.as_deref(),
            ssd: disk.ssd,
        })
    }

    fn is_empty(&self) -> bool {
        *self == Match::default()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Ssh<'a> {
    install_server: bool,
    allow_pw: bool,
    authorized_keys: &'a [String],
}

#[derive(Serialize)]
struct CloudConfig<'a> {
    hostname: &'a str,
    fqdn: String,
    disable_root: bool,
    users: [CloudUser<'a>; 1],
}

#[derive(Serialize)]
struct CloudUser<'a> {
    name: &'a str,
    shell: &'static str,
    sudo: &'static str,
    lock_passwd: bool,
    ssh_authorized_keys: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct MetaData<'a> {
    instance_id: String,
    local_hostname: &'a str,
}

/// Network configuration, version 2. The address comes from the appliance's reservation for the MAC.
#[derive(Serialize)]
struct Netplan {
    version: u32,
    ethernets: BTreeMap<&'static str, Ethernet>,
}

impl Netplan {
    fn of(node: &Node) -> Self {
        let matching = MatchMac { macaddress: node.mac.to_string() };
        // By MAC, not by DUID: the server's reservation is for the MAC.
        let ethernet = Ethernet { matching, dhcp4: true, dhcp_identifier: "mac" };
        Netplan { version: 2, ethernets: BTreeMap::from([("provisioning", ethernet)]) }
    }
}

#[derive(Serialize)]
struct Ethernet {
    #[serde(rename = "match")]
    matching: MatchMac,
    dhcp4: bool,
    #[serde(rename = "dhcp-identifier")]
    dhcp_identifier: &'static str,
}

#[derive(Serialize)]
struct MatchMac {
    macaddress: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::tests::node;

    #[test]
    fn seed_of_a_node() {
        let mut node = node("node1", "52:54:00:12:34:56", "10.10.1.21");
        node.disk = Some(DiskSelector { serial: Some("S3Z*".to_owned()), ..DiskSelector::default() });
        let site = crate::system::tests::site();
        let seed = SeedDocuments::render(&node, &crate::system::tests::system(), &site).unwrap();
        let text: String = seed.files().iter().map(|(name, text)| format!("--- {name}\n{text}")).collect();
        insta::assert_snapshot!(text);
    }
}
