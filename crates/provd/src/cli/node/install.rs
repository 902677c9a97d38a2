//! `provd node install`: begun, then followed until the node is verified or has failed.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::verbs::{code_of, followed};
use crate::cli::client::{Error, segment};
use crate::cli::operate::{Shell, print};
use crate::cli::show::{field, plain};

/// Between two looks at the node.
const LOOK: Duration = Duration::from_secs(1);
/// For a daemon that is started again meanwhile.
const AWAY: Duration = Duration::from_secs(300);
const NOT_INSTALLED: u8 = 15;

pub(super) async fn run(shell: &Shell, node: &str, yes: bool, reason: &str) -> Result<ExitCode, Error> {
    let path = format!("/api/v1/nodes/{}", segment(node));
    let detail: Value = shell.client.get(&path).await?;
    shell.ask_to_erase("install", &detail, yes)?;
    let hostname = detail["node"]["hostname"].as_str().unwrap_or_default();
    let asked = json!({ "reason": reason, "confirm": hostname });
    let begun = shell.client.post(&format!("{path}/install"), &asked).await?;
    let interrupted = tokio::signal::ctrl_c();
    tokio::select! {
        result = follow(shell, &path, begun) => result,
        _ = interrupted => {
            let name = plain(hostname);
            eprintln!("\nprovd: it goes on by itself. Follow it: provd events --follow; take it back: provd disarm {name}");
            Ok(ExitCode::from(NOT_INSTALLED))
        }
    }
}

async fn follow(shell: &Shell, path: &str, begun: Value) -> Result<ExitCode, Error> {
    let operation = followed(&shell.client, begun).await?;
    if let error @ Value::Object(_) = &operation["error"] {
        if shell.json {
            print(&format!("{operation}\n"))?;
        } else {
            eprintln!("provd: {}: install: {}", field(&operation, "node"), field(error, "message"));
            if let Some(help) = error["help"].as_str() {
                eprintln!("  help: {}", plain(help));
            }
        }
        return Ok(ExitCode::from(code_of(&operation)));
    }
    let detail = until_it_ends(shell, path).await?;
    let row = &detail["node"];
    if shell.json {
        print(&format!("{}\n", json!({ "node": row["hostname"], "operation": operation, "detail": detail })))?;
    }
    let (hostname, state) = (field(row, "hostname"), field(row, "state"));
    if state == "verified" {
        if !shell.json {
            print(&format!("{hostname} is verified\n"))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("provd: {hostname} is {state}: {}", field(row, "detail"));
    eprintln!("  help: what happened: provd show {hostname}; its installer's log: provd log {hostname}");
    Ok(ExitCode::from(NOT_INSTALLED))
}

/// The node when its attempt has come to an end, or another one has begun.
async fn until_it_ends(shell: &Shell, path: &str) -> Result<Value, Error> {
    let (mut attempt, mut told, mut heard) = (None, String::new(), Instant::now());
    loop {
        match shell.client.get::<Value>(path).await {
            Ok(detail) => {
                heard = Instant::now();
                let row = &detail["node"];
                let now = format!("{} {}", field(row, "state"), field(row, "detail"));
                if now != told {
                    eprintln!("{}: {now}", field(row, "hostname"));
                    told = now;
                }
                let goes_on = matches!(row["state"].as_str(), Some("armed" | "booting" | "installing" | "installed"));
                if !goes_on || *attempt.get_or_insert_with(|| row["attempts"].clone()) != row["attempts"] {
                    return Ok(detail);
                }
            }
            Err(Error::NoDaemon { .. }) if heard.elapsed() < AWAY => {}
            Err(error) => return Err(error),
        }
        tokio::time::sleep(LOOK).await;
    }
}
