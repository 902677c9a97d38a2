//! What a machine boots the next time, once (ComputerSystem.Boot, DSP0268).
//!
//! In: a target and a mode. Out: [`BootOverride`] as it was read back. Invariants: enabled, target and mode go out together, since firmware
//! fills in what is left out; a mode that the BMC took and did not keep is an error; nothing is sent where all is as it should be.

use std::time::Instant;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::Error;
use crate::machine::Talk;
use crate::plain::MANY;
use crate::quirks::Quirk;
use crate::service::link;
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
        let mut line = self.short();
        for note in &self.notes {
            line += &format!("; {note}");
        }
        line
    }

    fn short(&self) -> String {
        if !self.is_set() {
            return "as always".to_owned();
        }
        let mode = self.mode.as_ref().map(|mode| format!(" ({mode})")).unwrap_or_default();
        format!(
            "{} {}{mode}",
            self.target.as_deref().unwrap_or_default(),
            self.enabled.as_deref().unwrap_or_default().to_lowercase()
        )
    }
}

const WHAT: &str = "set the one-time boot";
const ENABLED: &str = "BootSourceOverrideEnabled";
const TARGET: &str = "BootSourceOverrideTarget";
const MODE: &str = "BootSourceOverrideMode";

/// Sets it, and reads it back.
pub(crate) async fn once(talk: &Talk<'_>, target: BootTarget, mode: BootMode) -> Result<BootOverride, Error> {
    let mut place = Place::of(talk).await?;
    let mut wish = Wish::new(talk, &place.body["Boot"], target, mode)?;
    let before = BootOverride::of(&place.body);
    if wish.differs(&before).is_none() {
        wish.notes.push("it was so already, nothing was sent".to_owned());
        return Ok(BootOverride { notes: wish.notes, ..before });
    }
    talk.step(&format!("boot once {}", target.name()));
    while let Err(error) = talk.client.patch(&place.path, &wish.body(), WHAT).await {
        let Error::Refused { said, .. } = &error else { return Err(error) };
        let later = said.iter().any(|message| message.is(&["OperationSupportedInFutureStateURI"]));
        let not_here = later || said.iter().any(|message| message.is(&["PropertyNotWritable"]) && message.about_boot());
        if wish.mode.is_some() && said.iter().any(|message| message.names(MODE)) {
            wish.mode = None;
            wish.refused = said.iter().find(|message| message.names(MODE)).map(|message| message.text.clone());
            wish.notes.push(format!("without {MODE}, which this BMC refuses"));
        } else if not_here
            && !place.is_settings
            && let Some(settings) = Place::settings(talk, later.then_some("SD")).await?
        {
            place = settings;
        } else if target == BootTarget::None && wish.target.is_some() {
            wish.target = None;
        } else {
            return Err(error);
        }
    }
    if place.is_settings {
        wish.notes.push("the system shows it after its next start".to_owned());
    }

    talk.step("waiting until the boot override shows");
    let now = settled(talk, &place.path, &wish).await?;
    let Some((what, asked, found)) = wish.differs(&now) else {
        return Ok(BootOverride { notes: wish.notes, ..now });
    };
    let refused = wish.refused.clone().filter(|_| what == MODE);
    let left = taken_back(talk, &place.path, &now, &before, target).await;
    Err(Error::OverrideNotApplied { what, asked, found, refused, left })
}

/// The override as it is wished for, or as it is when the time is over.
async fn settled(talk: &Talk<'_>, path: &str, wish: &Wish) -> Result<BootOverride, Error> {
    let begun = Instant::now();
    loop {
        let now = BootOverride::of(&talk.client.get(path, "read the boot override").await?.body);
        if wish.differs(&now).is_none() || begun.elapsed() >= talk.client.patience.settle {
            return Ok(now);
        }
        tokio::time::sleep(talk.client.patience.poll).await;
    }
}

/// An override that is another than was asked for must not decide the next boot: taken back where none was set before. In words, how
/// the machine was left.
async fn taken_back(
    talk: &Talk<'_>,
    path: &str,
    now: &BootOverride,
    before: &BootOverride,
    target: BootTarget,
) -> String {
    if !now.is_set() || now == before {
        return "it boots as before".to_owned();
    }
    let stays = format!("it now boots {}: `boot once none` takes it back", now.short());
    if target == BootTarget::None || before.is_set() {
        return stays;
    }
    talk.step("taking the boot override back");
    let mut nothing = Wish::nothing(&json!({ MODE: before.mode }), BootTarget::None.redfish());
    loop {
        match talk.client.patch(path, &nothing.body(), WHAT).await {
            Ok(_) => break,
            // Not every BMC takes a mode, or a target of nothing.
            Err(Error::Refused { .. }) if nothing.mode.is_some() => nothing.mode = None,
            Err(Error::Refused { .. }) if nothing.target.is_some() => nothing.target = None,
            Err(_) => return stays,
        }
    }
    match settled(talk, path, &nothing).await {
        Ok(now) if nothing.differs(&now).is_none() => "it was taken back: it boots as before".to_owned(),
        _ => stays,
    }
}

/// The resource whose `Boot` is written and read: the system, or its settings object.
pub(crate) struct Place {
    pub(crate) path: String,
    pub(crate) body: Value,
    pub(crate) is_settings: bool,
}

impl Place {
    async fn of(talk: &Talk<'_>) -> Result<Place, Error> {
        if talk.service.quirks.boot_settings_at().is_some()
            && let Some(settings) = Place::settings(talk, None).await?
        {
            return Ok(settings);
        }
        let (path, body) = (talk.service.system.clone(), talk.service.system_body.clone());
        match body["Boot"].is_object() {
            true => Ok(Place { path, body, is_settings: false }),
            false => Err(Error::unsupported(WHAT, "its system has no Boot property")),
        }
    }

    /// The system's settings object, where it has one with a `Boot`.
    pub(crate) async fn settings(talk: &Talk<'_>, below: Option<&str>) -> Result<Option<Place>, Error> {
        let system = &talk.service.system;
        let linked = link(&talk.service.system_body["@Redfish.Settings"]["SettingsObject"]);
        let below = below.or_else(|| talk.service.quirks.boot_settings_at());
        let Some(path) = linked.or_else(|| below.map(|name| format!("{}/{name}", system.trim_end_matches('/')))) else {
            return Ok(None);
        };
        let body = talk.client.find(&path, "read the system's settings").await?.map(|answer| answer.body);
        let body = body.filter(|body| body["Boot"].is_object());
        Ok(body.map(|body| Place { path, body, is_settings: true }))
    }
}

/// What is asked for, in the BMC's words.
struct Wish {
    enabled: &'static str,
    target: Option<String>,
    /// What is sent.
    mode: Option<String>,
    /// What must be there in the end, where the BMC shows a mode at all.
    proof: Option<&'static str>,
    /// What the BMC said when it refused the mode.
    refused: Option<String>,
    notes: Vec<String>,
}

impl Wish {
    fn new(talk: &Talk<'_>, boot: &Value, target: BootTarget, mode: BootMode) -> Result<Wish, Error> {
        let quirks = &talk.service.quirks;
        let mut notes = Vec::new();
        let allowed = allowed(boot, TARGET);
        let names = quirks.target_as(target).into_iter().chain([target.redfish()]);
        let Some(name) = names.into_iter().find(|name| allowed.is_empty() || allowed.iter().any(|has| has == name))
        else {
            if target == BootTarget::None {
                return Ok(Wish::nothing(boot, target.redfish()));
            }
            return Err(Error::unsupported(
                format!("boot once from {}", target.name()),
                format!("its targets are {}", allowed.join(", ")),
            ));
        };
        if target == BootTarget::None {
            return Ok(Wish::nothing(boot, name));
        }
        let shown = boot[MODE].as_str();
        let asked = mode.redfish();
        let modes = self::allowed(boot, MODE);
        let mut sent = asked.or(shown);
        match (asked, shown) {
            (Some(asked), None) => {
                notes.push(format!("this BMC knows no mode: the machine's own stays, {asked} or not"));
                sent = None;
            }
            (Some(asked), Some(shown))
                if asked != shown && !modes.is_empty() && !modes.iter().any(|has| has == asked) =>
            {
                return Err(Error::unsupported(
                    format!("boot once in mode {asked}"),
                    format!("its modes are {}", modes.join(", ")),
                ));
            }
            _ => {}
        }
        if let Some(source) = quirks.source(Quirk::NoOverrideMode).filter(|_| sent.is_some()) {
            notes.push(format!("without {MODE}: this board ignores or refuses it ({source})"));
            sent = None;
        }
        if quirks.has(Quirk::ModeOnlyIfOther) && sent == shown {
            sent = None;
        }
        Ok(Wish {
            enabled: "Once",
            target: Some(name.to_owned()),
            mode: sent.map(str::to_owned),
            proof: asked.filter(|_| shown.is_some()),
            refused: None,
            notes,
        })
    }

    /// No override. The mode goes with it as it is: some firmware changes it otherwise.
    fn nothing(boot: &Value, name: &str) -> Wish {
        let mode = boot[MODE].as_str().map(str::to_owned);
        let target = Some(name.to_owned());
        Wish { enabled: "Disabled", target, mode, proof: None, refused: None, notes: Vec::new() }
    }

    fn body(&self) -> Value {
        let mut boot = json!({ ENABLED: self.enabled });
        for (name, value) in [(TARGET, &self.target), (MODE, &self.mode)] {
            if let Some(value) = value {
                boot[name] = json!(value);
            }
        }
        json!({ "Boot": boot })
    }

    /// The first property that is not as it was asked for: its name, what was asked, what is there.
    fn differs(&self, now: &BootOverride) -> Option<(&'static str, String, String)> {
        let found = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        if self.enabled == "Disabled" {
            return now.is_set().then(|| (ENABLED, self.enabled.to_owned(), found(&now.enabled)));
        }
        let asked = [
            (TARGET, self.target.as_deref(), &now.target),
            (ENABLED, Some(self.enabled), &now.enabled),
            (MODE, self.proof, &now.mode),
        ];
        asked.into_iter().find_map(|(what, asked, is)| {
            let asked = asked.filter(|asked| is.as_deref() != Some(asked))?;
            Some((what, asked.to_owned(), found(is)))
        })
    }
}

/// A property's allowable values; none where the BMC does not say.
fn allowed(boot: &Value, property: &str) -> Vec<String> {
    let values = boot[format!("{property}@Redfish.AllowableValues")].as_array();
    values.into_iter().flatten().take(MANY).filter_map(text).collect()
}
