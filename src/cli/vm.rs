//! `provbuild run`: the appliance in QEMU, or as a libvirt domain.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde_json::json;

use super::arguments::Machine;
use super::commands::age_identities;
use super::exit::Exit;
use super::failure::Failure;
use super::output::{object, print, tell};
use crate::build::BuildError;
use crate::deploy::qemu::{self, RunError, RunOptions, State};
use crate::deploy::seed;
use crate::profile::{self, Profile};
use crate::secrets::Secrets;

/// The machine's console is on stdout: there is no room for objects beside it.
pub(super) fn fits(machine: &Machine, json: bool) -> Result<(), Failure> {
    match json && !machine.print && !machine.libvirt {
        false => Ok(()),
        true => Err(Failure::plain(
            Exit::Arguments,
            "--json has no place on stdout, which is the machine's console",
            "leave --json out, or give --print or --libvirt",
        )),
    }
}

/// Boots what was built in `directory` from the profile, or prints what would boot it.
pub(super) fn run(profile: &Path, directory: &Path, machine: &Machine, json: bool) -> Result<(), Failure> {
    let options = RunOptions {
        forwards: if machine.forwards.is_empty() { vec![(2222, 22)] } else { machine.forwards.clone() },
        keep: machine.keep.clone(),
        provisioning: machine.provisioning.clone(),
        secure_boot: machine.secure_boot.then_some(true),
        state: machine.state.as_deref().map(|file| state(profile, file, machine)).transpose()?,
        print: machine.print,
    };
    // Whoever starts what is printed ends with a file that holds the secrets.
    let remains = options.state.is_some() && (machine.libvirt || options.print);
    if machine.libvirt {
        let domain = qemu::domain(directory, &options, &machine.libvirt_network)?;
        match json {
            true => object(&json!({ "event": "domain", "xml": domain }))?,
            false => print(&domain)?,
        }
    } else if let Some(command) = qemu::run(directory, &options)? {
        match json {
            true => object(&json!({ "event": "command", "command": command }))?,
            false => print(&format!("{command}\n"))?,
        }
    }
    if remains {
        tell(
            "note: remove the seed medium that is named there (seed.iso) once the appliance has booted with it: it holds the secrets\n",
        );
    }
    Ok(())
}

fn state(profile: &Path, file: &Path, machine: &Machine) -> Result<State, Failure> {
    // References are then absolute as well, wherever they stand.
    let profile = std::path::absolute(profile)
        .map_err(|error| Failure::Surroundings(format!("find {}", profile.display()), error))?;
    let failed = |faults: profile::Faults| Failure::Build(BuildError::Profile(faults.with_warnings(Vec::new())));
    let loaded = profile::load(&profile).map_err(failed)?;
    // nodes.toml is read last.
    let nodes = loaded.files.last().unwrap_or(&profile);
    let secrets = match machine.secrets {
        true => secrets(&loaded.profile, nodes, machine.age_identity.clone())?,
        false => BTreeMap::new(),
    };
    Ok(State { file: file.to_owned(), size: loaded.profile.deploy.state_disk, secrets })
}

/// By the names that the appliance knows them by. `nodes`: the file that relative references are relative to.
fn secrets(
    profile: &Profile,
    nodes: &Path,
    identities: Option<PathBuf>,
) -> Result<BTreeMap<String, SecretString>, Failure> {
    // No core dump has them.
    let _ = nix::sys::prctl::set_dumpable(false);
    let directory = nodes.parent().unwrap_or(Path::new("/")).to_owned();
    let variable: &dyn Fn(&str) -> Option<OsString> = &|name| env::var_os(name);
    let secrets = Secrets { directory, identities: age_identities(identities), variable };
    seed::collect(profile, &|reference| secrets.get(reference)).map_err(|faults| RunError::Secrets(faults).into())
}
