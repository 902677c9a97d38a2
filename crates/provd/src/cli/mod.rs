//! Arguments and commands.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 not found, 4 the daemon cannot be reached; `node` has some more.

mod certificate;
mod client;
mod dhcp_event;
mod node;
mod operate;
mod seed;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::registry::Places;
use crate::serve::{self, Options};

#[derive(Debug, Parser)]
#[command(name = "provd", version, about = "The appliance's daemon, and the command line to it")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    daemon: operate::Daemon,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the daemon.
    Serve(Serve),
    /// Prints the description of the API (OpenAPI 3.1).
    Openapi,
    #[command(flatten)]
    Operate(operate::Operate),
    /// Tells the daemon what dnsmasq calls its script for.
    #[command(hide = true)]
    DhcpEvent(dhcp_event::DhcpEvent),
    /// Makes the appliance's TLS certificate, or keeps it, and prints its SHA-256 fingerprint.
    Certificate(certificate::Certificate),
    /// Lays out the secrets of the seed medium.
    #[command(hide = true)]
    Seed(seed::Seed),
    /// Finds the state disk, or makes it where the seed medium says so.
    #[command(hide = true)]
    State(seed::State),
}

#[derive(Debug, clap::Args)]
struct Serve {
    /// What the builder declared.
    #[arg(long, default_value = netboot::DECLARED_PATH)]
    declared: PathBuf,
    #[arg(long, default_value = "/var/lib/provbuild/provd/state.db")]
    database: PathBuf,
    /// File with the image's digest.
    #[arg(long)]
    image: Option<PathBuf>,
    /// Where the state disk is mounted.
    #[arg(long, default_value = "/var/lib/provbuild")]
    state: PathBuf,
    /// The boot server's root, as nginx serves it.
    #[arg(long, default_value = "/srv/provbuild/http")]
    served: PathBuf,
    /// Directory for GRUB's scripts, that TFTP serves.
    #[arg(long)]
    grub_nodes: Option<PathBuf>,
    /// Where to make the sockets; without it systemd hands them over.
    #[arg(long)]
    sockets: Option<PathBuf>,
    /// Directory with the BMCs' credentials, as `bmc/HOSTNAME`.
    #[arg(long, default_value = crate::control::SECRETS)]
    secrets: PathBuf,
    #[command(flatten)]
    webhooks: crate::webhooks::Files,
}

/// Parses the arguments, runs the command, says what went wrong.
pub fn run() -> ExitCode {
    let Arguments { command, daemon } = Arguments::parse();
    let result = match command {
        Command::Serve(arguments) => serve_command(arguments),
        Command::Openapi => {
            println!("{}", crate::admin::document());
            Ok(())
        }
        Command::Operate(command) => return operate::run(&daemon, command),
        Command::DhcpEvent(call) => {
            dhcp_event::run(&call);
            Ok(())
        }
        Command::Seed(arguments) => seed::seed(&arguments),
        Command::State(arguments) => return seed::state(&arguments),
        Command::Certificate(arguments) => {
            certificate::run(&arguments, jiff::Timestamp::now()).map_err(|error| error.into())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("provd: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve_command(arguments: Serve) -> Result<(), Box<dyn std::error::Error>> {
    let Serve { declared, database, image, state, served, grub_nodes, sockets, secrets, webhooks } = arguments;
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("PROVD_LOG").unwrap_or_else(|_| "provd=info".into()),
        )
        .with_ansi(false)
        .without_time()
        .with_writer(std::io::stderr)
        .init();
    let places = Places { served, grub_nodes };
    let control = crate::control::Settings { secrets, ..crate::control::Settings::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let options = Options { declared, database, image, state, places, sockets, webhooks, control };
    Ok(runtime.block_on(serve::serve(options))?)
}
