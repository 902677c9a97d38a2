//! Installs a node: arms it on the appliance, lets it boot once from the network, switches its power, follows the installation.
//!
//! ```text
//! look (appliance, BMC) ─► arm ─► boot once pxe ─► power ─► follow ─► verified
//!                           └──────────┴─ failure, Ctrl-C: disarmed again
//!                                                  └──────────┴─ failure, Ctrl-C: stays armed, and the message says how to go on
//! ```
//! Invariant: nothing is armed before the BMC was reached with its credentials; once the power was touched nothing is taken back, because
//! the node may read its answers at any moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bmc::{BootMode, BootTarget, Manner, Outcome, PowerAction, Step, Verb, plain};
use serde::Serialize;
use serde_json::Value;

use super::appliance::{Appliance, ApplianceError, Line, Row};
use super::error::{Kind, NodeError};
use super::fleet::{Progress, Watch, carry_out};
use super::interrupt::Interrupt;
use super::select::Job;
use crate::vocab::Remedy as _;

/// Between two tries to reach an appliance that went away; it doubles up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(20));
const REASON: &str = "provbuild node install";

/// How an installation ended well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Installed {
    pub state: String,
    pub attempt: u64,
    pub detail: String,
    /// From the arming.
    pub seconds: u64,
}

/// What a person must know before he says yes.
pub struct Prospect {
    /// "arm" or "reinstall".
    action: &'static str,
    /// What is done now, where something is: a state of the node.
    pub given_up: Option<String>,
    pub installer: String,
    /// PowerState, as the BMC tells it.
    pub power: String,
    after: u64,
}

pub struct Install<'a> {
    pub appliance: &'a Appliance,
    /// The node and its BMC; the verb is not used.
    pub job: Job,
    pub watch: Arc<dyn Watch>,
    pub interrupt: Interrupt,
    /// How long the appliance may be away while it is followed.
    pub away: Duration,
}

impl Install<'_> {
    /// Looks whether it can be done. Changes nothing.
    ///
    /// # Errors
    /// The appliance or the BMC cannot be reached, or the appliance would not arm the node.
    pub async fn look(&self) -> Result<Prospect, NodeError> {
        let node = &self.job.node;
        self.watch.step(node, "asking the appliance");
        let row = self.appliance.node(node).await?;
        let action =
            ["arm", "reinstall"].into_iter().find(|action| row.actions.iter().any(|offered| offered == action));
        let Some(action) = action else {
            return Err(match row.state.as_str() {
                "armed" | "booting" => {
                    let help = format!("wait for it; or take the arming back: {}", self.disarm_by_hand());
                    refused(node, format!("it is {} already", row.state), help)
                }
                _ => refused(
                    node,
                    format!("it is '{}', and can do nothing of this kind", row.state),
                    "does the appliance's \
                     nodes.toml name an installer for it?"
                        .to_owned(),
                ),
            });
        };
        if !row.media_ready {
            let help =
                "the appliance fetches them, or they are baked into its image: its page shows how far it is".to_owned();
            return Err(refused(node, "the installer's files are not on the appliance".to_owned(), help));
        }
        let after = self.appliance.head().await?;
        let power = match self.verb(Verb::Status {}).await.0? {
            Outcome::Status(status) => status.power.unwrap_or_else(|| "unknown".to_owned()),
            _ => "unknown".to_owned(),
        };
        let given_up = (action == "reinstall").then(|| row.state.clone());
        Ok(Prospect { action, given_up, installer: row.installer.unwrap_or_default(), power, after })
    }

    /// Does it.
    ///
    /// # Errors
    /// Every one says how the node was left.
    pub async fn carry_out(&self, prospect: &Prospect) -> Result<Installed, NodeError> {
        let node = &self.job.node;
        let begun = Instant::now();
        self.watch.step(node, &format!("{}ing", prospect.action));
        // Not cut off at Ctrl-C: whether it was done would be unknown.
        let attempt = self.appliance.arm(node, prospect.action, REASON).await;
        let attempt = match attempt {
            Ok(attempt) => attempt,
            // Whatever the appliance has said, it said it before it has armed.
            Err(error @ (ApplianceError::Refused { .. } | ApplianceError::Token { .. })) => return Err(error.into()),
            Err(error) => return Err(self.take_back(error.into(), false).await),
        };
        if self.interrupt.count() > 0 {
            return Err(self.take_back(self.stopped(), false).await);
        }
        let once = Verb::BootOnce { target: BootTarget::Pxe, mode: BootMode::Uefi };
        if let (Err(error), _) = self.verb(once).await {
            return Err(self.take_back(error, true).await);
        }
        if self.interrupt.count() > 0 {
            return Err(self.take_back(self.stopped(), true).await);
        }
        let cycle = Verb::Power { action: PowerAction::Cycle, manner: Manner::Forced };
        let (result, powered) = self.verb(cycle).await;
        match result {
            Ok(_) => {}
            Err(error) if !powered => return Err(self.take_back(error, true).await),
            Err(error) => {
                let how = format!("{node} stays armed, and installs at its next boot from the network");
                return Err(error.after(how, Some(self.how_to_go_on())));
            }
        }
        let end = self.follow(prospect.after, attempt).await?;
        Ok(Installed { state: end.state, attempt, detail: end.detail, seconds: begun.elapsed().as_secs() })
    }

    fn stopped(&self) -> NodeError {
        NodeError::Stopped { how: "the power was not touched".to_owned(), help: None }
    }

    /// The result, and whether a change of the power was asked for.
    async fn verb(&self, verb: Verb) -> (Result<Outcome, NodeError>, bool) {
        let job = Job { node: self.job.node.clone(), machine: self.job.machine.clone(), verb };
        let progress = Progress::new(&job.node, Arc::clone(&self.watch));
        let result = carry_out(&job, &progress, &self.interrupt).await;
        (result, progress.powered())
    }

    /// Disarms after a failure or Ctrl-C, and says so. The one-time boot is taken back as well, where it may have been set: a node
    /// that is not armed would only ask the appliance in vain.
    async fn take_back(&self, error: NodeError, boot: bool) -> NodeError {
        let node = &self.job.node;
        let error = if matches!(error, NodeError::Interrupted) { self.stopped() } else { error };
        self.watch.step(node, "disarming");
        let tries = async {
            let mut result = self.appliance.disarm(node, REASON).await;
            for _ in 0..2 {
                if !matches!(result, Err(ApplianceError::Unreachable { .. })) {
                    break;
                }
                tokio::time::sleep(PAUSE.0).await;
                result = self.appliance.disarm(node, REASON).await;
            }
            result
        };
        let disarmed = tokio::select! {
            result = tries => result.map_err(NodeError::from),
            () = self.interrupt.reaches(2) => Err(NodeError::Interrupted),
        };
        let mut how = match disarmed {
            Ok(()) => format!("{node} is disarmed again"),
            // It was not armed, after all.
            Err(NodeError::Appliance(ApplianceError::Refused { status: 409, .. })) => format!("{node} is not armed"),
            Err(failed) => {
                let help = format!("take it back: {}", self.disarm_by_hand());
                return error.after(format!("{node} may still be armed ({failed})"), Some(help));
            }
        };
        if boot && error.kind() != Kind::Unreachable {
            let job = Job {
                node: node.clone(),
                machine: self.job.machine.clone(),
                verb: Verb::BootOnce { target: BootTarget::None, mode: BootMode::Keep },
            };
            let steps = |step: Step<'_>| self.watch.step(node, &step.to_string());
            let undone = tokio::select! {
                result = job.machine.run(&job.verb, &steps) => result.is_ok(),
                () = self.interrupt.reaches(2) => false,
            };
            if !undone {
                how += "; it may boot from the network once, which leads to its own disk";
            }
        }
        error.after(how, None)
    }

    fn disarm_by_hand(&self) -> String {
        format!("provd disarm {} on the appliance, or its page", self.job.node)
    }

    fn how_to_go_on(&self) -> String {
        format!(
            "follow it: provd events --follow on the appliance, or {}; give it up: {}",
            self.appliance.url(),
            self.disarm_by_hand()
        )
    }

    fn lost(&self, why: &str) -> NodeError {
        let message = format!("{why}; the installation goes on without being followed");
        NodeError::Installation { message, help: Some(self.how_to_go_on()) }
    }

    /// Tells each phase until the last one.
    async fn follow(&self, mut after: u64, attempt: u64) -> Result<Row, NodeError> {
        let mut told = Told { watch: &self.watch, node: &self.job.node, last: None };
        let mut away: Option<Instant> = None;
        let mut pause = PAUSE.0;
        loop {
            let seen = tokio::select! {
                seen = self.watch_once(&mut after, attempt, &mut told, &mut away) => seen,
                () = self.interrupt.reaches(1) => {
                    let how = "the installation goes on without being followed".to_owned();
                    return Err(NodeError::Stopped { how, help: Some(self.how_to_go_on()) });
                }
            };
            match seen {
                Ok(Some(row)) => return self.end(row),
                // The stream ends by itself from time to time.
                Ok(None) => pause = PAUSE.0,
                Err(ApplianceError::Unreachable { reason, .. }) => {
                    if away.get_or_insert_with(Instant::now).elapsed() >= self.away {
                        return Err(self.lost(&format!("the appliance cannot be reached any more: {reason}")));
                    }
                    self.watch.step(&self.job.node, &format!("the appliance does not answer ({reason}): trying again"));
                    pause = (pause * 2).min(PAUSE.1);
                }
                Err(error) => return Err(self.lost(&error.to_string())),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.interrupt.reaches(1) => {}
            }
        }
    }

    /// One stream: first what the state is, then what changes. The row where it is the last one.
    async fn watch_once(
        &self,
        after: &mut u64,
        attempt: u64,
        told: &mut Told<'_>,
        away: &mut Option<Instant>,
    ) -> Result<Option<Row>, ApplianceError> {
        let node = &self.job.node;
        let head = self.appliance.head().await?.max(*after);
        let mut stream = self.appliance.events(head).await?;
        let mut row = self.appliance.node(node).await?;
        *away = None;
        // What was missed, however much it was; asked for last, so that no state is told before those that led to it.
        let missed = self.appliance.audit(node, *after).await?;
        *after = head;
        for line in missed {
            told.tell(&line.to, &line.detail);
            *after = line.seq.max(head);
            (row.state, row.detail) = (line.to, line.detail);
        }
        told.tell(&row.state, &row.detail);
        if is_over(&row, attempt) {
            return Ok(Some(row));
        }
        while let Some(event) = stream.next().await? {
            if event.kind == "reload" {
                return Ok(None);
            }
            let known = event.id.is_some_and(|id| id <= *after);
            *after = event.id.unwrap_or(*after).max(*after);
            let Ok(body) = serde_json::from_str::<Value>(&event.data) else { continue };
            let Ok(mut row) = serde_json::from_value::<Row>(body["node"].clone()) else { continue };
            if known || row.hostname != *node {
                continue;
            }
            // The node is as it was when this was sent: the line says what has become of it then.
            if let Ok(line) = serde_json::from_value::<Line>(body["audit"].clone()) {
                (row.state, row.detail) = (line.to, line.detail);
            }
            told.tell(&row.state, &row.detail);
            if is_over(&row, attempt) {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    fn end(&self, row: Row) -> Result<Row, NodeError> {
        let detail = plain(&row.detail);
        let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        let help = match row.state.as_str() {
            "verified" => return Ok(row),
            "failed" => format!("the end of its log: provd log {} on the appliance, or its page", self.job.node),
            "stalled" => "look at the machine's console; it was not heard of for too long".to_owned(),
            _ => "somebody took the arming back, armed it anew, or it has expired: provd audit on the appliance"
                .to_owned(),
        };
        let message = match row.state.as_str() {
            state @ ("failed" | "stalled") => format!("the installation {state}{detail}"),
            state => format!("the installation was given up: the node is '{}'{detail}", plain(state)),
        };
        Err(NodeError::Installation { message, help: Some(help) })
    }
}

fn refused(node: &str, said: String, help: String) -> NodeError {
    let refused = ApplianceError::Refused { what: format!("install {node}"), status: 409, said };
    let help = Some(refused.help().unwrap_or(help));
    NodeError::from(refused).after("nothing was changed", help)
}

/// What was told last.
struct Told<'a> {
    watch: &'a Arc<dyn Watch>,
    node: &'a str,
    last: Option<(String, String)>,
}

impl Told<'_> {
    /// A line where it is news.
    fn tell(&mut self, state: &str, detail: &str) {
        let now = (plain(state), plain(detail));
        if self.last.as_ref() != Some(&now) {
            let line = if now.1.is_empty() { now.0.clone() } else { format!("{}: {}", now.0, now.1) };
            self.watch.step(self.node, &line);
            self.last = Some(now);
        }
    }
}

/// Whether the attempt has come to an end, or another one was begun.
fn is_over(row: &Row, attempt: u64) -> bool {
    row.attempts != attempt || !matches!(row.state.as_str(), "armed" | "booting" | "installing" | "installed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_over_when_its_state_is_final_or_another_one_was_begun() {
        let row = |state: &str, attempts| Row {
            hostname: "node1".to_owned(),
            state: state.to_owned(),
            detail: String::new(),
            installer: None,
            media_ready: true,
            attempts,
            actions: Vec::new(),
        };
        for state in ["armed", "booting", "installing", "installed"] {
            assert!(!is_over(&row(state, 3), 3), "{state}");
            assert!(is_over(&row(state, 4), 3), "{state}");
        }
        for state in ["verified", "failed", "stalled", "disk", "unknown", "a state of a later version"] {
            assert!(is_over(&row(state, 3), 3), "{state}");
        }
    }
}
