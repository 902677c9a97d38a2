//! A Supermicro X11 board: ids "1", suffixed BIOS attributes, the settings resource at `SD`, the OEM boot order, virtual media by `VM1/CfgCD`.
//!
//! Output: [`Model::supermicro_x11`]. Sources of the shapes: public Redfish dumps of X11 to X13 boards as /work's research lists them; names of
//! attributes and their numbers differ from BIOS to BIOS, so a client must not count on them.

use serde_json::json;

use super::bios::{Attribute, Kind};
use super::{Model, Vendor, words};

impl Model {
    pub fn supermicro_x11() -> Model {
        Model {
            vendor: Vendor::Supermicro,
            manufacturer: "Supermicro".into(),
            product: "X11SCL-F".into(),
            serial: "S385617X0A12345".into(),
            uuid: "00000000-0000-0000-0000-AC1F6B6C5A76".into(),
            bios_version: "1.7".into(),
            bmc_version: "1.73.12".into(),
            redfish_version: "1.8.0".into(),
            system: "1".into(),
            manager: "1".into(),
            chassis: "1".into(),
            user: "ADMIN".into(),
            settings: "SD".into(),
            attributes: attributes(),
            registry: "BiosAttributeRegistry".into(),
            reset_types: words(&[
                "On",
                "ForceOff",
                "GracefulShutdown",
                "GracefulRestart",
                "ForceRestart",
                "Nmi",
                "ForceOn",
            ]),
            action_info: false,
            boot_targets: words(&[
                "None",
                "Pxe",
                "Hdd",
                "Diags",
                "Cd",
                "BiosSetup",
                "FloppyRemovableMedia",
                "UsbKey",
                "UsbHdd",
            ]),
            boot_modes: words(&["Legacy", "UEFI"]),
            boot_mode: "Legacy".into(),
            boot_options: Vec::new(),
            fixed_boot_order: words(&[
                "UEFI Hard Disk:ubuntu (SATA,Port:0)",
                "UEFI CD/DVD",
                "UEFI USB Hard Disk",
                "UEFI USB CD/DVD",
                "UEFI USB Key",
                "UEFI USB Floppy",
                "UEFI USB Lan",
                "UEFI Network:(B2/D0/F0) UEFI PXE IPv4 Intel(R) I210 Gigabit  Network Connection - AC1F6B6C5A76",
                "UEFI AP:UEFI: Built-in EFI Shell",
            ]),
            cfg_cd: true,
            ..Model::generic()
        }
    }
}

fn attributes() -> Vec<Attribute> {
    let on_off = ["Disabled", "Enabled"];
    vec![
        Attribute::choice("BootModeSelect_0045", "Boot mode select", "./Boot", &["LEGACY", "UEFI", "DUAL"], "DUAL"),
        Attribute::choice("LegacytoEFIsupport_0046", "Legacy to EFI support", "./Boot", &on_off, "Disabled"),
        Attribute::new("QuietBoot_0038", "Quiet Boot", "./Advanced/Boot Feature", Kind::Boolean, json!(true)),
        Attribute::choice(
            "Re_tryBoot_003D",
            "Re-try Boot",
            "./Advanced/Boot Feature",
            &["Disabled", "Legacy Boot", "EFI Boot"],
            "Disabled",
        ),
        Attribute::choice(
            "OnboardLAN1OptionROM_0023",
            "Onboard LAN1 Option ROM",
            "./Advanced/PCIe",
            &["Disabled", "PXE", "EFI"],
            "PXE",
        ),
        Attribute::choice("SR_IOVSupport_0022", "SR-IOV Support", "./Advanced/PCIe", &on_off, "Disabled"),
        Attribute::choice(
            "IntelVirtualizationTechnology_0001",
            "Intel(R) VT-x",
            "./Advanced/CPU",
            &["Disable", "Enable"],
            "Enable",
        ),
        Attribute::new(
            "WatchDogTimeout_0040",
            "Watch Dog Timeout",
            "./Advanced/Boot Feature",
            Kind::Integer { lower: 1, upper: 255, step: 1 },
            json!(5),
        ),
        Attribute::new("SystemLabel_00FF", "System Label", "./Main", Kind::Text { longest: 20 }, json!("rack-1")),
        Attribute::new("BIOSVersion_0002", "BIOS Version", "./Main", Kind::Text { longest: 16 }, json!("1.7"))
            .read_only(),
    ]
}
