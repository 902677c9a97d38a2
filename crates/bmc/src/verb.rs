//! What can be asked of a node's BMC.

use serde::{Deserialize, Serialize};

use crate::boot::{BootMode, BootTarget};
use crate::error::Error;
use crate::power::PowerAction;
use crate::{media, raw};

/// One request of a person or a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Verb {
    Status {},
    Power {
        action: PowerAction,
        #[serde(default)]
        manner: Manner,
    },
    /// What the machine boots from the next time, once.
    BootOnce {
        target: BootTarget,
        #[serde(default)]
        mode: BootMode,
    },
    BootOrderGet {},
    /// The entries that come first, in this order; the others stay behind them as they are.
    BootOrderSet {
        order: Vec<String>,
    },
    BiosGet {
        /// All, where there are none.
        #[serde(default)]
        attributes: Vec<String>,
    },
    /// What applying the declared settings would change.
    BiosPlan {},
    BiosApply {
        /// Restart the machine, and wait until the settings are there.
        #[serde(default)]
        restart: bool,
    },
    /// What waits for the next restart.
    BiosDiff {},
    Sensors {},
    Inventory {},
    MediaInsert {
        /// Where the BMC finds the image: an http or https URL.
        image: String,
    },
    MediaEject {},
    Raw {
        path: String,
    },
}

/// How an operating system is treated that runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manner {
    /// Asked to end; if it does not, nothing more is done.
    #[default]
    Graceful,
    /// Asked to end; if it does not, the power is cut.
    ThenForced,
    /// The power is cut at once.
    Forced,
}

impl Verb {
    /// What can be refused before anything is sent or recorded. An address with a password in it is never to be recorded.
    ///
    /// # Errors
    /// [`Error::Input`].
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Verb::MediaInsert { image } => media::check(image),
            Verb::Raw { path } => raw::check(path),
            Verb::BootOrderSet { order } if order.is_empty() => {
                Err(Error::input("a boot order needs at least one entry"))
            }
            _ => Ok(()),
        }
    }

    /// Whether it only reads.
    pub fn reads(&self) -> bool {
        match self {
            Verb::Status {}
            | Verb::BootOrderGet {}
            | Verb::BiosGet { .. }
            | Verb::BiosPlan {}
            | Verb::BiosDiff {}
            | Verb::Sensors {}
            | Verb::Inventory {}
            | Verb::Raw { .. } => true,
            Verb::Power { .. }
            | Verb::BootOnce { .. }
            | Verb::BootOrderSet { .. }
            | Verb::BiosApply { .. }
            | Verb::MediaInsert { .. }
            | Verb::MediaEject {} => false,
        }
    }

    /// Whether what runs on the machine may end by it.
    pub fn interrupts(&self) -> bool {
        match self {
            Verb::Power { action, .. } => *action != PowerAction::On,
            Verb::BiosApply { restart } => *restart,
            _ => false,
        }
    }

    /// As a person would say it, for logs: "power cycle", "boot once pxe".
    pub fn title(&self) -> String {
        match self {
            Verb::Status {} => "status".to_owned(),
            Verb::Power { action, .. } => format!("power {}", action.name()),
            Verb::BootOnce { target, .. } => format!("boot once {}", target.name()),
            Verb::BootOrderGet {} => "boot order get".to_owned(),
            Verb::BootOrderSet { .. } => "boot order set".to_owned(),
            Verb::BiosGet { .. } => "bios get".to_owned(),
            Verb::BiosPlan {} => "bios plan".to_owned(),
            Verb::BiosApply { .. } => "bios apply".to_owned(),
            Verb::BiosDiff {} => "bios diff".to_owned(),
            Verb::Sensors {} => "sensors".to_owned(),
            Verb::Inventory {} => "inventory".to_owned(),
            Verb::MediaInsert { .. } => "media insert".to_owned(),
            Verb::MediaEject {} => "media eject".to_owned(),
            Verb::Raw { .. } => "raw get".to_owned(),
        }
    }
}
