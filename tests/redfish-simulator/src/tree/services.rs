//! The service root and the services that are the BMC's own: sessions, accounts, tasks, updates, registries, schemas.
//!
//! Input: the model; output: their resources. Sessions, accounts and tasks themselves are in `view`, as they come and go.

use serde_json::{Value, json};

use super::{Tree, healthy, link};
use crate::model::{Model, Vendor};

pub(super) fn grow(tree: &mut Tree, model: &Model) {
    root(tree, model);
    sessions(tree, model);
    accounts(tree);
    registries(tree, model);
    tree.put(
        "/redfish/v1/TaskService",
        "TaskService.v1_2_0",
        "TaskService",
        "Task Service",
        json!({"ServiceEnabled": true, "Status": healthy(), "Tasks": link("/redfish/v1/TaskService/Tasks")}),
    );
    tree.put(
        "/redfish/v1/UpdateService",
        "UpdateService.v1_11_0",
        "UpdateService",
        "Update Service",
        json!({
            "ServiceEnabled": true,
            "Status": healthy(),
            "FirmwareInventory": link("/redfish/v1/UpdateService/FirmwareInventory"),
        }),
    );
    let firmware = "/redfish/v1/UpdateService/FirmwareInventory";
    tree.collect(firmware, "SoftwareInventory", "Firmware Inventory", &["BMC".into(), "BIOS".into()]);
    for (id, version) in [("BMC", &model.bmc_version), ("BIOS", &model.bios_version)] {
        tree.put(
            &format!("{firmware}/{id}"),
            "SoftwareInventory.v1_5_0",
            id,
            &format!("{id} Firmware"),
            json!({"Version": version, "Updateable": false, "Status": healthy()}),
        );
    }
}

fn root(tree: &mut Tree, model: &Model) {
    let mut more = json!({
        "RedfishVersion": model.redfish_version,
        "UUID": "92384634-2938-2342-8820-489239905423",
        "ProtocolFeaturesSupported": {
            "ExpandQuery": {"ExpandAll": false, "Levels": false, "Links": false, "NoLinks": false},
            "FilterQuery": false,
            "SelectQuery": false,
            "ExcerptQuery": false,
            "OnlyMemberQuery": false,
        },
        "Systems": link("/redfish/v1/Systems"),
        "Chassis": link("/redfish/v1/Chassis"),
        "Managers": link("/redfish/v1/Managers"),
        "Tasks": link("/redfish/v1/TaskService"),
        "SessionService": link("/redfish/v1/SessionService"),
        "AccountService": link("/redfish/v1/AccountService"),
        "UpdateService": link("/redfish/v1/UpdateService"),
        "Registries": link("/redfish/v1/Registries"),
        "Links": {"Sessions": link("/redfish/v1/SessionService/Sessions")},
    });
    // Supermicro's firmware of that age tells no vendor in the root; the system does.
    if model.vendor != Vendor::Supermicro {
        more["Vendor"] = json!(model.manufacturer);
        more["Product"] = json!(model.product);
    }
    tree.put("/redfish/v1", "ServiceRoot.v1_9_0", "RootService", "Root Service", more);
    if let Some(root) = tree.map.get_mut("/redfish/v1") {
        root["@odata.id"] = json!("/redfish/v1/");
    }
}

fn sessions(tree: &mut Tree, model: &Model) {
    tree.put(
        "/redfish/v1/SessionService",
        "SessionService.v1_1_8",
        "SessionService",
        "Session Service",
        json!({
            "ServiceEnabled": true,
            "Status": healthy(),
            "SessionTimeout": model.session_timeout.as_secs(),
            "Sessions": link("/redfish/v1/SessionService/Sessions"),
        }),
    );
}

fn accounts(tree: &mut Tree) {
    let base = "/redfish/v1/AccountService";
    tree.put(
        base,
        "AccountService.v1_15_0",
        "AccountService",
        "Account Service",
        json!({
            "ServiceEnabled": true,
            "Status": healthy(),
            "HTTPBasicAuth": "Enabled",
            "MinPasswordLength": 8,
            "MaxPasswordLength": 40,
            "AccountLockoutThreshold": 0,
            "Accounts": link("/redfish/v1/AccountService/Accounts"),
            "Roles": link("/redfish/v1/AccountService/Roles"),
        }),
    );
    let roles: [(&str, &[&str]); 3] = [
        ("Administrator", &["Login", "ConfigureManager", "ConfigureUsers", "ConfigureSelf", "ConfigureComponents"]),
        ("Operator", &["Login", "ConfigureSelf", "ConfigureComponents"]),
        ("ReadOnly", &["Login", "ConfigureSelf"]),
    ];
    let ids: Vec<String> = roles.iter().map(|(id, _)| id.to_string()).collect();
    tree.collect(&format!("{base}/Roles"), "Role", "Roles", &ids);
    for (id, privileges) in roles {
        tree.put(
            &format!("{base}/Roles/{id}"),
            "Role.v1_3_0",
            id,
            "User Role",
            json!({"RoleId": id, "IsPredefined": true, "AssignedPrivileges": privileges}),
        );
    }
}

fn registries(tree: &mut Tree, model: &Model) {
    let base = "/redfish/v1/Registries";
    if model.registry.is_empty() {
        tree.collect(base, "MessageRegistryFile", "Registries", &[]);
        return;
    }
    let id = format!("{}.v1_0_0", model.registry);
    let uri = format!("{base}/{}/{}.json", model.registry, id);
    tree.collect(base, "MessageRegistryFile", "Registries", std::slice::from_ref(&model.registry));
    tree.put(
        &format!("{base}/{}", model.registry),
        "MessageRegistryFile.v1_1_3",
        &model.registry,
        "BIOS Attribute Registry File",
        json!({
            "Registry": id,
            "Languages": ["en"],
            "Location": [{"Language": "en", "Uri": uri}],
        }),
    );
    // Not the id in the URI, but one of letters and digits.
    let system_id: String = model.system.chars().filter(char::is_ascii_alphanumeric).collect();
    let attributes: Vec<Value> = model.attributes.iter().map(|one| one.registered()).collect();
    tree.map.insert(
        uri,
        json!({
            "@odata.type": "#AttributeRegistry.v1_3_6.AttributeRegistry",
            "Id": id,
            "Name": "BIOS Attribute Registry",
            "Language": "en",
            "OwningEntity": model.manufacturer,
            "RegistryVersion": "1.0.0",
            "SupportedSystems": [{"ProductName": model.product, "SystemId": system_id, "FirmwareVersion": model.bios_version}],
            "RegistryEntries": {"Attributes": attributes},
        }),
    );
}
