//! What must be unique among all machines of a site: host names, MAC addresses, addresses.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::net::{Ipv4Addr, Ipv6Addr};

use netboot::{Hostname, MacAddr};

use super::fault::Fault;
use super::reader::Decoding;
use super::source::Span;

/// Who holds each identity, and where that was written.
#[derive(Debug)]
struct Taken<K>(HashMap<K, (Span, String)>);

impl<K: Hash + Eq + Display> Taken<K> {
    fn take(&mut self, cx: &mut Decoding, (what, help): (&str, &str), key: K, span: Span, owner: &str) {
        if let Some((before, other)) = self.0.get(&key) {
            let fault = Fault::new(format!("the {what} {key} is used twice"));
            let fault = fault.label(span, format!("here by {owner}")).label(*before, format!("first by {other}"));
            cx.fault(fault.help(help));
            return;
        }
        self.0.insert(key, (span, owner.to_owned()));
    }
}

impl<K> Default for Taken<K> {
    fn default() -> Self {
        Taken(HashMap::new())
    }
}

const ADDRESS: (&str, &str) = ("address", "give one of the two another address");

/// Every identity that somebody has so far.
#[derive(Debug, Default)]
pub(super) struct Identities {
    names: Taken<String>,
    macs: Taken<MacAddr>,
    addresses: Taken<Ipv4Addr>,
    addresses6: Taken<Ipv6Addr>,
}

impl Identities {
    pub(super) fn name(&mut self, cx: &mut Decoding, name: &str, span: Span, owner: &str) {
        self.names.take(cx, ("host name", "give one of the two another name"), name.to_owned(), span, owner);
    }

    /// A name that the name server answers beside a machine's own: `NODE-bmc`, `NODE-NETWORK`.
    pub(super) fn derived_name(&mut self, cx: &mut Decoding, node: &Hostname, suffix: &str, span: Span, owner: &str) {
        let name = format!("{node}-{suffix}");
        if name.parse::<Hostname>().is_err() {
            let fault = Fault::at(span, format!("the name {name} of {owner} is longer than a DNS label can be"));
            cx.fault(fault.help("63 characters are the most: shorten one of its parts"));
            return;
        }
        self.name(cx, &name, span, owner);
    }

    pub(super) fn mac(&mut self, cx: &mut Decoding, mac: MacAddr, span: Span, owner: &str) {
        let what = ("MAC address", "every interface has its own: read it from the machine that was entered wrongly");
        self.macs.take(cx, what, mac, span, owner);
    }

    /// Takes a BMC's address. On the loopback it is the near end of a tunnel, of which several may share the address.
    pub(super) fn bmc_address(&mut self, cx: &mut Decoding, address: Ipv4Addr, span: Span, owner: &str) {
        if !address.is_loopback() {
            return self.address(cx, address, span, owner);
        }
        let warning = Fault::at(span, format!("{address} of {owner} is the near end of a tunnel on this machine"));
        cx.warn(warning.help("only `provbuild node` on this machine reaches it: the appliance does not"));
    }

    /// Takes an address that one machine's interface can have.
    pub(super) fn address(&mut self, cx: &mut Decoding, address: Ipv4Addr, span: Span, owner: &str) {
        if address.is_loopback() || address.is_multicast() || address.is_unspecified() || address.is_broadcast() {
            let fault = Fault::at(span, format!("{address} of {owner} is not the address of a machine"));
            cx.fault(fault.help("write the address that its interface has, as in \"10.10.1.21\""));
            return;
        }
        self.addresses.take(cx, ADDRESS, address, span, owner);
    }

    pub(super) fn address6(&mut self, cx: &mut Decoding, address: Ipv6Addr, span: Span, owner: &str) {
        self.addresses6.take(cx, ADDRESS, address, span, owner);
    }
}
