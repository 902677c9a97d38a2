//! Where BMCs differ from the standard, as data: a row for each difference, with where it is known from.
//!
//! In: kind (nodes.toml), vendor, model and firmware (the BMC). Out: [`Quirks`]. Nothing else in this crate asks for a vendor.
//! Invariant: each row makes the code do something else. What is told apart at run time (an allowable value, a link, a refusal that
//! names a property) needs no row.

use netboot::BmcKind;

use crate::boot::BootTarget;

/// One difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quirk {
    /// Names of BIOS attributes end in `_` and four hexadecimal digits.
    SuffixedAttributes,
    /// Where the BIOS's settings object is, below the Bios resource, if that has no link to it.
    SettingsAt(&'static str),
    /// The persistent boot order is an OEM resource, to which the system's `Oem.Supermicro.FixedBootOrder` links.
    FixedBootOrder,
    /// `BootSourceOverrideMode` is refused or ignored: the override goes without it.
    NoOverrideMode,
    /// `BootSourceOverrideMode` is sent only where it changes: each write of it starts a BIOS job.
    ModeOnlyIfOther,
    /// The target goes by another name, where that is among the allowable ones.
    TargetAs(BootTarget, &'static str),
    /// `Boot` is written to the system's settings object; the path below the system where there is no link to it.
    BootInSettings(&'static str),
    /// An image's address may hold no `?` and no `=`.
    PlainImageUrl,
    /// `CfgCD` may be there without a link to its collection, below the manager's `VM1`.
    HiddenCfgCd,
    /// A restart gets stuck: the power is switched off and on.
    RestartByPower,
}

/// What a row is about; an empty list or text matches everything.
struct Row {
    /// The kind in nodes.toml; a BMC whose vendor is recognised needs none.
    kind: Option<BmcKind>,
    /// Beginnings of the vendor's name, in small letters.
    vendors: &'static [&'static str],
    /// Parts of the model's name, in small letters.
    models: &'static [&'static str],
    /// Parts of names of models that it is not about.
    but_not: &'static [&'static str],
    /// Beginning of the BMC's firmware version.
    firmware: &'static str,
    quirk: Quirk,
    /// Where it is known from.
    source: &'static str,
}

const ANY: Row = Row {
    kind: None,
    vendors: &[],
    models: &[],
    but_not: &[],
    firmware: "",
    quirk: Quirk::SuffixedAttributes,
    source: "",
};
const SUPERMICRO: Row = Row { kind: Some(BmcKind::Supermicro), vendors: &["supermicro", "super micro", "smc"], ..ANY };
const DELL: Row = Row { kind: Some(BmcKind::Dell), vendors: &["dell"], ..ANY };
const HPE: Row = Row { kind: Some(BmcKind::Hpe), vendors: &["hpe", "hp", "hewlett"], ..ANY };
const LENOVO: Row = Row { kind: Some(BmcKind::Lenovo), vendors: &["lenovo"], ..ANY };
/// MegaRAC, under many names.
const AMI: Row =
    Row { kind: None, vendors: &["ami", "american megatrends", "asrock", "giga computing", "gigabyte"], ..ANY };

const ROWS: &[Row] = &[
    Row {
        quirk: Quirk::SuffixedAttributes,
        source: "Supermicro, Redfish Reference Guide, \"BIOS Configuration\"; NVIDIA/libredfish src/supermicro.rs",
        ..SUPERMICRO
    },
    Row {
        quirk: Quirk::SettingsAt("SD"),
        source: "Supermicro, Redfish Reference Guide, \"BIOS Configuration\"; NVIDIA/libredfish src/supermicro.rs",
        ..SUPERMICRO
    },
    Row {
        quirk: Quirk::SettingsAt("SD"),
        source: "ansible-collections/community.general PR 6434 (Gigabyte has Bios/SD and no link to it)",
        ..AMI
    },
    Row {
        quirk: Quirk::SettingsAt("Pending"),
        source: "pubs.lenovo.com/xcc-restapi, \"Bios\"; lenovo/python-redfish-lenovo issue 277",
        ..LENOVO
    },
    Row {
        quirk: Quirk::FixedBootOrder,
        source: "NVIDIA/libredfish src/supermicro.rs (boot_first, set_boot_order); gofish's tests of the OEM resource",
        ..SUPERMICRO
    },
    Row {
        models: &["x10"],
        firmware: "3.",
        quirk: Quirk::NoOverrideMode,
        source: "gacybercenter/kinetic issue 60; ironcore-dev/metal-operator issue 982",
        ..SUPERMICRO
    },
    Row {
        but_not: &["ars-111gl-nhr"],
        quirk: Quirk::TargetAs(BootTarget::Cd, "UsbCd"),
        source: "openstack/sushy resources/system/system.py and its note supermicro-vmedia-dev-workaround",
        ..SUPERMICRO
    },
    Row {
        quirk: Quirk::PlainImageUrl,
        source: "OpenStack Ironic, release note remove-filename-param-from-vmedia-url",
        ..SUPERMICRO
    },
    Row {
        quirk: Quirk::HiddenCfgCd,
        source: "karmab/aicli issue 53 (an empty VirtualMedia collection, and a CfgCD to which nothing links)",
        ..SUPERMICRO
    },
    Row {
        models: &["gen9", "dl160"],
        quirk: Quirk::NoOverrideMode,
        source: "openstack/ironic drivers/modules/redfish/management.py; community.general issue 3509",
        ..HPE
    },
    Row { quirk: Quirk::ModeOnlyIfOther, source: "ironcore-dev/metal-operator issues 80 and 107 (iDRAC9)", ..DELL },
    Row {
        firmware: "1.",
        quirk: Quirk::BootInSettings("Settings"),
        source: "openstack/sushy note idrac10-settings-resource; stmcginnis/gofish issue 511 (iDRAC10)",
        ..DELL
    },
    Row {
        quirk: Quirk::BootInSettings("SD"),
        source: "pubs.lenovo.com/tsm, \"Boot Object\"; DMTF/Redfish-Tacklebox issues 111 and 144 (MegaRAC)",
        ..AMI
    },
    Row { models: &["sr675 v3"], quirk: Quirk::RestartByPower, source: "NVIDIA/libredfish src/lenovo.rs", ..LENOVO },
];

/// The differences of one BMC, each with where it is known from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Quirks(Vec<(Quirk, &'static str)>);

impl Quirks {
    pub(crate) fn of(kind: BmcKind, vendor: &str, model: &str, firmware: &str) -> Self {
        let (vendor, model) = (vendor.to_lowercase(), model.to_lowercase());
        let fits = |row: &&Row| {
            let made_by = row.kind == Some(kind) || row.vendors.iter().any(|name| vendor.starts_with(name));
            made_by
                && (row.models.is_empty() || row.models.iter().any(|part| model.contains(part)))
                && !row.but_not.iter().any(|part| model.contains(part))
                && firmware.starts_with(row.firmware)
        };
        Quirks(ROWS.iter().filter(fits).map(|row| (row.quirk, row.source)).collect())
    }

    pub(crate) fn has(&self, quirk: Quirk) -> bool {
        self.source(quirk).is_some()
    }

    /// Where a difference that this BMC has is known from.
    pub(crate) fn source(&self, quirk: Quirk) -> Option<&'static str> {
        self.0.iter().find(|(has, _)| *has == quirk).map(|(_, source)| *source)
    }

    /// [`Quirk::SettingsAt`].
    pub(crate) fn settings_at(&self) -> Option<&'static str> {
        self.0.iter().find_map(|(quirk, _)| match quirk {
            Quirk::SettingsAt(path) => Some(*path),
            _ => None,
        })
    }

    /// [`Quirk::BootInSettings`].
    pub(crate) fn boot_settings_at(&self) -> Option<&'static str> {
        self.0.iter().find_map(|(quirk, _)| match quirk {
            Quirk::BootInSettings(path) => Some(*path),
            _ => None,
        })
    }

    /// [`Quirk::TargetAs`].
    pub(crate) fn target_as(&self, target: BootTarget) -> Option<&'static str> {
        self.0.iter().find_map(|(quirk, _)| match quirk {
            Quirk::TargetAs(of, name) if *of == target => Some(*name),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_says_where_it_is_known_from_and_is_about_somebody() {
        for row in ROWS {
            assert!(row.source.len() > 20, "{:?}", row.quirk);
            assert!(row.kind.is_some() || !row.vendors.is_empty(), "{:?}", row.quirk);
            let small = |names: &[&str]| names.iter().all(|name| *name == name.to_lowercase());
            assert!(small(row.vendors) && small(row.models) && small(row.but_not), "{:?}", row.quirk);
        }
    }

    #[test]
    fn a_row_is_found_by_the_kind_or_by_the_vendor() {
        let by_kind = Quirks::of(BmcKind::Supermicro, "", "X11SCL-F", "1.73.12");
        assert_eq!(by_kind, Quirks::of(BmcKind::Redfish, "Supermicro", "X11SCL-F", "1.73.12"));
        assert!(by_kind.has(Quirk::SuffixedAttributes) && by_kind.has(Quirk::FixedBootOrder));
        assert_eq!(by_kind.settings_at(), Some("SD"));
        assert_eq!(Quirks::of(BmcKind::Redfish, "Contoso", "3500RX", "1.0"), Quirks::default());
    }

    #[test]
    fn a_row_can_be_about_a_model_or_a_firmware() {
        assert!(Quirks::of(BmcKind::Supermicro, "", "X10SRM-TF", "3.88").has(Quirk::NoOverrideMode));
        assert!(!Quirks::of(BmcKind::Supermicro, "", "X11SCL-F", "3.88").has(Quirk::NoOverrideMode));
        assert!(!Quirks::of(BmcKind::Supermicro, "", "X10SRM-TF", "4.0").has(Quirk::NoOverrideMode));
        let usual = Quirks::of(BmcKind::Supermicro, "", "SYS-1029", "");
        assert_eq!(usual.target_as(BootTarget::Cd), Some("UsbCd"));
        assert_eq!(usual.target_as(BootTarget::Pxe), None);
        assert_eq!(Quirks::of(BmcKind::Supermicro, "", "ARS-111GL-NHR", "").target_as(BootTarget::Cd), None);
        assert_eq!(Quirks::of(BmcKind::Dell, "", "PowerEdge R670", "1.20").boot_settings_at(), Some("Settings"));
        assert_eq!(Quirks::of(BmcKind::Dell, "", "PowerEdge R640", "7.00").boot_settings_at(), None);
    }
}
