//! What `provbuild node` tells: what goes on to stderr, results to stdout, in the order in which the nodes were asked for.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bmc::{Outcome, Verb};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::{object, print, tell};
use crate::node::{Kind, NodeError, Unfit, Watch};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    /// One line for each node.
    Table,
    /// A line and all details.
    Details,
    /// A resource, and nothing else.
    Bare,
}

impl Form {
    pub(super) fn of(verb: &Verb, nodes: usize, json: bool) -> Form {
        let details = matches!(
            verb,
            Verb::Sensors {}
                | Verb::Inventory {}
                | Verb::BiosGet { .. }
                | Verb::BiosPlan {}
                | Verb::BiosDiff {}
                | Verb::BootOrderGet {}
                | Verb::Raw { .. }
                | Verb::BiosApply { .. }
        );
        match (json, verb, nodes) {
            (true, ..) => Form::Json,
            (_, Verb::Raw { .. }, 1) => Form::Bare,
            (_, _, 1) => Form::Details,
            _ if details => Form::Details,
            _ => Form::Table,
        }
    }
}

/// Tells what goes on, and keeps results until those before them are there.
pub(super) struct Show {
    form: Form,
    color: bool,
    width: usize,
    bars: Option<(MultiProgress, BTreeMap<String, ProgressBar>)>,
    order: Mutex<Order>,
}

#[derive(Default)]
struct Order {
    waiting: BTreeMap<usize, (String, Result<Outcome, NodeError>)>,
    next: usize,
    failed: Vec<(Exit, String)>,
    /// Texts of errors that come after a table: in the middle they would tear it.
    errors: String,
}

impl Show {
    pub(super) fn new(form: Form, color: bool, nodes: &[&str]) -> Show {
        let width = nodes.iter().map(|node| node.len()).max().unwrap_or(0);
        let bars = io::stderr().is_terminal().then(|| {
            let all = MultiProgress::new();
            let bar = |node: &&str| {
                let style = ProgressStyle::with_template("{spinner} {prefix} {msg}");
                let bar = ProgressBar::new_spinner().with_prefix(format!("{node:width$}"));
                let bar = all.add(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner())));
                bar.enable_steady_tick(Duration::from_millis(120));
                ((*node).to_owned(), bar)
            };
            let bars = nodes.iter().map(bar).collect();
            (all, bars)
        });
        Show { form, color, width, bars, order: Mutex::default() }
    }

    /// The code of the first node, in the order asked, that failed.
    pub(super) fn failure(&self) -> Option<Failure> {
        failure(&self.order.lock().unwrap_or_else(PoisonError::into_inner).failed)
    }

    /// A line on stderr, above the bars.
    pub(super) fn say(&self, line: &str) {
        self.aside(|| tell(&format!("{line}\n")));
    }

    /// Errors that were kept back until the table was there.
    pub(super) fn tell_errors(&self) {
        let errors = std::mem::take(&mut self.order.lock().unwrap_or_else(PoisonError::into_inner).errors);
        self.aside(|| tell(&errors));
    }

    /// The bars are drawn again at their next tick. Not `suspend`: it panics where the terminal has gone away.
    fn aside(&self, put: impl FnOnce()) {
        if let Some((all, _)) = &self.bars {
            let _ = all.clear();
        }
        put();
    }

    /// Nothing is drawn while somebody is asked.
    pub(super) fn pause<T>(&self, ask: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some((all, _)) => all.suspend(ask),
            None => ask(),
        }
    }

    /// Nothing goes on any more.
    pub(super) fn clear(&self) {
        self.bars.iter().flat_map(|(_, bars)| bars.values()).for_each(ProgressBar::finish_and_clear);
    }

    fn write(&self, text: &str) {
        // A reader that has gone away ends the talk, not the work.
        self.aside(|| drop(print(text)));
    }

    fn result(&self, node: &str, result: &Result<Outcome, NodeError>, errors: &mut String) {
        match (result, self.form) {
            (Ok(outcome), Form::Json) => self.write(&format!("{}\n", line(node, outcome))),
            (Ok(outcome), Form::Bare) => self.write(&outcome.details()),
            (Ok(outcome), Form::Table) => {
                self.write(&format!("{node:width$}  {}\n", outcome.summary(), width = self.width));
            }
            (Ok(outcome), Form::Details) => {
                let details: String = outcome.details().lines().map(|line| format!("  {line}\n")).collect();
                self.write(&format!("{node}: {}\n{details}", outcome.summary()));
            }
            (Err(error), form) => {
                match form {
                    Form::Json => self.write(&format!("{}\n", error_line(node, error))),
                    Form::Table => {
                        self.write(&format!("{node:width$}  - ({})\n", error.kind().name(), width = self.width));
                    }
                    Form::Details | Form::Bare => {}
                }
                let text = error_text(node, error, self.color);
                match form {
                    Form::Table => errors.push_str(&text),
                    Form::Json | Form::Details | Form::Bare => self.aside(|| tell(&text)),
                }
            }
        }
    }
}

impl Watch for Show {
    fn step(&self, node: &str, text: &str) {
        match &self.bars {
            Some((_, bars)) => {
                if let Some(bar) = bars.get(node) {
                    bar.set_message(text.to_owned());
                }
            }
            // Of every node: it says nothing.
            None if text == "connecting" => {}
            None => tell(&format!("{node}: {text}\n")),
        }
    }

    fn ended(&self, index: usize, node: &str, result: Result<Outcome, NodeError>) {
        if let Some(bar) = self.bars.as_ref().and_then(|(_, bars)| bars.get(node)) {
            bar.finish_and_clear();
        }
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        order.waiting.insert(index, (node.to_owned(), result));
        loop {
            let next = order.next;
            let Some((node, result)) = order.waiting.remove(&next) else { break };
            self.result(&node, &result, &mut order.errors);
            if let Err(error) = &result {
                order.failed.push((error.kind().into(), format!("{node}: {error}")));
            }
            order.next += 1;
        }
    }
}

fn line(node: &str, outcome: &Outcome) -> Value {
    let mut object = json!({ "event": "node", "node": node });
    if let (Some(object), Ok(Value::Object(fields))) = (object.as_object_mut(), serde_json::to_value(outcome)) {
        object.extend(fields);
    }
    object
}

pub(super) fn error_line(node: &str, error: &NodeError) -> Value {
    let about = json!({ "kind": error.kind().name(), "message": error.to_string(), "help": error.help(node) });
    json!({ "event": "node", "node": node, "error": about })
}

pub(super) fn error_text(node: &str, error: &NodeError, color: bool) -> String {
    let (red, cyan, reset) = if color { ("\x1b[1;31m", "\x1b[1;36m", "\x1b[0m") } else { ("", "", "") };
    let help = error.help(node).map(|help| format!("{cyan}help{reset}: {help}\n")).unwrap_or_default();
    format!("{red}error{reset}: {node}: {error}\n{help}")
}

/// The code of the first one; what each of them has was said.
fn failure(failed: &[(Exit, String)]) -> Option<Failure> {
    let (exit, first) = failed.first()?;
    let message = match failed.len() {
        1 => first.clone(),
        count => format!("{count} nodes failed; {first}"),
    };
    Some(Failure::Reported { exit: *exit, message })
}

/// All nodes that nothing can be asked of; the code of the first one.
pub(super) fn unfit(unfit: &[Unfit], json: bool, color: bool) -> Failure {
    for Unfit { node, error } in unfit {
        if json {
            // That of the node comes first.
            let _ = object(&error_line(node, error));
        }
        tell(&error_text(node, error, color));
    }
    let failed: Vec<_> =
        unfit.iter().map(|it| (it.error.kind().into(), format!("{}: {}", it.node, it.error))).collect();
    failure(&failed).unwrap_or(Failure::Reported { exit: Exit::Profile, message: "no node was named".to_owned() })
}

impl From<Kind> for Exit {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Input => Exit::Profile,
            Kind::Surroundings => Exit::Io,
            Kind::Unreachable => Exit::Bmc,
            Kind::Trust => Exit::Trust,
            Kind::Refused => Exit::Refused,
            Kind::NotApplied => Exit::NotApplied,
            Kind::Installation => Exit::Installation,
            Kind::Interrupted => Exit::Interrupted,
        }
    }
}
