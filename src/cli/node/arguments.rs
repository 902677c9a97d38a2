//! The arguments of `provbuild node`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use netboot::SecretRef;
use url::Url;

use crate::cli::arguments::GLOBAL;

#[derive(Debug, Args)]
pub(in crate::cli) struct NodeArguments {
    #[command(flatten)]
    pub(super) options: Options,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The profile that the nodes belong to [default: profile.toml].
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE", env = "PROVBUILD_PROFILE")]
    pub(super) profile: Option<PathBuf>,
    /// The nodes alone, without their profile: for what needs neither BIOS settings nor installers of it.
    #[arg(long = "nodes", global = true, help_heading = GLOBAL, value_name = "FILE")]
    pub(super) inventory: Option<PathBuf>,
    /// Accept any certificate of a BMC, also a changed one: whoever answers is told the password.
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(super) insecure: bool,
    /// Do not ask before several machines are interrupted, or a disk is erased.
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(super) yes: bool,
    /// Identities that `age:` secrets are encrypted to [default: ~/.config/provbuild/age.txt].
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE", env = "PROVBUILD_AGE_IDENTITY")]
    pub(super) age_identity: Option<PathBuf>,
    /// Wait so long at most for any one thing: an answer, a power state, a machine in POST [default: by the thing].
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(1..=7200))]
    pub(super) wait: Option<u16>,
    /// Where Supermicro's SUM is unpacked [default: $XDG_CACHE_HOME/provbuild or ~/.cache/provbuild].
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "DIR", env = "PROVBUILD_STORE")]
    pub(super) store: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    #[command(flatten)]
    Bmc(bmc::Command),
    /// Arms a node on the appliance, starts it from the network, and follows its installation to the end.
    ///
    /// Ctrl-C before its power is touched disarms it again; after that it only ends the following.
    Install(InstallArguments),
    /// Shows the certificates that were seen first, or forgets them.
    Trust(TrustArguments),
}

#[derive(Debug, Args)]
pub(super) struct InstallArguments {
    /// Host name.
    pub(super) node: String,
    #[command(flatten)]
    pub(super) appliance: ApplianceArguments,
    /// A token that may act, by reference: env:NAME, file:PATH or age:PATH.
    #[arg(long, value_name = "REFERENCE", default_value = "env:PROVBUILD_TOKEN", value_parser = reference)]
    pub(super) token: SecretRef,
}

/// The text is left out of the message: it may be the token.
fn reference(text: &str) -> Result<SecretRef, String> {
    text.parse().map_err(|error| format!("{error}: write env:NAME, file:PATH or age:PATH"))
}

#[derive(Debug, Args)]
pub(super) struct ApplianceArguments {
    /// The appliance [default: the profile's uplink, where its address is static].
    #[arg(long, value_name = "URL", env = "PROVBUILD_APPLIANCE", value_parser = https)]
    pub(super) appliance: Option<Url>,
    /// Authorities (PEM), one of which has signed the appliance's certificate [default: what is seen first is kept].
    #[arg(long, value_name = "FILE")]
    pub(super) appliance_ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct TrustArguments {
    /// Host names.
    #[arg(value_name = "NODE", required_unless_present_any = ["all", "appliance"], conflicts_with = "all")]
    pub(super) nodes: Vec<String>,
    /// Every node that has a BMC.
    #[arg(long)]
    pub(super) all: bool,
    /// The appliance [default: as for `install`].
    #[arg(long, value_name = "URL", num_args = 0..=1, require_equals = true)]
    pub(super) appliance: Option<Option<String>>,
    /// Forget them: what is seen next is trusted.
    #[arg(long)]
    pub(super) forget: bool,
}

pub(super) fn https(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{error}: write https://ADDRESS"))?;
    match url.scheme() {
        "https" if url.host_str().is_some() && url.username().is_empty() && url.password().is_none() => Ok(url),
        "https" => Err("write https://ADDRESS, without a user".to_owned()),
        _ => Err("the token would be sent in the clear: write https://ADDRESS".to_owned()),
    }
}
