//! `provbuild node trust`: the certificates that were seen first.

use std::collections::BTreeSet;

use bmc::{Endpoint, Nodes, PinError, Pins as _};
use serde_json::json;
use url::Url;

use super::arguments::{TrustArguments, https};
use super::show;
use super::surroundings::Surroundings;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::{object, print};
use crate::node::{self, NodeError, Unfit};

pub(super) fn trust(
    surroundings: &Surroundings,
    arguments: &TrustArguments,
    json: bool,
    color: bool,
) -> Result<(), Failure> {
    let refused = |unfit: Vec<Unfit>| show::unfit(&unfit, json, color);
    let mut endpoints = Vec::new();
    if arguments.all || !arguments.nodes.is_empty() {
        let wanted = Nodes { nodes: arguments.nodes.clone(), all: arguments.all };
        let mut without = Vec::new();
        for node in node::select(surroundings.inventory(), &wanted).map_err(refused)? {
            match &node.bmc {
                Some(bmc) => endpoints.push((node.hostname.to_string(), Endpoint::of(bmc).to_string())),
                None => {
                    let error = NodeError::Declared { message: "the node has no BMC".to_owned(), help: None };
                    without.push(Unfit { node: node.hostname.to_string(), error });
                }
            }
        }
        if !without.is_empty() {
            return Err(refused(without));
        }
    }
    if let Some(url) = &arguments.appliance {
        endpoints.push(("appliance".to_owned(), node::pin_name(&appliance(surroundings, url.as_deref())?)));
    }
    let pins = surroundings.pins();
    let failed = |error: PinError| Failure::Plain { exit: Exit::Io, message: error.to_string(), help: None };
    let width = endpoints.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut forgotten = BTreeSet::new();
    for (name, endpoint) in endpoints {
        let known = match arguments.forget {
            // Two nodes of one BMC.
            true if forgotten.contains(&endpoint) => continue,
            true => pins.forget(&endpoint).map_err(failed)?,
            false => pins.pinned(&endpoint).map_err(failed)?,
        };
        let shown = known.map(|fingerprint| fingerprint.to_string());
        match json {
            true => object(&json!({
                "event": "trust", "node": name, "endpoint": endpoint, "certificate": shown,
                "forgotten": arguments.forget,
            }))?,
            false => {
                let shown = shown.unwrap_or_else(|| "not seen yet".to_owned());
                let what = if arguments.forget && known.is_some() { "  forgotten" } else { "" };
                print(&format!("{name:width$}  {endpoint}  {shown}{what}\n"))?;
            }
        }
        if arguments.forget {
            forgotten.insert(endpoint);
        }
    }
    Ok(())
}

/// The one that was named, or that of the environment or the profile.
fn appliance(surroundings: &Surroundings, named: Option<&str>) -> Result<Url, Failure> {
    let variable = std::env::var("PROVBUILD_APPLIANCE").ok();
    match named.or(variable.as_deref()) {
        Some(text) => https(text).map_err(|message| Failure::Plain {
            exit: Exit::Arguments,
            message: format!("the appliance's URL: {message}"),
            help: None,
        }),
        None => surroundings.appliance().ok_or_else(|| super::install::no_appliance(surroundings)),
    }
}
