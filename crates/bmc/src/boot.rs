//! What a machine boots the next time, once (ComputerSystem.Boot, DSP0268).

use std::time::Instant;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::Error;
use crate::machine::Talk;
use crate::quirks::Quirk;
use crate::status::text;

/// Where to boot from. The names are ours; [`BootTarget::redfish`] has the standard's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum BootTarget {
    /// The network, by PXE.
    Pxe,
    /// The first disk.
    Disk,
    /// A CD, or the medium that was inserted.
    Cd,
    /// The BIOS setup.
    Bios,
    /// The network, by UEFI's HTTP boot.
    UefiHttp,
    /// Nothing special: takes the one-time boot back.
    None,
}

impl BootTarget {
    pub fn name(self) -> &'static str {
        match self {
            BootTarget::Pxe => "pxe",
            BootTarget::Disk => "disk",
            BootTarget::Cd => "cd",
            BootTarget::Bios => "bios",
            BootTarget::UefiHttp => "uefi-http",
            BootTarget::None => "none",
        }
    }

    /// BootSourceOverrideTarget.
    pub(crate) fn redfish(self) -> &'static str {
        match self {
            BootTarget::Pxe => "Pxe",
            BootTarget::Disk => "Hdd",
            BootTarget::Cd => "Cd",
            BootTarget::Bios => "BiosSetup",
            BootTarget::UefiHttp => "UefiHttp",
            BootTarget::None => "None",
        }
    }
}

/// BootSourceOverrideMode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum BootMode {
    #[default]
    Uefi,
    Legacy,
    /// Not said: the machine stays as it is.
    Keep,
}

impl BootMode {
    pub(crate) fn redfish(self) -> Option<&'static str> {
        match self {
            BootMode::Uefi => Some("UEFI"),
            BootMode::Legacy => Some("Legacy"),
            BootMode::Keep => None,
        }
    }
}

/// The override as the BMC shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BootOverride {
    /// "Disabled", "Once" or "Continuous".
    pub enabled: Option<String>,
    pub target: Option<String>,
    /// "UEFI" or "Legacy".
    pub mode: Option<String>,
    /// What could not be had, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl BootOverride {
    pub(crate) fn of(system: &Value) -> Self {
        let boot = &system["Boot"];
        BootOverride {
            enabled: text(&boot["BootSourceOverrideEnabled"]),
            target: text(&boot["BootSourceOverrideTarget"]),
            mode: text(&boot["BootSourceOverrideMode"]),
            notes: Vec::new(),
        }
    }

    /// Whether the next boot is another than usual.
    pub fn is_set(&self) -> bool {
        self.enabled.as_deref().is_some_and(|enabled| enabled != "Disabled")
            && self.target.as_deref().is_some_and(|target| target != "None")
    }

    pub(crate) fn summary(&self) -> String {
        if !self.is_set() {
            return "as always".to_owned();
        }
        let mode = self.mode.as_ref().map(|mode| format!(" ({mode})")).unwrap_or_default();
        let mut line = format!(
            "{} {}{mode}",
            self.target.as_deref().unwrap_or_default(),
            self.enabled.as_deref().unwrap_or_default().to_lowercase()
        );
        for note in &self.notes {
            line += &format!("; {note}");
        }
        line
    }
}

/// Sets it, and reads it back.
pub(crate) async fn once(talk: &Talk<'_>, target: BootTarget, mode: BootMode) -> Result<BootOverride, Error> {
    const WHAT: &str = "set the one-time boot";
    let path = &talk.service.system;
    let system = talk.client.get(path, "read the system").await?.body;
    let boot = &system["Boot"];
    if boot.is_null() {
        return Err(Error::unsupported(WHAT, "its system has no Boot property"));
    }
    let allowed = &boot["BootSourceOverrideTarget@Redfish.AllowableValues"];
    let allowed: Vec<&str> = allowed.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if target != BootTarget::None && !allowed.is_empty() && !allowed.contains(&target.redfish()) {
        return Err(Error::unsupported(
            format!("boot once from {}", target.name()),
            format!("its targets are {}", allowed.join(", ")),
        ));
    }
    talk.step(&format!("boot once {}", target.name()));
    let enabled = if target == BootTarget::None { "Disabled" } else { "Once" };
    let mode = mode.redfish().filter(|_| target != BootTarget::None && !talk.service.quirks.has(Quirk::NoOverrideMode));
    let mut wanted = json!({ "BootSourceOverrideEnabled": enabled, "BootSourceOverrideTarget": target.redfish() });
    if let Some(mode) = mode {
        wanted["BootSourceOverrideMode"] = json!(mode);
    }
    talk.client.patch(path, &json!({ "Boot": wanted }), WHAT).await?;

    let begun = Instant::now();
    loop {
        let now = BootOverride::of(&talk.client.get(path, "read the system").await?.body);
        match differs(&now, enabled, target, mode) {
            None => return Ok(now),
            Some((what, asked, found)) if begun.elapsed() >= talk.client.patience.settle => {
                return Err(Error::NotApplied { what: what.to_owned(), asked, found });
            }
            Some(_) => tokio::time::sleep(talk.client.patience.poll).await,
        }
    }
}

/// The first property that is not as it was asked for: its name, what was asked, what is there.
fn differs(
    now: &BootOverride,
    enabled: &str,
    target: BootTarget,
    mode: Option<&str>,
) -> Option<(&'static str, String, String)> {
    let found = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
    if target == BootTarget::None {
        return now.is_set().then(|| ("BootSourceOverrideEnabled", enabled.to_owned(), found(&now.enabled)));
    }
    let asked = [
        ("BootSourceOverrideTarget", Some(target.redfish()), &now.target),
        ("BootSourceOverrideEnabled", Some(enabled), &now.enabled),
        ("BootSourceOverrideMode", mode, &now.mode),
    ];
    asked.into_iter().find_map(|(what, asked, is)| {
        let asked = asked.filter(|asked| is.as_deref() != Some(asked))?;
        Some((what, asked.to_owned(), found(is)))
    })
}
