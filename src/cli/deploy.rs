//! `provbuild deploy`, `generations` and `destroy`: from the profile to a site, and what became of it in lines or JSON.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use netboot::SecretRef;
use serde_json::json;

use super::arguments::{GLOBAL, Out, Place};
use super::commands;
use super::exit::Exit;
use super::failure::{Failure, named_file};
use super::output::{object, print, tell};
use crate::build::{Build, BuildError};
use crate::deploy::seed::{self, SecretFault};
use crate::deploy::vsphere::Vsphere;
use crate::deploy::workstation::{WINDOWS_VARIABLES, Workstation, boot_time};
use crate::deploy::{
    Clock, DeployError, Deployment, Fate, Generation, Healthz, Kind, Observed, Orders, Outcome, Plan, Record, Release,
    Site, StateDisk, Terms,
};
use crate::manifest::Manifest;
use crate::profile::{self, Link, Profile};
use crate::secrets::{SecretError, Secrets};
use crate::vocab::{Digest, Epoch, Progress, Remedy as _};

#[derive(Debug, Args)]
pub(super) struct Deploy {
    profile: PathBuf,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    out: Out,
    #[command(flatten)]
    options: Options,
    /// Print the steps and touch nothing.
    #[arg(long)]
    plan: bool,
    /// Deploy what is in the output directory as it is, without building.
    #[arg(long, conflicts_with = "rollback")]
    no_build: bool,
    /// Deliver the secrets again, also where the build is deployed already; the machine is restarted.
    #[arg(long, conflicts_with = "rollback")]
    renew_secrets: bool,
    /// Take over a machine or disks that are there without a record: the state disk is kept, the system disks are replaced.
    #[arg(long, conflicts_with = "rollback")]
    adopt: bool,
    /// Trust the key that the management page has now, instead of the one that was seen first.
    #[arg(long, conflicts_with = "rollback")]
    accept_page_key: bool,
    /// Go back to the last healthy generation before this one, or out of a deployment that was cut off.
    #[arg(long)]
    rollback: bool,
    /// The generation to go back to, as `provbuild generations` numbers them.
    #[arg(long, value_name = "NUMBER", requires = "rollback")]
    to: Option<u32>,
}

impl Deploy {
    fn orders(&self) -> Orders {
        Orders { renew_secrets: self.renew_secrets, adopt: self.adopt, forget_page_key: self.accept_page_key }
    }
}

#[derive(Debug, Args)]
pub(super) struct Generations {
    profile: PathBuf,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Args)]
pub(super) struct Destroy {
    profile: PathBuf,
    #[command(flatten)]
    options: Options,
    /// Remove the state disk as well: node states, leases, host keys, the audit log.
    #[arg(long)]
    with_state: bool,
    /// Print what would be removed and touch nothing.
    #[arg(long)]
    plan: bool,
}

#[derive(Debug, Args)]
struct Options {
    /// Where to deploy [default: the one target of the profile].
    #[arg(long, value_enum)]
    target: Option<Target>,
    /// File with age identities, for secrets of the form age:PATH [default: $XDG_CONFIG_HOME/provbuild/age.txt].
    #[arg(long, value_name = "FILE", env = "PROVBUILD_AGE_IDENTITY", help_heading = GLOBAL)]
    age_identity: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    /// VMware Workstation on this machine, or around this WSL.
    Workstation,
    /// vCenter, or a single ESXi host.
    Vsphere,
}

/// The profile, and what of the surroundings a target needs.
struct Setup {
    profile: Profile,
    target: Target,
    /// Of nodes.toml.
    directory: PathBuf,
    identities: Option<PathBuf>,
    started: Instant,
}

impl Clock for Setup {
    fn now(&self) -> Epoch {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
        Epoch(u32::try_from(now).unwrap_or(u32::MAX))
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, pause: Duration) {
        thread::sleep(pause);
    }
}

impl Setup {
    fn read(path: &Path, options: &Options) -> Result<Self, Failure> {
        // Passwords are in its memory: no core dump has them. Where it is refused, so are they as a rule.
        let _ = nix::sys::prctl::set_dumpable(false);
        named_file(path)?;
        let loaded = profile::load(path).map_err(|faults| Failure::Build(BuildError::Profile(faults)))?;
        let mut profile = loaded.profile;
        let absolute = |reference: &mut SecretRef| {
            if let SecretRef::File(name) | SecretRef::Age(name) = reference
                && let Ok(whole) = std::path::absolute(&*name)
            {
                *name = whole.to_string_lossy().into_owned();
            }
        };
        let deploy = &mut profile.deploy;
        deploy.webhook_key.iter_mut().for_each(absolute);
        deploy
            .workstation
            .iter_mut()
            .filter_map(|it| it.rest.as_mut())
            .for_each(|rest| absolute(&mut rest.credentials));
        deploy.vsphere.iter_mut().for_each(|it| absolute(&mut it.credentials));
        let target = target(&profile, options.target)?;
        let directory = loaded.files.last().and_then(|file| file.parent()).unwrap_or(Path::new("")).to_owned();
        let identities = commands::age_identities(options.age_identity.clone());
        Ok(Setup { profile, target, directory, identities, started: Instant::now() })
    }

    fn secret(&self, reference: &SecretRef) -> Result<secrecy::SecretString, SecretError> {
        let variable: &dyn Fn(&str) -> Option<OsString> = &|name| env::var_os(name);
        Secrets { directory: self.directory.clone(), identities: self.identities.clone(), variable }.get(reference)
    }

    /// A secret of the target's own.
    fn credentials(&self, option: &str, reference: &SecretRef) -> Result<secrecy::SecretString, DeployError> {
        self.secret(reference).map_err(|error| {
            let failed = DeployError::new(Kind::Io, format!("{option}: {error}"));
            match error.help() {
                Some(help) => failed.help(help),
                None => failed,
            }
        })
    }

    /// The target's site, and what of its settings makes another generation.
    fn open(&self) -> Result<(Box<dyn Site>, String), DeployError> {
        let deploy = &self.profile.deploy;
        match (self.target, &deploy.workstation, &deploy.vsphere) {
            (Target::Workstation, Some(settings), _) => {
                let rest = settings.rest.as_ref();
                let rest = rest
                    .map(|rest| self.credentials("deploy.workstation.rest.credentials", &rest.credentials))
                    .transpose()?;
                let workstation = Workstation {
                    name: &self.profile.name,
                    settings,
                    state_disk: deploy.state_disk,
                    rest_credentials: rest,
                    home: env::var_os("HOME").map(PathBuf::from),
                    path: env::var_os("PATH"),
                    os_release: std::fs::read_to_string("/proc/sys/kernel/osrelease").ok(),
                    vmware_config: std::fs::read("/etc/vmware/config").ok(),
                    windows_variables: WINDOWS_VARIABLES
                        .into_iter()
                        .filter_map(|name| Some((name.to_owned(), env::var(name).ok()?)))
                        .collect(),
                };
                let booted = std::fs::read_to_string("/proc/stat").ok().and_then(|text| boot_time(&text));
                Ok((workstation.open_since(booted)?, workstation.settings()))
            }
            (Target::Vsphere, _, Some(settings)) => {
                let vsphere = Vsphere {
                    name: &self.profile.name,
                    settings,
                    credentials: self.credentials("deploy.vsphere.credentials", &settings.credentials)?,
                    authorities: commands::authorities(),
                };
                Ok((vsphere.open()?, vsphere.settings()))
            }
            _ => Err(no_target("the profile has no such target")),
        }
    }

    /// The target and the machine, for plans.
    fn machine(&self, title: &str) -> String {
        let Profile { appliance, network, deploy, .. } = &self.profile;
        let link = |link: &Link| match link {
            Link::Nat => "nat".to_owned(),
            Link::Bridged => "bridged".to_owned(),
            Link::HostOnly => "hostonly".to_owned(),
            Link::Named(name) => name.clone(),
        };
        let networks = match (self.target, &deploy.workstation, &deploy.vsphere) {
            (Target::Workstation, Some(it), _) => [link(&it.uplink), link(&it.provisioning)],
            (Target::Vsphere, _, Some(it)) => [it.uplink.clone(), it.provisioning.clone()],
            _ => return title.to_owned(),
        };
        let [uplink, provisioning] = networks;
        format!(
            "{title}\n  {} of memory, {} processors, system disk {}, state disk {}\n  uplink on {uplink:?} ({}), provisioning on {provisioning:?} ({})",
            appliance.memory,
            appliance.cpus,
            appliance.disk,
            deploy.state_disk,
            network.uplink.mac,
            network.provisioning.mac,
        )
    }

    fn deployment<'a>(
        &'a self,
        site: Box<dyn Site + 'a>,
        health: &'a Healthz,
        progress: &'a dyn Progress,
    ) -> Result<Deployment<'a>, Failure> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)
            .map_err(|error| Failure::Surroundings("draw random numbers".to_owned(), std::io::Error::other(error)))?;
        let deploy = &self.profile.deploy;
        Ok(Deployment {
            site,
            name: &self.profile.name,
            terms: Terms {
                keep: deploy.keep,
                health_timeout: deploy.health_timeout,
                stop_timeout: deploy.stop_timeout,
                state_disk: deploy.state_disk,
            },
            fresh: hex::encode(random),
            clock: self,
            health,
            progress,
        })
    }
}

fn target(profile: &Profile, named: Option<Target>) -> Result<Target, DeployError> {
    let workstation = profile.deploy.workstation.is_some().then_some(Target::Workstation);
    let vsphere = profile.deploy.vsphere.is_some().then_some(Target::Vsphere);
    match (named, workstation, vsphere) {
        (Some(Target::Workstation), None, _) => Err(no_target("the profile has no [deploy.workstation]")),
        (Some(Target::Vsphere), _, None) => Err(no_target("the profile has no [deploy.vsphere]")),
        (Some(named), ..) => Ok(named),
        (None, Some(_), Some(_)) => Err(DeployError::new(Kind::Settings, "the profile has two targets")
            .help("say which: --target workstation or --target vsphere")),
        (None, Some(only), None) | (None, None, Some(only)) => Ok(only),
        (None, None, None) => Err(no_target("the profile does not say where to deploy to")),
    }
}

fn no_target(message: &str) -> DeployError {
    DeployError::new(Kind::Settings, message)
        .help("add [deploy.workstation] or [deploy.vsphere] to the profile; `provbuild run` needs neither")
}

fn healthz() -> Result<Healthz, Failure> {
    Healthz::new().map_err(|error| Failure::Surroundings("make the HTTP client".into(), std::io::Error::other(error)))
}

pub(super) fn deploy(arguments: &Deploy, json: bool, progress: &dyn Progress) -> Result<(), Failure> {
    let setup = Setup::read(&arguments.profile, &arguments.options)?;
    let build = commands::build_of(&arguments.profile, &arguments.place, Some(&arguments.out), progress)?;
    let (site, settings) = setup.open()?;
    let health = healthz()?;
    let title = site.title();
    let mut deployment = setup.deployment(site, &health, progress)?;
    if arguments.rollback {
        if arguments.plan {
            return print_plan(&deployment.plan_rollback(arguments.to)?, &[], &setup.machine(&title), json);
        }
        let outcome = deployment.rollback(arguments.to)?;
        return print_outcome(&outcome, json);
    }
    if arguments.plan {
        return plan(arguments, &build, &deployment, &settings, &setup.machine(&title), json);
    }
    let (directory, manifest) = match arguments.no_build {
        true => built(&build, &setup.profile.name)?,
        false => {
            let built = build.run()?;
            (built.directory, built.manifest)
        }
    };
    let release = Release::new(&directory, manifest, &settings);
    let make = |record: &Record, number: u32| {
        let secrets = seed::collect(&setup.profile, &|reference| setup.secret(reference)).map_err(unresolved)?;
        seed::medium(record, number, &secrets, setup.now())
    };
    let outcome = deployment.deploy(&release, &make, arguments.orders())?;
    print_outcome(&outcome, json)
}

/// What lies in the output directory.
fn built(build: &Build<'_>, name: &str) -> Result<(PathBuf, Manifest), Failure> {
    let directory = build.out.join(name);
    let manifest = Manifest::read(&directory).map_err(|error| {
        DeployError::new(Kind::Settings, format!("there is no finished build: {error}"))
            .help("leave --no-build out, or name the directory with --out")
    })?;
    Ok((directory, manifest))
}

/// All secrets that cannot be had, at once.
fn unresolved(faults: Vec<SecretFault>) -> DeployError {
    let helps: std::collections::BTreeSet<String> = faults.iter().filter_map(SecretFault::help).collect();
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let failed = DeployError::new(Kind::Io, lines.join("\n       "));
    match helps.is_empty() {
        true => failed,
        false => failed.help(helps.into_iter().collect::<Vec<_>>().join("\n      ")),
    }
}

fn plan(
    arguments: &Deploy,
    build: &Build<'_>,
    deployment: &Deployment<'_>,
    settings: &str,
    title: &str,
    json: bool,
) -> Result<(), Failure> {
    let name = deployment.name;
    let stages = if arguments.no_build { Vec::new() } else { build.plan()?.stages };
    let to_run: Vec<String> = stages
        .iter()
        .filter(|stage| !stage.cached)
        .map(|stage| format!("build {}: {}", stage.stage, stage.why))
        .collect();
    // What is not built yet is no generation that is known.
    let id = match to_run.is_empty() {
        true => {
            let (directory, manifest) = built(build, name)?;
            Release::new(&directory, manifest, settings).id
        }
        false => Digest::of(b"not built yet"),
    };
    print_plan(&deployment.plan(id, arguments.orders())?, &to_run, title, json)
}

fn print_plan(plan: &Plan, before: &[String], title: &str, json: bool) -> Result<(), Failure> {
    let steps = before.iter().cloned().chain(plan.steps.iter().map(ToString::to_string));
    if json {
        let line = json!({
            "event": "plan",
            "target": title,
            "generation": plan.target,
            "changes": plan.changes() || !before.is_empty(),
            "steps": steps.collect::<Vec<_>>(),
        });
        return object(&line);
    }
    let steps: String = steps.zip(1..).map(|(step, number)| format!("{number:>3}. {step}\n")).collect();
    print(&format!("{title}\n{steps}"))
}

fn print_outcome(outcome: &Outcome, json: bool) -> Result<(), Failure> {
    let Outcome { generation, address, unchanged } = outcome;
    if json {
        let line = json!({ "event": "deployed", "generation": generation, "address": address, "unchanged": unchanged });
        return object(&line);
    }
    if *unchanged {
        tell("nothing changed\n");
    }
    tell(&format!("generation {generation} is healthy\n"));
    let host = match address {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
    };
    print(&format!("https://{host}/\n"))
}

pub(super) fn generations(arguments: &Generations, json: bool, progress: &dyn Progress) -> Result<(), Failure> {
    let setup = Setup::read(&arguments.profile, &arguments.options)?;
    let (site, _) = setup.open()?;
    let title = site.title();
    let health = healthz()?;
    let (record, there) = setup.deployment(site, &health, progress)?.look()?;
    if json {
        // What is not there has no number of its own yet.
        let record = record.generations.first().map(|_| &record);
        let observed = json!({ "exists": there.exists, "running": there.running, "configured": there.configured,
            "state-disk": there.state, "seed-medium": there.seed });
        return object(&json!({ "event": "generations", "target": title, "record": record, "observed": observed }));
    }
    print(&listing(&record, &there, &title))
}

fn listing(record: &Record, there: &Observed, title: &str) -> String {
    let machine = match (there.exists, there.running) {
        (false, _) => "no machine",
        (true, true) => "running",
        (true, false) => "stopped",
    };
    let state = match (there.state, record.state) {
        (true, StateDisk::InUse) => "state disk in use",
        (true, _) => "state disk, not used yet",
        (false, StateDisk::InUse) => "state disk MISSING",
        (false, _) => "no state disk",
    };
    let mut text = format!("{title}: {machine}, {state}\n");
    for generation in record.generations.iter().rev() {
        let Generation { number, image_digest, made, fate, .. } = generation;
        let mark = if there.configured == Some(*number) { '*' } else { ' ' };
        let pending = record.pending.filter(|pending| pending.generation == *number).map(|_| ", under way");
        let fate = match fate {
            _ if record.current == Some(*number) => "current".to_owned(),
            Fate::Untried => "not tried".to_owned(),
            Fate::Healthy => "healthy".to_owned(),
            Fate::Withdrawn => "gone back from".to_owned(),
            Fate::Unhealthy(why) => format!("unhealthy: {why}"),
        };
        let disk = if there.staged.contains(number) { "" } else { ", its disk is not there" };
        let made = jiff::Timestamp::from_second(made.0.into()).map_or_else(|_| String::new(), |made| made.to_string());
        text += &format!(
            "{mark} {number:>4}  {made}  image {}  {fate}{disk}{}\n",
            image_digest.short(),
            pending.unwrap_or("")
        );
    }
    if record.pending.is_some() {
        text += "cut off: `deploy` goes on, `deploy --rollback` goes back\n";
    }
    text
}

pub(super) fn destroy(arguments: &Destroy, json: bool, progress: &dyn Progress) -> Result<(), Failure> {
    let setup = Setup::read(&arguments.profile, &arguments.options)?;
    let (site, _) = setup.open()?;
    let title = site.title();
    let health = healthz()?;
    let mut deployment = setup.deployment(site, &health, progress)?;
    if arguments.plan {
        let (_, there) = deployment.look()?;
        let disks = match there.staged.as_slice() {
            [] => "there is no system disk".to_owned(),
            [one] => format!("remove the system disk of generation {one}"),
            several => format!("remove the system disks of {} generations", several.len()),
        };
        let state = match (there.state, arguments.with_state) {
            (false, _) => "there is no state disk",
            (true, true) => "remove the state disk and the record",
            (true, false) => "keep the state disk and the record",
        };
        let machine = match (there.exists, there.running) {
            (false, _) => "there is no machine",
            (true, true) => "stop and remove the machine",
            (true, false) => "remove the machine",
        };
        if json {
            let line = json!({ "event": "plan", "target": title, "steps": [machine, disks, state] });
            return object(&line);
        }
        return print(&format!("{title}\n  {machine}\n  {disks}\n  {state}\n"));
    }
    let state = deployment.look()?.1.state;
    let done = deployment.destroy(arguments.with_state)?;
    if json {
        return object(&json!({ "event": "destroyed", "existed": done, "state-kept": !arguments.with_state }));
    }
    tell(match (done, arguments.with_state, state) {
        (false, ..) => "there was nothing\n",
        (true, true, true) => "the machine, its disks and the state disk are gone\n",
        (true, _, false) => "the machine and its system disks are gone; there was no state disk\n",
        (true, false, true) => {
            "the machine and its system disks are gone; the state disk is kept for the next deployment\n"
        }
    });
    Ok(())
}

impl From<Kind> for Exit {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Settings => Exit::Profile,
            Kind::Io => Exit::Io,
            Kind::Hypervisor => Exit::Machine,
            Kind::Unreachable => Exit::Bmc,
            Kind::Trust => Exit::Trust,
            Kind::Refused => Exit::Refused,
            Kind::Unhealthy => Exit::Unhealthy,
        }
    }
}
