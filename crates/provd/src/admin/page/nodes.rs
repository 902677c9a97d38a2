//! The table of nodes, one node, and the confirmation of what is done to it.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::shell::{actions, badge, path_of, stages, time, time_or};
use crate::admin::act::Action;
use crate::admin::api::model::{NodeDetail, NodeRow, TimelineEntry};
use crate::admin::auth::Caller;
use crate::state::State;

/// What the table shows of all nodes.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub(super) state: Option<String>,
    pub(super) text: String,
}

impl Filter {
    fn shows(&self, node: &NodeRow) -> bool {
        let text = self.text.trim().to_lowercase();
        self.state.as_deref().is_none_or(|state| state == node.state) && search_text(node).contains(&text)
    }
}

/// What a search finds a node by.
fn search_text(node: &NodeRow) -> String {
    let NodeRow { hostname, mac, address, installer, .. } = node;
    let texts = [hostname, mac, address.as_deref().unwrap_or_default(), installer.as_deref().unwrap_or_default()];
    texts.join(" ").to_lowercase()
}

pub(super) fn table(nodes: &[NodeRow], filter: &Filter, caller: &Caller) -> Markup {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for node in nodes {
        *counts.entry(node.state.as_str()).or_default() += 1;
    }
    let chip = |state: Option<&str>, count: usize| {
        let current = filter.state.as_deref() == state;
        let href = state.map_or("/".to_owned(), |state| format!("/?state={state}"));
        html! {
            li hidden[count == 0 && state.is_some() && !current] {
                a.chip href=(href) data-state=(state.unwrap_or_default()) aria-current=[current.then_some("true")] {
                    (state.unwrap_or("all")) " " b { (count) }
                }
            }
        }
    };
    let shown = nodes.iter().filter(|node| filter.shows(node)).count();
    html! {
        div.heading {
            h1 { "Nodes" }
            form.search role="search" method="get" action="/" {
                label.hidden for="q" { "Search by name, address or installer" }
                input #q type="search" name="q" value=(filter.text) placeholder="Search" autocomplete="off" spellcheck="false";
                @if let Some(state) = &filter.state { input type="hidden" name="state" value=(state); }
                button.plain type="submit" { "Search" }
            }
        }
        ul.chips aria-label="States" {
            (chip(None, nodes.len()))
            @for state in order() { (chip(Some(state), counts.get(state).copied().unwrap_or_default())) }
        }
        p.empty #none hidden[shown > 0] {
            @if nodes.is_empty() { "The inventory has no nodes: add them to nodes.toml and build the appliance again." }
            @else { "No node matches." }
        }
        // The roles say again what the elements are: on a phone they are shown as blocks, which takes their meaning from them.
        table.nodes role="table" hidden[nodes.is_empty()] {
            caption.hidden { "Nodes and their states" }
            thead role="rowgroup" {
                tr role="row" {
                    @for name in ["Node", "State", "Progress", "Since", "Last heard", "Installer"] {
                        th role="columnheader" scope="col" { (name) }
                    }
                    @if caller.may_act { th role="columnheader" scope="col" { span.hidden { "Actions" } } }
                }
            }
            tbody role="rowgroup" {
                @for node in nodes { (row(node, !filter.shows(node), caller)) }
            }
        }
    }
}

/// What goes on first, then what needs somebody, then the rest.
fn order() -> impl Iterator<Item = &'static str> {
    let first = ["armed", "booting", "installing", "installed", "failed", "stalled", "verified", "disk", "unknown"];
    debug_assert_eq!(first.len(), State::NAMES.len());
    first.into_iter()
}

fn row(node: &NodeRow, hidden: bool, caller: &Caller) -> Markup {
    html! {
        tr role="row" data-mac=(node.mac) data-state=(node.state) data-text=(search_text(node)) hidden[hidden] {
            th role="rowheader" scope="row" {
                a href=(path_of(node)) { (node.hostname) }
                span.sub { (node.address.as_deref().unwrap_or("not in the inventory")) }
            }
            td role="cell" data-name="State" { (badge(&node.state)) }
            td role="cell" data-name="Progress" { (stages(node)) span.detail { (node.detail) } }
            td role="cell" data-name="Since" .since { (time(node.since)) }
            td role="cell" data-name="Last heard" .heard { (time_or(node.heard, "never")) }
            td role="cell" data-name="Installer" { (installer(node)) }
            @if caller.may_act { td role="cell" data-name="" { (actions(node, caller)) } }
        }
    }
}

fn installer(node: &NodeRow) -> Markup {
    html! {
        @match &node.installer {
            None => span.quiet { "none" },
            Some(name) => {
                (name)
                @if !node.media_ready { span.warn { "medium not ready" } }
            }
        }
    }
}

/// What a node's page holds beside what is known of it.
pub(super) struct Texts<'a> {
    pub(super) log: Option<&'a str>,
    /// What was just asked for.
    pub(super) done: &'a str,
    /// The section about its machine, where it has a BMC.
    pub(super) machine: Option<Markup>,
}

/// One node.
pub(super) fn node(detail: &NodeDetail, timeline: &[TimelineEntry], texts: Texts<'_>, caller: &Caller) -> Markup {
    let Texts { log, done, machine } = texts;
    let row = &detail.node;
    html! {
        p.crumbs { a href="/" { "Nodes" } " / " (row.hostname) }
        div #live {
            div.heading {
                h1 { (row.hostname) " " (badge(&row.state)) }
                (actions(row, caller))
            }
            @match done {
                "arm" | "reinstall" => p.done role="status" {
                    "Armed. It installs at its next boot from the network: switch it on, or start it again."
                },
                "disarm" => p.done role="status" { "Disarmed. It boots its own disk." },
                _ => {}
            }
            p.now data-state=(row.state) { (stages(row)) span.detail { (row.detail) } " since " (time(row.since)) }
            div.columns {
                (facts(detail))
                div {
                    @if let Some(machine) = machine { (machine) }
                    section aria-labelledby="timeline" {
                        h2 #timeline { "Timeline" }
                        (attempts(timeline))
                    }
                }
            }
            @if let Some(log) = log {
                section aria-labelledby="log" {
                    h2 #log { "Log of the last failed installation" }
                    pre.log tabindex="0" aria-labelledby="log" { (log) }
                }
            }
        }
    }
}

fn facts(detail: &NodeDetail) -> Markup {
    let NodeDetail { node, attempt, heard_from, refused, host_keys, disk, address6, bmc, secure_boot, roles } = detail;
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    let disk = match disk.as_ref().and_then(|disk| disk.as_object()) {
        None => "the only one".to_owned(),
        Some(disk) => {
            let said = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            disk.iter().map(|(key, value)| format!("{key} = {}", said(value))).collect::<Vec<_>>().join(", ")
        }
    };
    html! {
        section.facts aria-labelledby="facts" {
            h2 #facts { "Node" }
            dl {
                dt { "Address" } dd { (text(&node.address)) @if let Some(six) = address6 { br; (six) } }
                dt { "MAC" } dd { code { (node.mac) } }
                dt { "Installer" } dd { (installer(node)) }
                dt { "Disk" } dd { (disk) }
                dt { "Secure Boot" } dd { @if *secure_boot { "enforced" } @else { "not enforced" } }
                @if let Some(bmc) = bmc { dt { "BMC" } dd { (bmc) } }
                @if !roles.is_empty() { dt { "Roles" } dd { (roles.join(", ")) } }
                dt { "Attempts" } dd { (node.attempts) }
                @if let Some(attempt) = attempt {
                    @if matches!(node.state.as_str(), "armed" | "booting") {
                        dt { "Arming ends" } dd { (time(attempt.expires)) }
                    }
                }
                dt { "Last heard" } dd {
                    (time_or(node.heard, "never"))
                    @if let Some(from) = heard_from { span.quiet { " from " (from) } }
                }
            }
            @if let Some(refused) = refused {
                p.warning #refused {
                    "It asked for its boot script from " (refused.from) ", " (time(refused.at)) ", and was sent to its own disk: "
                    (refused.reason) "."
                }
            }
            @if !host_keys.is_empty() {
                details {
                    summary { "Host keys for known_hosts" }
                    pre.copy { @for key in host_keys { (node.hostname) " " (key) "\n" } }
                }
            }
        }
    }
}

fn attempts(timeline: &[TimelineEntry]) -> Markup {
    let groups: Vec<&[TimelineEntry]> = timeline.chunk_by(|a, b| a.attempt == b.attempt).collect();
    html! {
        @if timeline.is_empty() { p.empty { "Nothing has happened yet." } }
        @for (index, group) in groups.iter().enumerate() {
            @let number = group.first().map_or(0, |entry| entry.attempt);
            details.attempt #{ "attempt-" (number) } open[index == 0] {
                summary { @if number == 0 { "Before the first attempt" } @else { "Attempt " (number) } }
                ol.timeline { @for entry in *group { (entry_of(entry)) } }
            }
        }
    }
}

fn entry_of(entry: &TimelineEntry) -> Markup {
    let bad = matches!(entry.result.as_deref(), Some("FAIL" | "WARN"));
    html! {
        li.(entry.kind) {
            span.when { (time(entry.at)) }
            div {
                @if entry.kind == "transition" { (badge(&entry.title)) span.text { (entry.text) } span.quiet { (entry.by) } }
                @else {
                    span.phase { (entry.phase) } code { (entry.title) }
                    @if let Some(result) = &entry.result { span.result.bad[bad] { (result) } }
                    @if !entry.text.is_empty() { span.quiet { (entry.text) } }
                }
            }
        }
    }
}

/// The question before an action; the same on its own page and in the dialog.
pub(super) fn confirm(detail: &NodeDetail, action: Action, caller: &Caller, fault: Option<&str>) -> Markup {
    let row = &detail.node;
    let hostname = &row.hostname;
    let installer = row.installer.as_deref().unwrap_or("none");
    let (title, button) = match action {
        Action::Arm => (format!("Arm {hostname}?"), "Arm"),
        Action::Disarm => (format!("Disarm {hostname}?"), "Disarm"),
        Action::Reinstall => (format!("Reinstall {hostname}?"), "Reinstall"),
    };
    let underway = matches!(row.state.as_str(), "installing" | "installed") || row.state == "stalled" && row.stage > 2;
    html! {
        form.confirm #confirm method="post" action={ (path_of(row)) "/" (action.name()) } {
            input type="hidden" name="csrf" value=(caller.csrf());
            h1 #confirm-title { (title) }
            p { (hostname) " is now " (badge(&row.state)) " " (row.detail) }
            @match action {
                Action::Disarm if underway => p.warning {
                    "Its installation is given up and counts as failed. Its disk may be half written: it may not start until it is \
                     installed again."
                },
                Action::Disarm => p { "The arming is taken back. It boots its own disk, and nothing on it changes." },
                Action::Arm | Action::Reinstall => {
                    p.warning {
                        strong { "Everything on its disk will be erased" } " at its next boot from the network, when "
                        strong { (installer) } " is installed."
                    }
                    @if underway { p { "The installation that goes on is given up first." } }
                }
            }
            p.fault role="alert" hidden[fault.is_none()] { (fault.unwrap_or_default()) }
            @if action.erases() {
                label for="confirm-name" { "Type " strong { (hostname) } " to confirm" }
                input #confirm-name name="confirm" required autocomplete="off" autocapitalize="off" spellcheck="false" autofocus;
            }
            label for="confirm-reason" { "Reason, for the audit log" }
            input #confirm-reason name="reason" maxlength="200" autocomplete="off" autofocus[!action.erases()];
            div.buttons {
                a.button href=(path_of(row)) data-close { "Cancel" }
                button.danger[action.erases()] type="submit" { (button) }
            }
        }
    }
}
