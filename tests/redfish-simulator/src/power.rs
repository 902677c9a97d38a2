//! Power: what each reset type does, and when it shows.
//!
//! Input: an accepted reset, the clock; output: steps with their moments, which [`Machine::settle`] takes when they are due. Invariant: pending
//! BIOS settings and a one-time override are consumed by a boot and by nothing else.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::faults::{Active, Fault};
use crate::model::Model;
use crate::state::{Boot, Power, State};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Off,
    Boot,
}

/// Steps that are yet to come.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    steps: Vec<(Instant, Step)>,
    post_until: Option<Instant>,
}

impl Machine {
    /// Accepts a reset. `kind` is one of the allowed types.
    pub(crate) fn reset(&mut self, kind: &str, model: &Model, state: &mut State, faults: &Active, now: Instant) {
        state.resets.push(kind.into());
        let graceful = matches!(kind, "GracefulShutdown" | "GracefulRestart" | "PushPowerButton");
        if faults.is(&Fault::PowerIgnored) || graceful && faults.is(&Fault::GracefulIgnored) {
            return;
        }
        let delay = faults
            .find(|fault| match fault {
                Fault::PowerSlow(time) => Some(*time),
                _ => None,
            })
            .unwrap_or(model.power_delay);
        let running = matches!(state.power, Power::On | Power::PoweringOn);
        let steps: &[Step] = match (kind, running) {
            ("On" | "ForceOn", false)
            | ("PushPowerButton" | "PowerCycle" | "ForceRestart" | "GracefulRestart", false) => &[Step::Boot],
            ("On" | "ForceOn" | "Nmi", _) => &[],
            ("ForceOff" | "GracefulShutdown" | "PushPowerButton", true) => &[Step::Off],
            ("PowerCycle", true) => &[Step::Off, Step::Boot],
            ("ForceRestart" | "GracefulRestart", true) => &[Step::Boot],
            _ => &[],
        };
        self.plan(steps, delay, state, now);
        self.settle(model, state, faults, now);
    }

    fn plan(&mut self, steps: &[Step], delay: Duration, state: &mut State, now: Instant) {
        let Some(first) = steps.first() else { return };
        self.steps.clear();
        for (index, step) in steps.iter().enumerate() {
            self.steps.push((now + delay * (index as u32 + 1), *step));
        }
        state.power = match (first, state.power) {
            (Step::Off, _) => Power::PoweringOff,
            (Step::Boot, Power::Off) => Power::PoweringOn,
            (Step::Boot, power) => power,
        };
    }

    /// Takes the steps that are due.
    pub(crate) fn settle(&mut self, model: &Model, state: &mut State, faults: &Active, now: Instant) {
        while let Some((due, step)) = self.steps.first().copied() {
            if due > now {
                break;
            }
            self.steps.remove(0);
            match step {
                Step::Off => {
                    state.power = if self.steps.is_empty() { Power::Off } else { Power::PoweringOn };
                    self.post_until = None;
                }
                Step::Boot => {
                    state.power = Power::On;
                    self.post_until = Some(due + model.post);
                    boot(model, state, faults);
                }
            }
        }
        state.post = self.post_until.is_some_and(|until| now < until);
    }
}

fn boot(model: &Model, state: &mut State, faults: &Active) {
    let pending = if state.bios_scheduled { std::mem::take(&mut state.bios_pending) } else { BTreeMap::new() };
    if faults.is(&Fault::BiosRefusedInPost) {
        state.bios_refused = pending.into_keys().collect();
    } else if !faults.is(&Fault::BiosSilentRevert) {
        state.bios_refused.clear();
        state.bios.extend(pending);
    }
    if faults.is(&Fault::OverrideLostInPost) {
        state.boot.enabled = "Disabled".into();
        state.boot.target = "None".into();
        state.boot.mode = "Legacy".into();
    }
    let target = match state.boot.enabled.as_str() {
        "Disabled" => first_of_order(state),
        _ if state.boot.target == "UefiTarget" => state.boot.uefi_target.clone().unwrap_or_default(),
        _ if state.boot.target == "None" => first_of_order(state),
        _ => state.boot.target.clone(),
    };
    let mode = match state.boot.enabled.as_str() {
        "Disabled" => model.boot_mode.clone(),
        _ => state.boot.mode.clone(),
    };
    state.boots.push(Boot { target, mode });
    if state.boot.enabled == "Once" && !faults.is(&Fault::OverrideNeverConsumed) {
        state.boot.enabled = "Disabled".into();
        state.boot.target = "None".into();
    }
}

fn first_of_order(state: &State) -> String {
    let fixed = state.fixed_boot_order.iter().find(|entry| *entry != "Disabled");
    fixed.or(state.boot_order.first()).cloned().unwrap_or_else(|| "Hdd".into())
}
