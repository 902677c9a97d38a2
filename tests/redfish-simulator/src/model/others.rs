//! Variations of the generic machine: other vendors' ids and names.
//!
//! Output: models of which only ids, names, settings path and shapes of errors are the vendor's; what they do is the standard's.

use super::{Model, Vendor, words};

impl Model {
    pub fn dell() -> Model {
        Model {
            vendor: Vendor::Dell,
            manufacturer: "Dell Inc.".into(),
            product: "PowerEdge R640".into(),
            system: "System.Embedded.1".into(),
            manager: "iDRAC.Embedded.1".into(),
            chassis: "System.Embedded.1".into(),
            user: "root".into(),
            action_info: false,
            ..Model::generic()
        }
    }

    pub fn hpe() -> Model {
        Model {
            vendor: Vendor::Hpe,
            manufacturer: "HPE".into(),
            product: "ProLiant DL360 Gen10".into(),
            system: "1".into(),
            manager: "1".into(),
            chassis: "1".into(),
            settings: "settings".into(),
            user: "Administrator".into(),
            action_info: false,
            reset_types: words(&[
                "On",
                "ForceOff",
                "GracefulShutdown",
                "ForceRestart",
                "PushPowerButton",
                "GracefulRestart",
            ]),
            ..Model::generic()
        }
    }

    pub fn openbmc() -> Model {
        Model {
            vendor: Vendor::Openbmc,
            manufacturer: "OpenBMC".into(),
            product: "Reference".into(),
            system: "system".into(),
            manager: "bmc".into(),
            chassis: "chassis".into(),
            user: "root".into(),
            ..Model::generic()
        }
    }
}
