//! The BMC itself, with its network interface and virtual media.
//!
//! Input: the model; output: their resources. What is in a slot is in `view`.

use serde_json::{Value, json};

use super::{Tree, healthy, link};
use crate::model::Model;

pub(super) fn grow(tree: &mut Tree, model: &Model) {
    let path = model.manager_path();
    tree.collect("/redfish/v1/Managers", "Manager", "Managers", std::slice::from_ref(&model.manager));
    let mut more = json!({
        "ManagerType": "BMC",
        "UUID": "58893887-8974-2487-2389-841168418919",
        "Model": format!("{} BMC", model.manufacturer),
        "FirmwareVersion": model.bmc_version,
        "PowerState": "On",
        "Status": healthy(),
        "EthernetInterfaces": link(&format!("{path}/EthernetInterfaces")),
        "VirtualMedia": link(&model.media_path()),
        "NetworkProtocol": link(&format!("{path}/NetworkProtocol")),
        "Links": {"ManagerForServers": [link(&model.system_path())], "ManagerForChassis": [link(&model.chassis_path())]},
    });
    if model.cfg_cd {
        more["Oem"] = json!({"Supermicro": {
            "@odata.type": "#SmcManagerExtensions.v1_0_0.Manager",
            "VM1": link(&format!("{path}/VM1")),
        }});
    }
    tree.put(&path, "Manager.v1_10_0", &model.manager, "Manager", more);
    network(tree, &path);
    protocols(tree, &path);
    media(tree, model);
}

fn network(tree: &mut Tree, manager: &str) {
    let path = format!("{manager}/EthernetInterfaces");
    tree.collect(&path, "EthernetInterface", "Ethernet Interfaces", &["eth0".into()]);
    tree.put(
        &format!("{path}/eth0"),
        "EthernetInterface.v1_6_0",
        "eth0",
        "Manager Ethernet Interface",
        json!({
            "MACAddress": "AC:1F:6B:6C:58:31",
            "SpeedMbps": 1000,
            "LinkStatus": "LinkUp",
            "IPv4Addresses": [{"Address": "10.10.1.11", "SubnetMask": "255.255.255.0", "AddressOrigin": "Static", "Gateway": "10.10.1.1"}],
            "Status": healthy(),
        }),
    );
}

fn protocols(tree: &mut Tree, manager: &str) {
    tree.put(
        &format!("{manager}/NetworkProtocol"),
        "ManagerNetworkProtocol.v1_8_0",
        "NetworkProtocol",
        "Manager Network Protocol",
        json!({
            "HostName": "web483-bmc",
            "FQDN": "web483-bmc.dmtf.invalid",
            "HTTP": {"ProtocolEnabled": false, "Port": 80},
            "HTTPS": {"ProtocolEnabled": true, "Port": 443},
            "Status": healthy(),
        }),
    );
}

fn media(tree: &mut Tree, model: &Model) {
    let path = model.media_path();
    let slots: &[(&str, &[&str])] = match model.standard_media {
        true => &[("CD1", &["CD", "DVD"]), ("USB1", &["USBStick"])],
        false => &[],
    };
    let ids: Vec<String> = slots.iter().map(|(id, _)| id.to_string()).collect();
    tree.collect(&path, "VirtualMedia", "Virtual Media", &ids);
    for (id, kinds) in slots {
        let here = format!("{path}/{id}");
        tree.put(
            &here,
            "VirtualMedia.v1_5_0",
            id,
            "Virtual Removable Media",
            json!({
                "MediaTypes": kinds,
                "Actions": {
                    "#VirtualMedia.InsertMedia": {"target": format!("{here}/Actions/VirtualMedia.InsertMedia")},
                    "#VirtualMedia.EjectMedia": {"target": format!("{here}/Actions/VirtualMedia.EjectMedia")},
                },
            }),
        );
    }
    if model.cfg_cd {
        supermicro(tree, model);
    }
}

/// X11: an image on a share, mounted by the BMC.
fn supermicro(tree: &mut Tree, model: &Model) {
    let vm1 = format!("{}/VM1", model.manager_path());
    let path = model.cfg_cd_path();
    let resource = |path: &str, kind: &str, id: &str, name: &str, more: Value| {
        let mut resource = json!({"@odata.type": kind, "@odata.id": path, "Id": id, "Name": name});
        super::merge(&mut resource, more);
        (path.to_string(), resource)
    };
    let all = [
        resource(
            &vm1,
            "#SmcVM.v1_0_0.SmcVM",
            "VM1",
            "Virtual Media",
            json!({
                "@odata.id": vm1,
            "CD1": link(&format!("{vm1}/CD1")),
            "Oem": {"Supermicro": {"VirtualMediaConfig": link(&path)}},
            }),
        ),
        resource(
            &format!("{vm1}/CD1"),
            "#VirtualMedia.v1_5_0.VirtualMedia",
            "CD1",
            "Virtual Media",
            json!({"MediaTypes": ["CD", "DVD"]}),
        ),
        resource(
            &path,
            "#SmcIsoConfig.v1_0_0.SmcIsoConfig",
            "CfgCD",
            "Iso Config",
            json!({"Actions": {
                "#IsoConfig.Mount": {"target": format!("{path}/Actions/IsoConfig.Mount")},
                "#IsoConfig.UnMount": {"target": format!("{path}/Actions/IsoConfig.UnMount")},
            }}),
        ),
    ];
    tree.map.extend(all);
}
