//! What a machine that boots from the network is told.
//!
//! In: the node (if the machine is one), who is armed, what could be installed. Out: a [`Decision`]. The invariant that
//! protects data: [`Decision::Install`] comes out only for a listed node that is armed by its MAC and has an
//! installation; in every other case the machine boots its own disk.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{MacAddr, MediaPaths, Node, Program, Site, System};

/// The nodes whose next boot from the network may install.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Armed(BTreeSet<MacAddr>);

impl Armed {
    /// Nobody: what is built into an image.
    pub fn none() -> Self {
        Self::default()
    }

    pub fn of(macs: impl IntoIterator<Item = MacAddr>) -> Self {
        Armed(macs.into_iter().collect())
    }

    pub fn contains(&self, mac: MacAddr) -> bool {
        self.0.contains(&mac)
    }
}

/// Parameters that a profile must leave to [`Installation::of`], and what they say. A later word of the same name would win. Some
/// are other names that casper, cloud-init or debian-installer have for the same (casper(7), ds-identify, the installation
/// guide's B.5, preseed's aliases); those of one installer mean nothing good to the other one either.
const OWN_WORDS: [(&str, &[&str]); 6] = [
    ("where the installer's medium is", &["url", "iso-url", "netboot", "boot", "root", "initrd"]),
    (
        "where the installer's answers are",
        &["ds", "ci.ds", "ci.datasource", "cloud-config-url", "cloud-init", "preseed/url", "preseed/file", "file"],
    ),
    ("that nobody is asked", &["autoinstall", "auto", "auto-install/enable", "priority", "debconf/priority"]),
    ("which NIC is meant", &["BOOTIF", "interface", "netcfg/choose_interface"]),
    ("how the installer reaches the network", &["ip", "netcfg/no_default_route", "netcfg/get_nameservers"]),
    ("what the node is called", &["hostname", "domain", "netcfg/get_hostname", "netcfg/hostname", "netcfg/get_domain"]),
];

/// What Linux on x86 reads of a command line in bytes, with the NUL at its end (COMMAND_LINE_SIZE): it cuts off the rest.
const COMMAND_LINE: usize = 2048;

/// What of it [`Installation::of`] and the loaders may need for words of their own.
const OWN_LENGTH: usize = 1024;

/// Why a profile's kernel parameters cannot follow provbuild's own.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadParameter {
    #[error(transparent)]
    Form(#[from] BadInstallation),
    #[error("'{0}' is provbuild's own word: it says {1}")]
    Own(String, &'static str),
    #[error("'---' parts the installer's words from the installed system's: provbuild writes it where it belongs")]
    Parting,
    #[error("with these {0} bytes the kernel's command line would be longer than the {max} that Linux reads", max = COMMAND_LINE - 1)]
    TooLong(usize),
}

/// Whether a word can be one of a profile's kernel parameters.
///
/// # Errors
/// A word that a loader would change, or that would override one of [`Installation::of`]'s.
pub fn check_parameter(word: &str) -> Result<(), BadParameter> {
    Installation::new("vmlinuz", "initrd", vec![word.to_owned()])?;
    if word.bytes().all(|b| b == b'-') {
        return Err(BadParameter::Parting);
    }
    // debian-installer also takes `name?=value`.
    let name = word.split('=').next().unwrap_or("").trim_end_matches('?');
    match OWN_WORDS.iter().find(|(_, names)| names.contains(&name)) {
        Some((says, _)) => Err(BadParameter::Own(name.to_owned(), says)),
        None => Ok(()),
    }
}

/// Whether all of a profile's kernel parameters fit on the line, whatever the node.
///
/// # Errors
/// They are longer than [`Installation::of`] leaves room for.
pub fn check_parameters_length(words: &[impl AsRef<str>]) -> Result<(), BadParameter> {
    let length = words.iter().map(|word| word.as_ref().len() + 1).sum();
    if length > COMMAND_LINE - OWN_LENGTH { Err(BadParameter::TooLong(length)) } else { Ok(()) }
}

/// A kernel, its initrd and its arguments: ready for any loader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Installation {
    kernel: String,
    initrd: String,
    arguments: Vec<String>,
}

/// A text that some loader would not pass on as it stands.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{0}' cannot stand on a boot loader's kernel line: no blanks, control characters, quotes or '${{'")]
pub struct BadInstallation(String);

impl Installation {
    /// `kernel` and `initrd` are paths below the boot server's root, without a leading slash.
    pub fn new(kernel: &str, initrd: &str, arguments: Vec<String>) -> Result<Self, BadInstallation> {
        let bad = |word: &&str| {
            word.is_empty()
                || word.contains("${")
                || word.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '\\'))
                || matches!(*word, "||" | "&&" | ";")
                || word.starts_with('#')
        };
        if let Some(word) = [kernel, initrd].into_iter().chain(arguments.iter().map(String::as_str)).find(bad) {
            return Err(BadInstallation(word.to_owned()));
        }
        Ok(Installation { kernel: kernel.to_owned(), initrd: initrd.to_owned(), arguments })
    }

    /// What starts the installation of `node`: the installer's kernel, told where its answers are.
    ///
    /// For Ubuntu (casper, then subiquity), in this order:
    ///
    /// | word | why |
    /// |---|---|
    /// | `ip=dhcp` | the initramfs brings the network up, to load the ISO (casper(7); initramfs-tools(7)) |
    /// | `BOOTIF=01-MAC` | on the NIC that booted and no other: initramfs-tools(7) takes it as PXELINUX writes it |
    /// | `url=ISO` | casper loads it into memory |
    /// | `cloud-config-url=/dev/null` | else cloud-init takes `url=` for its own and loads the ISO again (its name for the same, `parse_cmdline_url` in cloudinit/cmd/main.py, wins) |
    /// | `autoinstall` | subiquity asks nobody before it erases a disk ("zero-touch deployment" in its documentation) |
    /// | `ds=nocloud;s=SEED` | cloud-init's datasource; see [`Traits::seed_word`](crate::Traits::seed_word) |
    ///
    /// For Debian: `auto=true priority=critical` defers the questions that come before the network and asks only what nothing
    /// answers (installation guide, B.2.3), `url=` is the preseed file, `interface=MAC` the NIC (netcfg takes a MAC),
    /// `hostname=` and `domain=` keep it from asking DNS. Without a router netcfg asks whether to go on, and for
    /// name servers, before it can fetch the preseed file: `netcfg/no_default_route=` and `netcfg/get_nameservers=` answer.
    ///
    /// `seed` is the path of the answers below the boot server's root ([`static_seed_path`](crate::static_seed_path), or one
    /// with a token in it).
    ///
    /// The profile's kernel parameters come last. After `---` debian-installer also gives them to the installed system
    /// (user-params); for Ubuntu the seed does that, since a node that starts from a CD has no line of ours.
    ///
    /// # Errors
    /// A word that a loader would change: one of the profile's kernel parameters.
    pub fn of(
        node: &Node,
        system: &System,
        media: &MediaPaths,
        site: &Site<'_>,
        seed: &str,
    ) -> Result<Self, BadInstallation> {
        let server = site.url();
        let seed = format!("{server}/{seed}");
        let traits = system.release.traits();
        let mut arguments = match traits.program {
            Program::Subiquity => {
                let mut words = vec!["ip=dhcp".to_owned(), format!("BOOTIF=01-{}", node.mac.hyphenated())];
                words.extend(media.iso.as_ref().map(|iso| format!("url={server}/{iso}")));
                words.push("cloud-config-url=/dev/null".to_owned());
                words.push("autoinstall".to_owned());
                words.push(format!("ds={};s={seed}/", traits.seed_word));
                words
            }
            Program::DebianInstaller => {
                let mut words = vec!["auto=true".to_owned(), "priority=critical".to_owned()];
                words.push(format!("url={seed}/preseed.cfg"));
                words.push(format!("interface={}", node.mac));
                words.push(format!("hostname={}", node.hostname));
                words.push(format!("domain={}", site.domain));
                if site.gateway.is_none() {
                    words.push("netcfg/no_default_route=true".to_owned());
                    words.push(format!("netcfg/get_nameservers={}", site.server));
                }
                words.extend((!system.kernel_parameters.is_empty()).then(|| "---".to_owned()));
                words
            }
        };
        arguments.extend(system.kernel_parameters.iter().cloned());
        Installation::new(&media.kernel, &media.initrd, arguments)
    }

    pub fn kernel(&self) -> &str {
        &self.kernel
    }

    pub fn initrd(&self) -> &str {
        &self.initrd
    }

    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }
}

/// What the machine does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision<'a> {
    LocalDisk(Reason),
    Install(&'a Installation),
}

/// Why a machine boots its own disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Unlisted,
    NoInstaller,
    NotArmed,
    /// It is armed, and asks from an address that is not the node's.
    OtherAddress,
    /// It is armed, and the installer's files are not there.
    NoMedium,
    /// It is armed, and has asked as often as one attempt may.
    TooOften,
    /// It is armed, and what it is given cannot be remembered.
    NoStore,
}

impl Reason {
    pub const ALL: [Reason; 7] = [
        Reason::Unlisted,
        Reason::NoInstaller,
        Reason::NotArmed,
        Reason::OtherAddress,
        Reason::NoMedium,
        Reason::TooOften,
        Reason::NoStore,
    ];
}

impl<'a> Decision<'a> {
    pub fn of(node: Option<&Node>, armed: &Armed, installation: Option<&'a Installation>) -> Self {
        match (node, installation) {
            (None, _) => Decision::LocalDisk(Reason::Unlisted),
            (Some(node), _) if node.install.is_none() => Decision::LocalDisk(Reason::NoInstaller),
            (Some(node), _) if !armed.contains(node.mac) => Decision::LocalDisk(Reason::NotArmed),
            (Some(_), None) => Decision::LocalDisk(Reason::NoInstaller),
            (Some(_), Some(installation)) => Decision::Install(installation),
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Reason::Unlisted => "not a node",
            Reason::NoInstaller => "no installer is set for it",
            Reason::NotArmed => "not armed",
            Reason::OtherAddress => "armed, but it asks from another address than the inventory has for it",
            Reason::NoMedium => "armed, but its installer's medium is not ready",
            Reason::TooOften => "armed, but it asked too often: arm it again",
            Reason::NoStore => "armed, but the daemon cannot write its database",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Release;
    use crate::inventory::tests::node;
    use proptest::prelude::*;

    #[test]
    fn kernel_lines_of_every_release() {
        let node = node("node1", "52:54:00:12:34:56", "10.10.1.21");
        let site = crate::system::tests::site();
        let mut text = String::new();
        for release in Release::ALL {
            let kernel_parameters = vec!["console=ttyS0".to_owned()];
            let system = System { release, kernel_parameters, ..crate::system::tests::system() };
            let installation =
                Installation::of(&node, &system, &MediaPaths::of("os", release), &site, "seed/node1").unwrap();
            text.push_str(&format!("{release}: {}\n", installation.arguments().join(" ")));
        }
        insta::assert_snapshot!(text, @"
        ubuntu 24.04: ip=dhcp BOOTIF=01-52-54-00-12-34-56 url=http://10.10.1.1/media/os/os.iso cloud-config-url=/dev/null autoinstall ds=nocloud;s=http://10.10.1.1/seed/node1/ console=ttyS0
        ubuntu 22.04: ip=dhcp BOOTIF=01-52-54-00-12-34-56 url=http://10.10.1.1/media/os/os.iso cloud-config-url=/dev/null autoinstall ds=nocloud-net;s=http://10.10.1.1/seed/node1/ console=ttyS0
        debian 13: auto=true priority=critical url=http://10.10.1.1/seed/node1/preseed.cfg interface=52:54:00:12:34:56 hostname=node1 domain=lab.example --- console=ttyS0
        ");
    }

    #[test]
    fn words_that_a_loader_would_cut_are_refused() {
        let make = |argument: &str| Installation::new("k", "i", vec![argument.to_owned()]);
        assert!(make("ds=nocloud;s=http://10.10.1.1/seed/node1/").is_ok());
        for bad in ["", "a b", "a\nb", "${mac}", "x'y", "\"", "a\\;b", "||", ";", "#x"] {
            assert!(make(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn words_of_our_own_are_refused() {
        for own in [
            "url=http://x/",
            "ds=none",
            "BOOTIF=",
            "autoinstall",
            "autoinstall=0",
            "cloud-config-url=x",
            "ip=off",
            "initrd=x",
            "root=/dev/sda1",
            "iso-url=x",
            "netboot=nfs",
            "interface=eth0",
            "hostname=x",
            "hostname?=x",
            "domain=x",
            "auto=false",
            "priority=low",
            "cloud-init=disabled",
            "---",
        ] {
            assert!(check_parameter(own).is_err(), "{own}");
        }
        for good in
            ["console=ttyS0", "debian-installer/allow_unauthenticated=true", "quiet", "nomodeset", "ipv6.disable=1"]
        {
            assert_eq!(check_parameter(good), Ok(()), "{good}");
        }
    }

    /// Every word that is rendered is in the list, and the longest line fits into what is kept for it.
    #[test]
    fn our_own_words_are_listed_and_have_room() {
        let host = "n".repeat(63);
        let node = node(&host, "52:54:00:12:34:56", "255.255.255.255");
        let domain = "d".repeat(189);
        for gateway in [None, Some("255.255.255.254".parse().unwrap())] {
            let server = "255.255.255.253".parse().unwrap();
            let site = Site { domain: &domain, gateway, server, ..crate::system::tests::site() };
            for release in Release::ALL {
                let system =
                    System { release, kernel_parameters: vec!["x".to_owned()], ..crate::system::tests::system() };
                let media = MediaPaths::of(&"i".repeat(63), release);
                let seed = "s".repeat(128);
                let made = Installation::of(&node, &system, &media, &site, &seed).unwrap();
                let own = made.arguments().iter().filter(|word| *word != "x");
                for word in own.clone() {
                    assert!(check_parameter(word).is_err(), "{word}");
                }
                // A loader adds `BOOT_IMAGE=KERNEL` and `initrd=initrd`.
                let line: usize = own.map(|word| word.len() + 1).sum::<usize>() + made.kernel().len() + 32;
                assert!(line < OWN_LENGTH, "{line}");
            }
        }
        assert_eq!(check_parameters_length(&["a".repeat(1023)]), Ok(()));
        assert_eq!(check_parameters_length(&["a".repeat(1000), "b".repeat(30)]), Err(BadParameter::TooLong(1032)));
    }

    #[test]
    fn every_reason_says_another_thing_and_fits_into_a_script() {
        let node = node("node1", "52:54:00:12:34:56", "10.10.1.21");
        let mut said = BTreeSet::new();
        for reason in Reason::ALL {
            let text = reason.to_string();
            // A comment of both loaders' scripts, and a word that GRUB prints.
            assert!(!text.chars().any(|c| c.is_control() || matches!(c, '"' | '$' | '\\' | '`')), "{text}");
            let decision = Decision::LocalDisk(reason);
            assert!(crate::grub_node_script(&node, &decision).contains(&format!("({text})")));
            let ipxe = crate::node_script(&node, &decision, "http://10.10.1.1");
            assert!(ipxe.contains(&format!("({text})")) && !ipxe.contains("kernel "), "{ipxe}");
            said.insert(text);
        }
        assert_eq!(said.len(), Reason::ALL.len());
    }

    proptest! {
        #[test]
        fn only_an_armed_node_with_an_installer_installs(
            listed: bool, has_installer: bool, has_media: bool, own: [u8; 6], armed: Vec<[u8; 6]>, arm_own: bool
        ) {
            let own = MacAddr::from_bytes(own);
            let mut macs: BTreeSet<_> = armed.into_iter().map(MacAddr::from_bytes).collect();
            if arm_own { macs.insert(own); } else { macs.remove(&own); }
            let mut node = node("n", "52:54:00:00:00:01", "10.0.0.2");
            node.mac = own;
            node.install = has_installer.then(|| "u".to_owned());
            let installation = Installation::new("k", "i", vec![]).unwrap();
            let decision = Decision::of(listed.then_some(&node), &Armed::of(macs), has_media.then_some(&installation));
            prop_assert_eq!(matches!(decision, Decision::Install(_)), listed && has_installer && has_media && arm_own);
        }
    }
}
