//! How a machine is: power, health, what it boots next, what it is.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::boot::BootOverride;
use crate::error::Error;
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

/// Reads it.
pub(crate) async fn read(talk: &Talk<'_>) -> Result<Status, Error> {
    let system = talk.client.get(&talk.service.system, "read the system").await?.body;
    let firmware = match &talk.service.manager {
        Some(manager) => talk.client.find(manager, "read the manager").await?.map(|answer| answer.body),
        None => None,
    };
    let (certificate, first_seen) = talk.client.certificate();
    Ok(Status {
        power: text(&system["PowerState"]),
        health: text(&system["Status"]["HealthRollup"]).or_else(|| text(&system["Status"]["Health"])),
        progress: text(&system["BootProgress"]["LastState"]),
        boot: BootOverride::of(&system),
        manufacturer: text(&system["Manufacturer"]),
        model: text(&system["Model"]),
        serial: text(&system["SerialNumber"]),
        bios: text(&system["BiosVersion"]),
        firmware: firmware.and_then(|body| text(&body["FirmwareVersion"])),
        authentication: talk.client.authentication().await.to_owned(),
        certificate: certificate.map(|fingerprint| fingerprint.to_string()),
        first_seen,
    })
}

/// A text that says something.
pub(crate) fn text(value: &Value) -> Option<String> {
    value.as_str().map(plain).filter(|text| !text.is_empty())
}

impl Status {
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
            ("certificate", self.certificate.clone()),
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
