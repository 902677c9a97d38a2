//! What `provbuild node` needs of its surroundings: nodes, secrets, the record of certificates.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bmc::{Endpoint, Patience, SumTool, Trust, Verb};
use netboot::{Inventory, Node, SecretRef};
use url::Url;

use super::arguments::Options;
use crate::build::BuildError;
use crate::cli::commands;
use crate::cli::failure::{Failure, named_file};
use crate::media::sum;
use crate::node::{PinFile, Setup};
use crate::profile::{self, Addressing, Faults, Profile};
use crate::secrets::Secrets;

pub(super) struct Surroundings {
    /// `None` where nodes were given without it.
    profile: Option<Profile>,
    inventory: Inventory,
    /// Of nodes.toml.
    directory: PathBuf,
    identities: Option<PathBuf>,
    pins: Arc<PinFile>,
}

impl Surroundings {
    pub(super) fn read(options: &Options) -> Result<Self, Failure> {
        // Warnings and notes are `check`'s: here they would be in the way of every verb, and of the faults.
        let failed = |faults: Faults| Failure::Build(BuildError::Profile(faults.with_warnings(Vec::new())));
        let directory = |path: &Path| path.parent().unwrap_or(Path::new("")).to_owned();
        let (profile, inventory, directory) = match &options.inventory {
            Some(path) => {
                let (inventory, _) = profile::load_nodes(path).map_err(failed)?;
                (None, inventory, directory(path))
            }
            None => {
                let path = options.profile.clone().unwrap_or_else(|| PathBuf::from("profile.toml"));
                named_file(&path)?;
                let loaded = profile::load(&path).map_err(failed)?;
                // nodes.toml is read last.
                let directory = directory(loaded.files.last().unwrap_or(&path));
                let inventory = loaded.profile.inventory.clone();
                (Some(loaded.profile), inventory, directory)
            }
        };
        let state = commands::user_directory("XDG_STATE_HOME", ".local/state");
        let Some(state) = state else {
            let error = std::io::Error::other("neither HOME nor XDG_STATE_HOME is set");
            return Err(Failure::Surroundings("find a place for the BMCs' certificates".to_owned(), error));
        };
        let identities = commands::age_identities(options.age_identity.clone());
        let pins = Arc::new(PinFile::new(state.join("provbuild/bmc-certificates")));
        Ok(Surroundings { profile, inventory, directory, identities, pins })
    }

    pub(super) fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    pub(super) fn has_profile(&self) -> bool {
        self.profile.is_some()
    }

    pub(super) fn pins(&self) -> &Arc<PinFile> {
        &self.pins
    }

    pub(super) fn setup(&self, options: &Options, verb: &Verb) -> Result<Setup<'_>, Failure> {
        let trust = if options.insecure { Trust::Insecure } else { Trust::FirstUse(Arc::clone(&self.pins) as _) };
        Ok(Setup {
            profile: self.profile.as_ref(),
            secrets: self.secrets(),
            trust,
            patience: patience(options.wait),
            sum: self.sum(options, verb)?,
        })
    }

    /// Unpacked once, and only for what SUM can do.
    fn sum(&self, options: &Options, verb: &Verb) -> Result<Option<SumTool>, Failure> {
        let wanted =
            matches!(verb, Verb::BiosGet { .. } | Verb::BiosPlan {} | Verb::BiosApply { .. } | Verb::BiosDiff {});
        let Some(archive) = self.profile.as_ref().and_then(|profile| profile.sum.as_ref()).filter(|_| wanted) else {
            return Ok(None);
        };
        let store = commands::store_path(options.store.as_deref())?;
        let program = sum::program(archive, &store).map_err(|error| Failure::Build(error.into()))?;
        Ok(Some(SumTool { program }))
    }

    fn secrets(&self) -> Secrets<'_> {
        let variable: &'static dyn Fn(&str) -> Option<OsString> = &|name| env::var_os(name);
        Secrets { directory: self.directory.clone(), identities: self.identities.clone(), variable }
    }

    /// A secret that was named on the command line: relative paths begin at the working directory.
    pub(super) fn secret(&self, reference: &SecretRef) -> Result<secrecy::SecretString, crate::secrets::SecretError> {
        Secrets { directory: PathBuf::new(), ..self.secrets() }.get(reference)
    }

    /// The appliance's address, where the profile has a fixed one.
    pub(super) fn appliance(&self) -> Option<Url> {
        match &self.profile.as_ref()?.network.uplink.addressing {
            Addressing::Static { address, .. } => Url::parse(&format!("https://{}", address.addr())).ok(),
            Addressing::Dhcp => None,
        }
    }

    /// In the order of the nodes; what is none of theirs is the appliance's, and comes last.
    pub(super) fn tell_first_seen(&self, nodes: &[&Node], say: &dyn Fn(&str)) {
        let endpoint = |node: &&Node| node.bmc.as_ref().map(|bmc| Endpoint::of(bmc).to_string());
        let mut lines = Vec::new();
        for (seen, fingerprint) in self.pins.take_added() {
            let place = nodes.iter().position(|node| endpoint(node).as_ref() == Some(&seen));
            let name = place.map_or("the appliance", |place| nodes[place].hostname.as_str());
            let line = format!(
                "{name}: seen for the first time at {seen}; its certificate is trusted from now on: {fingerprint}"
            );
            lines.push((place.unwrap_or(usize::MAX), line));
        }
        lines.sort();
        lines.iter().for_each(|(_, line)| say(line));
    }
}

/// The library's own, none longer than what was asked for.
fn patience(wait: Option<u16>) -> Patience {
    let mut patience = Patience::default();
    let Some(most) = wait.map(|seconds| Duration::from_secs(seconds.into())) else { return patience };
    for time in [
        &mut patience.connect,
        &mut patience.request,
        &mut patience.busy,
        &mut patience.graceful,
        &mut patience.settle,
        &mut patience.post,
    ] {
        *time = most.min(*time);
    }
    patience.poll = patience.poll.min(most / 8);
    patience
}
