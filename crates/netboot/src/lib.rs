//! From nodes.toml to boot decisions: pure functions shared by provbuild and the appliance's daemon.

mod hostname;
mod inventory;
mod mac;

pub use hostname::{Hostname, HostnameError};
pub use inventory::{Bmc, BmcKind, DiskSelector, Inventory, Node, SecretRef, SecretRefError};
pub use mac::{MacAddr, MacAddrError};
