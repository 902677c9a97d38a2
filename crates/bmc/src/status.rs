//! How a machine is: power, health, what it boots next, what it is.
//!
//! In: the bodies of its ComputerSystem and its Manager. Out: [`Status`]. Invariant: every text is plain.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::boot::BootOverride;
use crate::machine::Talk;
use crate::plain::plain;

/// A machine as its BMC sees it. Absent is what the BMC does not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// "On", "Off", "PoweringOn", "PoweringOff" or "Paused" (ComputerSystem.PowerState).
    pub power: Option<String>,
    /// "OK", "Warning" or "Critical" (Status.HealthRollup, else Status.Health).
    pub health: Option<String>,
    /// How far it has booted (BootProgress.LastState).
    pub progress: Option<String>,
    pub boot: BootOverride,
    pub manufacturer: Option<String>,
    pub model: Option<String>,
    pub serial: Option<String>,
    /// Version of the BIOS.
    pub bios: Option<String>,
    /// Version of the BMC's firmware.
    pub firmware: Option<String>,
    /// "session" or "basic".
    pub authentication: String,
    /// SHA-256 of the BMC's certificate.
    pub certificate: Option<String>,
    /// Whether it was seen for the first time, and pinned, just now.
    pub first_seen: bool,
}

/// What was read when the machine was looked for, a moment ago.
pub(crate) async fn read(talk: &Talk<'_>) -> Status {
    let (certificate, first_seen) = talk.client.certificate();
    Status {
        authentication: talk.client.authentication().await.to_owned(),
        certificate: certificate.map(|fingerprint| fingerprint.to_string()),
        first_seen,
        ..Status::of(&talk.service.system_body, &talk.service.manager_body)
    }
}

/// A text that says something.
pub(crate) fn text(value: &Value) -> Option<String> {
    value.as_str().map(plain).filter(|text| !text.is_empty())
}

impl Status {
    pub(crate) fn of(system: &Value, manager: &Value) -> Self {
        Status {
            power: text(&system["PowerState"]),
            health: text(&system["Status"]["HealthRollup"]).or_else(|| text(&system["Status"]["Health"])),
            progress: text(&system["BootProgress"]["LastState"]).filter(|progress| progress != "None"),
            boot: BootOverride::of(system),
            manufacturer: text(&system["Manufacturer"]),
            model: text(&system["Model"]),
            serial: text(&system["SerialNumber"]),
            bios: text(&system["BiosVersion"]),
            firmware: text(&manager["FirmwareVersion"]),
            ..Status::default()
        }
    }

    pub(crate) fn summary(&self) -> String {
        let mut line = self.power.as_deref().unwrap_or("power unknown").to_lowercase();
        if let Some(health) = &self.health {
            line += &format!(", {}", health.to_lowercase());
        }
        if let Some(progress) = &self.progress {
            line += &format!(", {progress}");
        }
        if self.boot.is_set() {
            line += &format!(", boots {}", self.boot.summary());
        }
        line
    }

    pub(crate) fn details(&self) -> String {
        let mut lines = String::new();
        for (name, value) in [
            ("machine", join(&[&self.manufacturer, &self.model])),
            ("serial", self.serial.clone()),
            ("bios", self.bios.clone()),
            ("bmc", self.firmware.clone()),
            ("login", Some(self.authentication.clone())),
            (
                "certificate",
                self.certificate.as_ref().map(|pin| {
                    self.first_seen.then(|| format!("{pin} (seen for the first time)")).unwrap_or_else(|| pin.clone())
                }),
            ),
        ] {
            if let Some(value) = value {
                lines += &format!("{name:<12} {value}\n");
            }
        }
        lines
    }
}

fn join(parts: &[&Option<String>]) -> Option<String> {
    let parts: Vec<&str> = parts.iter().filter_map(|part| part.as_deref()).collect();
    Some(parts.join(" ")).filter(|joined| !joined.is_empty())
}
