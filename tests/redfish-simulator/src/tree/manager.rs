//! The BMC itself, with its network interface and virtual media.
//!
//! Input: the model; output: their resources. What is in a slot is in `view`.

use serde_json::json;

use super::{Tree, healthy, link};
use crate::model::Model;

pub(super) fn grow(tree: &mut Tree, model: &Model) {
    let path = model.manager_path();
    tree.collect("/redfish/v1/Managers", "Manager", "Managers", std::slice::from_ref(&model.manager));
    let more = json!({
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
    if model.cfg_cd {
        supermicro(tree, model);
        return;
    }
    let slots: [(&str, &[&str]); 2] = [("CD1", &["CD", "DVD"]), ("USB1", &["USBStick"])];
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
}

/// X11: an image on a share, mounted by the BMC. The collection is at `VM1`, and `view` puts a member into it while an image is mounted.
fn supermicro(tree: &mut Tree, model: &Model) {
    let path = model.cfg_cd_path();
    let resource = json!({
        "@odata.type": "#SmcIsoConfig.v1_0_0.SmcIsoConfig",
        "@odata.id": path,
        "Id": "CfgCD",
        "Name": "Iso Config",
        "Actions": {
            "#IsoConfig.Mount": {"target": format!("{path}/Actions/IsoConfig.Mount")},
            "#IsoConfig.UnMount": {"target": format!("{path}/Actions/IsoConfig.UnMount")},
        },
    });
    tree.map.insert(path, resource);
}
