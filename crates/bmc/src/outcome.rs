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
#[allow(clippy::large_enum_variant, reason = "there is one for each verb that runs, never many")]
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::boot_order;

    /// Any JSON, of no great depth.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,30}".prop_map(Value::from),
            "[\\x00-\\x1f\\x7f-\\u{9f}\\u{202e}On]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 12, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[A-Za-z@.]{0,10}", inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_body_of_a_bmc_panics_or_reaches_a_terminal(
            values in proptest::collection::vec(any_json(), 12),
            order in proptest::collection::vec(any_json(), 0..5),
        ) {
            let [power, health, progress, boot, enabled, target, mode, name, serial, reference, alias, whole] =
                values.try_into().unwrap();
            let full = json!({ "BootSourceOverrideEnabled": enabled, "BootSourceOverrideTarget": target, "BootSourceOverrideMode": mode });
            for boot in [boot, full] {
                let system = json!({
                    "PowerState": power, "Status": { "HealthRollup": health }, "BootProgress": progress, "Boot": boot,
                    "Manufacturer": name, "SerialNumber": serial, "BiosVersion": whole,
                });
                let option = json!({ "BootOptionReference": reference, "DisplayName": name, "Alias": alias });
                let shown = boot_order::shown(&json!(order), &[option, whole.clone()]);
                for outcome in [
                    Outcome::Status(Status::of(&system, &whole)),
                    Outcome::Status(Status::of(&whole, &system)),
                    Outcome::BootOnce(BootOverride::of(&system)),
                    Outcome::BootOrder(shown),
                ] {
                    let bad = |c: char| c.is_control() || c == '\u{202e}';
                    prop_assert!(!outcome.summary().contains(bad), "{:?}", outcome.summary());
                    prop_assert!(!outcome.details().replace('\n', "").contains(bad), "{:?}", outcome.details());
                }
            }
        }
    }
}
