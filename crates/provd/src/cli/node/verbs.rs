//! One verb for one node or many, at the same time.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bmc::{Outcome, Verb};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::cli::client::{Client, Error, segment};
use crate::cli::operate::{Shell, print};
use crate::cli::show::{field, lines, plain};

/// Nodes at a time: fewer than the daemon takes.
const AT_ONCE: usize = 32;
/// Between two looks at an operation.
const LOOK: Duration = Duration::from_millis(250);
/// For a daemon that is started again meanwhile.
const AWAY: Duration = Duration::from_secs(60);
/// Exit code where a certificate or credentials were refused.
pub(super) const TRUST: u8 = 12;

/// The exit code of a failure's kind.
pub(super) fn code(kind: &str) -> u8 {
    match kind {
        "input" => 2,
        "unreachable" | "interrupted" => 11,
        "trust" => TRUST,
        "refused" => 13,
        "not-applied" => 14,
        _ => 9,
    }
}

/// What became of one node.
struct Report {
    code: u8,
    /// The operation, or `{"node", "state": "failed", "error"}` where there is none.
    value: Value,
}

/// What the person has said that he means.
pub(super) struct Means {
    pub(super) interrupt: bool,
    pub(super) yes: bool,
}

pub(super) async fn run(shell: &Shell, command: bmc::Command, means: Means, reason: String) -> Result<ExitCode, Error> {
    let (verb, nodes) = command.split();
    let nodes = if nodes.all { with_bmcs(&shell.client).await? } else { nodes.nodes };
    if nodes.is_empty() {
        return Err(Error::NotFound("no node has a BMC".to_owned()));
    }
    let many = nodes.len() > 1;
    if verb.interrupts() && many && !means.yes {
        ask_to_interrupt(&verb, &nodes)?;
    }
    let body = json!({ "verb": verb, "force": means.interrupt, "reason": reason });
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut work = JoinSet::new();
    for (at, node) in nodes.into_iter().enumerate() {
        let (client, body, permits) = (shell.client.clone(), body.clone(), Arc::clone(&permits));
        work.spawn(async move {
            let _permit = permits.acquire_owned().await;
            (at, one(&client, &node, &body).await)
        });
    }
    let mut codes = Vec::new();
    while let Some(done) = work.join_next().await {
        let (at, report) = done.map_err(|error| Error::Other(error.to_string()))?;
        show(shell, &report, &verb, many)?;
        codes.push((at, report.code));
    }
    codes.sort_unstable();
    Ok(ExitCode::from(codes.into_iter().map(|(_, code)| code).find(|code| *code != 0).unwrap_or_default()))
}

/// Whether so many machines may be interrupted is asked of a person.
fn ask_to_interrupt(verb: &Verb, nodes: &[String]) -> Result<(), Error> {
    let names: Vec<String> = nodes.iter().map(|node| plain(node)).collect();
    let question = format!("{} interrupts {} machines: {}", verb.title(), names.len(), names.join(", "));
    if !io::stdin().is_terminal() {
        return Err(Error::Usage(format!("{question}: give --yes to mean it")));
    }
    eprint!("{question}\nType 'yes' to go on: ");
    let mut typed = String::new();
    io::stdin().lock().read_line(&mut typed).map_err(|error| Error::Other(error.to_string()))?;
    match typed.trim() {
        "yes" => Ok(()),
        _ => Err(Error::Refused("nothing was done".to_owned())),
    }
}

async fn with_bmcs(client: &Client) -> Result<Vec<String>, Error> {
    let nodes: Value = client.get("/api/v1/nodes").await?;
    let with = nodes.as_array().into_iter().flatten().filter(|node| node["has-bmc"] == true);
    Ok(with.filter_map(|node| node["hostname"].as_str()).map(str::to_owned).collect())
}

async fn one(client: &Client, node: &str, body: &Value) -> Report {
    let path = format!("/api/v1/nodes/{}/operations", segment(node));
    let operation = match client.post(&path, body).await {
        Ok(operation) => followed(client, operation).await,
        Err(error) => Err(error),
    };
    match operation {
        Ok(operation) => Report { code: code_of(&operation), value: operation },
        Err(error) => {
            let kind = match &error {
                Error::NotFound(_) => "not-found",
                Error::NoDaemon { .. } => "no-daemon",
                Error::Refused(_) | Error::Usage(_) | Error::Other(_) => "refused-by-provd",
            };
            let fault = json!({ "kind": kind, "message": error.to_string(), "help": null });
            Report { code: error.code(), value: json!({ "node": node, "state": "failed", "error": fault }) }
        }
    }
}

/// The exit code of an operation that has ended.
pub(super) fn code_of(operation: &Value) -> u8 {
    match &operation["error"] {
        Value::Object(error) => code(error.get("kind").and_then(Value::as_str).unwrap_or_default()),
        _ => 0,
    }
}

/// An operation at its end; its steps are told as they come.
pub(super) async fn followed(client: &Client, begun: Value) -> Result<Value, Error> {
    let mut operation = begun;
    let path = format!("/api/v1/operations/{}", operation["id"]);
    let (mut told, mut heard) = (String::new(), Instant::now());
    while operation["state"] == "running" {
        let step = operation["step"].as_str().unwrap_or_default().to_owned();
        if !step.is_empty() && step != told {
            eprintln!("{}: {}", field(&operation, "node"), plain(&step));
            told = step;
        }
        tokio::time::sleep(LOOK).await;
        match client.get::<Value>(&path).await {
            Ok(now) => (operation, heard) = (now, Instant::now()),
            Err(Error::NoDaemon { .. }) if heard.elapsed() < AWAY => {}
            Err(error) => return Err(error),
        }
    }
    Ok(operation)
}

fn show(shell: &Shell, report: &Report, verb: &Verb, many: bool) -> Result<(), Error> {
    let value = &report.value;
    if shell.json {
        return print(&format!("{value}\n"));
    }
    let node = field(value, "node");
    if let error @ Value::Object(_) = &value["error"] {
        eprintln!("provd: {node}: {}: {}", verb.title(), field(error, "message"));
        if let Some(help) = error["help"].as_str() {
            eprintln!("  help: {}", plain(help));
        }
        return Ok(());
    }
    let outcome: Option<Outcome> = serde_json::from_value(value["outcome"].clone()).ok();
    let details = outcome.map(|outcome| outcome.details()).unwrap_or_default();
    let mut text = format!("{node}: {}\n", field(value, "summary"));
    if many && !details.is_empty() {
        text += &lines(&details).lines().map(|line| format!("  {line}\n")).collect::<String>();
    } else {
        text += &lines(&details);
    }
    print(&text)
}
