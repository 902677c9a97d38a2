//! Which nodes, and what is needed to talk to each one's BMC: everything that is missing is said at once, before anything is sent.

use std::collections::BTreeSet;
use std::sync::Arc;

use bmc::{Credentials, Endpoint, Machine, Nodes, Patience, SumTool, Trust, Verb};
use netboot::{Inventory, MediaPaths, Node};
use secrecy::ExposeSecret as _;

use super::error::NodeError;
use crate::profile::{self, Profile};
use crate::secrets::Secrets;

/// The word that stands for the URL of the node's own installer.
const INSTALLER: &str = "installer";
const CIDATA: &str = "cidata";

/// What is the same for all nodes.
pub struct Setup<'a> {
    /// `None` where nodes.toml was given without it.
    pub profile: Option<&'a Profile>,
    pub secrets: Secrets<'a>,
    pub trust: Trust,
    pub patience: Patience,
    /// Unpacked, where the profile has it and the verb may need it.
    pub sum: Option<SumTool>,
}

/// One node and what is to be done to it.
pub struct Job {
    pub node: String,
    pub machine: Machine,
    pub verb: Verb,
}

/// A node that nothing can be asked of.
#[derive(Debug)]
pub struct Unfit {
    pub node: String,
    pub error: NodeError,
}

/// The nodes that were asked for, in this order, each once; with `all` those of the inventory that have a BMC.
///
/// # Errors
/// All names that no node has.
pub fn select<'a>(inventory: &'a Inventory, wanted: &Nodes) -> Result<Vec<&'a Node>, Vec<Unfit>> {
    let nodes = &inventory.nodes;
    if wanted.all {
        let with: Vec<&Node> = nodes.iter().filter(|node| node.bmc.is_some()).collect();
        return match with.is_empty() {
            true => {
                let help = "add `bmc = { address = \"...\", kind = \"...\", credentials = \"...\" }` in nodes.toml";
                Err(vec![Unfit { node: "--all".to_owned(), error: NodeError::declared("no node has a BMC", help) }])
            }
            false => Ok(with),
        };
    }
    let (mut found, mut unknown, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for name in wanted.nodes.iter().filter(|name| seen.insert(name.as_str())) {
        match nodes.iter().find(|node| node.hostname.as_str() == name) {
            Some(node) => found.push(node),
            None => unknown.push(Unfit { node: bmc::plain(name), error: no_such_node(inventory, name) }),
        }
    }
    if unknown.is_empty() { Ok(found) } else { Err(unknown) }
}

fn no_such_node(inventory: &Inventory, name: &str) -> NodeError {
    let known: Vec<&str> = inventory.nodes.iter().map(|node| node.hostname.as_str()).collect();
    let help = match profile::nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean '{near}'?"),
        None if known.is_empty() => "nodes.toml has no nodes yet".to_owned(),
        None if known.len() > 10 => format!("the nodes are {}, ... ({} of them)", known[..10].join(", "), known.len()),
        None => format!("the nodes are {}", known.join(", ")),
    };
    NodeError::declared("no node is called so", help)
}

impl Setup<'_> {
    /// A job for each node.
    ///
    /// # Errors
    /// All that is missing.
    pub fn jobs(&self, nodes: &[&Node], verb: &Verb) -> Result<Vec<Job>, Vec<Unfit>> {
        let (mut jobs, mut unfit) = (Vec::new(), Vec::new());
        for node in nodes {
            match self.job(node, verb) {
                Ok(job) => jobs.push(job),
                Err(error) => unfit.push(Unfit { node: node.hostname.to_string(), error }),
            }
        }
        if unfit.is_empty() { Ok(jobs) } else { Err(unfit) }
    }

    pub(super) fn job(&self, node: &Node, verb: &Verb) -> Result<Job, NodeError> {
        let verb = match verb {
            Verb::MediaInsert { image } => Verb::MediaInsert { image: self.image(node, image)? },
            verb => verb.clone(),
        };
        let declared = matches!(verb, Verb::BiosPlan {} | Verb::BiosApply { .. });
        let bios = node.bios.as_ref().and_then(|name| self.profile?.bios.get(name)).cloned();
        if declared && node.bios.is_some() && self.profile.is_none() {
            return Err(no_profile("the node's BIOS settings"));
        }
        if declared && bios.is_none() {
            let help = "add `bios = \"NAME\"` to it in nodes.toml, of a [bios.NAME] of the profile";
            return Err(NodeError::declared("the node has no BIOS settings to compare with", help));
        }
        let Some(bmc) = &node.bmc else {
            let help = "add `bmc = { address = \"...\", kind = \"...\", credentials = \"...\" }` to it in nodes.toml";
            return Err(NodeError::declared("the node has no BMC", help));
        };
        let Some(reference) = &bmc.credentials else {
            let help = "add `credentials` to its `bmc` in nodes.toml: \"env:NAME\", \"file:PATH\" or \"age:PATH\"";
            return Err(NodeError::declared("the node's BMC has no credentials", help));
        };
        let secret = self.secrets.get(reference)?;
        let credentials = Credentials::parse(secret.expose_secret())
            .map_err(|reason| NodeError::Credentials { reference: reference.clone(), reason })?;
        let machine = Machine {
            endpoint: Endpoint::of(bmc),
            kind: bmc.kind,
            system: bmc.system.clone(),
            credentials,
            trust: self.trust.clone(),
            patience: self.patience.clone(),
            bios,
            sum: self.sum.clone(),
        };
        Ok(Job { node: node.hostname.to_string(), machine, verb })
    }

    fn image(&self, node: &Node, image: &str) -> Result<String, NodeError> {
        if image == CIDATA {
            let help = format!(
                "the appliance makes it while the node is armed, with its tokens: on the appliance, \
                 provd node media insert cidata {}",
                node.hostname
            );
            return Err(NodeError::declared("only the appliance has the node's seed", help));
        }
        if image != INSTALLER {
            return Ok(image.to_owned());
        }
        let profile = self.profile.ok_or_else(|| no_profile("the node's installer"))?;
        let installer = node.install.as_ref().and_then(|name| Some((name, profile.installers.get(name)?)));
        let Some((name, installer)) = installer else {
            let help = "give it `install = \"NAME\"` in nodes.toml, or give the URL of an image";
            return Err(NodeError::declared("the node has no installer", help));
        };
        let iso = installer.medium.as_ref().and(MediaPaths::of(name, installer.system.release).iso);
        let Some(iso) = iso else {
            let help = "give the URL of an image";
            return Err(NodeError::declared(format!("the installer '{name}' has no ISO image"), help));
        };
        Ok(format!("{}/{iso}", profile.site().url()))
    }
}

fn no_profile(what: &str) -> NodeError {
    NodeError::declared(
        format!("{what} stand in the profile, and only nodes were given"),
        "use --profile FILE instead of --nodes",
    )
}

/// One BMC may answer for several nodes: what is written to it goes one after the other.
pub(super) type Turns = std::collections::BTreeMap<Endpoint, Arc<tokio::sync::Mutex<()>>>;

pub(super) fn turns(jobs: &[Job]) -> Turns {
    jobs.iter().map(|job| (job.machine.endpoint, Arc::default())).collect()
}
