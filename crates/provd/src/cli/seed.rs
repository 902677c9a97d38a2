//! `provd seed` and `provd state`: what a deployment brings, laid out by root before the daemon starts.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use netboot::Declared;

use crate::seed::{self, Deployment, Outcome, Places, Programs};

#[derive(Debug, clap::Args)]
pub(super) struct Seed {
    /// The medium.
    #[arg(long, default_value = seed::MEDIUM)]
    medium: PathBuf,
    /// What the builder declared.
    #[arg(long, default_value = netboot::DECLARED_PATH)]
    declared: PathBuf,
    /// Directory with the daemon's secrets.
    #[arg(long, default_value = crate::control::SECRETS)]
    secrets: PathBuf,
    /// The file that says which deployment has come that far.
    #[arg(long, default_value = seed::DEPLOYMENT)]
    deployment: PathBuf,
    /// User and group, by number, that the files belong to.
    #[arg(long)]
    owner: Option<u32>,
}

#[derive(Debug, clap::Args)]
pub(super) struct State {
    /// The medium.
    #[arg(long, default_value = seed::MEDIUM)]
    medium: PathBuf,
    /// Directory on the system disk that remembers that there must be a state disk.
    #[arg(long, default_value = "/etc/provbuild")]
    memory: PathBuf,
    /// Seconds for a state disk that must be there to appear.
    #[arg(long, default_value_t = 60)]
    wait: u16,
}

/// Says what was done, by names.
pub(super) fn seed(arguments: &Seed) -> Result<(), Box<dyn std::error::Error>> {
    let Some(seed) = seed::read(&arguments.medium)? else {
        println!("there is no seed medium");
        return Ok(());
    };
    let bad = |what: &dyn std::fmt::Display| format!("{}: {what}", arguments.declared.display());
    let text = std::fs::read_to_string(&arguments.declared).map_err(|error| bad(&error))?;
    let declared: Declared = serde_json::from_str(&text).map_err(|error| bad(&error))?;
    let nodes: BTreeSet<_> = declared.inventory.nodes.iter().map(|node| node.hostname.clone()).collect();
    let delivered = seed::deliver(&seed, &arguments.secrets, &nodes, arguments.owner)?;
    for (what, names) in [
        ("written", delivered.written),
        ("there already", delivered.unchanged),
        ("kept, though no such node is declared", delivered.kept),
        ("left out, since no such node is declared", delivered.left_out),
    ] {
        if !names.is_empty() {
            println!("{what}: {}", names.join(", "));
        }
    }
    // Only now: whoever reads it takes the secrets as delivered.
    let deployment = Deployment::of(&seed);
    deployment
        .write(&arguments.deployment)
        .map_err(|error| format!("cannot write {}: {error}", arguments.deployment.display()))?;
    println!("deployment {}, generation {}", deployment.deployment, deployment.generation);
    Ok(())
}

/// For `ExecCondition=` (systemd.service(5)): 0 where the state disk is to be mounted, 1 where none is expected, 255 for a failure.
pub(super) fn state(arguments: &State) -> ExitCode {
    let places = Places {
        sys: "/sys".into(),
        dev: "/dev".into(),
        mountinfo: "/proc/self/mountinfo".into(),
        medium: arguments.medium.clone(),
        memory: arguments.memory.clone(),
        patience: Duration::from_secs(arguments.wait.into()),
        apart: Duration::from_secs(3),
        drives: Duration::from_secs(10),
    };
    match seed::prepare(&places, &Programs) {
        Ok(Outcome::Mount) => ExitCode::SUCCESS,
        Ok(Outcome::Made(device)) => {
            println!("{} is the state disk from now on", device.display());
            ExitCode::SUCCESS
        }
        Ok(Outcome::None) => ExitCode::from(1),
        Err(error) => {
            eprintln!("provd: {error}");
            ExitCode::from(255)
        }
    }
}
