//! The seed medium: what an appliance is told at its first boots, and its secrets.
//!
//! In: references of the profile and its nodes. Out: the secrets by the names that the appliance knows them by, then the medium
//! ([`netboot::Seed`]). Invariants: all faults come at once; what the appliance would not read is refused before anything is deployed; the
//! memory of everything here is cleared.

use std::collections::BTreeMap;

use bmc::{BadCredentials, Credentials};
use netboot::{SecretName, SecretRef, Seed, SeedState};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

use super::error::{DeployError, Kind};
use super::record::{Record, StateDisk};
use crate::profile::Profile;
use crate::secrets::SecretError;
use crate::vocab::{Epoch, Remedy};

/// A secret that the appliance would not get. Nothing of it is in here.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct SecretFault {
    /// By the name that the appliance knows it by.
    pub what: String,
    pub reason: SecretReason,
}

#[derive(Debug, thiserror::Error)]
pub enum SecretReason {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("{reference} holds no USER:PASSWORD: {reason}")]
    Credentials { reference: SecretRef, reason: BadCredentials },
    #[error("{reference}: the key is empty")]
    Empty { reference: SecretRef },
}

impl Remedy for SecretFault {
    fn help(&self) -> Option<String> {
        match &self.reason {
            SecretReason::Secret(error) => error.help(),
            SecretReason::Credentials { .. } => Some("it is one line, USER:PASSWORD".to_owned()),
            SecretReason::Empty { .. } => Some("a key that cannot be guessed: openssl rand -hex 32".to_owned()),
        }
    }
}

/// Follows every reference whose secret the appliance is to have.
///
/// # Errors
/// Each secret that is not there or not of its form.
pub fn collect(
    profile: &Profile,
    secrets: &dyn Fn(&SecretRef) -> Result<SecretString, SecretError>,
) -> Result<BTreeMap<String, SecretString>, Vec<SecretFault>> {
    let nodes = profile.inventory.nodes.iter().filter_map(|node| {
        let reference = node.bmc.as_ref()?.credentials.as_ref()?;
        Some((SecretName::Bmc(node.hostname.clone()), reference))
    });
    let wanted = nodes.chain(profile.deploy.webhook_key.as_ref().map(|reference| (SecretName::Webhook, reference)));
    let (mut found, mut faults) = (BTreeMap::new(), Vec::new());
    for (name, reference) in wanted {
        let checked = secrets(reference).map_err(SecretReason::from).and_then(|secret| {
            check(&name, &secret, reference)?;
            Ok(secret)
        });
        match checked {
            Ok(secret) => drop(found.insert(name.to_string(), secret)),
            Err(reason) => faults.push(SecretFault { what: name.to_string(), reason }),
        }
    }
    if faults.is_empty() { Ok(found) } else { Err(faults) }
}

/// As the daemon will read it.
fn check(name: &SecretName, secret: &SecretString, reference: &SecretRef) -> Result<(), SecretReason> {
    match name {
        SecretName::Bmc(_) => Credentials::parse(secret.expose_secret())
            .map(drop)
            .map_err(|reason| SecretReason::Credentials { reference: reference.clone(), reason }),
        SecretName::Webhook if secret.expose_secret().trim().is_empty() => {
            Err(SecretReason::Empty { reference: reference.clone() })
        }
        SecretName::Webhook => Ok(()),
    }
}

/// The medium for one generation of a deployment.
///
/// # Errors
/// A secret is longer than the appliance reads, or there are too many.
pub fn medium(
    record: &Record,
    generation: u32,
    secrets: &BTreeMap<String, SecretString>,
    epoch: Epoch,
) -> Result<Zeroizing<Vec<u8>>, DeployError> {
    let state = match record.state {
        StateDisk::InUse => SeedState::Keep,
        StateDisk::None | StateDisk::Made => SeedState::New,
    };
    of(&record.deployment, generation, state, secrets, epoch)
}

/// The same without a record.
pub(super) fn of(
    deployment: &str,
    generation: u32,
    state: SeedState,
    secrets: &BTreeMap<String, SecretString>,
    epoch: Epoch,
) -> Result<Zeroizing<Vec<u8>>, DeployError> {
    let failed = |reason: String| {
        DeployError::new(Kind::Settings, format!("the seed medium cannot be made: {reason}"))
            .help("shorten the secrets: a BMC's user and password are one line")
    };
    let mut seed =
        Seed { format: Seed::FORMAT, deployment: deployment.to_owned(), generation, state, secrets: BTreeMap::new() };
    for (name, secret) in secrets {
        let name = name.parse::<SecretName>().map_err(|why| failed(format!("'{}': {why}", name.escape_debug())))?;
        seed.secrets.insert(name, secret.expose_secret().to_owned());
    }
    seed.medium(epoch.0).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::profile;

    /// A profile with three BMCs and a key, loaded as a person's is.
    fn profile(directory: &std::path::Path) -> Profile {
        let base = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles/debian.toml");
        let text = format!(
            "imports = [{base:?}]\nnodes = \"nodes.toml\"\n[appliance]\nname = \"lab\"\n[deploy]\nwebhook-key = \"file:key\"\n"
        );
        std::fs::write(directory.join("profile.toml"), text).unwrap();
        let node = |n: u8, rest: &str| {
            format!(
                "[[node]]\nhostname = \"node{n}\"\nmac = \"52:54:00:aa:00:0{n}\"\naddress = \"10.10.1.2{n}\"\n\
                 bmc = {{ address = \"10.10.1.1{n}\", kind = \"redfish\"{rest} }}\n"
            )
        };
        let nodes = [node(1, ", credentials = \"env:ONE\""), node(2, ", credentials = \"env:TWO\""), node(3, "")];
        std::fs::write(directory.join("nodes.toml"), nodes.concat()).unwrap();
        profile::load(&directory.join("profile.toml")).unwrap_or_else(|faults| panic!("{faults}")).profile
    }

    fn record(state: StateDisk) -> Record {
        Record { state, ..Record::new("lab", "0123456789abcdef0123456789abcdef".to_owned()) }
    }

    #[test]
    fn every_secret_goes_by_the_name_that_the_appliance_knows() {
        let directory = tempfile::tempdir().unwrap();
        let profile = profile(directory.path());
        let found = collect(&profile, &|reference| {
            Ok(match reference {
                SecretRef::Env(name) => format!("ADMIN:{name}\n"),
                SecretRef::File(path) => {
                    assert_eq!(std::path::Path::new(path), directory.path().join("key"));
                    "key".to_owned()
                }
                SecretRef::Age(_) => unreachable!(),
            }
            .into())
        });
        let found = found.unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["bmc/node1", "bmc/node2", "webhook"]);
        for (state, expected) in
            [(StateDisk::None, SeedState::New), (StateDisk::Made, SeedState::New), (StateDisk::InUse, SeedState::Keep)]
        {
            let medium = medium(&record(state), 7, &found, Epoch(1_700_000_000)).unwrap();
            let seed = Seed::read(&mut Cursor::new(&*medium)).unwrap();
            assert_eq!((seed.generation, seed.state), (7, expected));
            assert_eq!(seed.deployment, record(state).deployment);
            assert_eq!(seed.secrets[&"bmc/node2".parse().unwrap()], "ADMIN:TWO\n");
        }
    }

    #[test]
    fn all_faults_come_at_once_and_none_has_a_secret() {
        let directory = tempfile::tempdir().unwrap();
        let profile = profile(directory.path());
        let faults = collect(&profile, &|reference| match reference {
            SecretRef::Env(name) if name == "ONE" => Ok("geheim".into()),
            SecretRef::Env(name) => Err(SecretError::Unset { name: name.clone() }),
            _ => Ok(" \n".into()),
        });
        let faults = faults.unwrap_err();
        let text: String =
            faults.iter().map(|fault| format!("{fault}; {}\n", fault.help().unwrap_or_default())).collect();
        let text = text.replace(&directory.path().display().to_string(), "DIR");
        assert!(!format!("{text}{faults:?}").contains("geheim"));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn what_the_appliance_would_not_read_is_refused() {
        let secrets = |name: &str, text: &str| BTreeMap::from([(name.to_owned(), SecretString::from(text))]);
        for (name, text, why) in [
            ("bmc/../x", "a:geheim", "bmc/HOSTNAME"),
            ("else", "a:geheim", "webhook"),
            ("webhook", &"geheim".repeat(1000), "longer than"),
            ("webhook", "", "empty"),
        ] {
            let error = medium(&record(StateDisk::None), 1, &secrets(name, text), Epoch(0)).unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(said.contains(why) && !said.contains("geheim"), "{said}");
        }
    }
}
