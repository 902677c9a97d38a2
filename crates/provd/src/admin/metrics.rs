//! Numbers for Prometheus, in its text format 0.0.4. No host name and no address is among them.

use std::fmt::Write as _;
use std::fs;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::Admin;
use super::failure::{Failure, blocking};
use crate::store::{Audited, StoreError};
use crate::{app, state, webhooks};

pub(super) static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

pub(super) async fn metrics(State(admin): State<Arc<Admin>>) -> Result<Response, Failure> {
    let text = blocking(move || Ok(text(&admin)?)).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

fn text(admin: &Admin) -> Result<String, StoreError> {
    let registry = &admin.app.registry;
    let nodes = registry.nodes();
    let count = |sql: &str| {
        registry.store().read(|connection| Ok(connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0))?))
    };
    let (seq, _) = registry.store().read(Audited::head)?;
    let mut text = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, values: &[(String, f64)]| {
        let _ = writeln!(text, "# HELP provd_{name} {help}\n# TYPE provd_{name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(text, "provd_{name}{labels} {value}");
        }
    };
    let one = |value: f64| vec![(String::new(), value)];

    let version = format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    metric("build_info", "gauge", "The daemon's version.", &[(version, 1.0)]);
    let by_state: Vec<_> = state::State::NAMES
        .iter()
        .map(|name| {
            let count = nodes.iter().filter(|node| node.stored.state.name() == *name).count();
            (format!("{{state=\"{name}\"}}"), count as f64)
        })
        .collect();
    metric("nodes", "gauge", "Nodes in each state.", &by_state);
    let ready = registry.declared().installers.keys().filter(|name| registry.media_ready(name)).count();
    metric("installers", "gauge", "Installers that are declared.", &one(registry.declared().installers.len() as f64));
    metric("installers_ready", "gauge", "Installers whose files are at hand.", &one(ready as f64));
    // Lines of the log are never removed, and numbers of events are never used again.
    metric(
        "transitions_total",
        "counter",
        "Changes of a node's state and lines about its BMC, ever.",
        &one(seq as f64),
    );
    metric("audit_seq", "gauge", "Number of the audit log's last line.", &one(seq as f64));
    let events = count("SELECT max(seq) FROM sqlite_sequence WHERE name = 'events'")?.unwrap_or_default();
    metric("events_total", "counter", "Reports of installers that were stored, ever.", &one(events as f64));
    let refusals = app::refusals();
    metric("refusals_total", "counter", "Requests of nodes, people and programs refused.", &one(refusals as f64));
    let outbox = webhooks::waiting(registry.store())?;
    metric("outbox", "gauge", "Changes that a webhook has not taken yet.", &one(outbox as f64));
    let webhooks::Figures { delivered, failed, dropped } = webhooks::figures();
    metric("webhooks_delivered_total", "counter", "Changes that a webhook has taken.", &one(delivered as f64));
    metric(
        "webhooks_failed_total",
        "counter",
        "Posts to webhooks that failed, to be tried again.",
        &one(failed as f64),
    );
    metric("webhooks_dropped_total", "counter", "Changes dropped because too many waited.", &one(dropped as f64));
    let strangers = admin.app.pen.all()?.len();
    metric("strangers", "gauge", "Machines seen that are in no inventory.", &one(strangers as f64));
    metric("watchers", "gauge", "Open streams of events.", &one(admin.watchers() as f64));
    metric("uptime_seconds", "gauge", "Since the start.", &one(STARTED.elapsed().as_secs() as f64));
    if let Some(bytes) = resident() {
        metric("resident_memory_bytes", "gauge", "Memory of the process.", &one(bytes as f64));
    }
    Ok(text)
}

/// proc(5), `VmRSS`.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
