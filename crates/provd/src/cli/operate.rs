//! The commands that ask the running daemon.
//!
//! Standard output is data: tables for people, JSON with `--json`; everything else goes to standard error.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use http_body_util::BodyExt as _;
use hyper::Method;
use jiff::{SpanRelativeTo, Timestamp, Unit};
use serde_json::{Value, json};

use super::client::{Client, Error, SOCKET, segment};
use super::show::{ago, field, lines, plain, table, time};
use crate::state::State;

/// Between two tries of whoever follows a daemon that went away.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct Daemon {
    /// The daemon's local socket.
    #[arg(long, env = "PROVD_SOCKET", default_value = SOCKET, global = true)]
    socket: PathBuf,
    /// Print what the daemon answers, as JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Operate {
    /// Lists the nodes and their states.
    Nodes {
        /// Only the nodes in this state.
        #[arg(long, value_parser = PossibleValuesParser::new(State::NAMES))]
        state: Option<String>,
    },
    /// Shows a node and what happened to it.
    Show { node: String },
    /// Lets a node install at its next boot from the network. Its disk will be erased.
    Arm(Erase),
    /// Takes an arming back, or gives an installation up.
    Disarm {
        node: String,
        /// For the audit log.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Gives up what goes on with a node, and arms it. Its disk will be erased.
    Reinstall(Erase),
    /// Switches, reads and sets nodes' machines by their BMCs.
    Node(super::node::Node),
    /// Prints the end of the log that a node's last failed installation left.
    Log { node: String },
    /// Prints changes of the nodes' states.
    Events {
        /// Go on printing as they happen.
        #[arg(long, short)]
        follow: bool,
    },
    /// Lists machines that were seen and are in no inventory.
    Strangers {
        /// Print the stanzas for nodes.toml.
        #[arg(long, conflicts_with = "forget")]
        stanzas: bool,
        /// Forget the machine with this MAC address.
        #[arg(long, value_name = "MAC")]
        forget: Option<String>,
    },
    /// Prints the audit log, or verifies its chain.
    Audit {
        /// Check every line's hash; exit code 1 if the log is not what was written.
        #[arg(long)]
        verify: bool,
        /// Only the lines of this node.
        #[arg(long)]
        node: Option<String>,
        /// Only the lines after this number.
        #[arg(long)]
        after: Option<u64>,
        /// How many lines.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// Makes a link that logs a browser in, once, within ten minutes.
    Login {
        /// The session may not act.
        #[arg(long)]
        read_only: bool,
        /// Name or address at which the browser reaches this appliance [default: the one of its default route].
        #[arg(long)]
        address: Option<String>,
    },
    /// Tokens of programs that use the API.
    #[command(subcommand)]
    Token(Token),
    /// Says whether the daemon, its database and the services beside it answer: exit code 1 if one of them does not.
    ///
    /// The installers' media are listed, and change nothing of that: one may still be on its way.
    Health,
}

#[derive(Debug, Args)]
pub(super) struct Erase {
    node: String,
    /// For the audit log.
    #[arg(long, default_value = "")]
    reason: String,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Makes a token and prints it, this once.
    Create {
        name: String,
        /// The token may not act.
        #[arg(long)]
        read_only: bool,
        /// How long it lasts, as "30d" or "12h"; without this until it is revoked.
        #[arg(long)]
        expires: Option<jiff::Span>,
    },
    /// Lists the tokens, without their secrets.
    List,
    /// Ends a token and the sessions that were made with it.
    Revoke { name: String },
}

/// Runs a command to its exit code.
pub(super) fn run(daemon: &Daemon, command: Operate) -> ExitCode {
    let work = async {
        let shell = Shell { client: Client::new(&daemon.socket), json: daemon.json };
        shell.run(command).await
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.map_err(|error| Error::Other(error.to_string())).and_then(|runtime| runtime.block_on(work));
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("provd: {}", plain(&error.to_string()));
            error.exit()
        }
    }
}

pub(super) struct Shell {
    pub(super) client: Client,
    pub(super) json: bool,
}

impl Shell {
    async fn run(&self, command: Operate) -> Result<ExitCode, Error> {
        match command {
            Operate::Nodes { state } => self.nodes(state).await?,
            Operate::Show { node } => self.show(&node).await?,
            Operate::Arm(erase) => self.erase("arm", erase).await?,
            Operate::Reinstall(erase) => self.erase("reinstall", erase).await?,
            Operate::Disarm { node, reason } => {
                let path = format!("/api/v1/nodes/{}/disarm", segment(&node));
                let detail = self.client.post(&path, &json!({ "reason": reason })).await?;
                self.acted(&detail)?;
            }
            Operate::Node(node) => return node.run(self).await,
            Operate::Log { node } => {
                let text =
                    self.client.text(Method::GET, &format!("/api/v1/nodes/{}/log", segment(&node)), None).await?;
                if self.json { self.print_json(&json!({ "log": text }))? } else { print(&lines(&text))? }
            }
            Operate::Events { follow } => self.events(follow).await?,
            Operate::Strangers { stanzas, forget } => self.strangers(stanzas, forget).await?,
            Operate::Audit { verify: true, .. } => return self.verify().await,
            Operate::Audit { node, after, limit, .. } => self.audit(node, after, limit).await?,
            Operate::Login { read_only, address } => self.login(read_only, address).await?,
            Operate::Token(token) => self.token(token).await?,
            Operate::Health => return self.health().await,
        }
        Ok(ExitCode::SUCCESS)
    }

    pub(super) fn print_json(&self, value: &Value) -> Result<(), Error> {
        print(&format!("{value:#}\n"))
    }

    /// Rows of the answer, or the answer itself.
    pub(super) fn rows(&self, answer: &Value, head: &[&str], row: impl Fn(&Value) -> Vec<String>) -> Result<(), Error> {
        if self.json {
            return self.print_json(answer);
        }
        let rows: Vec<Vec<String>> = answer.as_array().into_iter().flatten().map(row).collect();
        print(&table(head, &rows))
    }

    async fn nodes(&self, state: Option<String>) -> Result<(), Error> {
        let query = state.map(|state| format!("?state={}", segment(&state))).unwrap_or_default();
        let nodes: Value = self.client.get(&format!("/api/v1/nodes{query}")).await?;
        let now = Timestamp::now();
        self.rows(&nodes, &["NODE", "STATE", "SINCE", "HEARD", "ADDRESS", "INSTALLER", "DETAIL"], |node| {
            let since = |name: &str| node[name].as_str().map_or_else(|| "never".to_owned(), |at| ago(at, now));
            let text = |name: &str| field(node, name);
            vec![
                text("hostname"),
                text("state"),
                since("since"),
                since("heard"),
                text("address"),
                text("installer"),
                text("detail"),
            ]
        })
    }

    async fn show(&self, name: &str) -> Result<(), Error> {
        let detail: Value = self.client.get(&format!("/api/v1/nodes/{}", segment(name))).await?;
        let timeline: Value = self.client.get(&format!("/api/v1/nodes/{}/timeline", segment(name))).await?;
        if self.json {
            return self.print_json(&json!({ "detail": detail, "timeline": timeline }));
        }
        let node = &detail["node"];
        let now = Timestamp::now();
        let mut text = format!("{} is {}", field(node, "hostname"), field(node, "state"));
        if let Some(detail) = node["detail"].as_str().filter(|detail| !detail.is_empty()) {
            text += &format!(": {}", plain(detail));
        }
        text += &format!(" (since {})\n", node["since"].as_str().map(|at| ago(at, now)).unwrap_or_default());
        for (title, value) in [
            ("mac", field(node, "mac")),
            ("address", field(node, "address")),
            ("installer", field(node, "installer")),
            ("medium", if node["media-ready"] == true { "ready" } else { "not ready" }.to_owned()),
            ("disk", disk(&detail["disk"])),
            ("attempts", field(node, "attempts")),
            ("heard", node["heard"].as_str().map_or_else(|| "never".to_owned(), |at| ago(at, now))),
        ] {
            text += &format!("  {title:<10} {value}\n");
        }
        if let Some(until) = armed_until(&detail, now) {
            text += &format!("  {:<10} {until}\n", "armed");
        }
        let refused = &detail["refused"];
        if refused.is_object() {
            let when = refused["at"].as_str().map(|at| ago(at, now)).unwrap_or_default();
            let (reason, from) = (field(refused, "reason"), field(refused, "from"));
            text += &format!("  {:<10} {reason} (asked from {from}, {when})\n", "refused");
        }
        for key in detail["host-keys"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            text += &format!("  {:<10} {}\n", "host key", plain(key));
        }
        text += "\n";
        // The newest last, where the eye is.
        let rows: Vec<_> = timeline
            .as_array()
            .into_iter()
            .flatten()
            .rev()
            .map(|entry| {
                let phase = field(entry, "phase");
                let title = if phase == "-" {
                    format!("-> {}", field(entry, "title"))
                } else {
                    format!("{phase} {}", field(entry, "title"))
                };
                vec![
                    time(entry["at"].as_str().unwrap_or_default()),
                    field(entry, "attempt"),
                    title,
                    field(entry, "text"),
                ]
            })
            .collect();
        text += &table(&["WHEN (UTC)", "ATTEMPT", "WHAT", "TEXT"], &rows);
        if node["state"] == "failed" {
            text += &format!("\nThe end of its installer's log: provd log {}\n", field(node, "hostname"));
        }
        print(&text)
    }

    async fn erase(&self, action: &str, Erase { node, reason, yes }: Erase) -> Result<(), Error> {
        let detail: Value = self.client.get(&format!("/api/v1/nodes/{}", segment(&node))).await?;
        self.ask_to_erase(action, &detail, yes)?;
        let hostname = detail["node"]["hostname"].as_str().unwrap_or_default();
        let path = format!("/api/v1/nodes/{}/{action}", segment(&node));
        let detail = self.client.post(&path, &json!({ "reason": reason, "confirm": hostname })).await?;
        self.acted(&detail)
    }

    /// Whether its disk may be erased is asked of a person, unless he has said so already.
    pub(super) fn ask_to_erase(&self, action: &str, detail: &Value, yes: bool) -> Result<(), Error> {
        let row = &detail["node"];
        let hostname = row["hostname"].as_str().unwrap_or_default();
        if !yes {
            if !io::stdin().is_terminal() {
                return Err(Error::Usage(format!(
                    "{action} erases the disk of {}: give --yes to mean it",
                    plain(hostname)
                )));
            }
            let disk = match &detail["disk"] {
                Value::Null => "its only disk".to_owned(),
                selected => format!("the disk with {}", disk(selected)),
            };
            eprintln!(
                "{} ({}, {}) is {}. At its next boot from the network everything on {disk} will be erased, and {} installed.",
                plain(hostname),
                field(row, "mac"),
                field(row, "address"),
                field(row, "state"),
                field(row, "installer"),
            );
            eprint!("Type the node's name to go on: ");
            let mut typed = String::new();
            io::stdin().lock().read_line(&mut typed).map_err(|error| Error::Other(error.to_string()))?;
            if typed.trim() != hostname {
                return Err(Error::Refused("nothing was done".to_owned()));
            }
        }
        Ok(())
    }

    fn acted(&self, detail: &Value) -> Result<(), Error> {
        if self.json {
            return self.print_json(detail);
        }
        let node = &detail["node"];
        let until = armed_until(detail, Timestamp::now()).map(|until| format!(", {until}")).unwrap_or_default();
        let said = node["detail"].as_str().filter(|said| !said.is_empty());
        let said = said.map(|said| format!(": {}", plain(said))).unwrap_or_default();
        print(&format!("{} is {}{said}{until}\n", field(node, "hostname"), field(node, "state")))
    }

    async fn audit(&self, node: Option<String>, after: Option<u64>, limit: u16) -> Result<(), Error> {
        let mut path = format!("/api/v1/audit?limit={limit}");
        path += &node.map(|node| format!("&node={}", segment(&node))).unwrap_or_default();
        path += &after.map(|after| format!("&after={after}")).unwrap_or_default();
        let mut lines: Value = self.client.get(&path).await?;
        if let (None, Some(lines)) = (after, lines.as_array_mut()) {
            lines.reverse();
        }
        self.rows(&lines, &["LINE", "WHEN (UTC)", "NODE", "FROM", "TO", "WHO", "FROM WHERE", "WHY"], |line| {
            let text = |name: &str| field(line, name);
            let when = time(line["at"].as_str().unwrap_or_default());
            vec![
                text("seq"),
                when,
                text("hostname"),
                text("from"),
                text("to"),
                text("who"),
                text("origin"),
                text("why"),
            ]
        })
    }

    async fn verify(&self) -> Result<ExitCode, Error> {
        let found: Value = self.client.get("/api/v1/audit/verification").await?;
        let valid = found["valid"] == true;
        if self.json {
            self.print_json(&found)?;
        } else if valid {
            print(&format!("valid: {} lines, the last hash is {}\n", field(&found, "lines"), field(&found, "hash")))?;
        } else {
            print(&format!("not valid: {}\n", field(&found, "fault")))?;
        }
        Ok(if valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn strangers(&self, stanzas: bool, forget: Option<String>) -> Result<(), Error> {
        if let Some(mac) = forget {
            return self.client.delete(&format!("/api/v1/strangers/{}", segment(&mac))).await;
        }
        let strangers: Value = self.client.get("/api/v1/strangers").await?;
        if stanzas && !self.json {
            let texts = strangers.as_array().into_iter().flatten().filter_map(|s| s["stanza"].as_str());
            return print(&texts.map(lines).collect::<Vec<_>>().join("\n"));
        }
        let now = Timestamp::now();
        self.rows(&strangers, &["MAC", "LAST SEEN", "ADDRESS", "NAME", "VENDOR", "FINGERPRINT"], |stranger| {
            let text = |name: &str| field(stranger, name);
            let seen = ago(stranger["last-seen"].as_str().unwrap_or_default(), now);
            vec![text("mac"), seen, text("address"), text("hostname"), text("vendor"), text("fingerprint")]
        })
    }

    async fn login(&self, read_only: bool, address: Option<String>) -> Result<(), Error> {
        let made = self.client.post("/api/v1/logins", &json!({ "read-only": read_only })).await?;
        if self.json {
            return self.print_json(&made);
        }
        let address = address.or_else(default_address).unwrap_or_else(|| "localhost".to_owned());
        eprintln!(
            "Open this within ten minutes; it is good once, for {}:",
            if read_only { "reading" } else { "reading and acting" }
        );
        // Behind '#', so that no server and no log on the way is given the code.
        print(&format!("https://{address}/login#{}\n", field(&made, "code")))
    }

    async fn token(&self, token: Token) -> Result<(), Error> {
        match token {
            Token::Create { name, read_only, expires } => {
                let mut asked = json!({ "name": name, "read-only": read_only });
                if let Some(span) = expires {
                    // A day has 24 hours here.
                    let seconds = span.total((Unit::Second, SpanRelativeTo::days_are_24_hours()));
                    let seconds = seconds.ok().filter(|seconds| *seconds >= 1.0);
                    let seconds =
                        seconds.ok_or_else(|| Error::Usage("a token lasts a time like '30d' or '12h'".to_owned()))?;
                    asked["lasts"] = json!(seconds as u64);
                }
                let made = self.client.post("/api/v1/tokens", &asked).await?;
                if self.json {
                    return self.print_json(&made);
                }
                eprintln!("This is shown once. Programs send it as `Authorization: Bearer TOKEN`.");
                print(&format!("{}\n", field(&made, "token")))
            }
            Token::List => {
                let tokens: Value = self.client.get("/api/v1/tokens").await?;
                self.rows(&tokens, &["NAME", "MAY", "MADE (UTC)", "EXPIRES (UTC)"], |token| {
                    let may = if token["may-act"] == true { "act" } else { "read" }.to_owned();
                    let expires = token["expires"].as_str().map_or_else(|| "never".to_owned(), time);
                    vec![field(token, "name"), may, time(token["made"].as_str().unwrap_or_default()), expires]
                })
            }
            Token::Revoke { name } => self.client.delete(&format!("/api/v1/tokens/{}", segment(&name))).await,
        }
    }

    async fn health(&self) -> Result<ExitCode, Error> {
        let health: Value = self.client.get("/healthz").await?;
        let services: Value = self.client.get("/api/v1/services").await?;
        let media: Value = self.client.get("/api/v1/media").await?;
        let works = services.as_array().into_iter().flatten().all(|service| service["works"] == true);
        if self.json {
            self.print_json(&json!({ "health": health, "services": services, "media": media }))?;
        } else {
            let head = format!("provd {}, image {}\n\n", field(&health, "version"), field(&health, "image"));
            let services = services.as_array().into_iter().flatten().map(|service| {
                let works = if service["works"] == true { "works" } else { "does not answer" }.to_owned();
                vec![field(service, "name"), works, field(service, "detail")]
            });
            let media = media.as_array().into_iter().flatten().map(|medium| {
                let ready = if medium["ready"] == true { "ready" } else { "not there yet" }.to_owned();
                vec![field(medium, "installer"), ready, format!("for {} nodes", field(medium, "nodes"))]
            });
            let rows: Vec<_> = services.chain(media).collect();
            print(&(head + &table(&["SERVICE", "HEALTH", "WHAT WAS SEEN"], &rows)))?;
        }
        Ok(if works { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn events(&self, follow: bool) -> Result<(), Error> {
        let past: Value = self.client.get("/api/v1/audit?limit=20").await?;
        let past: Vec<&Value> = past.as_array().into_iter().flatten().rev().collect();
        let last = past.last().and_then(|line| line["seq"].as_u64()).unwrap_or_default();
        for line in past {
            self.event("transition", line)?;
        }
        if !follow {
            return Ok(());
        }
        let (mut last, mut away) = (last, false);
        loop {
            // The daemon ends a stream now and then, and may be started again: no change of a state is missed by that.
            let answer = match self.client.ask(Method::GET, "/api/v1/events", None, Some(last)).await {
                Ok(answer) => answer,
                Err(error @ Error::NoDaemon { .. }) => {
                    if !away {
                        eprintln!("provd: {}; waiting for it", plain(&error.to_string()));
                    }
                    away = true;
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if away {
                eprintln!("provd: the daemon is back");
            }
            away = false;
            let mut body = answer.into_body();
            let mut text = Vec::new();
            while let Some(Ok(frame)) = body.frame().await {
                text.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
                while let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
                    let block: Vec<u8> = text.drain(..end + 2).collect();
                    if let Some(seq) = self.block(&String::from_utf8_lossy(&block))? {
                        last = seq;
                    }
                }
            }
        }
    }

    /// One event of the stream; its id.
    fn block(&self, block: &str) -> Result<Option<u64>, Error> {
        let value =
            |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim_start);
        let (Some(kind), Some(data)) = (value("event"), value("data")) else { return Ok(None) };
        let data: Value = serde_json::from_str(data).unwrap_or_else(|_| json!(data));
        match kind {
            "transition" => self.event(kind, &data["audit"])?,
            "report" => self.event(kind, &data["event"])?,
            "operation" => self.event(kind, &data)?,
            "pen" => self.event(kind, &json!({ "mac": data }))?,
            _ => return Err(Error::Other("too much happened to follow: see `provd audit`".to_owned())),
        }
        Ok(value("id").and_then(|id| id.parse().ok()))
    }

    fn event(&self, kind: &str, event: &Value) -> Result<(), Error> {
        let text = |name: &str| field(event, name);
        if self.json {
            return print(&format!("{}\n", json!({ "event": kind, "data": event })));
        }
        let at = time(event["at"].as_str().unwrap_or_default());
        print(&match kind {
            "transition" => {
                let detail = event["detail"].as_str().filter(|detail| !detail.is_empty());
                let detail = detail.map(|detail| format!(" [{}]", plain(detail))).unwrap_or_default();
                format!(
                    "{at}  {}  {} -> {}{detail}  {} ({})\n",
                    text("hostname"),
                    text("from"),
                    text("to"),
                    text("why"),
                    text("who")
                )
            }
            "report" => format!("{at}  {}  {} {} {}\n", text("hostname"), text("kind"), text("name"), text("text")),
            "operation" => {
                let now = Timestamp::now().strftime("%Y-%m-%d %H:%M:%S");
                format!("{now}  {}  {} is {}: {}\n", text("hostname"), text("title"), text("state"), text("text"))
            }
            _ => format!("{}  stranger  {}\n", Timestamp::now().strftime("%Y-%m-%d %H:%M:%S"), text("mac")),
        })
    }
}

/// The disk that is installed on.
fn disk(selected: &Value) -> String {
    match selected.as_object() {
        None => "the only one".to_owned(),
        Some(keys) => keys.keys().map(|key| format!("{key} = {}", field(selected, key))).collect::<Vec<_>>().join(", "),
    }
}

/// How long a node that is armed stays so; `None` for any other.
fn armed_until(detail: &Value, now: Timestamp) -> Option<String> {
    let armed = matches!(detail["node"]["state"].as_str()?, "armed" | "booting");
    let expires = detail["attempt"]["expires"].as_str().filter(|_| armed)?;
    Some(format!("until {} UTC ({})", time(expires), ago(expires, now)))
}

/// The address that leads out, as the kernel's routes have it: nothing is sent.
fn default_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // An address for documentation (RFC 5737).
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip().to_string())
}

/// A reader that went away is no fault (`provd nodes | head -1`).
pub(super) fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => result.map_err(|error| Error::Other(error.to_string())),
    }
}
