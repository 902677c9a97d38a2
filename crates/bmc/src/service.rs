//! What stands behind a BMC's service root: which system, manager and chassis the node is (DSP0268).
//!
//! In: the service root. Out: [`Service`]: paths, as the BMC's own links have them, and what was read on the way. Invariant: no id is
//! guessed.

use netboot::BmcKind;
use serde_json::Value;

use crate::client::Client;
use crate::error::{Error, Kind};
use crate::plain::plain;
use crate::quirks::Quirks;

/// Members of one collection that are looked at.
const MOST: usize = 64;

/// The resources of one node.
pub(crate) struct Service {
    /// The ComputerSystem.
    pub(crate) system: String,
    /// The Manager; `None` where the BMC shows none.
    pub(crate) manager: Option<String>,
    /// Every Chassis that holds the system.
    pub(crate) chassis: Vec<String>,
    pub(crate) quirks: Quirks,
    /// The system as it was a moment ago.
    pub(crate) system_body: Value,
    /// The Manager's; `Null` where there is none, or none that can be read.
    pub(crate) manager_body: Value,
}

impl Service {
    /// Finds the node's resources: ids are the BMC's own, and "1" only by custom.
    ///
    /// # Errors
    /// There is no system, or there are several and `wanted` (an id, a UUID or a name) does not say which.
    pub(crate) async fn discover(client: &Client, kind: BmcKind, wanted: Option<&str>) -> Result<Service, Error> {
        let Some(collection) = link(&client.root["Systems"]) else {
            return Err(Error::unsupported("show its systems", "the service root does not name them"));
        };
        let listed = client.get(&collection, "list its systems").await?.body;
        let (system, body) = choose(client, &linked(&listed["Members"]), wanted).await?;
        let managers = related(client, &body["Links"]["ManagedBy"], "Managers").await?;
        let chassis = related(client, &body["Links"]["Chassis"], "Chassis").await?;
        let manager = managers.into_iter().next();
        let manager_body = match &manager {
            Some(manager) => bearable(client.get(manager, "read the manager").await.map(|answer| answer.body))?,
            None => Value::Null,
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let quirks = Quirks::of(
            kind,
            &vendor(&client.root, &body),
            &text(&body["Model"]),
            &text(&manager_body["FirmwareVersion"]),
        );
        Ok(Service { system, manager, chassis, quirks, system_body: body, manager_body })
    }
}

/// Where a link leads.
pub(crate) fn link(value: &Value) -> Option<String> {
    value["@odata.id"].as_str().map(str::to_owned)
}

/// Where a list of links leads.
pub(crate) fn linked(links: &Value) -> Vec<String> {
    links.as_array().into_iter().flatten().take(MOST).filter_map(link).collect()
}

/// Whose BMC it is: the service root says it, or the name of its OEM part, or the system.
fn vendor(root: &Value, system: &Value) -> String {
    let oem = || root["Oem"].as_object()?.keys().find(|key| !key.contains('@')).cloned();
    let said = |value: &Value| value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    said(&root["Vendor"]).or_else(oem).or_else(|| said(&system["Manufacturer"])).unwrap_or_default()
}

/// What the system links to; else all members of one of the service root's collections.
async fn related(client: &Client, links: &Value, collection: &str) -> Result<Vec<String>, Error> {
    let found = linked(links);
    if !found.is_empty() {
        return Ok(found);
    }
    let Some(path) = link(&client.root[collection]) else { return Ok(Vec::new()) };
    let listed = client.get(&path, &format!("list its {}", collection.to_lowercase())).await;
    Ok(linked(&bearable(listed.map(|answer| answer.body))?["Members"]))
}

/// `Null` for what a BMC refuses to show, and can be done without.
fn bearable(read: Result<Value, Error>) -> Result<Value, Error> {
    match read {
        Err(error) if error.kind() == Kind::Refused => Ok(Value::Null),
        result => result,
    }
}

async fn choose(client: &Client, systems: &[String], wanted: Option<&str>) -> Result<(String, Value), Error> {
    const WHAT: &str = "read the system";
    let id = |path: &str| path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    let chosen = match (systems, wanted) {
        ([], _) => return Err(Error::unsupported("show its system", "it lists none")),
        ([only], None) => Some(only),
        (_, None) => None,
        (_, Some(wanted)) => systems.iter().find(|path| id(path) == wanted),
    };
    if let Some(path) = chosen {
        return Ok((path.clone(), client.get(path, WHAT).await?.body));
    }
    let known: Vec<_> = systems.iter().map(|path| plain(&id(path))).collect();
    let Some(wanted) = wanted else {
        return Err(Error::Input {
            message: format!("{} answers for several systems: {}", client.endpoint(), known.join(", ")),
            help: Some("say which: bmc.system = \"...\" in nodes.toml".to_owned()),
        });
    };
    // Not by HostName: whatever runs on a machine sets it.
    let mut named = Vec::new();
    for path in systems {
        let body = bearable(client.get(path, WHAT).await.map(|answer| answer.body))?;
        let is = |key: &str| body[key].as_str().is_some_and(|has| has.eq_ignore_ascii_case(wanted));
        if ["Id", "UUID", "Name"].into_iter().any(is) {
            named.push((path.clone(), body));
        }
    }
    if named.len() > 1 {
        let which: Vec<_> = named.iter().map(|(path, _)| plain(&id(path))).collect();
        return Err(Error::Input {
            message: format!("{} has several systems '{}': {}", client.endpoint(), plain(wanted), which.join(", ")),
            help: Some("say which by its id: bmc.system = \"...\" in nodes.toml".to_owned()),
        });
    }
    if let Some(only) = named.pop() {
        return Ok(only);
    }
    Err(Error::Input {
        message: format!("{} has no system '{}'", client.endpoint(), plain(wanted)),
        help: Some(format!("it has {}", known.join(", "))),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_vendor_is_what_the_root_says_then_the_oem_part_then_the_manufacturer() {
        let system = json!({ "Manufacturer": "Dell Inc." });
        assert_eq!(vendor(&json!({ "Vendor": "AMI", "Oem": { "Hpe": {} } }), &system), "AMI");
        assert_eq!(vendor(&json!({ "Oem": { "Hpe": {} } }), &system), "Hpe");
        assert_eq!(vendor(&json!({ "Vendor": " " }), &system), "Dell Inc.");
        assert_eq!(vendor(&json!([]), &json!(null)), "");
    }
}
