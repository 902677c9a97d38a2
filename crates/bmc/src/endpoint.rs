//! Where a BMC listens.

use std::fmt;
use std::net::Ipv4Addr;

use netboot::Bmc;

/// Address and port of a BMC's Redfish service; its certificate is remembered under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    pub address: Ipv4Addr,
    pub port: u16,
}

impl Endpoint {
    pub fn of(bmc: &Bmc) -> Self {
        Endpoint { address: bmc.address, port: bmc.port }
    }
}

impl fmt::Display for Endpoint {
    /// The port is written where it is not 443.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Bmc::PORT => write!(f, "{}", self.address),
            port => write!(f, "{}:{port}", self.address),
        }
    }
}
