//! Power: on, off, cycle, reset (ComputerSystem.Reset, DSP0268).
//!
//! In: an action and how a running operating system is treated. Out: [`PowerChange`]. Invariants: only reset types that the BMC allows are
//! sent; a state counts when it was read; a Reset whose answer was lost is not sent again.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::client::Message;
use crate::error::Error;
use crate::machine::Talk;
use crate::plain::{MANY, plain};
use crate::quirks::Quirk;
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
        let (before, after, sent) = (before.to_lowercase(), after.to_lowercase(), sent.join(", "));
        match (sent.is_empty(), proven) {
            (true, _) => format!("{after} already"),
            (false, true) if self.action == PowerAction::Reset => format!("restarted ({sent})"),
            (false, true) => format!("{before} -> {after} ({sent})"),
            (false, false) => format!("{after}, accepted; this BMC shows nothing that proves it ({sent})"),
        }
    }
}

/// What switches a machine on, the best first.
const ON: &[&str] = &["On", "ForceOn", "PushPowerButton"];

/// Changes it, and waits until the power state shows it.
pub(crate) async fn change(talk: &Talk<'_>, action: PowerAction, manner: Manner) -> Result<PowerChange, Error> {
    let mut power = Power::read(talk).await?;
    let before = power.state.clone();
    let mut proven = true;
    match action {
        PowerAction::On => {
            let kind = power.choose(ON, "power on")?;
            power.on(kind).await?;
        }
        PowerAction::Off => power.off(manner).await?,
        PowerAction::Cycle => power.cycle(manner).await?,
        PowerAction::Reset => proven = power.reset(manner).await?,
    }
    Ok(PowerChange { action, before, after: power.state, sent: power.sent, proven })
}

/// The action, and the state as it was read last.
struct Power<'a> {
    talk: &'a Talk<'a>,
    target: String,
    /// Empty where the BMC does not say.
    allowed: Vec<String>,
    state: String,
    /// ComputerSystem.LastResetTime and BootProgress.LastState: what else tells of a restart.
    signs: [Option<String>; 2],
    sent: Vec<String>,
    /// Whether one of them was accepted, or may have been.
    accepted: bool,
}

impl<'a> Power<'a> {
    async fn read(talk: &'a Talk<'a>) -> Result<Power<'a>, Error> {
        // Read anew: other verbs restart a machine a while after it was looked for.
        let system = &talk.client.get(&talk.service.system, "read the system").await?.body;
        let action = &system["Actions"]["#ComputerSystem.Reset"];
        let Some(target) = action["target"].as_str().map(str::to_owned) else {
            return Err(Error::unsupported("switch the power", "its system has no Reset action"));
        };
        let mut allowed = texts(&action["ResetType@Redfish.AllowableValues"]);
        if allowed.is_empty()
            && let Some(info) = action["@Redfish.ActionInfo"].as_str()
            && let Some(answer) = talk.client.find(info, "read what resets there are").await?
        {
            let mut parameters = answer.body["Parameters"].as_array().into_iter().flatten();
            let of_type = parameters.find(|parameter| parameter["Name"] == "ResetType");
            allowed = of_type.map(|parameter| texts(&parameter["AllowableValues"])).unwrap_or_default();
        }
        let mut power = Power {
            talk,
            target,
            allowed,
            state: String::new(),
            signs: [None, None],
            sent: Vec::new(),
            accepted: false,
        };
        power.see(system);
        Ok(power)
    }

    fn see(&mut self, system: &Value) {
        let text = |value: &Value| value.as_str().map(plain);
        self.state = text(&system["PowerState"]).unwrap_or_else(|| "unknown".to_owned());
        self.signs = [text(&system["LastResetTime"]), text(&system["BootProgress"]["LastState"])];
    }

    async fn look(&mut self) -> Result<(), Error> {
        let system = self.talk.client.get(&self.talk.service.system, "read the power state").await?.body;
        self.see(&system);
        Ok(())
    }

    /// The first of these that the BMC has. Where it does not say, the first.
    fn choose(&self, types: &[&'static str], what: &str) -> Result<&'static str, Error> {
        let found = types.iter().find(|kind| self.allowed.is_empty() || self.allowed.iter().any(|has| has == *kind));
        found
            .copied()
            .ok_or_else(|| Error::unsupported(what, format!("its reset types are {}", self.allowed.join(", "))))
    }

    /// Sends it. Some BMCs refuse a while after the power has changed, or are away: then again, unless the machine is as `wanted` by
    /// itself.
    async fn send(&mut self, kind: &str, wanted: &str) -> Result<(), Error> {
        self.talk.step(&format!("reset: {kind}"));
        self.sent.push(kind.to_owned());
        let body = json!({ "ResetType": kind });
        let patience = &self.talk.client.patience;
        let begun = Instant::now();
        loop {
            let mut arrival = Arrival { talk: self.talk, kind, possible: true };
            let error = match self.talk.client.post(&self.target, &body, &format!("reset with {kind}")).await {
                // Whether it was done shows in the power state.
                Ok(_) | Err(Error::Cut { .. }) => {
                    self.accepted = true;
                    return Ok(());
                }
                Err(error) => error,
            };
            arrival.possible = false;
            drop(arrival);
            let again = match &error {
                // Nothing was sent.
                Error::Unreachable { .. } => true,
                Error::Refused { said, .. } => said.iter().any(Message::is_about_power),
                _ => false,
            };
            if !again || wanted.is_empty() || begun.elapsed() >= patience.settle {
                return Err(error);
            }
            match self.look().await {
                Ok(()) if self.state == wanted => return Ok(()),
                Err(error) if !error.is_passing() => return Err(error),
                _ => tokio::time::sleep(patience.poll).await,
            }
        }
    }

    /// Whether the state came in time. A BMC may be away or confused for a moment, because its machine's power changed.
    async fn wait(&mut self, state: &str, time: Duration) -> Result<bool, Error> {
        let begun = Instant::now();
        loop {
            let late = begun.elapsed() >= time;
            match self.look().await {
                Ok(()) if self.state == state => return Ok(true),
                Ok(()) if late => return Ok(false),
                Err(error) if late || !error.is_passing() => return Err(error),
                _ => tokio::time::sleep(self.talk.client.patience.poll).await,
            }
        }
    }

    /// Waits for a state that must come.
    async fn reach(&mut self, state: &str) -> Result<(), Error> {
        match self.wait(state, self.talk.client.patience.settle).await? {
            true => Ok(()),
            false => Err(self.not_applied(state)),
        }
    }

    fn not_applied(&self, asked: &str) -> Error {
        Error::NotApplied { what: "PowerState".to_owned(), asked: asked.to_owned(), found: self.state.clone() }
    }

    /// Off, and on again. How it is switched on is known before it is switched off.
    async fn cycle(&mut self, manner: Manner) -> Result<(), Error> {
        let kind = self.choose(ON, "power on")?;
        let touched = self.state != "Off";
        match self.off(manner).await {
            Ok(()) => self.on(kind).await.map_err(|error| if touched { error.left_off() } else { error }),
            // It may still go off, later than anybody waits.
            Err(error) if self.accepted => Err(error.left_off()),
            Err(error) => Err(error),
        }
    }

    async fn on(&mut self, kind: &str) -> Result<(), Error> {
        match self.state.as_str() {
            "On" => return Ok(()),
            "PoweringOn" => return self.reach("On").await,
            "PoweringOff" => self.reach("Off").await?,
            _ => {}
        }
        self.send(kind, "On").await?;
        self.reach("On").await
    }

    async fn off(&mut self, manner: Manner) -> Result<(), Error> {
        let on_its_way = self.state == "PoweringOff" && manner != Manner::Forced;
        if self.state == "Off" || on_its_way && self.wait("Off", self.talk.client.patience.graceful).await? {
            return Ok(());
        }
        if manner != Manner::Forced {
            match self.choose(&["GracefulShutdown", "PushPowerButton"], "shut the system down gracefully") {
                Ok(kind) => {
                    self.send(kind, "Off").await?;
                    self.talk.step("waiting for the operating system to end");
                    if self.wait("Off", self.talk.client.patience.graceful).await? {
                        return Ok(());
                    }
                }
                Err(error) if manner == Manner::Graceful => return Err(error),
                Err(_) => {}
            }
            if manner == Manner::Graceful {
                return Err(self.not_applied("Off"));
            }
        }
        let kind = self.choose(&["ForceOff"], "cut the power")?;
        self.send(kind, "Off").await?;
        self.reach("Off").await
    }

    /// Whether the BMC shows that it was done.
    async fn reset(&mut self, manner: Manner) -> Result<bool, Error> {
        if self.state != "On" {
            return Err(Error::Input {
                message: format!("the machine is {}: there is nothing to restart", self.state.to_lowercase()),
                help: Some("power on".to_owned()),
            });
        }
        // Without a sign nobody knows whether the operating system ignores a graceful restart; that it is off shows always.
        let blind = manner == Manner::ThenForced && self.signs[0].is_none() && !at_os(&self.signs[1]);
        if blind || self.talk.service.quirks.has(Quirk::RestartByPower) {
            return self.cycle(manner).await.map(|()| true);
        }
        let patience = self.talk.client.patience.clone();
        if manner != Manner::Forced {
            match self.choose(&["GracefulRestart"], "restart the machine gracefully") {
                Ok(kind) => {
                    let seen = self.restart(kind, patience.graceful.max(patience.settle)).await;
                    match seen {
                        Err(Error::NotApplied { .. }) if manner == Manner::ThenForced => {}
                        Ok(false) if manner == Manner::ThenForced => {}
                        seen => return seen,
                    }
                }
                Err(error) if manner == Manner::Graceful => return Err(error),
                Err(_) => {}
            }
        }
        let kind = self.choose(&["ForceRestart"], "restart the machine")?;
        self.restart(kind, patience.settle).await
    }

    /// Whether what is shown now, and was not `before`, is the sign of a restart.
    fn shows_restart(&self, before: &[Option<String>; 2]) -> bool {
        let [reset, progress] = &self.signs;
        *reset != before[0] && reset.is_some() || at_os(&before[1]) && progress.is_some() && !at_os(progress)
    }

    /// Sends it, and looks for a sign of it.
    async fn restart(&mut self, kind: &str, time: Duration) -> Result<bool, Error> {
        let before = self.signs.clone();
        self.send(kind, "").await?;
        let begun = Instant::now();
        let mut went = false;
        loop {
            match self.look().await {
                Ok(()) => went |= self.state != "On" || self.shows_restart(&before),
                Err(error) if error.is_passing() && begun.elapsed() < time => {}
                Err(error) => return Err(error),
            }
            if went && self.state == "On" {
                return Ok(true);
            }
            if begun.elapsed() >= time {
                break;
            }
            tokio::time::sleep(self.talk.client.patience.poll).await;
        }
        // LastResetTime is there to tell; BootProgress may have passed between two looks.
        match (before[0].is_none() && !went, self.state == "On") {
            (true, true) => Ok(false),
            _ => Err(Error::NotApplied {
                what: "a restart".to_owned(),
                asked: kind.to_owned(),
                found: self.state.clone(),
            }),
        }
    }
}

/// Tells that the power is touched, where a request may have arrived: also where nobody waits for its answer any more.
struct Arrival<'a> {
    talk: &'a Talk<'a>,
    kind: &'a str,
    possible: bool,
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        if self.possible {
            self.talk.step_reset(self.kind);
        }
    }
}

/// Whether the firmware has handed the machine over. Before that its progress moves by itself.
fn at_os(progress: &Option<String>) -> bool {
    matches!(progress.as_deref(), Some("OSBootStarted" | "OSRunning"))
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().take(MANY).filter_map(Value::as_str).map(plain).collect()
}
