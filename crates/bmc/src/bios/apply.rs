//! Changing settings: compare, send what differs, read back, and with a restart wait until it is in force.

use std::time::Instant;

use netboot::BiosSettings;

use super::board::{Attributes, Board};
use super::{BiosApplied, BiosChange, BiosPlan, Missing, advised, declared, falls_back, not_applied, planned};
use super::{same, shown};
use crate::error::{Error, Kind};
use crate::machine::Talk;
use crate::power::{self, PowerAction};
use crate::sum::{Config, Sum};
use crate::verb::Manner;

/// Applies the declared settings.
pub(crate) async fn apply(talk: &Talk<'_>, restart: bool) -> Result<BiosApplied, Error> {
    let declared = declared(talk)?;
    if declared.settings.is_empty() {
        return by_sum(talk, declared, restart).await;
    }
    let (mut board, plan) = match staged(talk, declared).await {
        Ok(staged) => staged,
        Err(error) if falls_back(talk, &error) => return by_sum(talk, declared, restart).await,
        Err(error) => return Err(advised(talk, error)),
    };
    // From here on something was written: no other interface is tried.
    confirmed(talk, &mut board, &plan).await?;
    let mut applied = begun(plan);
    // Some BMCs show as current what waits yet (iDRAC 9, while its job runs): only after a restart does that count.
    if restart && !applied.in_force {
        let wanted: Vec<BiosChange> = applied.sent.iter().chain(&applied.waited).cloned().collect();
        // Where the value shows as current before the restart, that it does so afterwards proves nothing.
        let look = Redfish { board, wanted };
        let proves = !look.missing().is_empty();
        restarted(talk).await?;
        until_in_force(talk, look).await?;
        (applied.restarted, applied.in_force) = (true, proves);
        if !proves {
            applied
                .notes
                .push("this BMC showed the settings as current before the restart: nothing proves them".to_owned());
        }
    }
    Ok(applied)
}

fn begun(plan: BiosPlan) -> BiosApplied {
    let BiosPlan { through, changes, waiting, same, notes } = plan;
    let in_force = changes.is_empty() && waiting.is_empty();
    BiosApplied { through, sent: changes, waited: waiting, same, restarted: false, in_force, notes }
}

/// What differs is handed to the BMC.
async fn staged(talk: &Talk<'_>, declared: &BiosSettings) -> Result<(Board, BiosPlan), Error> {
    let (board, plan) = planned(talk, declared).await?;
    if !plan.changes.is_empty() {
        talk.step(&format!("changing {} BIOS settings", plan.changes.len()));
        let body: Attributes = plan.changes.iter().map(|change| (change.name.clone(), change.to.clone())).collect();
        board.write(talk, &body).await?;
    }
    Ok((board, plan))
}

/// What was handed over is read back as pending, or as in force, where it applies at once.
async fn confirmed(talk: &Talk<'_>, board: &mut Board, plan: &BiosPlan) -> Result<(), Error> {
    if plan.changes.is_empty() {
        return Ok(());
    }
    let begun = Instant::now();
    loop {
        let said = board.look(talk).await?;
        let missing: Vec<Missing> = plan
            .changes
            .iter()
            .filter(|change| !board.next(&change.name).is_some_and(|next| same(next, &change.to)))
            .map(|change| missing(change, board.next(&change.name).map(shown)))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        if begun.elapsed() >= talk.client.patience.settle {
            return Err(not_applied(&missing, &said));
        }
        tokio::time::sleep(talk.client.patience.poll).await;
    }
}

fn missing(change: &BiosChange, found: Option<String>) -> Missing {
    let found = found.unwrap_or_else(|| "nothing".to_owned());
    Missing { name: change.name.clone(), asked: shown(&change.to), found }
}

async fn restarted(talk: &Talk<'_>) -> Result<(), Error> {
    talk.step("restarting the machine");
    power::change(talk, PowerAction::Cycle, Manner::ThenForced).await.map(drop)
}

/// Something that can be looked at until the settings are in force.
trait Look {
    /// What is not yet as it was asked for, and what the board says about it.
    async fn look(&mut self, talk: &Talk<'_>) -> Result<(Vec<Missing>, Vec<String>), Error>;
}

struct Redfish {
    board: Board,
    wanted: Vec<BiosChange>,
}

impl Redfish {
    fn missing(&self) -> Vec<Missing> {
        let current = |name: &str| self.board.current.get(name);
        let differs = |change: &&BiosChange| !current(&change.name).is_some_and(|now| same(now, &change.to));
        self.wanted.iter().filter(differs).map(|change| missing(change, current(&change.name).map(shown))).collect()
    }
}

impl Look for Redfish {
    async fn look(&mut self, talk: &Talk<'_>) -> Result<(Vec<Missing>, Vec<String>), Error> {
        let said = self.board.look(talk).await?;
        let missing = self.missing();
        Ok((missing, said))
    }
}

struct BySum<'a> {
    sum: Sum<'a>,
    wanted: Vec<BiosChange>,
}

impl Look for BySum<'_> {
    async fn look(&mut self, _: &Talk<'_>) -> Result<(Vec<Missing>, Vec<String>), Error> {
        let config = self.sum.read().await?;
        let found = |change: &BiosChange| config.value(&change.name);
        let differs = |change: &&BiosChange| found(change).as_deref() != change.to.as_str();
        let missing = self.wanted.iter().filter(differs).map(|change| missing(change, found(change))).collect();
        Ok((missing, Vec::new()))
    }
}

/// Looks until everything is as it was asked for, through POST. What fails meanwhile counts only at the end: a BMC may be busy, or
/// show no BIOS, while its machine starts.
async fn until_in_force(talk: &Talk<'_>, mut board: impl Look) -> Result<(), Error> {
    talk.step("waiting through POST until the settings are in force");
    let begun = Instant::now();
    loop {
        let looked = board.look(talk).await;
        let over = begun.elapsed() >= talk.client.patience.post;
        match looked {
            Ok((missing, _)) if missing.is_empty() => return Ok(()),
            Ok((missing, said)) if over => return Err(not_applied(&missing, &said)),
            Err(error) if over || !passes(&error) => return Err(error),
            _ => tokio::time::sleep(talk.client.patience.poll).await,
        }
    }
}

fn passes(error: &Error) -> bool {
    // SUM as well fails in its own ways while the machine is in POST.
    error.kind() == Kind::Unreachable
        || matches!(error, Error::Unsupported { .. } | Error::Refused { .. } | Error::Sum { .. })
}

/// The same by SUM, which shows no pending settings: what was sent shows after the restart only.
async fn by_sum(talk: &Talk<'_>, declared: &BiosSettings, restart: bool) -> Result<BiosApplied, Error> {
    talk.step("reading the settings by SUM");
    let sum = Sum::of(talk)?;
    let config: Config = sum.read().await?;
    let mut applied = begun(config.plan(&declared.sum)?);
    if applied.in_force {
        return Ok(applied);
    }
    talk.step(&format!("changing {} BIOS settings by SUM", applied.sent.len()));
    sum.change(&config, &applied.sent).await?;
    if restart {
        let wanted = applied.sent.clone();
        restarted(talk).await?;
        until_in_force(talk, BySum { sum, wanted }).await?;
        (applied.restarted, applied.in_force) = (true, true);
    } else {
        applied.notes.push("SUM shows what it has changed only after a restart".to_owned());
    }
    Ok(applied)
}
