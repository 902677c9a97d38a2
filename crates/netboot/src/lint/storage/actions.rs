//! The kinds of actions of a storage config and the keys of each.
//!
//! Source: curtin's storage documentation, and the attributes that subiquity reads of it.

use crate::disk_choice::UEFI_PLACEHOLDER;
use crate::lint::shape::{Key, Shape, key, required};

/// One kind of action.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) keys: &'static [Key],
    /// Keys that hold the id of another action, or a list of them.
    pub(super) references: &'static [&'static str],
}

pub(super) fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

pub(super) fn names() -> Vec<&'static str> {
    KINDS.iter().map(|kind| kind.name).collect()
}

/// Of every action; the rest is beside it.
pub(super) const COMMON: &[&str] = &["type", "id"];

const PTABLES: &[&str] = &["gpt", "msdos", "dos", "vtoc"];
const WIPES: &[&str] = &["superblock", "superblock-recursive", "pvremove", "zero", "random"];

const KINDS: &[Kind] = &[
    Kind {
        name: "disk",
        keys: &[
            key("ptable", Shape::Choice(PTABLES)),
            key("serial", Shape::Text),
            key("path", Shape::Text),
            key("match", Shape::Any),
            key("wwn", Shape::Text),
            key("multipath", Shape::Text),
            key("nvme_controller", Shape::Text),
            key("wipe", Shape::Choice(WIPES)),
            key("preserve", Shape::Bool),
            key("name", Shape::Text),
            key("grub_device", Shape::Bool),
            key("device_id", Shape::Text),
        ],
        references: &["nvme_controller"],
    },
    Kind {
        name: "partition",
        keys: &[
            required("device", Shape::Text),
            required("size", Shape::Any),
            // Also an empty text.
            key("flag", Shape::Text),
            key("wipe", Shape::Choice(WIPES)),
            key("number", Shape::Int),
            key("preserve", Shape::Bool),
            // The word is what provbuild itself writes: its preflight puts the right value there.
            key("grub_device", Shape::BoolOr(UEFI_PLACEHOLDER)),
            key("name", Shape::Text),
            key("multipath", Shape::Text),
            key("offset", Shape::Any),
            key("resize", Shape::Bool),
            key("partition_type", Shape::Text),
            key("partition_name", Shape::Text),
            key("path", Shape::Text),
            key("uuid", Shape::Text),
        ],
        references: &["device"],
    },
    Kind {
        name: "raid",
        keys: &[
            required("name", Shape::Text),
            // A number or a name.
            required("raidlevel", Shape::Any),
            key("devices", Shape::ListOf(&Shape::Text)),
            key("spare_devices", Shape::ListOf(&Shape::Text)),
            key("preserve", Shape::Bool),
            key("wipe", Shape::Choice(WIPES)),
            key("ptable", Shape::Choice(PTABLES)),
            key("metadata", Shape::Any),
            key("path", Shape::Text),
            key("container", Shape::Text),
        ],
        references: &["devices", "spare_devices", "container"],
    },
    Kind {
        name: "lvm_volgroup",
        keys: &[
            required("name", Shape::Text),
            required("devices", Shape::ListOf(&Shape::Text)),
            key("preserve", Shape::Bool),
        ],
        references: &["devices"],
    },
    Kind {
        name: "lvm_partition",
        keys: &[
            required("name", Shape::Text),
            required("volgroup", Shape::Text),
            key("size", Shape::Any),
            key("wipe", Shape::Choice(WIPES)),
            key("preserve", Shape::Bool),
            key("path", Shape::Text),
        ],
        references: &["volgroup"],
    },
    Kind {
        name: "dm_crypt",
        keys: &[
            required("volume", Shape::Text),
            key("key", Shape::Text),
            key("keyfile", Shape::Text),
            key("options", Shape::ListOf(&Shape::Text)),
            key("recovery_key", Shape::Any),
            key("preserve", Shape::Bool),
            key("path", Shape::Text),
        ],
        references: &["volume"],
    },
    Kind {
        name: "format",
        keys: &[
            required("fstype", Shape::Text),
            required("volume", Shape::Text),
            key("label", Shape::Text),
            key("uuid", Shape::Text),
            key("preserve", Shape::Bool),
            key("extra_options", Shape::ListOf(&Shape::Text)),
        ],
        references: &["volume"],
    },
    Kind {
        name: "mount",
        keys: &[
            required("path", Shape::Text),
            key("device", Shape::Text),
            key("options", Shape::Text),
            key("spec", Shape::Text),
        ],
        references: &["device"],
    },
    Kind {
        name: "zpool",
        keys: &[
            required("vdevs", Shape::ListOf(&Shape::Text)),
            required("pool", Shape::Text),
            required("mountpoint", Shape::Text),
            key("pool_properties", Shape::Mapping),
            key("fs_properties", Shape::Mapping),
            key("default_features", Shape::Bool),
            key("encryption_style", Shape::Text),
            key("keyfile", Shape::Text),
        ],
        references: &["vdevs"],
    },
    Kind {
        name: "zfs",
        keys: &[required("pool", Shape::Text), required("volume", Shape::Text), key("properties", Shape::Mapping)],
        references: &["pool"],
    },
    Kind { name: "device", keys: &[key("ptable", Shape::Text), key("path", Shape::Text)], references: &[] },
    Kind {
        name: "dasd",
        keys: &[
            required("device_id", Shape::Text),
            required("blocksize", Shape::Int),
            required("disk_layout", Shape::Text),
            key("label", Shape::Text),
            key("mode", Shape::Text),
            key("preserve", Shape::Bool),
        ],
        references: &[],
    },
    Kind {
        name: "nvme_controller",
        keys: &[
            required("transport", Shape::Text),
            key("tcp_port", Shape::Int),
            key("tcp_addr", Shape::Text),
            key("preserve", Shape::Bool),
        ],
        references: &[],
    },
];
