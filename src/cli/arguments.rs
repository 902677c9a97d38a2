//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Over the options that every command has: below, a leaf's own would be lost among them.
pub(super) const GLOBAL: &str = "Global options";

/// Compiles a provisioning profile into a reproducible appliance image and its netboot artifacts.
#[derive(Debug, Parser)]
#[command(name = "provbuild", version, max_term_width = 100, after_help = super::exit::TABLE)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
    /// For programs: stdout has JSON objects and nothing else, one a line (docs/errors.md).
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(super) json: bool,
    /// When to use colours.
    #[arg(long, global = true, help_heading = GLOBAL, value_enum, default_value_t = Color::Auto)]
    pub(super) color: Color,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write a commented profile and nodes.toml to start from.
    Init {
        /// Name of the appliance; becomes a directory.
        name: String,
    },
    /// Check the profile and its nodes; report every fault at its line.
    Check { profile: PathBuf },
    /// Convert an older JSON inventory into a commented nodes.toml; what it leaves out is said on stderr.
    Import {
        /// The inventory: a list of nodes, or an object with `nodes` and `ssh_keys`.
        file: PathBuf,
        /// Write to this file, which must not exist yet: unlike `> FILE` it cannot empty the one you have [default: stdout].
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Resolve the packages against the archive and write the lock beside the profile.
    Lock {
        profile: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Say what a build would do, stage by stage, and why.
    Plan {
        profile: PathBuf,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        out: Out,
    },
    /// Build the appliance image and the boot artifacts into out/NAME.
    Build {
        profile: PathBuf,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        out: Out,
        /// Let the boot tree beside the image install this node; may be repeated. The image itself installs nobody.
        #[arg(long = "arm", value_name = "NODE")]
        arm: Vec<String>,
    },
    /// Build if needed, then boot the appliance in QEMU; the serial console is the terminal (Ctrl-a x ends it).
    Run {
        profile: PathBuf,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        out: Out,
        #[command(flatten)]
        machine: Machine,
    },
    /// Build if needed, then create or upgrade the virtual machine and wait until it is healthy; otherwise go back.
    Deploy(Box<super::deploy::Deploy>),
    /// List the generations of a deployment.
    Generations(super::deploy::Generations),
    /// Stop and remove the virtual machine; the state disk is kept unless it is named.
    Destroy(super::deploy::Destroy),
    /// Write a node's seed as an ISO image: the second CD of a machine that boots the stock Ubuntu ISO from the first.
    Cidata {
        profile: PathBuf,
        /// Host name of the node.
        node: String,
        /// File to write, `-` for stdout [default: NODE-cidata.iso].
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Look after nodes by their BMCs: power, one-time boot, boot order, BIOS settings, installation.
    Node(Box<super::node::NodeArguments>),
    /// Check a hand-written file that an installer reads.
    Lint {
        #[command(subcommand)]
        what: Lint,
    },
    /// List every profile option with its type, default and meaning.
    Options,
    /// Print the JSON Schema of profiles, for editors.
    Schema,
    /// Remove from the store what the locks of the named profiles do not need.
    Gc {
        /// Profiles to keep everything for.
        #[arg(required = true)]
        profiles: Vec<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
    /// Print a completion script for a shell.
    Completions { shell: clap_complete::Shell },
}

#[derive(Debug, Subcommand)]
pub(super) enum Lint {
    /// Autoinstall user-data of Ubuntu: its form, and the traps that the installer does not report.
    UserData {
        /// The file; - reads standard input.
        file: PathBuf,
        /// The Ubuntu release whose installer reads it.
        #[arg(long, value_name = "VERSION", default_value = "24.04", value_parser = ubuntu)]
        release: netboot::Release,
        /// Succeed when there are warnings only.
        #[arg(long)]
        lenient: bool,
    },
}

fn ubuntu(text: &str) -> Result<netboot::Release, String> {
    netboot::Release::find("ubuntu", text).ok_or_else(|| "write 24.04 or 22.04".to_owned())
}

#[derive(Debug, Args)]
pub(super) struct Place {
    /// Where downloads and finished stages are kept [default: $XDG_CACHE_HOME/provbuild or ~/.cache/provbuild].
    #[arg(long, value_name = "DIR", env = "PROVBUILD_STORE")]
    pub(super) store: Option<PathBuf>,
    /// Transfers at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub(super) jobs: u8,
    /// Use only what is in the store.
    #[arg(long)]
    pub(super) offline: bool,
}

#[derive(Debug, Args)]
pub(super) struct Out {
    /// Directory that receives NAME/.
    #[arg(long, value_name = "DIR", default_value = "out")]
    pub(super) out: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Machine {
    /// Forward a port of this host's loopback to the appliance's uplink; may be repeated [default: 2222:22].
    #[arg(long = "forward", value_name = "HOST:GUEST", value_parser = forward)]
    pub(super) forwards: Vec<(u16, u16)>,
    /// Keep what the machine writes in this qcow2 file, and go on from it the next time.
    #[arg(long, value_name = "FILE")]
    pub(super) keep: Option<PathBuf>,
    /// Plug the provisioning NIC in: a QEMU -netdev without its id, such as tap,ifname=tap0,script=no.
    #[arg(long, value_name = "NETDEV")]
    pub(super) provisioning: Option<String>,
    /// Give the machine a state disk in this qcow2 file; it is made when it is missing, of the size deploy.state-disk.
    #[arg(long, value_name = "FILE")]
    pub(super) state: Option<PathBuf>,
    /// Deliver the secrets of the profile and of its nodes to the state disk.
    #[arg(long, requires = "state")]
    pub(super) secrets: bool,
    /// Identities that `age:` secrets are encrypted to [default: ~/.config/provbuild/age.txt].
    #[arg(long, value_name = "FILE", env = "PROVBUILD_AGE_IDENTITY")]
    pub(super) age_identity: Option<PathBuf>,
    /// Print a libvirt domain's XML instead of running QEMU.
    #[arg(long, conflicts_with_all = ["forwards", "keep", "provisioning", "print"])]
    pub(super) libvirt: bool,
    /// libvirt's network behind the provisioning card.
    #[arg(long, value_name = "NAME", requires = "libvirt", default_value = "provisioning")]
    pub(super) libvirt_network: String,
    /// Enforce Secure Boot whatever the profile says.
    #[arg(long)]
    pub(super) secure_boot: bool,
    /// Print QEMU's command line instead of running it.
    #[arg(long)]
    pub(super) print: bool,
}

fn forward(text: &str) -> Result<(u16, u16), String> {
    let (host, guest) = text.split_once(':').ok_or("write HOST:GUEST, for example 2222:22")?;
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("'{text}' is not a port between 1 and 65535")),
    };
    Ok((port(host)?, port(guest)?))
}
