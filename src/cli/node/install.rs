//! `provbuild node install`.

use std::sync::Arc;
use std::time::Duration;

use bmc::{Nodes, Verb};
use netboot::{DiskSelector, Node};
use serde_json::json;

use super::arguments::{InstallArguments, Options};
use super::show::{Form, Show, error_line, error_text, unfit};
use super::surroundings::Surroundings;
use super::{confirm, listen, runtime};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::{object, print, tell};
use crate::node::{self, Appliance, ApplianceTrust, Install, Interrupt, NodeError, Token, Unfit};

/// For which the appliance may be away while an installation is followed.
const AWAY: Duration = Duration::from_secs(600);

pub(super) fn install(
    surroundings: &Surroundings,
    options: &Options,
    arguments: &InstallArguments,
    json: bool,
    color: bool,
) -> Result<(), Failure> {
    let name = &arguments.node;
    let refused = |faults: Vec<Unfit>| unfit(&faults, json, color);
    let wanted = Nodes { nodes: vec![name.clone()], all: false };
    let node = node::select(surroundings.inventory(), &wanted).map_err(refused)?[0];
    let failed = |error: NodeError| refused(vec![Unfit { node: name.clone(), error }]);
    if node.install.is_none() {
        let help = Some("give it `install = \"NAME\"` in nodes.toml, of an [installer.NAME] of the profile".to_owned());
        return Err(failed(NodeError::Declared { message: "the node has no installer".to_owned(), help }));
    }
    let setup = surroundings.setup(options, &Verb::Status {})?;
    let job = setup.job(node, &Verb::Status {}).map_err(failed)?;
    let appliance = &arguments.appliance;
    let url = appliance.appliance.clone().or_else(|| surroundings.appliance());
    let url = url.ok_or_else(|| no_appliance(surroundings))?;
    let trust = match &appliance.appliance_ca {
        None => ApplianceTrust::FirstUse(Arc::clone(surroundings.pins())),
        Some(path) => ApplianceTrust::Authorities(
            std::fs::read(path).map_err(|error| Failure::Surroundings(format!("read {}", path.display()), error))?,
        ),
    };
    let secret = surroundings.secret(&arguments.token).map_err(|error| failed(error.into()))?;
    let token = Token { reference: arguments.token.to_string(), secret };

    let show = Arc::new(Show::new(if json { Form::Json } else { Form::Table }, color, &[name]));
    let place = Place { options, node, url, trust, token };
    let result = work(place, job, &show);
    show.clear();
    surroundings.tell_first_seen(&[node], &|line| show.say(line));
    match result {
        Ok(done) => {
            let (state, minutes) = (&done.state, done.seconds.div_ceil(60));
            let people = format!("{name}: {state} after {minutes} min (attempt {})\n", done.attempt);
            match json {
                true => object(&json!({ "event": "node", "node": name, "outcome": "install", "result": done })),
                false => print(&people),
            }
        }
        Err(Ended::Node(error)) => {
            if json {
                object(&error_line(name, &error))?;
            }
            tell(&error_text(name, &error, color));
            Err(Failure::Reported { exit: error.kind().into(), message: format!("{name}: {error}") })
        }
        Err(Ended::Failure(failure)) => Err(failure),
    }
}

struct Place<'a> {
    options: &'a Options,
    node: &'a Node,
    url: url::Url,
    trust: ApplianceTrust,
    token: Token,
}

enum Ended {
    Node(NodeError),
    Failure(Failure),
}

impl From<NodeError> for Ended {
    fn from(error: NodeError) -> Self {
        Ended::Node(error)
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Ended::Failure(failure)
    }
}

/// Ctrl-C is nothing special before somebody has said yes: nothing was changed until then.
fn work(place: Place<'_>, job: node::Job, show: &Arc<Show>) -> Result<node::Installed, Ended> {
    let runtime = runtime()?;
    let connected = runtime.block_on(Appliance::connect(place.url, &place.trust, place.token));
    let appliance = connected.map_err(NodeError::from)?;
    let mut install =
        Install { appliance: &appliance, job, watch: Arc::clone(show) as _, interrupt: Interrupt::never(), away: AWAY };
    let prospect = runtime.block_on(install.look())?;
    let name = place.node.hostname.as_str();
    let disk = place.node.disk.as_ref().map_or_else(|| "its only disk".to_owned(), disk);
    let given_up = prospect.given_up.as_ref().map(|state| format!(" (it is {state} now)")).unwrap_or_default();
    let question = format!(
        "installing {} on {name}{given_up} erases {disk}; its power is {} and will be switched",
        prospect.installer,
        prospect.power.to_lowercase()
    );
    if place.options.yes {
        show.say(&question);
    } else {
        show.pause(|| confirm(&question, name))?;
    }
    runtime.block_on(async {
        install.interrupt = listen()?;
        Ok(install.carry_out(&prospect).await?)
    })
}

/// A disk as the node's selector names it.
fn disk(disk: &DiskSelector) -> String {
    let DiskSelector { serial, model, vendor, wwn, path, min_size, max_size, ssd } = disk;
    let texts = [("serial", serial), ("model", model), ("vendor", vendor), ("wwn", wwn), ("path", path)];
    let mut parts: Vec<String> =
        texts.into_iter().filter_map(|(what, text)| Some(format!("{what} {}", text.as_ref()?))).collect();
    let size = |bytes: &u64| format!("{:.1} GB", *bytes as f64 / 1e9);
    parts.extend(min_size.as_ref().map(|bytes| format!("at least {}", size(bytes))));
    parts.extend(max_size.as_ref().map(|bytes| format!("at most {}", size(bytes))));
    parts.extend(ssd.map(|ssd| if ssd { "solid state" } else { "rotating" }.to_owned()));
    format!("the disk with {}", parts.join(", "))
}

pub(super) fn no_appliance(surroundings: &Surroundings) -> Failure {
    let why = match surroundings.has_profile() {
        true => "the profile's uplink gets its address by DHCP",
        false => "only nodes were given, without their profile",
    };
    Failure::plain(
        Exit::Arguments,
        format!("nobody says where the appliance is: {why}"),
        "give --appliance https://ADDRESS, or set PROVBUILD_APPLIANCE",
    )
}
