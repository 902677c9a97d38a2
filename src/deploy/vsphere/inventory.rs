//! The places that the profile names, found in the server's inventory.
//!
//! In: names. Out: [`Places`]. Invariant: everything that is missing or ambiguous is said at once, with what was probably meant.

use std::collections::BTreeMap;

use super::super::error::{DeployError, Kind};
use super::session::{Object, Session};
use super::soap::{Failure, Moref, said};
use super::xml::Element;
use crate::profile;

/// Where machines are made.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) datacenter: Moref,
    /// Of the datacenter, as file URLs want it.
    pub(super) datacenter_path: String,
    pub(super) folder: Moref,
    pub(super) pool: Moref,
    /// Where the cluster does not choose by itself.
    pub(super) host: Option<Moref>,
    pub(super) datastore: Moref,
    pub(super) datastore_name: String,
    /// Of the datastore: lists its files.
    pub(super) browser: Moref,
    pub(super) uplink: Network,
    pub(super) provisioning: Network,
}

/// What an adapter can be plugged into.
#[derive(Debug, Clone)]
pub(super) struct Network {
    pub(super) of: Moref,
    pub(super) plug: Plug,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plug {
    /// A port group of a host's own switch, by name.
    Standard(String),
    Distributed {
        switch: String,
        portgroup: String,
    },
    Opaque {
        id: String,
        kind: String,
    },
}

impl Plug {
    /// As the backing of an adapter.
    pub(super) fn backing(&self, of: &Moref) -> Element {
        match self {
            Plug::Standard(name) => Element::typed("backing", "VirtualEthernetCardNetworkBackingInfo")
                .leaf("deviceName", name)
                .with(of.element("network")),
            Plug::Distributed { switch, portgroup } => {
                let port = Element::new("port").leaf("switchUuid", switch).leaf("portgroupKey", portgroup);
                Element::typed("backing", "VirtualEthernetCardDistributedVirtualPortBackingInfo").with(port)
            }
            Plug::Opaque { id, kind } => Element::typed("backing", "VirtualEthernetCardOpaqueNetworkBackingInfo")
                .leaf("opaqueNetworkId", id)
                .leaf("opaqueNetworkType", kind),
        }
    }

    /// Whether an adapter's backing is this one.
    pub(super) fn is(&self, backing: &Element) -> bool {
        match self {
            Plug::Standard(name) => backing.text_of("deviceName") == Some(name.as_str()),
            Plug::Distributed { portgroup, .. } => {
                backing.at(&["port", "portgroupKey"]).map(|key| key.text.trim()) == Some(portgroup.as_str())
            }
            Plug::Opaque { id, .. } => backing.text_of("opaqueNetworkId") == Some(id.as_str()),
        }
    }
}

struct Entity {
    name: String,
    parent: Option<Moref>,
    values: BTreeMap<String, Element>,
}

struct Inventory(BTreeMap<Moref, Entity>);

const COMPUTES: [&str; 3] = ["ComputeResource", "ClusterComputeResource", "HostSystem"];
const POOLS: [&str; 2] = ["ResourcePool", "VirtualApp"];
const NETWORKS: [&str; 3] = ["Network", "DistributedVirtualPortgroup", "OpaqueNetwork"];

const NAME: [&str; 2] = ["name", "parent"];
const COMPUTE: [&str; 6] = ["name", "parent", "resourcePool", "host", "datastore", "network"];
const CLUSTER: [&str; 7] = ["name", "parent", "resourcePool", "host", "datastore", "network", "configurationEx"];
const HOST: [&str; 5] = ["name", "parent", "datastore", "runtime.connectionState", "runtime.inMaintenanceMode"];

/// # Errors
/// All that is missing or ambiguous.
pub(super) fn find(session: &Session, settings: &profile::Vsphere) -> Result<Places, DeployError> {
    let inventory = Inventory::read(session)?;
    let mut missing = Missing::default();
    let datacenters = inventory.of_kind(&["Datacenter"], None);
    let datacenter = missing.pick("datacenter", "datacenter", settings.datacenter.as_deref(), &inventory, datacenters);
    let Some(datacenter) = datacenter else {
        missing.absent_anywhere(settings, &inventory);
        return Err(missing.error(session));
    };
    let within = Some(&datacenter);

    let computes = inventory.of_kind(&COMPUTES, within);
    // One host is its own compute resource: of the two with one name the resource is meant.
    let wanted = settings.compute.as_deref();
    let mut candidates: Vec<Moref> = computes.iter().filter(|of| of.kind != "HostSystem").cloned().collect();
    if let Some(wanted) = wanted
        && !candidates.iter().any(|of| inventory.name(of) == wanted || inventory.path(of) == wanted)
    {
        candidates = computes;
    }
    let chosen = missing.pick("cluster or host", "compute", wanted, &inventory, candidates);
    let named_host = chosen.as_ref().filter(|of| of.kind == "HostSystem").cloned();
    let compute = match &named_host {
        Some(host) => inventory.parent(host),
        None => chosen,
    };

    let pools = inventory.of_kind(&POOLS, compute.as_ref());
    let pool = match (&settings.resource_pool, &compute) {
        (Some(_), Some(_)) => {
            missing.pick("resource pool", "resource-pool", settings.resource_pool.as_deref(), &inventory, pools)
        }
        (None, Some(compute)) => inventory.refers(compute, "resourcePool"),
        _ => None,
    };

    let folder = match settings.folder.as_deref() {
        Some(wanted) => {
            let machines = inventory.refers(&datacenter, "vmFolder");
            let folders = inventory.of_kind(&["Folder"], machines.as_ref());
            missing.pick("folder of virtual machines", "folder", Some(wanted), &inventory, folders)
        }
        None => inventory.refers(&datacenter, "vmFolder"),
    };

    let mut reachable = |kinds: &[&str], list: &str, what: &str, key: &str, wanted: &str| {
        let mut all = inventory.of_kind(kinds, within);
        if let Some(compute) = &compute {
            let there = inventory.list(compute, list);
            all.retain(|of| there.is_empty() || there.contains(of));
        }
        missing.pick(what, key, Some(wanted), &inventory, all)
    };
    let datastore = reachable(&["Datastore"], "datastore", "datastore", "datastore", &settings.datastore);
    let uplink = reachable(&NETWORKS, "network", "network", "networks.uplink", &settings.uplink);
    let provisioning = reachable(&NETWORKS, "network", "network", "networks.provisioning", &settings.provisioning);

    let (Some(pool), Some(folder), Some(datastore), Some(uplink), Some(provisioning), Some(compute)) =
        (pool, folder, datastore, uplink, provisioning, compute)
    else {
        return Err(missing.error(session));
    };
    let host = named_host.or_else(|| inventory.host(&compute, &datastore));
    let browser =
        inventory.refers(&datastore, "browser").ok_or_else(|| Failure::nonsense("a datastore without browser"))?;
    Ok(Places {
        datacenter_path: inventory.path(&datacenter),
        datastore_name: inventory.name(&datastore).to_owned(),
        browser,
        uplink: network(session, &inventory, uplink)?,
        provisioning: network(session, &inventory, provisioning)?,
        datacenter,
        folder,
        pool,
        host,
        datastore,
    })
}

impl Inventory {
    fn read(session: &Session) -> Result<Self, Failure> {
        let wanted: [(&str, &[&str]); 11] = [
            ("Datacenter", &["name", "parent", "vmFolder"]),
            ("Folder", &NAME),
            ("ComputeResource", &COMPUTE),
            ("ClusterComputeResource", &CLUSTER),
            ("HostSystem", &HOST),
            ("ResourcePool", &NAME),
            ("VirtualApp", &NAME),
            ("Datastore", &["name", "parent", "browser"]),
            ("Network", &NAME),
            ("DistributedVirtualPortgroup", &["name", "parent", "key", "config.distributedVirtualSwitch"]),
            ("OpaqueNetwork", &["name", "parent", "summary"]),
        ];
        let objects = session.view(&session.services.root, &wanted)?;
        let entity = |Object { of, mut values }: Object| {
            let name = values.remove("name").map(|name| plain(&name.text)).unwrap_or_default();
            let parent = values.remove("parent").as_ref().and_then(Moref::of);
            (of, Entity { name, parent, values })
        };
        Ok(Inventory(objects.into_iter().map(entity).collect()))
    }

    fn name(&self, of: &Moref) -> &str {
        self.0.get(of).map_or("", |entity| &entity.name)
    }

    fn parent(&self, of: &Moref) -> Option<Moref> {
        self.0.get(of)?.parent.clone()
    }

    /// From the object upwards; ends where a server's parents go in a circle.
    fn ancestors<'a>(&'a self, of: &'a Moref) -> impl Iterator<Item = &'a Moref> {
        std::iter::successors(Some(of), |of| self.0.get(of)?.parent.as_ref()).take(64)
    }

    /// Names from below the next folder that is nobody's choice: a datacenter's own folders, the root, the root pool.
    fn path(&self, of: &Moref) -> String {
        let own = |of: &&Moref| {
            let parent = self.parent(of).map(|parent| parent.kind);
            match of.kind.as_str() {
                // The root is not in the view: there the parents end.
                _ if !self.0.contains_key(*of) => false,
                "Folder" => parent.is_some_and(|kind| kind != "Datacenter"),
                "ResourcePool" => parent.is_some_and(|kind| !kind.ends_with("ComputeResource")),
                _ => true,
            }
        };
        let mut names: Vec<&str> = self.ancestors(of).take_while(own).map(|of| self.name(of)).collect();
        names.reverse();
        names.join("/")
    }

    fn of_kind(&self, kinds: &[&str], within: Option<&Moref>) -> Vec<Moref> {
        let inside = |of: &&Moref| within.is_none_or(|within| self.ancestors(of).skip(1).any(|above| above == within));
        self.0.keys().filter(|of| kinds.contains(&of.kind.as_str())).filter(inside).cloned().collect()
    }

    fn refers(&self, of: &Moref, property: &str) -> Option<Moref> {
        self.0.get(of)?.values.get(property).and_then(Moref::of)
    }

    fn list(&self, of: &Moref, property: &str) -> Vec<Moref> {
        let value = self.0.get(of).and_then(|entity| entity.values.get(property));
        value.map(|value| value.children.iter().filter_map(Moref::of).collect()).unwrap_or_default()
    }

    fn text(&self, of: &Moref, property: &str) -> Option<&str> {
        Some(self.0.get(of)?.values.get(property)?.text.trim())
    }

    /// The host to name in a cluster that places nothing by itself.
    fn host(&self, compute: &Moref, datastore: &Moref) -> Option<Moref> {
        let configuration = self.0.get(compute).and_then(|entity| entity.values.get("configurationEx"));
        let places = configuration.and_then(|found| found.child("drsConfig")).is_some_and(|drs| drs.flag_of("enabled"));
        if compute.kind != "ClusterComputeResource" || places {
            return None;
        }
        self.list(compute, "host").into_iter().find(|host| {
            self.text(host, "runtime.connectionState") == Some("connected")
                && self.text(host, "runtime.inMaintenanceMode") != Some("true")
                && self.list(host, "datastore").contains(datastore)
        })
    }
}

fn network(session: &Session, inventory: &Inventory, of: Moref) -> Result<Network, Failure> {
    let nonsense = || Failure::nonsense("a network without its keys");
    let plug = match of.kind.as_str() {
        "DistributedVirtualPortgroup" => {
            let switch = inventory.refers(&of, "config.distributedVirtualSwitch").ok_or_else(nonsense)?;
            let uuid = session.properties(&switch, &["uuid"])?.remove("uuid").ok_or_else(nonsense)?;
            let portgroup = inventory.text(&of, "key").ok_or_else(nonsense)?.to_owned();
            Plug::Distributed { switch: uuid.text.trim().to_owned(), portgroup }
        }
        "OpaqueNetwork" => {
            let entity = inventory.0.get(&of).and_then(|entity| entity.values.get("summary")).ok_or_else(nonsense)?;
            let text = |name| entity.text_of(name).map(str::to_owned).ok_or_else(nonsense);
            Plug::Opaque { id: text("opaqueNetworkId")?, kind: text("opaqueNetworkType")? }
        }
        _ => Plug::Standard(inventory.name(&of).to_owned()),
    };
    Ok(Network { of, plug })
}

/// In names vSphere writes three characters as in URLs.
fn plain(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find('%') {
        let (before, code) = rest.split_at(at);
        let letter = match code.get(..3).map(str::to_ascii_lowercase).as_deref() {
            Some("%2f") => '/',
            Some("%5c") => '\\',
            Some("%25") => '%',
            _ => {
                plain.push_str(before);
                plain.push('%');
                rest = &code[1..];
                continue;
            }
        };
        plain.push_str(before);
        plain.push(letter);
        rest = &code[3..];
    }
    plain + rest
}

#[derive(Default)]
struct Missing(Vec<String>);

impl Missing {
    /// The one that is wanted, or the only one there is.
    fn pick(
        &mut self,
        what: &str,
        key: &str,
        wanted: Option<&str>,
        inventory: &Inventory,
        candidates: Vec<Moref>,
    ) -> Option<Moref> {
        let named =
            |of: &&Moref| wanted.is_none_or(|wanted| inventory.name(of) == wanted || inventory.path(of) == wanted);
        let mut found = candidates.iter().filter(named);
        let (first, second) = (found.next(), found.next());
        if let (Some(first), None) = (first, second) {
            return Some(first.clone());
        }
        let mut names: Vec<String> = candidates.iter().map(|of| inventory.path(of)).collect();
        names.sort();
        names.dedup();
        let text = match (wanted, second) {
            (None, Some(_)) => format!("deploy.vsphere.{key}: there are several: {}", few(&names)),
            (None, None) => format!("deploy.vsphere.{key}: there is no {what} that this user sees"),
            (Some(wanted), Some(_)) => {
                names.retain(|name| name.ends_with(wanted));
                format!("deploy.vsphere.{key}: several are called '{wanted}'; write the path: {}", few(&names))
            }
            (Some(wanted), None) => {
                format!("deploy.vsphere.{key}: there is no {what} '{wanted}'{}", meant(wanted, &names))
            }
        };
        self.0.push(text);
        None
    }

    /// Without a datacenter: names that are nowhere at all.
    fn absent_anywhere(&mut self, settings: &profile::Vsphere, inventory: &Inventory) {
        let named: [(&str, &str, &[&str], Option<&str>); 6] = [
            ("cluster or host", "compute", &COMPUTES, settings.compute.as_deref()),
            ("resource pool", "resource-pool", &POOLS, settings.resource_pool.as_deref()),
            ("folder of virtual machines", "folder", &["Folder"], settings.folder.as_deref()),
            ("datastore", "datastore", &["Datastore"], Some(&settings.datastore)),
            ("network", "networks.uplink", &NETWORKS, Some(&settings.uplink)),
            ("network", "networks.provisioning", &NETWORKS, Some(&settings.provisioning)),
        ];
        for (what, key, kinds, wanted) in named {
            let candidates = inventory.of_kind(kinds, None);
            if let Some(wanted) = wanted
                && !candidates.iter().any(|of| inventory.name(of) == wanted || inventory.path(of) == wanted)
            {
                self.pick(what, key, Some(wanted), inventory, candidates);
            }
        }
    }

    fn error(self, session: &Session) -> DeployError {
        let places = if self.0.len() == 1 { "a place" } else { "places" };
        DeployError::new(
            Kind::Refused,
            format!("{} lacks {places} that the profile names:\n  {}", session.host(), self.0.join("\n  ")),
        )
        .help("correct the names, or make what is missing; a user sees only what it has a role on")
    }
}

fn meant(wanted: &str, names: &[String]) -> String {
    let distance = |name: &&String| strsim::damerau_levenshtein(&wanted.to_lowercase(), &name.to_lowercase());
    match names.iter().min_by_key(distance) {
        None => "; there is none at all".to_owned(),
        Some(name) if distance(&name) <= wanted.chars().count().div_ceil(3) => {
            format!("; did you mean '{}'?", said(name))
        }
        Some(_) => format!("; there is {}", few(names)),
    }
}

fn few(names: &[String]) -> String {
    const MOST: usize = 8;
    let shown: Vec<String> = names.iter().take(MOST).map(|name| format!("'{}'", said(name))).collect();
    let more = if names.len() > MOST { ", ..." } else { "" };
    shown.join(", ") + more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_vsphere_writes_them() {
        assert_eq!(plain("a%2fb%25%5cc"), "a/b%\\c");
        assert_eq!(plain("%252f"), "%2f");
    }

    #[test]
    fn what_was_meant() {
        let names = ["LocalDS_0".to_owned(), "backup".to_owned()];
        assert_eq!(meant("localds_1", &names), "; did you mean 'LocalDS_0'?");
        assert_eq!(meant("elsewhere", &names), "; there is 'LocalDS_0', 'backup'");
        assert_eq!(meant("x", &[]), "; there is none at all");
    }
}
