//! One call of dnsmasq's script, as it is told to the daemon.
//!
//! In: the script's arguments and environment (dnsmasq(8), `--dhcp-script`). Out: an [`Event`], or nothing where the call says
//! nothing of use. Invariant: every text is bounded and printable, whatever a machine has sent.

use std::ffi::{OsStr, OsString};
use std::net::IpAddr;

use netboot::MacAddr;
use serde::{Deserialize, Serialize};

use crate::pen::printable;

/// Characters that are kept of a text.
const TEXT: usize = 256;
/// Characters that are kept of a list of options.
const OPTIONS: usize = 1024;
/// Characters of a path, as the kernel bounds them.
const PATH: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// A machine has an address.
    Lease {
        mac: MacAddr,
        address: IpAddr,
        hostname: Option<String>,
        vendor: Option<String>,
        fingerprint: Option<String>,
    },
    /// TFTP has sent a whole file.
    Sent { path: String, address: IpAddr },
}

impl Event {
    /// Reads `add|old MAC ADDRESS [HOSTNAME]` and `tftp SIZE ADDRESS PATH`; whatever else dnsmasq calls its script for, and
    /// leases of other links than Ethernet or of IPv6 (that name no MAC address), are nothing to us.
    pub fn of_script(arguments: &[OsString], variable: impl Fn(&str) -> Option<OsString>) -> Option<Event> {
        let text = |at: usize| arguments.get(at).and_then(|argument| argument.to_str());
        match text(0)? {
            "add" | "old" => {
                let clean = |name: &str, limit: usize| some(&variable(name)?, limit);
                // What the machine calls itself; the argument may be the name that dnsmasq gives it.
                let own = clean("DNSMASQ_SUPPLIED_HOSTNAME", TEXT);
                Some(Event::Lease {
                    mac: text(1)?.parse().ok()?,
                    address: text(2)?.parse().ok()?,
                    hostname: own.or_else(|| some(arguments.get(3)?, TEXT)),
                    vendor: clean("DNSMASQ_VENDOR_CLASS", TEXT),
                    fingerprint: clean("DNSMASQ_REQUESTED_OPTIONS", OPTIONS),
                })
            }
            "tftp" => Some(Event::Sent {
                address: text(2)?.parse().ok()?,
                path: text(3).filter(|path| path.len() <= PATH)?.to_owned(),
            }),
            _ => None,
        }
    }
}

fn some(text: &OsStr, limit: usize) -> Option<String> {
    Some(printable(&text.to_string_lossy(), limit)).filter(|text| !text.is_empty())
}
