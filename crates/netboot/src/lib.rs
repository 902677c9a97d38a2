//! From nodes.toml to boot decisions: pure functions shared by provbuild and the appliance's daemon.

mod mac;

pub use mac::{MacAddr, MacAddrError};

/// The checked nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Inventory {
    pub nodes: Vec<Node>,
}

/// One bare-metal machine.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Node {
    /// One DNS label, unique.
    pub hostname: String,
    /// The NIC that boots and that the operating system uses.
    pub mac: MacAddr,
    pub address: std::net::Ipv4Addr,
    /// Name of the installer; `None` where the node is only known.
    pub install: Option<String>,
}
