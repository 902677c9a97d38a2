//! What was deployed: the record that the next deployment goes by.
//!
//! ```json
//! {
//!   "format": 1,
//!   "deployment": "5d0e...",      // 128 random bits: which deployment a seed medium is for
//!   "name": "mylab",
//!   "state": "in-use",            // none, made (empty, to be formatted at the first boot), in-use
//!   "current": 3,                 // the last generation that was healthy
//!   "pending": { "generation": 4, "from": 3 },
//!   "page-key": "SHA256:...",     // of the management page's public key, as it was first seen
//!   "next": 5,                    // number of the next generation
//!   "renew-secrets": false,       // they are to be delivered again, whatever generation runs
//!   "generations": [ { "number": 3, ... } ]
//! }
//! ```
//! Invariant: it is saved before what it speaks of is begun; whoever reads it after a crash knows what may be half done.

use serde::{Deserialize, Serialize};

use crate::manifest;
use crate::vocab::{Digest, Epoch};

pub(super) const FORMAT: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Record {
    pub format: u32,
    /// 32 hexadecimal digits.
    pub deployment: String,
    pub name: String,
    pub state: StateDisk,
    /// The last generation that was healthy.
    pub current: Option<u32>,
    pub pending: Option<Pending>,
    /// SHA-256 of the SubjectPublicKeyInfo of the management page's certificate, which outlives the certificate; `None` until it was seen.
    pub page_key: Option<String>,
    /// Number of the next generation: numbers are never used again.
    pub next: u32,
    /// Somebody asked for the secrets to be delivered again, and it is not done yet.
    pub renew_secrets: bool,
    /// By number, ascending.
    pub generations: Vec<Generation>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateDisk {
    /// There is none yet.
    None,
    /// Made, or about to be; empty until an appliance was healthy with it.
    Made,
    InUse,
}

/// A change of generation that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    pub generation: u32,
    /// Where a failure leads back to; `None` at the first deployment.
    pub from: Option<u32>,
}

/// One build as it was deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Generation {
    /// From 1; never used again.
    pub number: u32,
    /// Of everything that makes this build another than the one before it.
    pub id: Digest,
    /// What the appliance says at /healthz.
    pub image_digest: Digest,
    pub made: Epoch,
    pub machine: manifest::Machine,
    /// Where its system disk is, in the target's words; `None` until it is there whole.
    pub disk: Option<String>,
    pub fate: Fate,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It has not been seen healthy yet.
    Untried,
    /// It was healthy when it was deployed.
    Healthy,
    /// It was healthy, and somebody went back to an earlier one.
    Withdrawn,
    /// It did not become healthy: why.
    Unhealthy(String),
}

impl Record {
    pub fn new(name: &str, deployment: String) -> Self {
        Record {
            format: FORMAT,
            deployment,
            name: name.to_owned(),
            state: StateDisk::None,
            current: None,
            pending: None,
            page_key: None,
            next: 1,
            renew_secrets: false,
            generations: Vec::new(),
        }
    }

    pub fn generation(&self, number: u32) -> Option<&Generation> {
        self.generations.iter().find(|generation| generation.number == number)
    }

    pub(super) fn generation_mut(&mut self, number: u32) -> Option<&mut Generation> {
        self.generations.iter_mut().find(|generation| generation.number == number)
    }

    /// The file's text: JSON, two spaces, one newline at the end.
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a record has only string keys");
        text.push('\n');
        text
    }

    /// # Errors
    /// Why it is no record of this format.
    pub fn parse(text: &str) -> Result<Self, String> {
        let record: Record = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match record.format {
            FORMAT => Ok(record),
            other => Err(format!("it has format {other}, this provbuild knows {FORMAT}")),
        }
    }
}
