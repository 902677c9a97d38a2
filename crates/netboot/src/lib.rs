//! From nodes.toml to boot decisions: pure functions shared by provbuild and the appliance's daemon.

mod autoinstall;
pub mod crypt;
mod decision;
mod dnsmasq;
mod grub;
mod hostname;
mod inventory;
mod ipxe;
pub mod lint;
mod mac;
mod release;
pub mod suggest;
mod system;

pub use autoinstall::SeedDocuments;
pub use decision::{Armed, BadInstallation, Decision, Installation, Reason};
pub use dnsmasq::{Leases, NamedHost, host_lines};
pub use hostname::{Hostname, HostnameError};
pub use inventory::{Bmc, BmcKind, DiskSelector, Inventory, Node, SecretRef, SecretRefError};
pub use ipxe::{entry_script, node_script, node_script_path};
pub use mac::{MacAddr, MacAddrError};
pub use release::{Program, Release, Traits};
pub use system::{Account, Addressing, FileSystem, Keyboard, MediaPaths, Partition, Site, Sizing, Storage, System};

/// GRUB's language: how a word is written so that its shell takes it for what it is.
pub use grub::quote as grub_quote;
