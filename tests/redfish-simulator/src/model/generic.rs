//! A machine by the book: DMTF's own example of a rack server, with all that the standard offers.
//!
//! Output: [`Model::generic`]. Invariant: no id is "1", so that a client that guesses ids fails here.

use std::time::Duration;

use serde_json::json;

use super::bios::{Attribute, Kind};
use super::{BootOption, Model, Vendor, words};

impl Model {
    pub fn generic() -> Model {
        Model {
            vendor: Vendor::Generic,
            manufacturer: "Contoso".into(),
            product: "3500RX".into(),
            serial: "437XR1138R2".into(),
            uuid: "38947555-7742-3448-3784-823347823834".into(),
            bios_version: "P79 v1.45 (12/06/2017)".into(),
            bmc_version: "1.45.455b66-rev4".into(),
            redfish_version: "1.18.0".into(),
            system: "437XR1138R2".into(),
            manager: "BMC".into(),
            chassis: "1U".into(),
            user: "operator".into(),
            password: "sup3r-s3cret-pw".into(),
            settings: "Settings".into(),
            attributes: attributes(),
            registry: "BiosAttributeRegistryP79".into(),
            reset_types: words(&[
                "On",
                "ForceOff",
                "GracefulShutdown",
                "GracefulRestart",
                "ForceRestart",
                "PowerCycle",
                "PushPowerButton",
            ]),
            action_info: true,
            boot_targets: words(&["None", "Pxe", "Hdd", "Cd", "Usb", "BiosSetup", "UefiHttp", "UefiTarget"]),
            boot_modes: words(&["UEFI", "Legacy"]),
            boot_mode: "UEFI".into(),
            boot_options: vec![
                option("Boot0001", "Ubuntu", "HD(1,GPT,6B3B)/\\EFI\\ubuntu\\shimx64.efi", "Hdd"),
                option("Boot0002", "UEFI PXE IPv4 NIC 1", "PciRoot(0x0)/Pci(0x1,0x0)/MAC(E2AA00000001)/IPv4", "Pxe"),
                option("Boot0003", "UEFI HTTP IPv4 NIC 1", "PciRoot(0x0)/MAC(E2AA00000001)/IPv4/Uri()", "UefiHttp"),
                option("Boot0004", "Virtual CD", "PciRoot(0x0)/Pci(0x14,0x0)/USB(0x1,0x0)/CDROM(0x0)", "Cd"),
            ],
            fixed_boot_order: Vec::new(),
            cfg_cd: false,
            weak_etags: false,
            session_limit: 16,
            session_timeout: Duration::from_secs(1800),
            latency: Duration::ZERO,
            power_delay: Duration::ZERO,
            post: Duration::ZERO,
            retry_after: 1,
            task_time: Duration::from_millis(20),
        }
    }
}

pub(super) fn option(reference: &str, name: &str, device_path: &str, alias: &str) -> BootOption {
    BootOption { reference: reference.into(), name: name.into(), device_path: device_path.into(), alias: alias.into() }
}

fn attributes() -> Vec<Attribute> {
    let on_off = ["Enabled", "Disabled"];
    vec![
        Attribute::choice("MemoryMode", "Memory Mode", "./Memory", &["Independent", "Mirrored"], "Independent")
            .read_only(),
        Attribute::choice("BootMode", "Boot Mode", "./Boot", &["Uefi", "Bios"], "Uefi"),
        Attribute::choice("EmbeddedSata", "Embedded SATA", "./Storage", &["Ahci", "Raid", "Off"], "Ahci"),
        Attribute::choice("NicBoot1", "NIC 1 Boot", "./Network", &["NetworkBoot", "Disabled"], "NetworkBoot"),
        Attribute::choice("ProcTurboMode", "Turbo Mode", "./Processor", &on_off, "Enabled"),
        Attribute::choice("SriovGlobal", "SR-IOV", "./Devices", &on_off, "Disabled"),
        Attribute::choice("UsbControl", "USB", "./Devices", &["UsbEnabled", "UsbDisabled"], "UsbEnabled"),
        Attribute::new("QuietBoot", "Quiet Boot", "./Boot", Kind::Boolean, json!(true)),
        Attribute::new(
            "BootRetryDelay",
            "Boot Retry Delay",
            "./Boot",
            Kind::Integer { lower: 0, upper: 300, step: 5 },
            json!(30),
        ),
        Attribute::new("AssetLabel", "Asset Label", "./System", Kind::Text { longest: 20 }, json!("rack-1")),
        Attribute::new("ServiceTag", "Service Tag", "./System", Kind::Text { longest: 16 }, json!("437XR1138R2"))
            .read_only(),
    ]
}
