//! `provd node`: verbs on nodes' BMCs, by the running daemon.
//!
//! Standard output: a line or a table for each node, or one JSON object for each with `--json`; steps go to standard error. Exit code: of
//! the first node, in the order asked, that failed.

mod install;
mod verbs;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::client::{Error, segment};
use super::operate::{Shell, print};
use super::show::{ago, field, table};

/// Longer than the daemon gives a reading.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(190);

const EXIT_CODES: &str = "Exit codes, of the first node, in the order asked, that failed:
   0  done
   1  the daemon refused it: another operation goes on, an installation goes on, the node has no BMC
   2  wrong usage, or the BMC was asked for something that makes no sense
   3  there is no such node
   4  the daemon cannot be reached
   9  a file of the appliance: credentials that are missing or that everybody may read
  11  the BMC cannot be reached, or was busy too long; or the daemon was restarted meanwhile
  12  the BMC's certificate or the credentials were refused
  13  the BMC cannot or will not do it
  14  it accepted, and reading back shows otherwise
  15  the installation failed, or could not be followed to its end";

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(in crate::cli) struct Node {
    #[command(subcommand)]
    command: Command,
    /// Also where this ends an installation that goes on.
    #[arg(long, global = true)]
    interrupt: bool,
    /// For the audit log.
    #[arg(long, global = true, default_value = "")]
    reason: String,
    /// Do not ask before several machines are interrupted, or a disk is erased.
    #[arg(long, short, global = true)]
    yes: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Verb(bmc::Command),
    /// Arms a node, boots it from the network, cycles its power, and follows until it is verified. Its disk will be erased.
    Install { node: String },
    /// Lists what was done with a node's BMC.
    Operations { node: String },
    /// Shows the certificate that a node's BMC is known by, and the one that it shows now.
    Trust {
        node: String,
        /// Forget it: the next one that the BMC shows is pinned.
        #[arg(long)]
        forget: bool,
    },
}

impl Node {
    pub(in crate::cli) async fn run(self, shell: &Shell) -> Result<ExitCode, Error> {
        let shell = Shell { client: shell.client.patient(PATIENCE), json: shell.json };
        let Node { command, interrupt, reason, yes } = self;
        match command {
            Command::Verb(command) => verbs::run(&shell, command, verbs::Means { interrupt, yes }, reason).await,
            Command::Install { node } => install::run(&shell, &node, yes, &reason).await,
            Command::Operations { node } => operations(&shell, &node).await,
            Command::Trust { node, forget } => trust(&shell, &node, forget).await,
        }
    }
}

async fn operations(shell: &Shell, node: &str) -> Result<ExitCode, Error> {
    let operations: Value = shell.client.get(&format!("/api/v1/nodes/{}/operations", segment(node))).await?;
    let now = Timestamp::now();
    shell.rows(&operations, &["NUMBER", "WHEN", "WHAT", "STATE", "WHO", "RESULT"], |operation| {
        let text = |name: &str| field(operation, name);
        let result = match (&operation["error"], &operation["summary"]) {
            (error @ Value::Object(_), _) => field(error, "message"),
            (_, Value::String(_)) => text("summary"),
            _ => text("step"),
        };
        let when = operation["started"].as_str().map(|at| ago(at, now)).unwrap_or_default();
        vec![text("id"), when, text("title"), text("state"), text("who"), result]
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn trust(shell: &Shell, node: &str, forget: bool) -> Result<ExitCode, Error> {
    let path = format!("/api/v1/nodes/{}/certificate", segment(node));
    if forget {
        shell.client.text(Method::DELETE, &path, None).await?;
        if shell.json {
            shell.print_json(&json!({ "node": node, "forgotten": true }))?;
        } else {
            eprintln!("Forgotten: the next certificate that the BMC shows is pinned.");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let found: Value = shell.client.get(&path).await?;
    let code = match (&found["pinned"], &found["shown"]) {
        (_, Value::Null) => verbs::code(found["error"]["kind"].as_str().unwrap_or_default()),
        (Value::String(pinned), Value::String(shown)) if pinned != shown => verbs::TRUST,
        _ => 0,
    };
    if shell.json {
        shell.print_json(&found)?;
        return Ok(ExitCode::from(code));
    }
    let seen = found["seen"].as_str().map(|at| format!(", seen {}", ago(at, Timestamp::now()))).unwrap_or_default();
    let shown = match &found["error"] {
        error @ Value::Object(_) => format!("nothing: {}", field(error, "message")),
        _ => field(&found, "shown"),
    };
    let rows =
        [vec!["pinned".to_owned(), format!("{}{seen}", field(&found, "pinned"))], vec!["shown".to_owned(), shown]];
    print(&table(&[&field(&found, "endpoint"), "CERTIFICATE"], &rows))?;
    if code == verbs::TRUST {
        eprintln!(
            "provd: it shows another certificate than before: compare it on the spot, then `provd node trust {} --forget`",
            super::show::plain(node)
        );
    }
    Ok(ExitCode::from(code))
}
