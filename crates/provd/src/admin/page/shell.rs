//! What every page has: head, navigation, the place for the live connection's state; and small pieces.

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};

use super::assets;
use crate::admin::api::model::NodeRow;
use crate::admin::auth::Caller;

/// Which entry of the navigation a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Nodes,
    Strangers,
    Audit,
    Services,
    /// Nobody is logged in.
    Outside,
}

/// What a page is, beside its content.
pub(super) struct Frame<'a> {
    pub(super) place: Place,
    pub(super) title: &'a str,
    /// The appliance.
    pub(super) appliance: &'a str,
    pub(super) caller: Option<&'a Caller>,
    /// How the page's script keeps it fresh: "table", "part", "poll" or "" for not at all.
    pub(super) live: &'static str,
    /// The audit log's last line when this page was made.
    pub(super) seq: u64,
}

pub(super) fn page(frame: &Frame<'_>, content: &Markup) -> Markup {
    let Frame { place, title, appliance, caller, live, seq } = frame;
    let link = |to: Place, path: &str, name: &str| {
        html! { li { a href=(path) aria-current=[(*place == to).then_some("page")] { (name) } } }
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · " (appliance) }
                link rel="stylesheet" href=(assets::STYLE.path());
                link rel="icon" href=(assets::ICON.path()) type="image/svg+xml";
                script src=(assets::SCRIPT.path()) defer {}
            }
            body data-live=(live) data-seq=(seq) {
                a.skip href="#main" { "Skip to the content" }
                header.top {
                    div.bar {
                        a.brand href="/" { span.mark aria-hidden="true" {} (appliance) }
                        @if let Some(caller) = caller {
                            nav aria-label="Main" {
                                ul {
                                    (link(Place::Nodes, "/", "Nodes"))
                                    (link(Place::Strangers, "/strangers", "Strangers"))
                                    (link(Place::Audit, "/audit", "Audit"))
                                    (link(Place::Services, "/services", "Services"))
                                }
                            }
                            div.who {
                                span.connection #connection data-state="off" { "not live" }
                                span.name { (caller.actor.who) @if !caller.may_act { " (may only read)" } }
                                form method="post" action="/logout" {
                                    input type="hidden" name="csrf" value=(caller.csrf());
                                    button.plain type="submit" { "Log out" }
                                }
                            }
                        }
                    }
                }
                div #lost role="alert" hidden {
                    strong { "The live connection is lost." }
                    " What this page shows may be old. Trying again…"
                }
                main #main tabindex="-1" { (content) }
                p.hidden #said role="status" aria-live="polite" {}
                dialog #dialog aria-labelledby="confirm-title" {}
            }
        }
    }
}

/// A time; the script makes it relative.
pub(super) fn time(at: Timestamp) -> Markup {
    html! { time datetime=(at.to_string()) { (at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()) } }
}

pub(super) fn time_or(at: Option<Timestamp>, otherwise: &str) -> Markup {
    html! { @if let Some(at) = at { (time(at)) } @else { span.quiet { (otherwise) } } }
}

/// A state by its name: never by its colour alone.
pub(super) fn badge(state: &str) -> Markup {
    html! { span.badge data-state=(state) { (state) } }
}

/// How far an attempt is, in five steps.
pub(super) fn stages(node: &NodeRow) -> Markup {
    let label = if node.stage == 0 { "no attempt goes on".to_owned() } else { format!("step {} of 5", node.stage) };
    html! {
        span.stages role="img" aria-label=(label) data-stage=(node.stage) { i {} i {} i {} i {} i {} }
    }
}

/// The name that leads to a node: its host name, or the MAC address of one that has left the inventory, whose host name another
/// node may have.
pub(super) fn path_of(node: &NodeRow) -> String {
    format!("/nodes/{}", if node.declared { &node.hostname } else { &node.mac })
}

/// Links to the confirmation of every action; those that are not possible now are hidden, for the script to show them.
pub(super) fn actions(node: &NodeRow, caller: &Caller) -> Markup {
    let label = |action: &str| match action {
        "arm" => "Arm…",
        "disarm" => "Disarm…",
        _ => "Reinstall…",
    };
    html! {
        @if caller.may_act {
            span.actions {
                @for action in ["arm", "reinstall", "disarm"] {
                    a.button #{ (action) "-" (node.mac) } href={ (path_of(node)) "/" (action) } data-action=(action)
                        aria-label={ (label(action).trim_end_matches('…')) " " (node.hostname) }
                        hidden[!node.actions.iter().any(|offered| offered == action)] { (label(action)) }
                }
            }
        }
    }
}
