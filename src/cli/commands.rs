//! One function per command: calls the library, prints the result, gives the exit code.

use std::collections::BTreeSet;
use std::env;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{CommandFactory, Parser};
use serde_json::{Value, json};

use super::arguments::{Arguments, Color, Command, Lint, Out, Place};
use super::exit::Exit;
use super::failure::{self, Failure, named_file};
use super::output::{counted, object, print, tell};
use super::{check, cidata, deploy, import, lint, node, progress, vm};
use crate::build::{self, Build, BuildError, Built, LockOutcome};
use crate::fetch::{HostApt, Network, Store};
use crate::profile;
use crate::vocab::{Epoch, Progress};

/// Bytes that a tree may take while it is made; less on a machine with less memory.
const TREE_LIMIT: u64 = 8 << 30;

/// Parses the process's arguments, does what they say, and gives the exit code.
pub fn run() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| {
        // What was given is no arguments yet; `--help` and `--version` are no failure.
        if error.use_stderr() && env::args_os().any(|argument| argument == "--json") {
            let message = error.to_string();
            // Below the first paragraph is how it is used.
            let words: Vec<&str> = message.split("\n\n").next().unwrap_or_default().split_whitespace().collect();
            let message = words.join(" ");
            let message = message.strip_prefix("error: ").unwrap_or(&message);
            let _ = object(&failure::last(Exit::Arguments, message, Some("see --help")));
        }
        error.exit()
    });
    let color = match arguments.color {
        Color::Auto => io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none(),
        Color::Always => true,
        Color::Never => false,
    };
    let exit = match execute(&arguments, color) {
        Ok(()) => Exit::Done,
        Err(failure) => failure::report(&failure, arguments.json, color),
    };
    ExitCode::from(exit as u8)
}

fn execute(arguments: &Arguments, color: bool) -> Result<(), Failure> {
    let progress = progress::reporter(arguments.json);
    let progress = progress.as_ref();
    let json = arguments.json;
    match &arguments.command {
        Command::Init { name } => init(name, json),
        Command::Check { profile } => check::check(profile, json, color),
        Command::Import { file, output } => import::import(file, output.as_deref(), json, color),
        Command::Lock { profile, place } => print_locked(&build_of(profile, place, None, progress)?.lock()?, json),
        Command::Plan { profile, place, out } => {
            print_plan(&build_of(profile, place, Some(out), progress)?.plan()?.stages, json)
        }
        Command::Build { profile, place, out, arm } => {
            let mut build = build_of(profile, place, Some(out), progress)?;
            build.armed.extend(arm.iter().cloned());
            let built = build.run()?;
            print_built(&built, &armed(&build), json)
        }
        Command::Run { profile, place, out, machine } => {
            vm::fits(machine, json)?;
            let built = build_of(profile, place, Some(out), progress)?.run()?;
            vm::run(profile, &built.directory, machine, json)
        }
        Command::Deploy(arguments) => deploy::deploy(arguments, json, progress),
        Command::Generations(arguments) => deploy::generations(arguments, json, progress),
        Command::Destroy(arguments) => deploy::destroy(arguments, json, progress),
        Command::Cidata { profile, node, output } => print_seed(profile, node, output.as_deref(), json, color),
        Command::Lint { what: Lint::UserData { file, release, lenient } } => {
            lint::user_data(file, *release, *lenient, json, color)
        }
        Command::Node(node) => node::node(node, json, color),
        Command::Options if json => {
            let options: Vec<Value> = serde_json::from_str(&profile::options().to_json()).map_err(unwritable)?;
            options.into_iter().try_for_each(|option| {
                let mut line = json!({ "event": "option" });
                if let (Value::Object(line), Value::Object(option)) = (&mut line, option) {
                    line.extend(option);
                }
                object(&line)
            })
        }
        Command::Options => print(&profile::options().to_string()),
        Command::Schema if json => object(&json!({ "event": "schema", "schema": profile::schema() })),
        Command::Schema => {
            let text = serde_json::to_string_pretty(&profile::schema()).map_err(unwritable)?;
            print(&format!("{text}\n"))
        }
        Command::Gc { profiles, place } => {
            let mut kept = BTreeSet::new();
            for profile in profiles {
                kept.extend(build_of(profile, place, None, progress)?.needs()?);
            }
            let store = Store::open(&store_path(place.store.as_deref())?).map_err(BuildError::from)?;
            let freed = store.gc(&|digest| kept.contains(digest)).map_err(BuildError::from)?;
            match freed {
                Some(bytes) => tell(&format!("freed {} MiB of downloads\n", bytes >> 20)),
                None => tell("another provbuild uses the store: nothing removed\n"),
            }
            if json { object(&json!({ "event": "collected", "freed": freed })) } else { Ok(()) }
        }
        Command::Completions { shell } => {
            // It panics where it cannot write.
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "provbuild", &mut script);
            let script = String::from_utf8_lossy(&script);
            match json {
                true => object(&json!({ "event": "completions", "shell": shell.to_string(), "script": script })),
                false => print(&script),
            }
        }
    }
}

fn unwritable(error: serde_json::Error) -> Failure {
    Failure::Surroundings("put it in JSON".into(), error.into())
}

fn init(name: &str, json: bool) -> Result<(), Failure> {
    let directory = Path::new(name);
    let (profile, nodes) = profile::init(name).map_err(BuildError::Profile)?;
    let files = [("profile.toml", profile), ("nodes.toml", nodes)].map(|(file, text)| (directory.join(file), text));
    let write = || {
        std::fs::create_dir(directory)?;
        files.iter().try_for_each(|(path, text)| std::fs::write(path, text))
    };
    write().map_err(|error| Failure::Surroundings(format!("make {}", directory.display()), error))?;
    tell(&format!(
        "wrote {0}/profile.toml and {0}/nodes.toml; next: provbuild check {0}/profile.toml\n",
        directory.display()
    ));
    if json { written(files.iter().map(|(path, _)| path.as_path())) } else { Ok(()) }
}

fn written<'a>(paths: impl Iterator<Item = &'a Path>) -> Result<(), Failure> {
    let files: Vec<String> = paths.map(|path| path.display().to_string()).collect();
    object(&json!({ "event": "written", "files": files }))
}

fn print_locked(outcome: &LockOutcome, json: bool) -> Result<(), Failure> {
    tell(&format!("{}: {}\n", outcome.path.display(), counted(outcome.packages, "package")));
    if !json {
        return outcome.diff.as_ref().map_or(Ok(()), |diff| print(&diff.to_string()));
    }
    let one = |(name, version): &(String, String)| json!({ "name": name, "version": version });
    let diff = outcome.diff.as_ref().map(|diff| {
        let changed = diff.changed.iter().map(|(name, from, to)| json!({ "name": name, "from": from, "to": to }));
        json!({
            "added": diff.added.iter().map(one).collect::<Vec<_>>(),
            "removed": diff.removed.iter().map(one).collect::<Vec<_>>(),
            "changed": changed.collect::<Vec<_>>(),
        })
    });
    let file = outcome.path.display().to_string();
    object(&json!({ "event": "locked", "file": file, "packages": outcome.packages, "changes": diff }))
}

fn print_plan(stages: &[build::StagePlan], json: bool) -> Result<(), Failure> {
    if json {
        let stage =
            |stage: &build::StagePlan| json!({ "stage": stage.stage, "cached": stage.cached, "why": stage.why });
        return object(&json!({ "event": "plan", "stages": stages.iter().map(stage).collect::<Vec<_>>() }));
    }
    let line = |stage: &build::StagePlan| {
        let verdict = if stage.cached { "cached" } else { "run" };
        format!("{:<8} {verdict:<7} {}\n", stage.stage.to_string(), stage.why)
    };
    print(&stages.iter().map(line).collect::<String>())
}

fn print_seed(profile: &Path, node: &str, output: Option<&Path>, json: bool, color: bool) -> Result<(), Failure> {
    if json && output == Some(Path::new("-")) {
        let message = "--json has no place on stdout, which is the image";
        return Err(Failure::plain(Exit::Arguments, message, "leave --json out, or name a file with --output"));
    }
    let seed = cidata::cidata(profile, node, output)?;
    if let Some(installer) = &seed.locked {
        // `check` says it of installers with a medium only; whoever makes a seed starts the machine from one.
        failure::warn(
            &format!("nobody can log in to what '{installer}' installs: no key, no password"),
            "add `account.ssh-keys` to it, or a user of the appliance with keys: nodes take them over",
            json,
            color,
        )?;
    }
    match &seed.path {
        Some(path) if json => written([path.as_path()].into_iter()),
        Some(path) => print(&format!("{}\n", path.display())),
        None => Ok(()),
    }
}

/// Host name and MAC address of each node that the boot tree of a finished build installs.
fn armed(build: &Build<'_>) -> Vec<(String, String)> {
    if build.armed.is_empty() {
        return Vec::new();
    }
    // It was sound a moment ago. Were it not now, the names say as much as matters.
    let nodes = profile::load(&build.profile).map(|loaded| loaded.profile.inventory.nodes).unwrap_or_default();
    let mac = |name: &String| nodes.iter().find(|node| node.hostname.as_str() == name).map(|node| node.mac.to_string());
    build.armed.iter().map(|name| (name.clone(), mac(name).unwrap_or_default())).collect()
}

fn armed_line(boot: &Path, node: &str, mac: &str) -> String {
    let boot = boot.display();
    format!(
        "warning: {boot}/ installs {node} ({mac}) and erases its disk for as long as it is served; \
         build without --arm to disarm\n"
    )
}

fn print_built(built: &Built, armed: &[(String, String)], json: bool) -> Result<(), Failure> {
    let artifacts = built.manifest.artifacts.iter().filter(|artifact| artifact.kind != "boot");
    let boot = built.directory.join("boot");
    if built.unchanged && !json {
        tell("nothing changed\n");
    }
    for (node, mac) in armed {
        tell(&armed_line(&boot, node, mac));
    }
    if json {
        let files: Vec<_> =
            artifacts.map(|artifact| built.directory.join(&artifact.file).display().to_string()).collect();
        let armed: Vec<Value> = armed.iter().map(|(node, mac)| json!({ "node": node, "mac": mac })).collect();
        return object(&json!({
            "event": "built",
            "directory": built.directory.display().to_string(),
            "unchanged": built.unchanged,
            "artifacts": files,
            "stages": built.manifest.stages,
            "armed": armed,
        }));
    }
    let mut text = String::new();
    for artifact in artifacts {
        text.push_str(&format!("{}\n", built.directory.join(&artifact.file).display()));
    }
    text.push_str(&format!("{}/\n", boot.display()));
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
    named_file(profile)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_armed_is_told() {
        assert_eq!(
            armed_line(Path::new("out/lab/boot"), "node1", "52:54:00:aa:00:01"),
            "warning: out/lab/boot/ installs node1 (52:54:00:aa:00:01) and erases its disk for as long as it is served; \
             build without --arm to disarm\n"
        );
    }
}
