//! What a verb has found or done.

use serde::{Deserialize, Serialize};

use crate::bios::{BiosApplied, BiosAttributes, BiosDiff, BiosPlan};
use crate::boot::BootOverride;
use crate::boot_order::BootOrder;
use crate::inventory::Hardware;
use crate::media::Media;
use crate::power::PowerChange;
use crate::raw::Raw;
use crate::sensors::Sensors;
use crate::status::Status;

/// The result of a verb: data, with a line and a table for people. All texts of the BMC in it are plain, but for [`Raw`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "result", rename_all = "kebab-case")]
pub enum Outcome {
    Status(Status),
    Power(PowerChange),
    BootOnce(BootOverride),
    /// Of `boot order get` and `boot order set`.
    BootOrder(BootOrder),
    BiosGet(BiosAttributes),
    BiosPlan(BiosPlan),
    BiosApply(BiosApplied),
    BiosDiff(BiosDiff),
    Sensors(Sensors),
    Inventory(Hardware),
    MediaInsert(Media),
    MediaEject(Media),
    Raw(Raw),
}

impl Outcome {
    /// One line.
    pub fn summary(&self) -> String {
        match self {
            Outcome::Status(status) => status.summary(),
            Outcome::Power(change) => change.summary(),
            Outcome::BootOnce(now) => now.summary(),
            Outcome::BootOrder(order) => order.summary(),
            Outcome::BiosGet(found) => found.summary(),
            Outcome::BiosPlan(plan) => plan.summary(),
            Outcome::BiosApply(applied) => applied.summary(),
            Outcome::BiosDiff(diff) => diff.summary(),
            Outcome::Sensors(sensors) => sensors.summary(),
            Outcome::Inventory(hardware) => hardware.summary(),
            Outcome::MediaInsert(media) | Outcome::MediaEject(media) => media.summary(),
            Outcome::Raw(raw) => raw.summary(),
        }
    }

    /// Everything, in lines; empty where the summary says it all.
    pub fn details(&self) -> String {
        match self {
            Outcome::Status(status) => status.details(),
            Outcome::BootOrder(order) => order.details(),
            Outcome::BiosGet(found) => found.details(),
            Outcome::BiosPlan(plan) => plan.details(),
            Outcome::BiosApply(applied) => applied.details(),
            Outcome::BiosDiff(diff) => diff.details(),
            Outcome::Sensors(sensors) => sensors.details(),
            Outcome::Inventory(hardware) => hardware.details(),
            Outcome::Raw(raw) => raw.details(),
            Outcome::Power(_) | Outcome::BootOnce(_) | Outcome::MediaInsert(_) | Outcome::MediaEject(_) => {
                String::new()
            }
        }
    }
}
