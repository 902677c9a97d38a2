//! Which nodes, and what is needed to talk to each one's BMC: everything that is missing is said at once, before anything is sent.
//! A reading goes on without the nodes whose secret cannot be had: each of them has its error in its place.

use std::collections::BTreeSet;
use std::sync::Arc;

use bmc::{Credentials, Endpoint, Machine, Nodes, Patience, SumTool, Trust, Verb};
use netboot::{Inventory, MediaPaths, Node};
use secrecy::ExposeSecret as _;

use super::error::{Kind, NodeError};
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

/// With `all`: the nodes that have what the verb is about, and a line that names the others, where there are any.
///
/// # Errors
/// No node has it.
pub fn fitting<'a>(
    nodes: Vec<&'a Node>,
    wanted: &Nodes,
    verb: &Verb,
) -> Result<(Vec<&'a Node>, Option<String>), Vec<Unfit>> {
    let (what, has): (_, fn(&Node) -> bool) = match verb {
        Verb::BiosPlan {} | Verb::BiosApply { .. } => ("bios", |node| node.bios.is_some()),
        Verb::MediaInsert { image } if image == INSTALLER => ("install", |node| node.install.is_some()),
        _ => return Ok((nodes, None)),
    };
    if !wanted.all {
        return Ok((nodes, None));
    }
    let (with, without): (Vec<&Node>, Vec<&Node>) = nodes.into_iter().partition(|node| has(node));
    if with.is_empty() {
        let help = format!("add `{what} = \"NAME\"` in nodes.toml, of a [{}.NAME] of the profile", table(what));
        let error = NodeError::declared(format!("no node has `{what}`"), help);
        return Err(vec![Unfit { node: "--all".to_owned(), error }]);
    }
    let names: Vec<&str> = without.iter().map(|node| node.hostname.as_str()).collect();
    let line = (!names.is_empty()).then(|| format!("left out, without `{what}` in nodes.toml: {}", names.join(", ")));
    Ok((with, line))
}

/// The profile's table that a node's option names.
fn table(option: &str) -> &str {
    if option == "install" { "installer" } else { option }
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
    /// A job for each node; where the verb only reads, for some the reason why their secret cannot be had.
    ///
    /// # Errors
    /// All that is missing: what is written is written to all, or to none.
    pub fn jobs(&self, nodes: &[&Node], verb: &Verb) -> Result<Vec<Result<Job, Unfit>>, Vec<Unfit>> {
        let mut jobs = Vec::new();
        for node in nodes {
            let unfit = |error| Unfit { node: node.hostname.to_string(), error };
            jobs.push(self.job(node, verb).map_err(unfit));
        }
        let stays = |unfit: &Unfit| verb.reads() && unfit.error.kind() == Kind::Surroundings;
        if jobs.iter().filter_map(|job| job.as_ref().err()).all(stays) {
            return Ok(jobs);
        }
        Err(jobs.into_iter().filter_map(Result::err).collect())
    }

    /// # Errors
    /// What is missing first.
    pub fn job(&self, node: &Node, verb: &Verb) -> Result<Job, NodeError> {
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

pub(super) fn turns(jobs: &[Result<Job, Unfit>]) -> Turns {
    jobs.iter().flatten().map(|job| (job.machine.endpoint, Arc::default())).collect()
}
