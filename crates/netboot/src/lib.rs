//! From nodes.toml to boot decisions: pure functions shared by provbuild and the appliance's daemon.

mod autoinstall;
mod bios;
mod cidata;
mod clients;
pub mod crypt;
mod decision;
mod declared;
mod dhcp_option;
mod disk_choice;
mod dnsmasq;
mod grub;
mod hostname;
mod inventory;
mod ipxe;
pub mod lint;
mod mac;
mod netplan;
mod preseed;
mod release;
mod report;
mod seed;
mod seed_medium;
mod shell;
pub mod suggest;
mod system;
#[cfg(test)]
mod tempdir;

pub use autoinstall::SeedDocuments;
pub use bios::{BiosSettings, BiosValue};
pub use cidata::{CidataError, cidata};
pub use clients::{ARCHITECTURES, Architecture, GRUB, IPXE_BIOS, IPXE_UEFI, MOK_MANAGER, SHIM, Way};
pub use decision::{
    Armed, BadInstallation, BadParameter, Decision, Installation, Reason, check_parameter, check_parameters_length,
};
pub use declared::{Control, DECLARED_PATH, Declared, DeclaredInstaller, DeclaredSite, SUM_PROGRAM};
pub use dhcp_option::{BadDhcpOption, DhcpOption, DhcpValue};
pub use dnsmasq::{Leases, NamedHost, boot_lines, host_lines};
pub use grub::{GRUB_CONFIGURATIONS, grub_entry_script, grub_node_script, grub_node_script_path};
pub use hostname::{Hostname, HostnameError};
pub use inventory::{Bmc, BmcKind, DiskSelector, Inventory, Node, SecretRef, SecretRefError};
pub use ipxe::{entry_script, node_script, node_script_path};
pub use mac::{MacAddr, MacAddrError};
pub use release::{MirrorKey, Program, Release, Traits};
pub use seed::{SeedError, SeedFiles, seed_files, static_seed_path};
pub use seed_medium::{BadSeed, SEED_FILE, SEED_VOLUME, SecretName, Seed, SeedState};
pub use system::{Account, Addressing, FileSystem, Keyboard, MediaPaths, Partition, Site, Sizing, Storage, System};

/// GRUB's language: how a word is written so that its shell takes it for what it is.
pub use grub::quote as grub_quote;
