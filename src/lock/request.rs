//! The part of a profile that chooses packages, and how a lock drifts away from it.
//!
//! In: a profile's distribution. Out: a [`Request`], kept readable inside the lock so that a difference can be shown.
//! Invariant: what does not choose packages (mirrors, keyring) is not in it.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::model::Lock;
use crate::profile::{Distribution, DistributionName};
use crate::vocab::{Digest, Hasher};

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Request {
    pub distribution: String,
    pub codename: String,
    pub architecture: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub snapshot: Option<String>,
    pub recommends: bool,
    pub components: BTreeSet<String>,
    pub pockets: BTreeSet<String>,
    pub packages: BTreeSet<String>,
    pub exclude: BTreeSet<String>,
}

/// Name of a distribution as it stands in locks.
pub fn distribution_name(name: DistributionName) -> &'static str {
    match name {
        DistributionName::Ubuntu => "ubuntu",
        DistributionName::Debian => "debian",
    }
}

/// Digest of the part of a profile's distribution that chooses packages.
pub fn request_digest(distribution: &Distribution) -> Digest {
    Request::of(distribution).digest()
}

impl Request {
    pub fn of(distribution: &Distribution) -> Request {
        let mut packages = distribution.packages.clone();
        packages.extend(distribution.kernel.clone());
        Request {
            distribution: distribution_name(distribution.name).to_owned(),
            codename: distribution.codename.clone(),
            architecture: distribution.architecture.clone(),
            snapshot: distribution.snapshot.clone(),
            recommends: distribution.recommends,
            components: distribution.components.iter().cloned().collect(),
            pockets: distribution.pockets.iter().cloned().collect(),
            packages,
            exclude: distribution.exclude.clone(),
        }
    }

    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        hasher.field(b"request 1");
        for text in [&self.distribution, &self.codename, &self.architecture] {
            hasher.field(text.as_bytes());
        }
        hasher.field(self.snapshot.as_deref().unwrap_or("").as_bytes());
        hasher.field(&[u8::from(self.recommends)]);
        for set in [&self.components, &self.pockets, &self.packages, &self.exclude] {
            hasher.field(&(set.len() as u64).to_le_bytes());
            for text in set {
                hasher.field(text.as_bytes());
            }
        }
        hasher.finish()
    }
}

/// How a profile differs from what its lock was made for: one line per difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift(pub Vec<String>);

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl Lock {
    /// What changed in the profile since the lock was made; `None` when the lock covers it.
    pub fn drift(&self, distribution: &Distribution) -> Option<Drift> {
        let (old, new) = (&self.requested, &Request::of(distribution));
        if self.request == new.digest() {
            return None;
        }
        let mut lines = Vec::new();
        let mut value = |what: &str, old: &str, new: &str| {
            if old != new {
                lines.push(format!("{what}: {old} -> {new}"));
            }
        };
        value("distribution", &old.distribution, &new.distribution);
        value("release", &old.codename, &new.codename);
        value("architecture", &old.architecture, &new.architecture);
        value("snapshot", old.snapshot.as_deref().unwrap_or("none"), new.snapshot.as_deref().unwrap_or("none"));
        value("recommends", &old.recommends.to_string(), &new.recommends.to_string());
        let mut set = |what: &str, old: &BTreeSet<String>, new: &BTreeSet<String>| {
            lines.extend(old.difference(new).map(|name| format!("{what}: - {name}")));
            lines.extend(new.difference(old).map(|name| format!("{what}: + {name}")));
        };
        set("components", &old.components, &new.components);
        set("pockets", &old.pockets, &new.pockets);
        set("packages", &old.packages, &new.packages);
        set("exclude", &old.exclude, &new.exclude);
        Some(Drift(lines))
    }
}
