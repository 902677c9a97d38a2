//! The kinds of text that an option can hold: one checked type each, with a name, an example and a pattern for people
//! and editors.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{Ipv4Net, Ipv6Net};
use netboot::{
    BadDhcpOption, BmcKind, DhcpOption, FileSystem, Hostname, HostnameError, MacAddr, MacAddrError, SecretRef, Sizing,
};
use url::Url;

use super::names::{RESERVED_USERS, TIMEZONE_AREAS};
use super::{DhcpRange, DistributionName, Media, OutputFormat, secrets, suggest};
use crate::vocab::{ByteSize, Digest, ImagePath, Mode};

/// Why a text is not what an option holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Complaint {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Complaint { message: message.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A kind of text.
#[derive(Debug)]
pub(super) struct WordType {
    /// For people: "size".
    pub(super) name: &'static str,
    pub(super) example: &'static str,
    /// Every accepted text matches it (ECMA 262); empty where no pattern says anything useful.
    pub(super) pattern: &'static str,
    /// All accepted texts, where there are few.
    pub(super) choices: &'static [&'static str],
    /// A refused text may be a secret and is not shown.
    pub(super) hidden: bool,
    pub(super) check: fn(&str) -> Result<(), Complaint>,
}

/// A type that an option's text is parsed to.
pub(super) trait Word: Sized {
    const TYPE: WordType;

    fn parse(text: &str) -> Result<Self, Complaint>;
}

pub(super) const fn word<T: Word>(name: &'static str, example: &'static str, pattern: &'static str) -> WordType {
    WordType { name, example, pattern, choices: &[], hidden: false, check: |text| T::parse(text).map(drop) }
}

/// Types that check themselves.
macro_rules! parsed {
    ($type:ty, $name:literal, $example:literal, $pattern:literal, $help:literal) => {
        impl Word for $type {
            const TYPE: WordType = word::<Self>($name, $example, $pattern);

            fn parse(text: &str) -> Result<Self, Complaint> {
                <$type>::from_str(text).map_err(|error| {
                    let complaint = Complaint::new(error.to_string());
                    if $help.is_empty() { complaint } else { complaint.help($help) }
                })
            }
        }
    };
}

parsed!(ByteSize, "size", "25GiB", "^[0-9]+ *([KMGT]i?)?B$", "");
parsed!(
    Digest,
    "SHA-256 digest",
    "e3b0c442...",
    "^[0-9a-fA-F]{64}$",
    "the file's publisher lists it, often as SHA256SUMS"
);
parsed!(
    ImagePath,
    "absolute path",
    "/etc/motd",
    "^/",
    "a path inside the image starts with '/' and has no '.' or '..'"
);

impl Word for Hostname {
    const TYPE: WordType = word::<Self>("host name", "node1", "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        text.parse().map_err(|error: HostnameError| {
            let complaint = Complaint::new(error.to_string());
            let mut fixed = text.to_ascii_lowercase().replace(['_', ' '], "-");
            fixed.truncate(fixed.find('.').unwrap_or(fixed.len()));
            match fixed.parse::<Hostname>() {
                Ok(fixed) => complaint.help(format!("write \"{fixed}\"")),
                Err(_) if matches!(error, HostnameError::Localhost | HostnameError::Taken(_)) => {
                    complaint.help("choose another name, as in \"node1\"")
                }
                Err(_) => complaint.help("use 1 to 63 lowercase letters, digits and inner '-', as in \"node1\""),
            }
        })
    }
}

impl Word for MacAddr {
    const TYPE: WordType = word::<Self>("MAC address", "52:54:00:12:34:56", "^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        text.parse().map_err(|error: MacAddrError| {
            let complaint = Complaint::new(error.to_string());
            match (error, respelled(text)) {
                (MacAddrError::Form(_), Some(mac)) => complaint.help(format!("write \"{mac}\"")),
                (MacAddrError::Form(_), None) => complaint,
                _ => complaint.help("`ip link` shows an interface's own address behind link/ether"),
            }
        })
    }
}

/// The MAC address that a text means, however its digits are separated.
pub(super) fn respelled(text: &str) -> Option<MacAddr> {
    let digits: Vec<char> = text.chars().filter(|c| !matches!(c, ':' | '-' | '.' | ' ')).collect();
    let pairs: Vec<String> = digits.chunks(2).map(|pair| pair.iter().collect()).collect();
    pairs.join(":").parse().ok()
}

impl Word for SecretRef {
    const TYPE: WordType = WordType {
        hidden: true,
        ..word::<Self>("reference to a secret", "file:secrets/node1", "^(env:[A-Za-z_][A-Za-z0-9_]*|(file|age):.+)$")
    };

    fn parse(text: &str) -> Result<Self, Complaint> {
        text.parse().map_err(|error: netboot::SecretRefError| {
            Complaint::new(error.to_string())
                .help("secrets stay out of these files: write \"env:NAME\", \"file:PATH\" or \"age:PATH\"")
        })
    }
}

impl Word for Ipv4Addr {
    const TYPE: WordType = word::<Self>(
        "IPv4 address",
        "10.10.1.21",
        "^(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(\\.(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3}$",
    );

    fn parse(text: &str) -> Result<Self, Complaint> {
        text.parse().map_err(|_| match text.split_once('/') {
            Some((address, _)) if address.parse::<Ipv4Addr>().is_ok() => {
                Complaint::new(format!("'{text}' has a prefix length; a plain address stands here"))
                    .help(format!("write \"{address}\""))
            }
            _ => Complaint::new(format!("'{text}' is not an IPv4 address"))
                .help("write four numbers from 0 to 255, without leading zeros, as in \"10.10.1.21\""),
        })
    }
}

impl Word for IpAddr {
    const TYPE: WordType = word::<Self>("IP address", "1.1.1.1", "^[0-9A-Fa-f.:]+$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        text.parse().map_err(|_| {
            Complaint::new(format!("'{text}' is not an IP address"))
                .help("write it as in \"10.10.1.1\" or \"fd00:10::1\"")
        })
    }
}

impl Word for Ipv4Net {
    const TYPE: WordType =
        word::<Self>("IPv4 address with prefix length", "10.10.1.1/24", "^[0-9]{1,3}(\\.[0-9]{1,3}){3}/[0-9]{1,2}$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let net: Ipv4Net = text.parse().map_err(|_| match text.parse::<Ipv4Addr>() {
            Ok(_) => Complaint::new(format!("'{text}' has no prefix length"))
                .help(format!("write the size of the subnet behind it, for example \"{text}/24\"")),
            Err(_) => Complaint::new(format!("'{text}' is not an IPv4 address with a prefix length"))
                .help("write it as in \"10.10.1.1/24\""),
        })?;
        match net.prefix_len() {
            8..=30 => Ok(net),
            length => Err(Complaint::new(format!("a prefix length of {length} makes no subnet for machines"))
                .help("prefix lengths from 8 to 30 are accepted")),
        }
    }
}

impl Word for Ipv6Net {
    const TYPE: WordType =
        word::<Self>("IPv6 address with prefix length", "fd00:10::21/64", "^[0-9a-fA-F:.]+/[0-9]{1,3}$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let net: Ipv6Net = text.parse().map_err(|_| match text.parse::<Ipv6Addr>() {
            Ok(_) => Complaint::new(format!("'{text}' has no prefix length"))
                .help(format!("write the size of the subnet behind it, for example \"{text}/64\"")),
            Err(_) => Complaint::new(format!("'{text}' is not an IPv6 address with a prefix length"))
                .help("write it as in \"fd00:10::21/64\""),
        })?;
        let own = "write the machine's own address, as in \"fd00:10::21/64\"";
        let address = net.addr();
        if address.is_multicast() || address.is_unspecified() || address.is_loopback() {
            return Err(Complaint::new(format!("{address} is not the address of a machine")).help(own));
        }
        if address.is_unicast_link_local() {
            let message = format!("{address} holds on one link only: no name server can answer it");
            return Err(Complaint::new(message).help(own));
        }
        match address.to_ipv4_mapped() {
            None => Ok(net),
            Some(mapped) => Err(Complaint::new(format!("{address} is the IPv4 address {mapped} in another spelling"))
                .help("write it at `address`; here stands an IPv6 address, as in \"fd00:10::21/64\"")),
        }
    }
}

impl Word for Url {
    const TYPE: WordType = word::<Self>("URL", "https://example.org/ubuntu/", "^(https?|file)://");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let url = Url::parse(text).map_err(|error| {
            Complaint::new(format!("'{text}' is not a URL: {error}"))
                .help("write https://..., http://... or file:///...")
        })?;
        match url.scheme() {
            "http" | "https" | "file" if url.password().is_none() => Ok(url),
            "http" | "https" => Err(Complaint::new("the URL holds a password").help("secrets stay out of these files")),
            "file" => Ok(url),
            other => Err(Complaint::new(format!("'{other}' is not a scheme that provbuild fetches from"))
                .help("use https, http or file")),
        }
    }
}

impl Word for DhcpRange {
    const TYPE: WordType = word::<Self>("range of addresses", "10.10.1.100-10.10.1.199", "^[0-9.]+ *- *[0-9.]+$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let form = || {
            Complaint::new(format!("'{text}' is not a range of addresses"))
                .help("write the first and the last address, as in \"10.10.1.100-10.10.1.199\"")
        };
        let (first, last) = text.split_once('-').ok_or_else(form)?;
        let first = first.trim().parse().map_err(|_| form())?;
        let last = last.trim().parse().map_err(|_| form())?;
        if last < first {
            return Err(Complaint::new(format!("the range ends at {last}, before its start {first}"))
                .help("write the lower address first"));
        }
        Ok(DhcpRange { first, last })
    }
}

impl Word for Mode {
    const TYPE: WordType = word::<Self>("file mode", "0644", "^0?[0-7]{3,4}$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let digits = (3..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let bits = u32::from_str_radix(text, 8).ok().filter(|bits| digits && *bits <= 0o7777);
        bits.map(Mode::new).ok_or_else(|| {
            Complaint::new(format!("'{text}' is not a file mode")).help("write it in octal, as in \"0644\"")
        })
    }
}

/// Few texts, each a value.
macro_rules! choice {
    ($type:ty, $name:literal, [$($text:literal => $value:expr),+ $(,)?]) => {
        impl Word for $type {
            const TYPE: WordType = WordType { choices: &[$($text),+], ..word::<Self>($name, "", "") };

            fn parse(text: &str) -> Result<Self, Complaint> {
                match text {
                    $($text => Ok($value),)+
                    _ => Err(unknown(text, $name, &[$($text),+])),
                }
            }
        }
    };
}

pub(super) use choice;

choice!(DistributionName, "distribution", ["ubuntu" => DistributionName::Ubuntu, "debian" => DistributionName::Debian]);
choice!(OutputFormat, "output format", [
    "ova" => OutputFormat::Ova,
    "vmdk" => OutputFormat::Vmdk,
    "vmx" => OutputFormat::Vmx,
    "qcow2" => OutputFormat::Qcow2,
    "raw" => OutputFormat::Raw,
]);
choice!(Media, "way of the installer's media", ["bake" => Media::Bake, "fetch" => Media::Fetch]);
choice!(DhcpMode, "DHCP mode", ["authoritative" => DhcpMode::Authoritative, "proxy" => DhcpMode::Proxy]);
choice!(StorageLayout, "storage layout", [
    "direct" => StorageLayout::Direct,
    "lvm" => StorageLayout::Lvm,
    "zfs" => StorageLayout::Zfs,
    "partitions" => StorageLayout::Partitions,
]);
choice!(VolumeSizing, "sizing of the root volume", [
    "all" => VolumeSizing(Sizing::All),
    "scaled" => VolumeSizing(Sizing::Scaled),
]);
choice!(PartitionFormat, "file system", [
    "ext4" => PartitionFormat(FileSystem::Ext4),
    "xfs" => PartitionFormat(FileSystem::Xfs),
    "btrfs" => PartitionFormat(FileSystem::Btrfs),
    "swap" => PartitionFormat(FileSystem::Swap),
]);
choice!(NodeAddressing, "way of addressing", [
    "dhcp" => NodeAddressing(netboot::Addressing::Dhcp),
    "static" => NodeAddressing(netboot::Addressing::Static),
]);
choice!(BmcKind, "kind of BMC", [
    "redfish" => BmcKind::Redfish,
    "supermicro" => BmcKind::Supermicro,
    "dell" => BmcKind::Dell,
    "hpe" => BmcKind::Hpe,
    "lenovo" => BmcKind::Lenovo,
]);

/// "Unknown X", with the nearest known one.
pub(super) fn unknown(text: &str, what: &str, choices: &[&str]) -> Complaint {
    let complaint = Complaint::new(format!("'{text}' is not a known {what}"));
    match suggest::nearest(text, choices.iter().copied()) {
        Some(near) => complaint.help(format!("did you mean \"{near}\"?")),
        None => complaint.help(format!("known are: {}", choices.join(", "))),
    }
}

/// Texts that stay texts once checked: a private type for the check, a `String` for the model.
macro_rules! checked {
    ($(#[$doc:meta])* $type:ident, $name:literal, $example:literal, $pattern:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) struct $type(pub(super) String);

        impl Word for $type {
            const TYPE: WordType = word::<Self>($name, $example, $pattern);

            fn parse(text: &str) -> Result<Self, Complaint> {
                let check: fn(&str) -> Result<(), Complaint> = $check;
                check(text).map(|()| $type(text.to_owned()))
            }
        }
    };
}

/// Whose DHCP server the provisioning network has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DhcpMode {
    Authoritative,
    Proxy,
}

/// How a node's disk is divided; the rest of it stands in options of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StorageLayout {
    Direct,
    Lvm,
    Zfs,
    Partitions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct VolumeSizing(pub(super) Sizing);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PartitionFormat(pub(super) FileSystem);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeAddressing(pub(super) netboot::Addressing);

fn refuse(text: &str, what: &str, help: &str) -> Result<(), Complaint> {
    Err(Complaint::new(format!("'{}' is not {what}", text.escape_debug())).help(help))
}

fn is_label(text: &str) -> bool {
    Hostname::is_label(text)
}

/// Longest domain in front of which a host name of any length can stand (RFC 1035, section 2.3.4: 253 characters in all).
const LONGEST_DOMAIN: usize = 253 - 64;

checked!(
    /// Name of a profile or an installer: it becomes part of file names and URLs.
    Name,
    "name",
    "mylab",
    "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
    |text| {
        let fixed = || text.trim().to_lowercase().replace(['_', ' ', '.'], "-");
        match text.parse::<Hostname>() {
            Ok(_) | Err(HostnameError::Taken(_)) => Ok(()),
            Err(error @ HostnameError::Localhost) => {
                Err(Complaint::new(error.to_string()).help("choose another name, as in \"mylab\""))
            }
            Err(_) if is_label(&fixed()) => refuse(text, "a name", &format!("write \"{}\"", fixed())),
            Err(_) => refuse(text, "a name", "use 1 to 63 lowercase letters, digits and inner '-'"),
        }
    }
);
checked!(Domain, "DNS domain", "lab.internal", "^[a-z0-9.-]+$", |text| {
    let digits = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    if text.is_empty() || !text.split('.').all(is_label) {
        return refuse(text, "a DNS domain", "write lowercase labels with dots between them, as in \"lab.internal\"");
    }
    if text.rsplit('.').next().is_some_and(digits) {
        return refuse(
            text,
            "a DNS domain: its last label is a number, as in an address",
            "write it as in \"lab.internal\"",
        );
    }
    match text.len() {
        ..=LONGEST_DOMAIN => Ok(()),
        length => Err(Complaint::new(format!("the domain has {length} characters: no room is left for host names"))
            .help(format!("{LONGEST_DOMAIN} are the most: 253 in all, of which a host name takes up to 63 and a dot"))),
    }
});
checked!(UserName, "user name", "ops", "^[a-z_][a-z0-9_-]{0,31}$", |text| {
    let form = !text.is_empty()
        && text.len() <= 32
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
        && !text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    if !form {
        return refuse(
            text,
            "a user name",
            "use up to 32 lowercase letters, digits, '_' and '-', starting with a letter",
        );
    }
    let reserved = RESERVED_USERS.binary_search(&text).is_ok() || netboot::lint::is_reserved_user(text);
    if reserved || text.starts_with("systemd-") {
        return Err(Complaint::new(format!("the user name '{text}' is reserved by the distribution"))
            .help("choose another one, for example \"ops\""));
    }
    Ok(())
});
checked!(Timezone, "time zone", "Europe/Berlin", "^[A-Za-z0-9_+/-]+$", |text| {
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+' | b'-'))
    };
    if text == "UTC" {
        return Ok(());
    }
    let (area, rest) = text.split_once('/').unwrap_or((text, ""));
    if TIMEZONE_AREAS.binary_search(&area).is_ok() && rest.split('/').count() <= 2 && rest.split('/').all(part) {
        return Ok(());
    }
    let near = suggest::nearest(area, TIMEZONE_AREAS.iter().copied()).filter(|near| *near != area);
    let help = match near {
        Some(near) if !rest.is_empty() => format!("did you mean \"{near}/{rest}\"?"),
        _ => "write an IANA name, as in \"Etc/UTC\" or \"Europe/Berlin\"".to_owned(),
    };
    refuse(text, "a time zone", &help)
});
checked!(Locale, "locale", "C.UTF-8", "^(C|POSIX|[a-z]{2,3}(_[A-Z]{2})?(@[a-z]+)?)\\.UTF-8$", |text| {
    let language = text.strip_suffix(".UTF-8").unwrap_or("");
    let language = language.split_once('@').map_or(language, |(language, _)| language);
    let (tongue, country) = language.split_once('_').unwrap_or((language, "XX"));
    let ok = language == "C"
        || (2..=3).contains(&tongue.len())
            && tongue.bytes().all(|b| b.is_ascii_lowercase())
            && country.len() == 2
            && country.bytes().all(|b| b.is_ascii_uppercase());
    match ok {
        true => Ok(()),
        false => refuse(text, "a UTF-8 locale", "write it as in \"C.UTF-8\" or \"en_US.UTF-8\""),
    }
});
checked!(
    /// Debian policy, section 5.6.1.
    PackageName,
    "package name",
    "tcpdump",
    "^[a-z0-9][a-z0-9+.-]+$",
    |text| {
        let ok = text.len() >= 2
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.'));
        match ok {
            true => Ok(()),
            false => refuse(text, "a package name", "write the plain name: no version, no architecture, lowercase"),
        }
    }
);
checked!(ReleaseName, "release", "24.04", "", |_| Ok(()));
checked!(ArchiveWord, "word of the archive", "main", "", |_| Ok(()));
checked!(
    /// `YYYYMMDDTHHMMSSZ`, as snapshot services name their states.
    Snapshot,
    "snapshot id",
    "20260401T000000Z",
    "^[0-9]{8}T[0-9]{6}Z$",
    |text| {
        let digits = |range: std::ops::Range<usize>| -> Option<u32> {
            text.get(range).filter(|part| part.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
        };
        let within = |range, low, high| digits(range).is_some_and(|number| (low..=high).contains(&number));
        let ok = text.len() == 16
            && text.get(8..9) == Some("T")
            && text.ends_with('Z')
            && within(0..4, 1990, 9999)
            && within(4..6, 1, 12)
            && within(6..8, 1, 31)
            && within(9..11, 0, 23)
            && within(11..13, 0, 59)
            && within(13..15, 0, 59);
        match ok {
            true => Ok(()),
            false => refuse(text, "a snapshot id", "write a UTC time as YYYYMMDDTHHMMSSZ, as in \"20260401T000000Z\""),
        }
    }
);
checked!(FilePath, "path", "nodes.toml", "", |text| match text.is_empty() || text.chars().any(char::is_control) {
    true => refuse(text, "a path", "write the path of a file, relative to the file that names it"),
    false => Ok(()),
});
checked!(
    /// A file that may also be fetched.
    FilePlace,
    "URL or path",
    "https://releases.ubuntu.com/24.04/SHA256SUMS",
    "",
    |text| FilePath::parse(text).map(drop)
);
checked!(
    /// A node's disk, or a shell glob of it.
    DevicePath,
    "device path",
    "/dev/disk/by-id/nvme-SN123*",
    "^/",
    |text| match text.starts_with('/') && !text.chars().any(char::is_control) {
        true => Ok(()),
        false => refuse(text, "a device path", "write it as in \"/dev/disk/by-id/nvme-SN123*\""),
    }
);
checked!(
    /// Where a node mounts a partition.
    MountPoint,
    "mount point",
    "/srv",
    "^/",
    |text| match ImagePath::new(text) {
        Ok(_) if !text.chars().any(|c| c.is_whitespace() || c.is_control()) => Ok(()),
        _ => refuse(text, "a mount point", "write an absolute path without blanks, '.' and '..', as in \"/srv\""),
    }
);
checked!(
    /// Any text, of any number of lines.
    Text,
    "text",
    "",
    "",
    |text| match text.contains('\0') {
        true => Err(Complaint::new("the text has a NUL character").help("take the \\u0000 out")),
        false => Ok(()),
    }
);
checked!(
    /// It ends up on one line of a configuration file.
    Line,
    "text of one line",
    "",
    "",
    |text| match text.chars().any(char::is_control) {
        _ if text.is_empty() => Err(Complaint::new("the text is empty").help("write something, or leave the key out")),
        true => Err(Complaint::new("the text has a line break or another control character")
            .help("write it on one line, in printable characters")),
        false => Ok(()),
    }
);
checked!(
    /// A word of keyboard(5).
    KeyboardWord, "keyboard layout", "us", "^[a-z0-9_-]+$", |text| {
    match !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b)) {
        true => Ok(()),
        false => refuse(text, "a keyboard layout", "write it as in \"us\" or \"de\""),
    }
});
checked!(KernelParameter, "kernel parameter", "console=ttyS0,115200", "^[^\\s;|&<>$`'\"\\\\{}]+$", |text| {
    // An installed system's own GRUB reads its parameters through two shells: what is special there would cut the line,
    // or keep the machine from booting.
    let special = |b: u8| b";|&<>$`'\"\\{}".contains(&b);
    match !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !special(b)) {
        true => Ok(()),
        false => refuse(
            text,
            "one kernel parameter",
            "write each parameter as its own list item, without quotes and without characters that are special to GRUB",
        ),
    }
});
checked!(Setting, "kernel setting", "net.ipv4.tcp_syncookies", "^[A-Za-z0-9_.*/:-]+$", |text| {
    match !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.*/:-".contains(&b)) {
        true => Ok(()),
        false => refuse(text, "a kernel setting", "write its name as in sysctl.d(5)"),
    }
});
impl Word for DhcpOption {
    const TYPE: WordType = word::<Self>("DHCP option", "ntp-server", "^([0-9]{1,3}|[A-Za-z][A-Za-z0-9+-]*)$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        text.parse().map_err(|bad: BadDhcpOption| Complaint::new(bad.message).help(bad.help))
    }
}

checked!(
    /// What an option holds is told by the option.
    DhcpText,
    "text of one line",
    "10.10.1.254",
    "",
    |text| Line::parse(text).map(drop)
);

/// Seconds, written with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeaseTime(pub(super) u32);

impl Word for LeaseTime {
    const TYPE: WordType = word::<Self>("lease time", "12h", "^[0-9]+[smhd]$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let factor = match text.chars().last() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            _ => 0,
        };
        let number = text.get(..text.len().saturating_sub(1)).unwrap_or("");
        let count = number.bytes().all(|b| b.is_ascii_digit()).then(|| number.parse::<u32>().ok()).flatten();
        let Some(seconds) = count.filter(|_| factor > 0).and_then(|count| count.checked_mul(factor)) else {
            return Err(Complaint::new(format!("'{text}' is not a lease time"))
                .help("write a whole number and a unit: s, m, h or d, as in \"12h\""));
        };
        match seconds {
            ..120 => {
                Err(Complaint::new("dnsmasq gives no lease shorter than two minutes").help("write \"2m\" or more"))
            }
            _ => Ok(LeaseTime(seconds)),
        }
    }
}

/// A crypt(3) hash of a method that withstands guessing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PasswordHash(pub(super) String);

impl Word for PasswordHash {
    const TYPE: WordType = WordType {
        hidden: true,
        ..word::<Self>("crypt(3) hash", "$y$j9T$...", "^\\$(y|gy|7|6|5|2[abxy])\\$[!-9;-~]+$")
    };

    fn parse(text: &str) -> Result<Self, Complaint> {
        netboot::crypt::check(text).map(|()| PasswordHash(text.to_owned())).map_err(|refusal| {
            Complaint::new(refusal.to_string()).help("make a hash with `mkpasswd --method=yescrypt` (package whois)")
        })
    }
}

/// One line of authorized_keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SshKey(pub(super) String);

impl Word for SshKey {
    const TYPE: WordType = word::<Self>("ssh public key", "ssh-ed25519 AAAA... ops@desk", "");

    fn parse(text: &str) -> Result<Self, Complaint> {
        // A sound key may have the words in its comment.
        if secrets::is_private_key(text) && netboot::lint::ssh_public_key(text).is_err() {
            return Err(
                Complaint::new("this is a private key").help("paste the one line of the file that ends in .pub")
            );
        }
        if text.trim() != text || text.chars().any(|c| c.is_control() && c != '\t') {
            return Err(Complaint::new("an ssh public key is one line without spaces around it")
                .help("write each key as its own list item"));
        }
        netboot::lint::ssh_public_key(text).map(|()| SshKey(text.to_owned())).map_err(|why| {
            Complaint::new(why).help("paste the one line of a .pub file, as in \"ssh-ed25519 AAAA... ops@desk\"")
        })
    }
}
