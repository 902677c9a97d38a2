//! The computer system with its BIOS, boot options, processors, memory, network and storage.
//!
//! Input: the model; output: their resources, as they are at the start. `view` adds power, boot, BIOS values and what else may change.

use serde_json::{Value, json};

use super::{Tree, healthy, link};
use crate::model::{Model, Vendor};

pub(super) fn grow(tree: &mut Tree, model: &Model) {
    let path = model.system_path();
    tree.collect("/redfish/v1/Systems", "ComputerSystem", "Computer Systems", std::slice::from_ref(&model.system));
    tree.put(&path, "ComputerSystem.v1_13_0", &model.system, "Web server", computer(model));
    boot_options(tree, model);
    bios(tree, model);
    network(tree, &path);
    processors(tree, &path);
    memory(tree, &path);
    storage(tree, model, &path);
    if model.action_info {
        let parameter =
            json!({"Name": "ResetType", "Required": true, "DataType": "String", "AllowableValues": model.reset_types});
        tree.put(
            &format!("{path}/ResetActionInfo"),
            "ActionInfo.v1_2_0",
            "ResetActionInfo",
            "Reset Action Info",
            json!({"Parameters": [parameter]}),
        );
    }
}

fn computer(model: &Model) -> Value {
    let path = model.system_path();
    let under = |name: &str| link(&format!("{path}/{name}"));
    let mut reset = json!({"target": format!("{path}/Actions/ComputerSystem.Reset")});
    match model.action_info {
        true => reset["@Redfish.ActionInfo"] = json!(format!("{path}/ResetActionInfo")),
        false => reset["ResetType@Redfish.AllowableValues"] = json!(model.reset_types),
    }
    let mut more = json!({
        "SystemType": "Physical",
        "AssetTag": "",
        "Manufacturer": model.manufacturer,
        "Model": model.product,
        "SKU": "8675309",
        "SerialNumber": model.serial,
        "PartNumber": "224071-J23",
        "UUID": model.uuid,
        "HostName": "web483",
        "Status": healthy(),
        "LocationIndicatorActive": false,
        "PowerState": "On",
        "Boot": {},
        "BiosVersion": model.bios_version,
        "ProcessorSummary": {"Count": 1, "Model": "Multi-Core Intel(R) Xeon(R) processor 7xxx Series", "Status": healthy()},
        "MemorySummary": {"TotalSystemMemoryGiB": 64, "Status": healthy()},
        "Bios": under("Bios"),
        "Processors": under("Processors"),
        "Memory": under("Memory"),
        "EthernetInterfaces": under("EthernetInterfaces"),
        "Storage": under("Storage"),
        "Links": {"Chassis": [link(&model.chassis_path())], "ManagedBy": [link(&model.manager_path())]},
        "Actions": {"#ComputerSystem.Reset": reset},
    });
    if model.vendor != Vendor::Supermicro {
        more["BootProgress"] = json!({"LastState": "OSRunning"});
    }
    if !model.fixed_boot_order.is_empty() {
        more["Oem"] = json!({"Supermicro": {
            "@odata.type": "#SmcSystemExtensions.v1_0_0.System",
            "FixedBootOrder": link(&model.fixed_path()),
        }});
    }
    more
}

fn boot_options(tree: &mut Tree, model: &Model) {
    if model.boot_options.is_empty() {
        return;
    }
    let path = format!("{}/BootOptions", model.system_path());
    // The ids are not the references, as the standard allows.
    let ids: Vec<String> = (1..=model.boot_options.len()).map(|number| format!("option-{number}")).collect();
    tree.collect(&path, "BootOption", "Boot Options", &ids);
    for (id, option) in ids.iter().zip(&model.boot_options) {
        let mut more = json!({
            "BootOptionReference": option.reference,
            "DisplayName": option.name,
            "UefiDevicePath": option.device_path,
            "BootOptionEnabled": true,
        });
        if model.boot_targets.contains(&option.alias) {
            more["Alias"] = json!(option.alias);
        }
        tree.put(&format!("{path}/{id}"), "BootOption.v1_0_4", id, "Boot Option", more);
    }
}

fn bios(tree: &mut Tree, model: &Model) {
    let path = model.bios_path();
    let mut more = json!({
        "Attributes": {},
        "Actions": {"#Bios.ResetBios": {"target": format!("{path}/Actions/Bios.ResetBios")}},
    });
    if !model.registry.is_empty() {
        more["AttributeRegistry"] = json!(format!("{}.v1_0_0", model.registry));
    }
    tree.put(&path, "Bios.v1_2_0", "Bios", "BIOS Configuration Current Settings", more);
}

fn network(tree: &mut Tree, system: &str) {
    let path = format!("{system}/EthernetInterfaces");
    let cards = [("NIC.1", "AC:1F:6B:6C:5A:76", "LinkUp", 1000), ("NIC.2", "AC:1F:6B:6C:5A:77", "LinkDown", 0)];
    let ids: Vec<String> = cards.iter().map(|(id, ..)| id.to_string()).collect();
    tree.collect(&path, "EthernetInterface", "Ethernet Interfaces", &ids);
    for (id, mac, state, speed) in cards {
        tree.put(
            &format!("{path}/{id}"),
            "EthernetInterface.v1_6_0",
            id,
            "Ethernet Interface",
            json!({"MACAddress": mac, "PermanentMACAddress": mac, "LinkStatus": state, "SpeedMbps": speed, "Status": healthy()}),
        );
    }
}

fn processors(tree: &mut Tree, system: &str) {
    let path = format!("{system}/Processors");
    tree.collect(&path, "Processor", "Processors", &["CPU1".into()]);
    tree.put(
        &format!("{path}/CPU1"),
        "Processor.v1_13_0",
        "CPU1",
        "Processor",
        json!({
            "Socket": "CPU 1",
            "ProcessorType": "CPU",
            "ProcessorArchitecture": "x86",
            "InstructionSet": "x86-64",
            "Manufacturer": "Intel(R) Corporation",
            "Model": "Intel(R) Xeon(R) E-2278G CPU @ 3.40GHz",
            "MaxSpeedMHz": 5000,
            "TotalCores": 8,
            "TotalThreads": 16,
            "Status": healthy(),
        }),
    );
}

fn memory(tree: &mut Tree, system: &str) {
    let path = format!("{system}/Memory");
    tree.collect(&path, "Memory", "Memory", &["DIMM1".into(), "DIMM2".into()]);
    for (id, present) in [("DIMM1", true), ("DIMM2", false)] {
        let more = match present {
            true => json!({
                "MemoryDeviceType": "DDR4",
                "CapacityMiB": 65536,
                "OperatingSpeedMhz": 2666,
                "Manufacturer": "Micron",
                "SerialNumber": "E1A2B3C4",
                "PartNumber": "18ASF4G72AZ",
                "Status": healthy(),
            }),
            false => json!({"Status": {"State": "Absent"}}),
        };
        tree.put(&format!("{path}/{id}"), "Memory.v1_13_0", id, "Memory", more);
    }
}

fn storage(tree: &mut Tree, model: &Model, system: &str) {
    let path = format!("{system}/Storage");
    tree.collect(&path, "Storage", "Storage", &["AHCI".into()]);
    let drive = |id: &str| format!("{path}/AHCI/Drives/{id}");
    tree.put(
        &format!("{path}/AHCI"),
        "Storage.v1_10_0",
        "AHCI",
        "Storage",
        json!({"Drives": [link(&drive("Disk0")), link(&drive("Disk1"))], "Status": healthy()}),
    );
    let disks = [
        ("Disk0", "S3Z8NB0K123456", 480_103_981_056_u64, "SSD"),
        ("Disk1", "WD-WMC4N0123456", 4_000_787_030_016, "HDD"),
    ];
    for (id, serial, bytes, media) in disks {
        tree.put(
            &drive(id),
            "Drive.v1_14_0",
            id,
            "Drive",
            json!({
                "Manufacturer": "Contoso",
                "Model": "CT480",
                "SerialNumber": serial,
                "CapacityBytes": bytes,
                "MediaType": media,
                "Protocol": "SATA",
                "Status": healthy(),
                "Links": {"Chassis": link(&model.chassis_path())},
            }),
        );
    }
}
