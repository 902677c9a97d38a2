//! One function per command: calls the library, prints the result, gives the exit code.

use std::collections::BTreeSet;
use std::env;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{CommandFactory, Parser};

use super::arguments::{Arguments, Color, Command, Lint, Out, Place};
use super::exit::Exit;
use super::{check, cidata, deploy, import, lint, node, progress, vm};
use crate::build::{self, Build, BuildError, Built};
use crate::deploy::DeployError;
use crate::deploy::qemu::RunError;
use crate::fetch::{HostApt, Network, Store};
use crate::profile;
use crate::vocab::{Epoch, Progress, Remedy};

/// Bytes that a tree may take while it is made; less on a machine with less memory.
const TREE_LIMIT: u64 = 8 << 30;

/// What ends a command early; printed by [`run`].
pub(super) enum Failure {
    Build(BuildError),
    Run(RunError),
    Cidata(cidata::Failure),
    Deploy(DeployError),
    /// Something of the process's own surroundings: what, and why.
    Surroundings(String, io::Error),
    /// Already printed.
    Reported(Exit),
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Failure::Build(error)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        Failure::Run(error)
    }
}

/// Parses the process's arguments, does what they say, and gives the exit code.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let color = match arguments.color {
        Color::Auto => io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none(),
        Color::Always => true,
        Color::Never => false,
    };
    let exit = match execute(&arguments, color) {
        Ok(()) => Exit::Done,
        Err(failure) => report(&failure, color),
    };
    ExitCode::from(exit as u8)
}

fn execute(arguments: &Arguments, color: bool) -> Result<(), Failure> {
    let progress = progress::reporter(arguments.json);
    let progress = progress.as_ref();
    let json = arguments.json;
    match &arguments.command {
        Command::Init { name } => init(name),
        Command::Check { profile } => check::check(profile, arguments.json, color),
        Command::Import { file, output } => import::import(file, output.as_deref(), color),
        Command::Lock { profile, place } => {
            let outcome = build_of(profile, place, None, progress)?.lock()?;
            eprintln!("{}: {} packages", outcome.path.display(), outcome.packages);
            if let Some(diff) = outcome.diff {
                print(&diff.to_string())?;
            }
            Ok(())
        }
        Command::Plan { profile, place, out } => {
            let plan = build_of(profile, place, Some(out), progress)?.plan()?;
            let line = |stage: &build::StagePlan| {
                let verdict = if stage.cached { "cached" } else { "run" };
                format!("{:<8} {verdict:<7} {}\n", stage.stage.to_string(), stage.why)
            };
            print(&plan.stages.iter().map(line).collect::<String>())
        }
        Command::Build { profile, place, out, arm } => {
            let mut build = build_of(profile, place, Some(out), progress)?;
            build.armed.extend(arm.iter().cloned());
            let built = build.run()?;
            print_built(&built, arguments.json)
        }
        Command::Run { profile, place, out, machine } => {
            let built = build_of(profile, place, Some(out), progress)?.run()?;
            vm::run(profile, &built.directory, machine)
        }
        Command::Deploy(arguments) => deploy::deploy(arguments, json, progress),
        Command::Generations(arguments) => deploy::generations(arguments, json, progress),
        Command::Destroy(arguments) => deploy::destroy(arguments, json, progress),
        Command::Cidata { profile, node, output } => {
            let path = cidata::cidata(profile, node, output.as_deref()).map_err(Failure::Cidata)?;
            path.map_or(Ok(()), |path| print(&format!("{}\n", path.display())))
        }
        Command::Lint { what: Lint::UserData { file, release, lenient } } => {
            lint::user_data(file, *release, *lenient, arguments.json, color)
        }
        Command::Node(node) => node::node(node, arguments.json, color),
        Command::Options => {
            let options = profile::options();
            print(&if arguments.json { options.to_json() } else { options.to_string() })
        }
        Command::Schema => {
            let text = serde_json::to_string_pretty(&profile::schema())
                .map_err(|error| Failure::Surroundings("write the schema".into(), error.into()))?;
            print(&format!("{text}\n"))
        }
        Command::Gc { profiles, place } => {
            let mut kept = BTreeSet::new();
            for profile in profiles {
                kept.extend(build_of(profile, place, None, progress)?.needs()?);
            }
            let store = Store::open(&store_path(place.store.as_deref())?).map_err(BuildError::from)?;
            match store.gc(&|digest| kept.contains(digest)).map_err(BuildError::from)? {
                Some(bytes) => eprintln!("freed {} MiB of downloads", bytes >> 20),
                None => eprintln!("another provbuild uses the store: nothing removed"),
            }
            Ok(())
        }
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Arguments::command(), "provbuild", &mut io::stdout());
            Ok(())
        }
    }
}

fn init(name: &str) -> Result<(), Failure> {
    let directory = Path::new(name);
    let (profile, nodes) = profile::init(name).map_err(BuildError::Profile)?;
    let write = || {
        std::fs::create_dir(directory)?;
        std::fs::write(directory.join("profile.toml"), profile)?;
        std::fs::write(directory.join("nodes.toml"), nodes)
    };
    write().map_err(|error| Failure::Surroundings(format!("make {}", directory.display()), error))?;
    eprintln!("wrote {0}/profile.toml and {0}/nodes.toml; next: provbuild check {0}/profile.toml", directory.display());
    Ok(())
}

fn print_built(built: &Built, json: bool) -> Result<(), Failure> {
    let artifacts = built.manifest.artifacts.iter().filter(|artifact| artifact.kind != "boot");
    if json {
        let files: Vec<_> = artifacts.map(|artifact| built.directory.join(&artifact.file)).collect();
        let line = serde_json::json!({
            "event": "built",
            "directory": built.directory,
            "unchanged": built.unchanged,
            "artifacts": files,
            "stages": built.manifest.stages,
        });
        return print(&format!("{line}\n"));
    }
    if built.unchanged {
        eprintln!("nothing changed");
    }
    let mut text = String::new();
    for artifact in artifacts {
        text.push_str(&format!("{}\n", built.directory.join(&artifact.file).display()));
    }
    text.push_str(&format!("{}/\n", built.directory.join("boot").display()));
    print(&text)
}

pub(super) fn build_of<'a>(
    profile: &Path,
    place: &Place,
    out: Option<&Out>,
    progress: &'a dyn Progress,
) -> Result<Build<'a>, Failure> {
    let surroundings = |what: &str| {
        let what = what.to_owned();
        move |error| Failure::Surroundings(what, error)
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    let program = env::current_exe().map_err(surroundings("find provbuild's own file"))?;
    Ok(Build {
        profile: profile.to_owned(),
        store: store_path(place.store.as_deref())?,
        out: out.map_or_else(|| PathBuf::from("out"), |out| out.out.clone()),
        daemon: build::daemon_places(env::var_os("PROVBUILD_PROVD").map(PathBuf::from), &program),
        program,
        jobs: place.jobs.into(),
        network: Network {
            offline: place.offline,
            authorities: authorities(),
            ..Network::from_environment(|name| env::var(name).ok())
        },
        now: Epoch(u32::try_from(now).unwrap_or(u32::MAX)),
        host_apt: HostApt::read(Path::new("/")),
        armed: BTreeSet::new(),
        tree_limit: TREE_LIMIT.min(memory().map_or(TREE_LIMIT, |bytes| bytes / 4 * 3)),
        progress,
    })
}

/// The host's own certificate authorities, where it keeps them in one file.
pub(super) fn authorities() -> Option<Vec<u8>> {
    let bundles = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];
    bundles.iter().find_map(|path| std::fs::read(path).ok())
}

/// Memory of the machine in bytes, from proc_meminfo(5).
fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Where downloads and finished stages are kept.
pub(super) fn store_path(named: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(store) = named {
        return Ok(store.to_owned());
    }
    user_directory("XDG_CACHE_HOME", ".cache").map(|cache| cache.join("provbuild")).ok_or_else(|| {
        Failure::Surroundings("find a place for the store".into(), io::Error::other("HOME is not set; use --store"))
    })
}

/// A directory of the user's, by the XDG base directory specification.
pub(super) fn user_directory(variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)))
}

/// The file with age identities: the one that was named, or the user's own.
pub(super) fn age_identities(named: Option<PathBuf>) -> Option<PathBuf> {
    named.or_else(|| Some(user_directory("XDG_CONFIG_HOME", ".config")?.join("provbuild/age.txt")))
}

/// Writes data to stdout. A reader that went away is not an error.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Surroundings("write to stdout".into(), error))
        }
        _ => Ok(()),
    }
}

/// Writes to stderr. Whoever read there may have gone away (a pipe, a terminal): `eprint!` would panic, and work may be under way.
pub(super) fn tell(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

fn report(failure: &Failure, color: bool) -> Exit {
    let (message, help, exit) = match failure {
        Failure::Build(BuildError::Profile(faults)) | Failure::Cidata(cidata::Failure::Profile(faults)) => {
            tell(&faults.render(color));
            return Exit::Profile;
        }
        Failure::Build(error) => (error.to_string(), error.help(), Exit::from(error)),
        Failure::Run(error) => (error.to_string(), error.help(), Exit::from(error)),
        Failure::Cidata(error) => (error.to_string(), error.help(), error.exit()),
        Failure::Deploy(error) => (error.to_string(), error.help(), Exit::from(error.kind)),
        Failure::Reported(exit) => return *exit,
        Failure::Surroundings(what, error) => (format!("cannot {what}: {error}"), None, Exit::Io),
    };
    let (red, cyan, reset) = if color { ("\x1b[1;31m", "\x1b[1;36m", "\x1b[0m") } else { ("", "", "") };
    let help = help.map(|help| format!("{cyan}help{reset}: {help}\n")).unwrap_or_default();
    tell(&format!("{red}error{reset}: {message}\n{help}"));
    exit
}
