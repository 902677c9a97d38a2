//! Lock and fetch, from outside: signed archives, hostile mirrors, genuine Ubuntu material.

#[path = "../common/mod.rs"]
mod common;

mod apt;
mod choice;
mod faults;
mod signatures;
mod ubuntu;

use std::collections::BTreeSet;

use provbuild::profile::{Distribution, DistributionName};
use provbuild::vocab::Remedy;

fn distribution(packages: &str) -> Distribution {
    Distribution {
        name: DistributionName::Debian,
        release: "13".to_owned(),
        codename: "trixie".to_owned(),
        architecture: "amd64".to_owned(),
        components: vec!["main".to_owned()],
        mirrors: Vec::new(),
        security_mirrors: Vec::new(),
        snapshot: None,
        pockets: Vec::new(),
        keyring: None,
        packages: packages.split_ascii_whitespace().map(str::to_owned).collect(),
        exclude: BTreeSet::new(),
        recommends: false,
        kernel: None,
    }
}

/// Message and help, with what differs from run to run replaced.
fn shown(error: &impl Remedy, hide: &[(&str, &str)]) -> String {
    let mut text = format!("error: {error}\nhelp: {}", error.help().unwrap_or_default());
    for (what, with) in hide {
        text = text.replace(what, with);
    }
    text
}
