//! The options of `[installer.*]`: what nodes can be told to install.

use url::Url;

use super::Fallback::{Absent, Derived, Required, Value};
use super::{NONE, Spec, list, option, word};
use crate::profile::word::*;
use crate::profile::{DistributionName, Media};
use crate::vocab::{ByteSize, Digest};

pub(super) static OPTIONS: &[Spec] = &[
    option("installer.<installer>.distribution", word::<DistributionName>(), Required, "What it installs."),
    option("installer.<installer>.release", word::<ReleaseName>(), Required, "Which release."),
    option("installer.<installer>.iso.url", word::<Url>(), Absent, "The installer's ISO: where it is fetched from."),
    option(
        "installer.<installer>.iso.path",
        word::<FilePath>(),
        Absent,
        "The installer's ISO: a file of this machine instead, relative to the file that names it.",
    ),
    option("installer.<installer>.iso.sha256", word::<Digest>(), Required, "Its SHA-256 digest."),
    option(
        "installer.<installer>.iso.size",
        word::<ByteSize>(),
        Derived("the file's size, or what such an ISO usually has"),
        "Its size, for the check that a node's memory can hold it.",
    ),
    option(
        "installer.<installer>.iso.sums",
        word::<FilePlace>(),
        Absent,
        "SHA256SUMS that must list the digest; a path is relative to the file that names it.",
    ),
    option(
        "installer.<installer>.iso.signature",
        word::<FilePlace>(),
        Absent,
        "SHA256SUMS.gpg, its signature: URL or file.",
    ),
    option(
        "installer.<installer>.iso.keyring",
        word::<FilePath>(),
        Derived("the keys that sign the distribution's media, built in"),
        "OpenPGP keyring that signs it, relative to the file that names it.",
    ),
    option(
        "installer.<installer>.netboot.url",
        word::<Url>(),
        Absent,
        "debian-installer's netboot.tar.gz: where it is fetched from.",
    ),
    option(
        "installer.<installer>.netboot.path",
        word::<FilePath>(),
        Absent,
        "debian-installer's netboot.tar.gz: a file of this machine instead, relative to the file that names it.",
    ),
    option("installer.<installer>.netboot.sha256", word::<Digest>(), Required, "Its SHA-256 digest."),
    option(
        "installer.<installer>.media",
        word::<Media>(),
        Value("\"fetch\""),
        "\"fetch\": the appliance fetches and verifies the medium onto its state disk. \"bake\": it is part of the image.",
    ),
    option("installer.<installer>.locale", word::<Locale>(), Derived("the appliance's"), "Locale of the nodes."),
    option("installer.<installer>.timezone", word::<Timezone>(), Derived("the appliance's"), "Their IANA time zone."),
    option(
        "installer.<installer>.keyboard.layout",
        word::<KeyboardWord>(),
        Value("\"us\""),
        "Keyboard layout, as in keyboard(5).",
    ),
    option("installer.<installer>.keyboard.variant", word::<KeyboardWord>(), Absent, "Its variant."),
    option(
        "installer.<installer>.account.name",
        word::<UserName>(),
        Derived("the appliance's first user with sudo, else \"ubuntu\" or \"debian\""),
        "The account of the nodes; it becomes root by sudo.",
    ),
    option(
        "installer.<installer>.account.password-hash",
        word::<PasswordHash>(),
        Absent,
        "crypt(3) hash of its password, for the console. It stands in the seed that the node reads: prefer keys.",
    ),
    option(
        "installer.<installer>.account.ssh-keys",
        list(&word::<SshKey>()),
        Derived("the keys of all users of the appliance"),
        "Public keys that open it, one authorized_keys line each.",
    ),
    option(
        "installer.<installer>.addressing",
        word::<NodeAddressing>(),
        Value("\"dhcp\""),
        "\"dhcp\": nodes ask the network for their address at each boot. \"static\": it is written into their configuration.",
    ),
    option(
        "installer.<installer>.storage.layout",
        word::<StorageLayout>(),
        Value("\"direct\""),
        "How a node's disk is divided.",
    ),
    option(
        "installer.<installer>.storage.sizing",
        word::<VolumeSizing>(),
        Value("\"all\""),
        "With \"lvm\": the root volume takes \"all\" of the disk, or is \"scaled\" and leaves room for others.",
    ),
    option(
        "installer.<installer>.storage.partition[].mount",
        word::<MountPoint>(),
        Absent,
        "With \"partitions\": mount point. One partition has \"/\"; swap has none.",
    ),
    option(
        "installer.<installer>.storage.partition[].size",
        word::<ByteSize>(),
        Absent,
        "Its size; the last partition may leave it out and take the rest of the disk.",
    ),
    option(
        "installer.<installer>.storage.partition[].format",
        word::<PartitionFormat>(),
        Value("\"ext4\""),
        "Its file system, or \"swap\".",
    ),
    option(
        "installer.<installer>.mirror",
        word::<Url>(),
        Derived("the distribution's own"),
        "Archive that nodes install packages from: http or https.",
    ),
    option(
        "installer.<installer>.packages",
        list(&word::<PackageName>()),
        NONE,
        "Packages that a node gets beside the installer's own.",
    ),
    option(
        "installer.<installer>.early-commands",
        list(&word::<Line>()),
        NONE,
        "Shell commands before the disk is touched.",
    ),
    option(
        "installer.<installer>.late-commands",
        list(&word::<Line>()),
        NONE,
        "Shell commands at the end of an installation, with the new system at /target.",
    ),
    option(
        "installer.<installer>.kernel-parameters",
        list(&word::<KernelParameter>()),
        NONE,
        "Added to the kernel's command line, of the installer and of the installed system.",
    ),
];
