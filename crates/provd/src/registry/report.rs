//! What installers and installed systems report.
//!
//! Reports come twice, late and in any order; each is good for the attempt that its token was made for, moves the state
//! forward only, and is stored once.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use netboot::{MacAddr, Node};
use rusqlite::{Connection, Transaction, params};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{Actor, Change, Refused, Registry, ReportedEvent};
use crate::state::{Active, State, Transition};
use crate::store::{Grant, Purpose, StoreError, Token};

/// Bytes that are kept of one text of a report.
const TEXT_LIMIT: usize = 2000;
/// Bytes that are kept of an installer's log: its end.
const LOG_LIMIT: usize = 256 * 1024;
/// Events that are kept of one attempt.
const EVENTS_PER_ATTEMPT: i64 = 5000;
const LAST_EVENTS: i64 = 100;
/// How far a node's clock may be from ours before its times are not believed.
const CLOCK_DOUBT: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    Progress(Progress),
    /// The installer is done, and the machine is about to start the new system.
    Installed,
    Failed {
        reason: String,
        /// The end of the installer's log.
        log: Option<String>,
    },
    FirstBoot(FirstBoot),
}

/// One step of an installer, as curtin's and subiquity's webhook reporter sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub kind: Phase,
    pub name: String,
    pub text: String,
    /// By the installer's clock.
    pub at: Option<Timestamp>,
    pub result: Option<String>,
}

/// Of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Start,
    Finish,
    Note,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Phase::Start => "start",
            Phase::Finish => "finish",
            Phase::Note => "note",
        }
    }
}

/// What the installed system says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FirstBoot {
    pub hostname: String,
    pub address: IpAddr,
    /// Public ssh host keys, each "TYPE BASE64" with or without a comment.
    pub ssh_host_keys: Vec<String>,
}

/// What a report did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is stored, and the state follows it.
    Taken,
    /// It says what is known already, or what is past.
    Ignored,
}

impl Registry {
    /// Takes a report.
    ///
    /// # Errors
    /// A token that is unknown, of another address, or of an attempt that has ended.
    pub fn report(&self, token: &Token, report: Report, from: IpAddr, now: Timestamp) -> Result<Outcome, Refused> {
        let mut memory = self.lock();
        let grant = self.store.read(|c| Grant::find(c, token, Purpose::Report))?.ok_or(Refused::Token)?;
        if grant.address != from {
            return Err(Refused::Address);
        }
        let mac = grant.mac;
        let node = self.declared_node(mac).ok_or(Refused::Gone)?;
        let state = memory.get(&mac).map(|stored| stored.state.clone()).ok_or(Refused::Gone)?;
        let current = state.attempt().is_some_and(|attempt| attempt.number == grant.attempt);
        if grant.revoked || grant.expires <= now || !current {
            return Err(Refused::Gone);
        }
        Self::heard(&mut memory, mac, from, now);
        let report = clean(report);
        let told_all = self.store.read(|c| events_of_attempt(c, mac, grant.attempt))? >= EVENTS_PER_ATTEMPT;
        if told_all && matches!(report, Report::Progress(_)) {
            // No installation has that much to tell: neither the timeline nor the audit log is filled further.
            return Ok(Outcome::Ignored);
        }
        let actor = Actor::node(from);
        // It has a token of its answers: it has read them, and nobody reads them again.
        let read = |transaction: &Transaction<'_>| {
            Grant::revoke(transaction, mac, Some(Purpose::Seed))?;
            Grant::revoke(transaction, mac, Some(Purpose::Cd))
        };
        if let State::Stalled(stalled) = state {
            self.commit(&mut memory, mac, stalled.resume(), &actor, now, read)?;
        }

        let event = event_of(node, grant.attempt, &report, now);
        let said = said_at(&report).unwrap_or(now);
        let digest = digest_of(&event, said);
        // The same step twice is no step back, and no line of the audit log.
        let known = |c: &Connection| is_known(c, &digest);
        if matches!(report, Report::Progress(_)) && self.store.read(known)? {
            return Ok(Outcome::Ignored);
        }
        let mut told = None;
        let mut outcome = Outcome::Ignored;
        // At most two steps: the end of the installation may have gone unheard before the first boot is.
        for _ in 0..2 {
            let Some(stored) = memory.get(&mac) else { break };
            let Some((step, last)) = next(stored.state.clone(), &report, node, now) else { break };
            let (log, event) = (log_of(&report), event.clone());
            let stored_event = &mut told;
            self.commit(&mut memory, mac, step, &actor, now, |transaction| {
                read(transaction)?;
                if let Some(log) = log {
                    keep_log(transaction, mac, grant.attempt, &log, now)?;
                }
                if last {
                    *stored_event = keep(transaction, &event, &digest)?.then_some(event);
                }
                Ok(())
            })?;
            outcome = Outcome::Taken;
            if last {
                break;
            }
        }
        if outcome == Outcome::Ignored && has_news(memory.get(&mac).map(|stored| &stored.state), &report) {
            let kept = self.store.write(|transaction| {
                read(transaction)?;
                keep(transaction, &event, &digest)
            })?;
            told = kept.then_some(event);
            if kept {
                outcome = Outcome::Taken;
            }
        }
        if outcome == Outcome::Taken {
            self.cds.forget(mac);
        }
        if let Some(event) = told {
            self.tell(Change::Reported(event));
        }
        Ok(outcome)
    }
}

/// Whether a report that leads to no step is worth a line of the timeline. One that has no time of its own and says what is
/// known is the same report again.
fn has_news(state: Option<&State>, report: &Report) -> bool {
    match (report, state) {
        (Report::Progress(progress), Some(State::Installing(now))) => {
            progress.at.is_some() || progress.name != now.step
        }
        (Report::Progress(_), _) => true,
        (Report::Installed, state) => !matches!(state, Some(State::Installed(_))),
        (Report::Failed { .. } | Report::FirstBoot(_), _) => true,
    }
}

/// The step that a report leads to, and whether it is the last one of this report.
fn next(state: State, report: &Report, node: &Node, now: Timestamp) -> Option<(Transition, bool)> {
    match (state, report) {
        (State::Installing(installing), Report::Progress(progress)) if progress.kind == Phase::Start => {
            let said = progress.at.filter(|at| at.duration_since(now).abs() < CLOCK_DOUBT);
            Some((installing.step(&cut(&progress.name), said)?, true))
        }
        (State::Installing(installing), Report::Installed) => Some((installing.finish(), true)),
        (State::Installing(installing), Report::FirstBoot(_)) => Some((installing.finish(), false)),
        (State::Installing(installing), Report::Failed { reason, .. }) => {
            Some((Active::Installing(installing).fail(&cut(reason)), true))
        }
        (State::Installed(installed), Report::FirstBoot(system)) => Some(match differs(system, node) {
            Some(reason) => (installed.mismatch(&reason), true),
            None => (installed.verify(system.ssh_host_keys.iter().map(|key| without_comment(key)).collect()), true),
        }),
        (State::Installed(installed), Report::Failed { reason, .. }) => {
            Some((Active::Installed(installed).fail(&cut(reason)), true))
        }
        _ => None,
    }
}

/// How the installed system differs from the declared node.
fn differs(system: &FirstBoot, node: &Node) -> Option<String> {
    let FirstBoot { hostname, address, ssh_host_keys } = system;
    let short = hostname.split('.').next().unwrap_or_default();
    if short != node.hostname.as_str() {
        return Some(format!("the installed system calls itself '{}'", cut(hostname)));
    }
    if *address != IpAddr::from(node.address) {
        return Some(format!("the installed system has the address {address} instead of {}", node.address));
    }
    if ssh_host_keys.is_empty() {
        return Some("the installed system has no ssh host key".to_owned());
    }
    None
}

/// A report whose texts are safe to show in a terminal and on a page, of bounded length, and without tokens: an installer's log
/// has the URLs that it was given.
fn clean(report: Report) -> Report {
    let line = |text: String| cut(&without_tokens(&text).replace(char::is_control, " "));
    match report {
        Report::Progress(progress) => Report::Progress(Progress {
            name: line(progress.name),
            text: line(progress.text),
            result: progress.result.map(line),
            ..progress
        }),
        Report::Failed { reason, log } => Report::Failed {
            reason: line(reason),
            log: log.map(|log| without_tokens(&log).replace(|c: char| c.is_control() && c != '\n' && c != '\t', " ")),
        },
        Report::FirstBoot(system) => Report::FirstBoot(FirstBoot { hostname: line(system.hostname), ..system }),
        Report::Installed => Report::Installed,
    }
}

/// Every token is 32 hexadecimal digits, and stands in a path after `seed/` or `report/`; but a log may show it alone. No word
/// of that form is shown.
pub(crate) fn without_tokens(text: &str) -> String {
    let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let (mut from, mut at) = (0, 0);
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|b| is_digit(**b)).count();
        if length == 32 {
            // Digits are ASCII: both ends are borders of characters.
            out.push_str(&text[from..at]);
            out.push_str("[token]");
            from = at + length;
        }
        at += length.max(1);
    }
    out.push_str(&text[from..]);
    out
}

fn without_comment(key: &str) -> String {
    key.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// When it happened by the installer's clock, which may be wrong by years.
fn said_at(report: &Report) -> Option<Timestamp> {
    match report {
        Report::Progress(progress) => progress.at,
        Report::Installed | Report::Failed { .. } | Report::FirstBoot(_) => None,
    }
}

fn event_of(node: &Node, attempt: u64, report: &Report, now: Timestamp) -> ReportedEvent {
    let event = |kind: Phase, name: &str, text: &str, result: Option<&str>| ReportedEvent {
        mac: node.mac,
        hostname: node.hostname.to_string(),
        attempt,
        at: now,
        kind: kind.name().to_owned(),
        name: cut(name),
        text: cut(text),
        result: result.map(cut),
    };
    match report {
        Report::Progress(progress) => {
            let Progress { kind, name, text, at: _, result } = progress;
            event(*kind, name, text, result.as_deref())
        }
        Report::Installed => event(Phase::Note, "installed", "the installer has ended", None),
        Report::Failed { reason, .. } => event(Phase::Note, "failed", reason, Some("FAIL")),
        Report::FirstBoot(system) => {
            event(Phase::Note, "first-boot", &format!("{} at {}", system.hostname, system.address), None)
        }
    }
}

fn cut(text: &str) -> String {
    let end = (0..=TEXT_LIMIT.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text[..end].to_owned()
}

fn log_of(report: &Report) -> Option<String> {
    let Report::Failed { log: Some(log), .. } = report else { return None };
    let start = log.len().saturating_sub(LOG_LIMIT);
    let start = (start..=log.len()).find(|start| log.is_char_boundary(*start))?;
    Some(log[start..].to_owned())
}

fn keep_log(
    transaction: &Transaction<'_>,
    mac: MacAddr,
    attempt: u64,
    text: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    transaction.execute(
        "INSERT INTO logs (mac, attempt, at, text) VALUES (?, ?, ?, ?)
         ON CONFLICT (mac, attempt) DO UPDATE SET at = excluded.at, text = excluded.text",
        params![mac.to_string(), attempt as i64, now.to_string(), text],
    )?;
    Ok(())
}

fn events_of_attempt(connection: &Connection, mac: MacAddr, attempt: u64) -> Result<i64, StoreError> {
    Ok(connection
        .prepare_cached("SELECT count(*) FROM events WHERE mac = ? AND attempt = ?")?
        .query_row(params![mac.to_string(), attempt as i64], |row| row.get(0))?)
}

/// What an event is known by: what the node said, its time (`said`) included.
pub(super) fn digest_of(event: &ReportedEvent, said: Timestamp) -> String {
    let ReportedEvent { mac, attempt, kind, name, text, result, .. } = event;
    hex::encode(Sha256::digest(format!("{mac}\n{attempt}\n{said}\n{kind}\n{name}\n{text}\n{result:?}")))
}

fn is_known(connection: &Connection, digest: &str) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached("SELECT 1 FROM events WHERE digest = ?")?.exists([digest])?)
}

/// Stores an event unless it is known, or the attempt has told too much already. Whether it was new. It stands in the timeline at
/// the time at which it came.
pub(super) fn keep(transaction: &Transaction<'_>, event: &ReportedEvent, digest: &str) -> Result<bool, StoreError> {
    let ReportedEvent { mac, attempt, at, kind, name, text, result, .. } = event;
    // The few that end an attempt have their place beyond the limit.
    if events_of_attempt(transaction, *mac, *attempt)? >= EVENTS_PER_ATTEMPT + LAST_EVENTS {
        return Ok(false);
    }
    let added = transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO events (mac, attempt, at, kind, name, text, result, digest)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![mac.to_string(), *attempt as i64, at.to_string(), kind, name, text, result, digest])?;
    Ok(added == 1)
}
