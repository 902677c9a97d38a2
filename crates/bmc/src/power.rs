//! Power: on, off, cycle, reset (ComputerSystem.Reset, DSP0268).

use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::Error;
use crate::machine::Talk;
use crate::plain::plain;
use crate::verb::Manner;

/// What to do with a machine's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum PowerAction {
    On,
    Off,
    /// Off, and on again.
    Cycle,
    /// Restarts without cutting the power.
    Reset,
}

impl PowerAction {
    pub fn name(self) -> &'static str {
        match self {
            PowerAction::On => "on",
            PowerAction::Off => "off",
            PowerAction::Cycle => "cycle",
            PowerAction::Reset => "reset",
        }
    }
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PowerChange {
    pub action: PowerAction,
    /// PowerState before and after.
    pub before: String,
    pub after: String,
    /// The reset types that were sent, in order; none where nothing had to be done.
    pub sent: Vec<String>,
    /// Whether what was read back proves it. A restart shows in no power state; where the BMC has nothing else that tells, this
    /// is false.
    pub proven: bool,
}

impl PowerChange {
    pub(crate) fn summary(&self) -> String {
        let PowerChange { before, after, sent, proven, .. } = self;
        match (sent.is_empty(), proven) {
            (true, _) => format!("{} already", after.to_lowercase()),
            (false, true) => format!("{} -> {} ({})", before.to_lowercase(), after.to_lowercase(), sent.join(", ")),
            (false, false) => format!(
                "{}, accepted; this BMC shows nothing that proves it ({})",
                after.to_lowercase(),
                sent.join(", ")
            ),
        }
    }
}

/// Changes it, and waits until the power state shows it.
pub(crate) async fn change(talk: &Talk<'_>, action: PowerAction, manner: Manner) -> Result<PowerChange, Error> {
    let mut power = Power::read(talk).await?;
    let before = power.state.clone();
    let mut sent = Vec::new();
    let mut proven = true;
    match action {
        PowerAction::On => power.on(&mut sent).await?,
        PowerAction::Off => power.off(manner, &mut sent).await?,
        PowerAction::Cycle => {
            power.off(manner, &mut sent).await?;
            power.on(&mut sent).await?;
        }
        PowerAction::Reset => proven = power.reset(manner, &mut sent).await?,
    }
    Ok(PowerChange { action, before, after: power.state, sent, proven })
}

/// The action, and the state as it was read last.
struct Power<'a> {
    talk: &'a Talk<'a>,
    target: String,
    /// Empty where the BMC does not say.
    allowed: Vec<String>,
    state: String,
    /// ComputerSystem.LastResetTime.
    last_reset: Option<String>,
}

impl<'a> Power<'a> {
    async fn read(talk: &'a Talk<'a>) -> Result<Power<'a>, Error> {
        let system = talk.client.get(&talk.service.system, "read the system").await?.body;
        let action = &system["Actions"]["#ComputerSystem.Reset"];
        let Some(target) = action["target"].as_str().map(str::to_owned) else {
            return Err(Error::unsupported("switch the power", "its system has no Reset action"));
        };
        let mut allowed = texts(&action["ResetType@Redfish.AllowableValues"]);
        if allowed.is_empty()
            && let Some(info) = action["@Redfish.ActionInfo"].as_str()
            && let Some(answer) = talk.client.find(info, "read what resets there are").await?
        {
            let parameters = answer.body["Parameters"].as_array().cloned().unwrap_or_default();
            let of_type = parameters.iter().find(|parameter| parameter["Name"] == "ResetType");
            allowed = of_type.map(|parameter| texts(&parameter["AllowableValues"])).unwrap_or_default();
        }
        let mut power = Power { talk, target, allowed, state: String::new(), last_reset: None };
        power.look(&system);
        Ok(power)
    }

    fn look(&mut self, system: &Value) {
        self.state = system["PowerState"].as_str().map_or_else(|| "unknown".to_owned(), plain);
        self.last_reset = system["LastResetTime"].as_str().map(str::to_owned);
    }

    /// The first of these that the BMC has. Where it does not say, the first.
    fn choose(&self, types: &[&'static str]) -> Option<&'static str> {
        types.iter().copied().find(|kind| self.allowed.is_empty() || self.allowed.iter().any(|has| has == kind))
    }

    async fn send(&mut self, kind: &str, sent: &mut Vec<String>) -> Result<(), Error> {
        self.talk.step(&format!("reset: {kind}"));
        sent.push(kind.to_owned());
        let body = json!({ "ResetType": kind });
        match self.talk.client.post(&self.target, &body, &format!("reset with {kind}")).await {
            // Whether it was done shows in the power state.
            Err(Error::Cut { .. }) => Ok(()),
            result => result.map(drop),
        }
    }

    /// Whether the state came in time.
    async fn wait(&mut self, state: &str, patience: Duration) -> Result<bool, Error> {
        let begun = Instant::now();
        loop {
            let system = self.talk.client.get(&self.talk.service.system, "read the power state").await?.body;
            self.look(&system);
            if self.state == state {
                return Ok(true);
            }
            if begun.elapsed() >= patience {
                return Ok(false);
            }
            tokio::time::sleep(self.talk.client.patience.poll).await;
        }
    }

    fn not_applied(&self, asked: &str) -> Error {
        Error::NotApplied { what: "PowerState".to_owned(), asked: asked.to_owned(), found: self.state.clone() }
    }

    fn has_none(&self, what: &str) -> Error {
        Error::unsupported(what, format!("its reset types are {}", self.allowed.join(", ")))
    }

    async fn on(&mut self, sent: &mut Vec<String>) -> Result<(), Error> {
        if self.state == "On" {
            return Ok(());
        }
        let kind = self.choose(&["On", "ForceOn", "PushPowerButton"]).ok_or_else(|| self.has_none("power on"))?;
        self.send(kind, sent).await?;
        match self.wait("On", self.talk.client.patience.settle).await? {
            true => Ok(()),
            false => Err(self.not_applied("On")),
        }
    }

    async fn off(&mut self, manner: Manner, sent: &mut Vec<String>) -> Result<(), Error> {
        if self.state == "Off" {
            return Ok(());
        }
        let patience = self.talk.client.patience.clone();
        if manner != Manner::Forced {
            match self.choose(&["GracefulShutdown", "PushPowerButton"]) {
                Some(kind) => {
                    self.send(kind, sent).await?;
                    self.talk.step("waiting for the operating system to end");
                    if self.wait("Off", patience.graceful).await? {
                        return Ok(());
                    }
                }
                None if manner == Manner::Graceful => return Err(self.has_none("shut the system down gracefully")),
                None => {}
            }
            if manner == Manner::Graceful {
                return Err(self.not_applied("Off"));
            }
        }
        let kind = self.choose(&["ForceOff"]).ok_or_else(|| self.has_none("cut the power"))?;
        self.send(kind, sent).await?;
        match self.wait("Off", patience.settle).await? {
            true => Ok(()),
            false => Err(self.not_applied("Off")),
        }
    }

    /// Whether the BMC shows that it was done.
    async fn reset(&mut self, manner: Manner, sent: &mut Vec<String>) -> Result<bool, Error> {
        if self.state != "On" {
            return Err(Error::Input {
                message: format!("the machine is {}: there is nothing to restart", self.state.to_lowercase()),
                help: Some("power on".to_owned()),
            });
        }
        let types: &[&'static str] = match manner {
            Manner::Graceful => &["GracefulRestart"],
            Manner::ThenForced => &["GracefulRestart", "ForceRestart"],
            Manner::Forced => &["ForceRestart"],
        };
        let kind = self.choose(types).ok_or_else(|| self.has_none("restart the machine"))?;
        let before = self.last_reset.clone();
        self.send(kind, sent).await?;
        let begun = Instant::now();
        let mut went = false;
        while begun.elapsed() < self.talk.client.patience.settle {
            let system = self.talk.client.get(&self.talk.service.system, "read the power state").await?.body;
            self.look(&system);
            went |= self.state != "On" || (before.is_some() && self.last_reset != before);
            if went && self.state == "On" {
                return Ok(true);
            }
            tokio::time::sleep(self.talk.client.patience.poll).await;
        }
        match (before.is_some() || went, self.state == "On") {
            (false, true) => Ok(false),
            _ => Err(Error::NotApplied {
                what: "a restart".to_owned(),
                asked: kind.to_owned(),
                found: self.state.clone(),
            }),
        }
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(plain).collect()
}
