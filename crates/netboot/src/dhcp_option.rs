//! DHCP options that a node can be given: their numbers, dnsmasq's names, what each holds (RFC 2132 and the later ones
//! that IANA's list "BOOTP Vendor Extensions and DHCP Options" names), and how dnsmasq is told.
//!
//! In: an option and a value as a person writes them. Out: a line's words that dnsmasq takes for exactly that, or what is
//! wrong. It matters that nothing else passes: dnsmasq refuses a whole file for one bad line, and with it every node.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::suggest;

/// dnsmasq reads lines of 1,024 bytes; a list of this many addresses fits, whatever stands before it.
const MOST_ADDRESSES: usize = 32;
const MOST_ROUTES: usize = 16;
/// Length of an option (RFC 2132, section 2).
const LONGEST: usize = 255;

/// What an option holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// One subnet mask.
    Mask,
    Addresses,
    /// Addresses in pairs: of what.
    Pairs(&'static str),
    /// A number of `bytes` bytes.
    Number {
        bytes: usize,
        low: i64,
        high: i64,
    },
    /// One of a few numbers of one byte.
    OneOf(&'static [u8]),
    /// 1 or 0.
    Switch,
    Text,
    Domain,
    Domains,
    /// Addresses or names of servers.
    Servers,
    /// Destinations, each with its router (RFC 3442).
    Routes,
    Bytes,
    /// Whatever the value looks like: no standard says what is meant at a site.
    Plain,
}

use Holds::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Holds(Holds),
    /// Not a node's to set, and why.
    Owned(&'static str),
}

/// An option of the table: number, dnsmasq's name (empty where it has none), what it holds.
type Row = (u8, &'static str, Use);

const fn takes(number: u8, name: &'static str, holds: Holds) -> Row {
    (number, name, Use::Holds(holds))
}

const fn owned(number: u8, name: &'static str, why: &'static str) -> Row {
    (number, name, Use::Owned(why))
}

const BYTE: Holds = Number { bytes: 1, low: 1, high: 255 };
const SHORT: Holds = Number { bytes: 2, low: 0, high: 65_535 };
/// dnsmasq reads numbers as signed ones.
const SECONDS: Holds = Number { bytes: 4, low: 0, high: i32::MAX as i64 };
const OFFSET: Holds = Number { bytes: 4, low: -86_400, high: 86_400 };

const PROTOCOL: &str = "the DHCP server itself puts it into its answers";
const BOOT: &str = "what a node boots, and from where, follows from `install`, `secure-boot` and its firmware";
const CLIENTS: &str = "machines send it, servers do not";

/// By number. Names are those that `dnsmasq --help dhcp` prints, and the ones that it keeps for itself.
const TABLE: &[Row] = &[
    takes(1, "netmask", Mask),
    takes(2, "time-offset", OFFSET),
    takes(3, "router", Addresses),
    takes(4, "", Addresses),
    takes(5, "", Addresses),
    takes(6, "dns-server", Addresses),
    takes(7, "log-server", Addresses),
    takes(8, "", Addresses),
    takes(9, "lpr-server", Addresses),
    takes(10, "", Addresses),
    takes(11, "", Addresses),
    owned(12, "hostname", "a node's name is its `hostname`"),
    takes(13, "boot-file-size", SHORT),
    takes(14, "", Text),
    takes(15, "domain-name", Domain),
    takes(16, "swap-server", Addresses),
    takes(17, "root-path", Text),
    takes(18, "extension-path", Text),
    takes(19, "ip-forward-enable", Switch),
    takes(20, "non-local-source-routing", Switch),
    takes(21, "policy-filter", Pairs("an address and a mask")),
    takes(22, "max-datagram-reassembly", Number { bytes: 2, low: 576, high: 65_535 }),
    takes(23, "default-ttl", BYTE),
    takes(24, "", SECONDS),
    takes(26, "mtu", Number { bytes: 2, low: 68, high: 65_535 }),
    takes(27, "all-subnets-local", Switch),
    owned(28, "broadcast", "it follows from `network.provisioning.address`"),
    takes(29, "", Switch),
    takes(30, "", Switch),
    takes(31, "router-discovery", Switch),
    takes(32, "router-solicitation", Addresses),
    takes(33, "static-route", Pairs("a destination and its router")),
    takes(34, "trailer-encapsulation", Switch),
    takes(35, "arp-timeout", SECONDS),
    takes(36, "ethernet-encap", Switch),
    takes(37, "tcp-ttl", BYTE),
    takes(38, "tcp-keepalive", SECONDS),
    takes(39, "", Switch),
    takes(40, "nis-domain", Text),
    takes(41, "nis-server", Addresses),
    takes(42, "ntp-server", Addresses),
    takes(43, "vendor-encap", Bytes),
    takes(44, "netbios-ns", Addresses),
    takes(45, "netbios-dd", Addresses),
    takes(46, "netbios-nodetype", OneOf(&[1, 2, 4, 8])),
    takes(47, "netbios-scope", Text),
    takes(48, "x-windows-fs", Addresses),
    takes(49, "x-windows-dm", Addresses),
    owned(50, "requested-address", CLIENTS),
    owned(51, "lease-time", "leases last as long as `network.provisioning.dhcp.lease` says"),
    owned(52, "option-overload", PROTOCOL),
    owned(53, "message-type", PROTOCOL),
    owned(54, "server-identifier", PROTOCOL),
    owned(55, "parameter-request", CLIENTS),
    owned(56, "message", PROTOCOL),
    owned(57, "max-message-size", CLIENTS),
    takes(58, "T1", SECONDS),
    takes(59, "T2", SECONDS),
    owned(60, "vendor-class", BOOT),
    owned(61, "client-id", CLIENTS),
    takes(62, "", Text),
    takes(63, "", Bytes),
    takes(64, "nis+-domain", Text),
    takes(65, "nis+-server", Addresses),
    owned(66, "tftp-server", BOOT),
    owned(67, "bootfile-name", BOOT),
    takes(68, "mobile-ip-home", Addresses),
    takes(69, "smtp-server", Addresses),
    takes(70, "pop3-server", Addresses),
    takes(71, "nntp-server", Addresses),
    takes(72, "", Addresses),
    takes(73, "", Addresses),
    takes(74, "irc-server", Addresses),
    takes(75, "", Addresses),
    takes(76, "", Addresses),
    owned(77, "user-class", CLIENTS),
    takes(78, "", Bytes),
    takes(79, "", Bytes),
    owned(80, "rapid-commit", PROTOCOL),
    owned(81, "FQDN", "a node's name is its `hostname`"),
    owned(82, "agent-info", "relays between node and server write it"),
    takes(85, "", Addresses),
    takes(86, "", Text),
    takes(87, "", Text),
    owned(90, "", PROTOCOL),
    owned(93, "client-arch", CLIENTS),
    owned(94, "client-interface-id", CLIENTS),
    owned(97, "client-machine-id", CLIENTS),
    takes(98, "", Text),
    takes(100, "posix-timezone", Text),
    takes(101, "tzdb-timezone", Text),
    takes(108, "ipv6-only", SECONDS),
    takes(112, "", Addresses),
    takes(113, "", Text),
    takes(114, "", Text),
    takes(116, "", Switch),
    owned(118, "subnet-select", CLIENTS),
    takes(119, "domain-search", Domains),
    takes(120, "sip-server", Servers),
    takes(121, "classless-static-route", Routes),
    takes(124, "", Bytes),
    takes(125, "vendor-id-encap", Bytes),
    takes(136, "", Addresses),
    takes(138, "", Addresses),
    owned(145, "", PROTOCOL),
    owned(150, "tftp-server-address", BOOT),
    owned(175, "", BOOT),
    takes(208, "", Bytes),
    takes(209, "", Text),
    takes(210, "", Text),
    takes(211, "", SECONDS),
    takes(249, "", Routes),
    takes(252, "", Text),
];

/// dnsmasq has this name only for what machines send.
const UNNAMED: u8 = 43;

/// What is wrong, and what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadDhcpOption {
    pub message: String,
    pub help: String,
}

fn bad(message: impl Into<String>, help: impl Into<String>) -> BadDhcpOption {
    BadDhcpOption { message: message.into(), help: help.into() }
}

/// An option that a node may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DhcpOption(u8);

/// An option's value, as dnsmasq reads it behind the option; made by [`DhcpOption::value`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DhcpValue(String);

fn row(number: u8) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.0 == number)
}

impl FromStr for DhcpOption {
    type Err = BadDhcpOption;

    /// Takes the number, or dnsmasq's name.
    fn from_str(text: &str) -> Result<Self, BadDhcpOption> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = match digits {
            true => text.parse().ok().filter(|number| (1..=254).contains(number)).ok_or_else(|| {
                bad(format!("{text} is not the number of a DHCP option"), "options have the numbers 1 to 254")
            })?,
            false => TABLE.iter().find(|row| row.1 == text).map(|row| row.0).ok_or_else(|| unknown(text))?,
        };
        match row(number) {
            Some((_, name, Use::Owned(why))) => {
                let named = if digits || name.is_empty() { number.to_string() } else { format!("{number}, {name},") };
                Err(bad(format!("the DHCP option {named} is not a node's to set"), format!("leave it out: {why}")))
            }
            _ => Ok(DhcpOption(number)),
        }
    }
}

fn unknown(text: &str) -> BadDhcpOption {
    let message = format!("'{}' is not a known DHCP option", text.escape_debug());
    let named = TABLE.iter().map(|row| row.1).filter(|name| !name.is_empty());
    match suggest::nearest(text, named) {
        Some(near) => match TABLE.iter().find(|row| row.1 == near) {
            Some((_, _, Use::Owned(why))) => bad(message, format!("\"{near}\" is not a node's to set: {why}")),
            _ => bad(message, format!("did you mean \"{near}\"?")),
        },
        None => bad(message, "write its number (1 to 254), or its name as `dnsmasq --help dhcp` lists it"),
    }
}

impl fmt::Display for DhcpOption {
    /// dnsmasq's name, or the number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match row(self.0) {
            Some((_, name, _)) if !name.is_empty() => f.write_str(name),
            _ => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for DhcpOption {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DhcpOption {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl DhcpOption {
    fn holds(self) -> Holds {
        match row(self.0) {
            Some((_, _, Use::Holds(holds))) => *holds,
            _ => Plain,
        }
    }

    /// What the value is to be, for people.
    fn wanted(self) -> String {
        match self.holds() {
            Mask => "a subnet mask, as in \"255.255.255.0\"".to_owned(),
            Addresses => "IPv4 addresses with commas between them, as in \"10.10.1.1,10.10.1.2\"".to_owned(),
            Pairs(of) => format!("pairs of IPv4 addresses, each {of}, all with commas between them"),
            Number { low, high, .. } => format!("a whole number from {low} to {high}"),
            OneOf(choices) => {
                format!("one of {}", choices.iter().map(u8::to_string).collect::<Vec<_>>().join(", "))
            }
            Switch => "1 for yes, 0 for no".to_owned(),
            Text => format!("a text of up to {LONGEST} printable ASCII characters"),
            Domain => "a DNS domain, as in \"lab.internal\"".to_owned(),
            Domains => "DNS domains with commas between them, as in \"lab.internal,example.org\"".to_owned(),
            Servers => "IPv4 addresses, or names of servers, with commas between them".to_owned(),
            Routes => "subnets, each with its router behind it, as in \"10.20.0.0/16,10.10.1.254\"".to_owned(),
            Bytes => "bytes in hexadecimal with colons between them, two or more, as in \"01:04:0a:0a\"".to_owned(),
            Plain => {
                "a number, IPv4 addresses with commas between them, bytes as in \"01:04:0a:0a\", or a text".to_owned()
            }
        }
    }

    /// Reads a value as this option's kind.
    ///
    /// # Errors
    /// The value is of another kind, or does not fit.
    pub fn value(self, text: &str) -> Result<DhcpValue, BadDhcpOption> {
        let help = || format!("the option {self} takes {}", self.wanted());
        let named = !matches!(row(self.0), None | Some((_, "", _)));
        written(self.holds(), text, named).map(DhcpValue).map_err(|message| bad(message, help()))
    }

    /// The words of a `dhcp-option` line behind its tags.
    pub fn words(self, value: &DhcpValue) -> String {
        match row(self.0) {
            Some((number, name, _)) if !name.is_empty() && *number != UNNAMED => format!("option:{name},{}", value.0),
            _ => format!("{},{}", self.0, value.0),
        }
    }
}

/// The value as dnsmasq takes it. `named`: dnsmasq knows the option, and so how long its numbers are.
fn written(holds: Holds, text: &str, named: bool) -> Result<String, String> {
    match holds {
        Mask => {
            let mask = address(text)?;
            let ones = mask.to_bits().leading_ones();
            match ones > 0 && mask.to_bits().count_ones() == ones {
                true => Ok(mask.to_string()),
                false => Err(format!("{mask} is not a subnet mask")),
            }
        }
        Addresses => addresses(text),
        Pairs(_) => {
            let list = addresses(text)?;
            match list.split(',').count() % 2 {
                0 => Ok(list),
                _ => Err("one address is without its partner".to_owned()),
            }
        }
        Number { bytes, low, high } => {
            let number = number(text)?;
            match (low..=high).contains(&number) {
                true if named => Ok(number.to_string()),
                true => Ok(hexadecimal(number, bytes)),
                false => Err(format!("{number} is out of range")),
            }
        }
        OneOf(choices) => match u8::try_from(number(text)?).ok().filter(|number| choices.contains(number)) {
            Some(number) => Ok(number.to_string()),
            None => Err(format!("{text} is out of range")),
        },
        Switch => match text {
            "0" | "1" => Ok(text.to_owned()),
            _ => Err(format!("'{}' is neither 0 nor 1", text.escape_debug())),
        },
        Text => quoted(text),
        Domain => domain(text).map(str::to_owned),
        Domains => list(text, MOST_ROUTES, |part| domain(part).map(str::to_owned)).and_then(short),
        // The two kinds are told apart by the first byte: all are addresses, or none is.
        Servers => match text.split(',').all(|part| part.trim().bytes().all(|b| b.is_ascii_digit() || b == b'.')) {
            true => addresses(text),
            false => list(text, MOST_ROUTES, |part| domain(part).map(str::to_owned)).and_then(short),
        },
        Routes => routes(text),
        Bytes => bytes(text),
        Plain => plain(text),
    }
}

/// Names on the wire take as many bytes as written, and a few more.
fn short(list: String) -> Result<String, String> {
    match list.len() + 2 * list.split(',').count() <= LONGEST {
        true => Ok(list),
        false => Err(format!("an option holds no more than {LONGEST} bytes")),
    }
}

fn list(text: &str, most: usize, one: impl Fn(&str) -> Result<String, String>) -> Result<String, String> {
    let parts = text.split(',').map(|part| one(part.trim())).collect::<Result<Vec<_>, _>>()?;
    match parts.len() <= most {
        true => Ok(parts.join(",")),
        false => Err(format!("there are {} entries, and {most} at most are sent", parts.len())),
    }
}

fn address(text: &str) -> Result<Ipv4Addr, String> {
    text.parse().map_err(|_| format!("'{}' is not an IPv4 address", text.escape_debug()))
}

fn addresses(text: &str) -> Result<String, String> {
    list(text, MOST_ADDRESSES, |part| address(part).map(|address| address.to_string()))
}

fn number(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let sound = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let number = sound.then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| format!("'{}' is not a whole number", text.escape_debug()))
}

/// The number's last bytes, the highest first. One alone would be read as a decimal number, and is written as one.
fn hexadecimal(number: i64, bytes: usize) -> String {
    match &number.to_be_bytes()[8 - bytes..] {
        [one] => one.to_string(),
        bytes => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"),
    }
}

fn domain(text: &str) -> Result<&str, String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    match text.len() <= 253 && text.split('.').all(label) && text.bytes().any(|b| b.is_ascii_alphabetic()) {
        true => Ok(text),
        false => Err(format!("'{}' is not a DNS name", text.escape_debug())),
    }
}

fn routes(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let routes = parts.chunks(2).map(|pair| {
        let [subnet, router] = pair else { return Err(format!("'{}' has no router behind it", pair.join(","))) };
        let net: Ipv4Net = subnet
            .parse()
            .map_err(|_| format!("'{}' is not a subnet with its prefix length", subnet.escape_debug()))?;
        match net == net.trunc() {
            true => Ok(format!("{net},{}", address(router)?)),
            false => Err(format!("{net} is no subnet: that would be {}", net.trunc())),
        }
    });
    let routes = routes.collect::<Result<Vec<_>, String>>()?;
    match routes.len() <= MOST_ROUTES {
        true => Ok(routes.join(",")),
        false => Err(format!("there are {} routes, and {MOST_ROUTES} at most are sent", routes.len())),
    }
}

fn bytes(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let byte = |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    match parts.iter().find(|part| !byte(part)) {
        Some(part) => Err(format!("'{}' is not a byte in hexadecimal", part.escape_debug())),
        // dnsmasq would read a single one as a decimal number.
        None if parts.len() < 2 => Err("there is only one byte".to_owned()),
        None if parts.len() > LONGEST => Err(format!("an option holds no more than {LONGEST} bytes")),
        None => Ok(text.to_ascii_lowercase()),
    }
}

/// In quotes dnsmasq takes nothing for anything else than text.
fn quoted(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("the text is empty".to_owned());
    }
    if let Some(odd) = text.chars().find(|c| !(' '..='~').contains(c)) {
        return Err(format!("the text has the character '{}'", odd.escape_debug()));
    }
    match text.len() <= LONGEST {
        true => Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))),
        false => Err(format!("the text has {} characters", text.len())),
    }
}

fn plain(text: &str) -> Result<String, String> {
    let numeric = text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if numeric && let Ok(number) = number(text) {
        return match number {
            0..256 => Ok(hexadecimal(number, 1)),
            256..65_536 => Ok(hexadecimal(number, 2)),
            65_536..4_294_967_296 => Ok(hexadecimal(number, 4)),
            _ => Err(format!("{number} is out of range: 0 to 4294967295")),
        };
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b',' | b' ')) {
        return addresses(text);
    }
    match text.contains(':') && text.split(':').all(|part| part.len() == 2) {
        true => bytes(text),
        false => quoted(text),
    }
}

#[cfg(test)]
#[path = "dhcp_option_tests.rs"]
mod tests;
