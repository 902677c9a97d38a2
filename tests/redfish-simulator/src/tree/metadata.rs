//! The OData documents: `$metadata` and the service document.
//!
//! Output: XML and JSON. Invariant: each schema that a resource names in `@odata.type` is referenced in `$metadata`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Tree;

pub(crate) fn odata() -> Value {
    let link = |name: &str, url: &str| json!({"name": name, "kind": "Singleton", "url": url});
    json!({
        "@odata.context": "/redfish/v1/$metadata",
        "value": [
            link("Service", "/redfish/v1/"),
            link("Systems", "/redfish/v1/Systems"),
            link("Chassis", "/redfish/v1/Chassis"),
            link("Managers", "/redfish/v1/Managers"),
            link("SessionService", "/redfish/v1/SessionService"),
            link("AccountService", "/redfish/v1/AccountService"),
            link("Tasks", "/redfish/v1/TaskService"),
            link("UpdateService", "/redfish/v1/UpdateService"),
            link("Registries", "/redfish/v1/Registries"),
            link("Sessions", "/redfish/v1/SessionService/Sessions"),
        ],
    })
}

pub(crate) fn metadata(tree: &Tree) -> String {
    // Namespaces of resources that `view` makes, and of the structures inside resources.
    let mut namespaces: BTreeSet<String> = [
        "Session.v1_5_0",
        "SessionCollection",
        "ManagerAccount.v1_9_0",
        "ManagerAccountCollection",
        "Task.v1_7_0",
        "TaskCollection",
        "Settings.v1_3_4",
        "Message.v1_2_0",
        "ServiceRoot",
    ]
    .map(str::to_string)
    .into();
    for resource in tree.map.values() {
        let kind = resource["@odata.type"].as_str().unwrap_or_default().trim_start_matches('#');
        if let Some((namespace, _)) = kind.rsplit_once('.').filter(|(namespace, _)| !namespace.starts_with("Smc")) {
            namespaces.insert(namespace.into());
        }
    }
    let mut by_file: std::collections::BTreeMap<String, Vec<String>> = Default::default();
    for namespace in namespaces {
        let file = namespace.split('.').next().unwrap_or_default().to_string();
        by_file.entry(file).or_default().push(namespace);
    }
    let mut xml = String::from(concat!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
        "<edmx:Edmx xmlns:edmx=\"http://docs.oasis-open.org/odata/ns/edmx\" Version=\"4.0\">\n",
    ));
    for (file, includes) in &by_file {
        let _ = writeln!(xml, "  <edmx:Reference Uri=\"http://redfish.dmtf.org/schemas/v1/{file}_v1.xml\">");
        if !includes.contains(file) {
            let _ = writeln!(xml, "    <edmx:Include Namespace=\"{file}\"/>");
        }
        for namespace in includes {
            let _ = writeln!(xml, "    <edmx:Include Namespace=\"{namespace}\"/>");
        }
        xml.push_str("  </edmx:Reference>\n");
    }
    xml.push_str(concat!(
        "  <edmx:Reference Uri=\"http://redfish.dmtf.org/schemas/v1/RedfishExtensions_v1.xml\">\n",
        "    <edmx:Include Namespace=\"RedfishExtensions.v1_0_0\" Alias=\"Redfish\"/>\n",
        "  </edmx:Reference>\n",
        "  <edmx:DataServices>\n",
        "    <Schema xmlns=\"http://docs.oasis-open.org/odata/ns/edm\" Namespace=\"Service\">\n",
        "      <EntityContainer Name=\"Service\" Extends=\"ServiceRoot.v1_9_0.ServiceContainer\"/>\n",
        "    </Schema>\n",
        "  </edmx:DataServices>\n",
        "</edmx:Edmx>\n",
    ));
    xml
}
