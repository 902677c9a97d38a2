//! What provbuild knows of the distributions: data, so that no other module asks which distribution it is.

use super::DistributionName;

/// One release of one distribution.
#[derive(Debug, PartialEq, Eq)]
pub struct Release {
    pub distribution: DistributionName,
    /// As people say it.
    pub version: &'static str,
    /// As the archive says it.
    pub codename: &'static str,
    /// Components taken by default.
    pub components: &'static [&'static str],
    /// Components that exist.
    pub known_components: &'static [&'static str],
    /// Pockets beside the release itself taken by default.
    pub pockets: &'static [&'static str],
    /// Pockets that exist.
    pub known_pockets: &'static [&'static str],
    /// Smallest kernel package with the drivers of the usual hypervisors.
    pub kernel: &'static str,
    /// dpkg architectures that provbuild builds.
    pub architectures: &'static [&'static str],
}

const UBUNTU_COMPONENTS: &[&str] = &["main", "restricted", "universe", "multiverse"];
const UBUNTU_POCKETS: &[&str] = &["updates", "security", "backports", "proposed"];
const DEBIAN_COMPONENTS: &[&str] = &["main", "contrib", "non-free", "non-free-firmware"];
const DEBIAN_POCKETS: &[&str] = &["updates", "security", "backports", "proposed-updates"];

/// Every release that a profile may name.
pub const RELEASES: &[Release] = &[
    Release {
        distribution: DistributionName::Ubuntu,
        version: "24.04",
        codename: "noble",
        components: &["main", "universe"],
        known_components: UBUNTU_COMPONENTS,
        pockets: &["updates", "security"],
        known_pockets: UBUNTU_POCKETS,
        kernel: "linux-image-virtual",
        architectures: &["amd64"],
    },
    Release {
        distribution: DistributionName::Ubuntu,
        version: "22.04",
        codename: "jammy",
        components: &["main", "universe"],
        known_components: UBUNTU_COMPONENTS,
        pockets: &["updates", "security"],
        known_pockets: UBUNTU_POCKETS,
        kernel: "linux-image-virtual",
        architectures: &["amd64"],
    },
    Release {
        distribution: DistributionName::Debian,
        version: "13",
        codename: "trixie",
        components: &["main"],
        known_components: DEBIAN_COMPONENTS,
        pockets: &["updates", "security"],
        known_pockets: DEBIAN_POCKETS,
        kernel: "linux-image-cloud-amd64",
        architectures: &["amd64"],
    },
    Release {
        distribution: DistributionName::Debian,
        version: "12",
        codename: "bookworm",
        components: &["main"],
        known_components: DEBIAN_COMPONENTS,
        pockets: &["updates", "security"],
        known_pockets: DEBIAN_POCKETS,
        kernel: "linux-image-cloud-amd64",
        architectures: &["amd64"],
    },
];

/// The releases of one distribution, newest first.
pub fn releases(distribution: DistributionName) -> impl Iterator<Item = &'static Release> {
    RELEASES.iter().filter(move |release| release.distribution == distribution)
}

/// Finds a release by version or codename.
pub fn release(distribution: DistributionName, name: &str) -> Option<&'static Release> {
    releases(distribution).find(|release| release.version == name || release.codename == name)
}
