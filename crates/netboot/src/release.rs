//! What provbuild knows of the systems that nodes can be told to install: data, so that no renderer asks which one it is.

use serde::{Deserialize, Serialize};

/// A system that a node can install.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Release {
    #[serde(rename = "ubuntu-24.04")]
    Ubuntu2404,
    #[serde(rename = "ubuntu-22.04")]
    Ubuntu2204,
    #[serde(rename = "debian-13")]
    Debian13,
}

/// Which program installs, and what it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Ubuntu's server installer: reads autoinstall user-data from a NoCloud seed.
    Subiquity,
    /// debian-installer: reads a preseed file.
    DebianInstaller,
}

/// How subiquity is told which archive to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MirrorKey {
    /// curtin's `apt.primary`: all that the installer of 22.04's first media knows.
    Primary,
    /// `apt.mirror-selection`, whose archive is tried before it is used.
    Selection,
}

/// What differs between releases.
#[derive(Debug, PartialEq, Eq)]
pub struct Traits {
    /// "ubuntu" or "debian".
    pub distribution: &'static str,
    /// As people say it.
    pub version: &'static str,
    pub codename: &'static str,
    pub program: Program,
    /// Kernel and initrd inside the installer's medium, without a leading slash.
    pub kernel: &'static str,
    pub initrd: &'static str,
    /// File of the medium that says what it is, and how its text begins.
    pub identity: Option<(&'static str, &'static str)>,
    /// The account of an installed system where the profile names none.
    pub account: &'static str,
    /// The word before the seed's URL on the kernel's command line. cloud-init of 22.04 takes `ds=nocloud` for a seed that needs
    /// no network, and `nocloud-net` for one that does; 24.1 looks at the URL, and has deprecated the other name
    /// (DataSourceNoCloud.py).
    pub seed_word: &'static str,
    pub mirror: MirrorKey,
    /// The installer has a layout "zfs". The one of 22.04's first media does not, and takes an unknown layout for "direct".
    pub zfs: bool,
    /// Size in bytes that the medium has about, where nothing better is known.
    pub typical_medium: u64,
}

impl Release {
    pub const ALL: [Release; 3] = [Release::Ubuntu2404, Release::Ubuntu2204, Release::Debian13];

    /// By distribution ("ubuntu") and version ("24.04").
    pub fn find(distribution: &str, version: &str) -> Option<Release> {
        Self::ALL.into_iter().find(|release| {
            let traits = release.traits();
            traits.distribution == distribution && traits.version == version
        })
    }

    pub fn traits(self) -> &'static Traits {
        match self {
            Release::Ubuntu2404 => &Traits {
                distribution: "ubuntu",
                version: "24.04",
                codename: "noble",
                program: Program::Subiquity,
                kernel: "casper/vmlinuz",
                initrd: "casper/initrd",
                identity: Some((".disk/info", "Ubuntu-Server 24.04")),
                account: "ubuntu",
                seed_word: "nocloud",
                mirror: MirrorKey::Selection,
                zfs: true,
                typical_medium: 3_200_000_000,
            },
            Release::Ubuntu2204 => &Traits {
                distribution: "ubuntu",
                version: "22.04",
                codename: "jammy",
                program: Program::Subiquity,
                kernel: "casper/vmlinuz",
                initrd: "casper/initrd",
                identity: Some((".disk/info", "Ubuntu-Server 22.04")),
                account: "ubuntu",
                seed_word: "nocloud-net",
                mirror: MirrorKey::Primary,
                zfs: false,
                typical_medium: 2_200_000_000,
            },
            Release::Debian13 => &Traits {
                distribution: "debian",
                version: "13",
                codename: "trixie",
                program: Program::DebianInstaller,
                kernel: "debian-installer/amd64/linux",
                initrd: "debian-installer/amd64/initrd.gz",
                identity: Some(("version.info", "Debian version:  13")),
                account: "debian",
                seed_word: "",
                mirror: MirrorKey::Primary,
                zfs: false,
                typical_medium: 100_000_000,
            },
        }
    }
}

impl std::fmt::Display for Release {
    /// "ubuntu 24.04"
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let traits = self.traits();
        write!(f, "{} {}", traits.distribution, traits.version)
    }
}
