//! What stands behind a BMC's service root: which system, manager and chassis the node is (DSP0268).

use netboot::BmcKind;
use serde_json::Value;

use crate::client::Client;
use crate::error::Error;
use crate::plain::plain;
use crate::quirks::Quirks;

/// The resources of one node.
pub(crate) struct Service {
    /// The ComputerSystem.
    pub(crate) system: String,
    /// The Manager; `None` where the BMC shows none.
    pub(crate) manager: Option<String>,
    /// Every Chassis that holds the system.
    pub(crate) chassis: Vec<String>,
    pub(crate) quirks: Quirks,
}

impl Service {
    /// Finds the node's resources: ids are the BMC's own, and "1" only by custom.
    ///
    /// # Errors
    /// There is no system, or there are several and `wanted` (an id, a UUID or a name) does not say which.
    pub(crate) async fn discover(client: &Client, kind: BmcKind, wanted: Option<&str>) -> Result<Service, Error> {
        let systems = members(client, "Systems").await?;
        let system = choose(client, &systems, wanted).await?;
        let body = client.get(&system, "read the system").await?.body;
        let linked =
            |links: &Value| -> Vec<String> { links.as_array().into_iter().flatten().filter_map(link).collect() };
        let mut managers = linked(&body["Links"]["ManagedBy"]);
        if managers.is_empty() {
            managers = members(client, "Managers").await.unwrap_or_default();
        }
        let mut chassis = linked(&body["Links"]["Chassis"]);
        if chassis.is_empty() {
            chassis = members(client, "Chassis").await.unwrap_or_default();
        }
        let manager = managers.into_iter().next();
        let firmware = match &manager {
            Some(manager) => client.find(manager, "read the manager").await?.map(|answer| answer.body),
            None => None,
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let firmware = firmware.map(|body| text(&body["FirmwareVersion"])).unwrap_or_default();
        let quirks = Quirks::of(kind, &text(&body["Model"]), &firmware);
        Ok(Service { system, manager, chassis, quirks })
    }
}

/// Where a link leads.
pub(crate) fn link(value: &Value) -> Option<String> {
    value["@odata.id"].as_str().map(str::to_owned)
}

/// Members of one of the service root's collections.
async fn members(client: &Client, collection: &str) -> Result<Vec<String>, Error> {
    let Some(path) = link(&client.root[collection]) else {
        return Err(Error::unsupported(format!("show its {collection}"), "the service root does not name them"));
    };
    let body = client.get(&path, &format!("list {collection}")).await?.body;
    Ok(body["Members"].as_array().into_iter().flatten().filter_map(link).collect())
}

async fn choose(client: &Client, systems: &[String], wanted: Option<&str>) -> Result<String, Error> {
    match (systems, wanted) {
        ([], _) => Err(Error::unsupported("show its system", "it lists none")),
        ([only], None) => Ok(only.clone()),
        (_, None) => {
            let known: Vec<_> = systems.iter().map(|path| plain(path.rsplit('/').next().unwrap_or(path))).collect();
            Err(Error::Input {
                message: format!("{} answers for several systems: {}", client.endpoint(), known.join(", ")),
                help: Some("say which: bmc.system = \"...\" in nodes.toml".to_owned()),
            })
        }
        (_, Some(wanted)) => {
            for path in systems {
                if path.rsplit('/').next() == Some(wanted) {
                    return Ok(path.clone());
                }
            }
            for path in systems {
                let body = client.get(path, "read the system").await?.body;
                if ["Id", "UUID", "Name"].iter().any(|key| body[*key].as_str() == Some(wanted)) {
                    return Ok(path.clone());
                }
            }
            Err(Error::input(format!("{} has no system '{}'", client.endpoint(), plain(wanted))))
        }
    }
}
