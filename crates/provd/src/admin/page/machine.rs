//! The part of a node's page that is about its machine: how it is, what was done with its BMC, and the questions before more is done.
//!
//! In: a node that has a BMC, its last operations, its last status. Out: HTML, in which everything that a BMC said is text.

use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Json, Router};
use bmc::{BootMode, BootTarget, Manner, PowerAction, Status, Verb};
use maud::{Markup, html};
use serde::Deserialize;

use super::shell::{Place, badge, path_of, time};
use super::{Page, failed, made};
use crate::admin::Admin;
use crate::admin::act::find;
use crate::admin::api::model::NodeDetail;
use crate::admin::api::operations::{OperationRow, begin, begin_install, declared};
use crate::admin::auth::Caller;
use crate::admin::failure::Failure;
use crate::control::{self, Asked, Job, Seen};

/// Operations that the page shows.
pub(super) const SHOWN: usize = 10;

pub(super) fn routes() -> Router<Arc<Admin>> {
    Router::new().route("/nodes/{node}/machine/{button}", axum::routing::get(ask).post(act))
}

pub(super) fn slow_routes() -> Router<Arc<Admin>> {
    Router::new().route("/nodes/{node}/status", axum::routing::post(read_status))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Button {
    On,
    ShutDown,
    Cycle,
    Restart,
    Network,
    Install,
}

impl Button {
    const ALL: [Button; 6] =
        [Button::On, Button::ShutDown, Button::Cycle, Button::Restart, Button::Network, Button::Install];

    /// In its path.
    fn name(self) -> &'static str {
        match self {
            Button::On => "on",
            Button::ShutDown => "shut-down",
            Button::Cycle => "cycle",
            Button::Restart => "restart",
            Button::Network => "network",
            Button::Install => "install",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Button::On => "Power on",
            Button::ShutDown => "Shut down",
            Button::Cycle => "Power cycle",
            Button::Restart => "Restart",
            Button::Network => "Boot once from network",
            Button::Install => "Install",
        }
    }

    fn explained(self) -> &'static str {
        match self {
            Button::On => "It is switched on, and boots as it always does.",
            Button::ShutDown => "Its operating system is asked to end. Where it does not, nothing more is done.",
            Button::Cycle => {
                "Its power is cut at once and switched on again: what its operating system had not written is lost."
            }
            Button::Restart => "Its operating system is asked to end, and the machine starts again.",
            Button::Network => "Its next boot, and no other, is from the network by UEFI. It is not started by this.",
            Button::Install => {
                "at once: it is armed, boots from the network, and its power is cut and switched on again."
            }
        }
    }

    fn job(self) -> Job {
        let power = |action, manner| Job::Verb(Verb::Power { action, manner });
        match self {
            Button::On => power(PowerAction::On, Manner::Graceful),
            Button::ShutDown => power(PowerAction::Off, Manner::Graceful),
            Button::Cycle => power(PowerAction::Cycle, Manner::Forced),
            Button::Restart => power(PowerAction::Reset, Manner::Graceful),
            Button::Network => Job::Verb(Verb::BootOnce { target: BootTarget::Pxe, mode: BootMode::Uefi }),
            Button::Install => Job::Install,
        }
    }

    /// Whether what runs on the machine ends by it.
    fn interrupts(self) -> bool {
        matches!(self, Button::ShutDown | Button::Cycle | Button::Restart)
    }

    fn is_dangerous(self) -> bool {
        matches!(self, Button::Cycle | Button::Install)
    }
}

/// The section of a node's page.
pub(super) fn section(
    detail: &NodeDetail,
    operations: &[OperationRow],
    seen: Option<&Seen>,
    caller: &Caller,
) -> Markup {
    let path = path_of(&detail.node);
    html! {
        section.machine aria-labelledby="machine" {
            h2 #machine { "Machine" }
            div.controls {
                form method="post" action={ (path) "/status" } data-read {
                    input type="hidden" name="csrf" value=(caller.csrf());
                    button #read-status type="submit" { "Read status" }
                    span.fault role="alert" hidden {}
                }
                @if caller.may_act {
                    span.actions {
                        @for button in Button::ALL {
                            @if button != Button::Install || detail.node.installer.is_some() {
                                a.button #{ "machine-" (button.name()) } href={ (path) "/machine/" (button.name()) }
                                    data-action=(button.name()) { (button.label()) "…" }
                            }
                        }
                    }
                }
            }
            (status(seen))
            @if operations.is_empty() { p.quiet { "Nothing was done with its BMC yet." } }
            @else {
                ol.timeline.operations aria-label="Last operations" { @for operation in operations { (entry(operation)) } }
            }
        }
    }
}

fn status(seen: Option<&Seen>) -> Markup {
    html! {
        @match seen {
            None => p.quiet #status { "How it is was not read yet." },
            Some(Seen { at, status: Ok(status) }) => div #status { (facts(status)) p.quiet { "Read " (time(*at)) } },
            Some(Seen { at, status: Err(error) }) => div #status {
                p.warning { (error.text) @if let Some(help) = &error.help { br; (help) } }
                p.quiet { "Tried " (time(*at)) }
            },
        }
    }
}

fn facts(status: &Status) -> Markup {
    let boots = if status.boot.is_set() {
        let texts = [&status.boot.target, &status.boot.mode, &status.boot.enabled];
        texts.iter().filter_map(|text| text.as_deref()).collect::<Vec<_>>().join(", ")
    } else {
        "as always".to_owned()
    };
    let model = [&status.manufacturer, &status.model];
    let model = model.iter().filter_map(|text| text.as_deref()).collect::<Vec<_>>().join(" ");
    let rows = [
        ("Power", status.power.clone()),
        ("Health", status.health.clone()),
        ("Progress", status.progress.clone()),
        ("Boots next", Some(boots)),
        ("Model", Some(model).filter(|model| !model.is_empty())),
        ("Serial number", status.serial.clone()),
        ("BIOS", status.bios.clone()),
        ("BMC's firmware", status.firmware.clone()),
    ];
    html! {
        dl.card {
            @for (name, value) in rows { @if let Some(value) = value { dt { (name) } dd { (value) } } }
        }
    }
}

fn entry(operation: &OperationRow) -> Markup {
    html! {
        li data-operation=(operation.title) {
            span.when { (time(operation.started)) }
            div {
                (badge(&operation.state)) strong { (operation.title) }
                @match (&operation.error, &operation.summary) {
                    (Some(error), _) => {
                        span.text { (error.message) }
                        @if let Some(help) = &error.help { span.quiet { (help) } }
                    },
                    (None, Some(summary)) => span.text { (summary) },
                    (None, None) => span.text { (operation.step) },
                }
                span.quiet { (operation.who) " (" (operation.origin) ")" }
            }
        }
    }
}

fn is_installing(state: &str) -> bool {
    matches!(state, "booting" | "installing" | "installed")
}

/// The question before an operation; the same on its own page and in the dialog.
fn question(detail: &NodeDetail, button: Button, caller: &Caller, fault: Option<&str>) -> Markup {
    let row = &detail.node;
    let hostname = &row.hostname;
    let installing = is_installing(&row.state);
    html! {
        form.confirm #confirm method="post" action={ (path_of(row)) "/machine/" (button.name()) } {
            input type="hidden" name="csrf" value=(caller.csrf());
            h1 #confirm-title { (button.label()) ": " (hostname) "?" }
            p { (hostname) " is now " (badge(&row.state)) " " (row.detail) }
            @if button == Button::Install {
                p.warning {
                    strong { "Everything on its disk will be erased" } ", and "
                    strong { (row.installer.as_deref().unwrap_or("none")) } " installed, " (button.explained())
                }
            } @else { p { (button.explained()) } }
            p.fault role="alert" hidden[fault.is_none()] { (fault.unwrap_or_default()) }
            @if installing && button.interrupts() {
                p.warning { "An installation goes on. If it ends now, its disk may be half written." }
                label.check { input type="checkbox" name="force" value="yes" required; " End the installation" }
            }
            @if button == Button::Install {
                label for="confirm-name" { "Type " strong { (hostname) } " to confirm" }
                input #confirm-name name="confirm" required autocomplete="off" autocapitalize="off" spellcheck="false" autofocus;
            }
            label for="confirm-reason" { "Reason, for the audit log" }
            input #confirm-reason name="reason" maxlength="200" autocomplete="off" autofocus[button != Button::Install];
            div.buttons {
                a.button href=(path_of(row)) data-close { "Cancel" }
                button.danger[button.is_dangerous()].primary[!button.is_dangerous()] type="submit" { (button.label()) }
            }
        }
    }
}

fn detail_of(admin: &Admin, name: &str) -> Result<NodeDetail, Failure> {
    let detail = NodeDetail::of(&find(&admin.app.registry, name)?);
    if detail.bmc.is_none() {
        return Err(Failure::not_found(format!("{} has no BMC", detail.node.hostname)));
    }
    Ok(detail)
}

fn title(button: Button, detail: &NodeDetail) -> String {
    format!("{} {}", button.label(), detail.node.hostname)
}

async fn ask(State(admin): State<Arc<Admin>>, caller: Caller, Path((name, button)): Path<(String, Button)>) -> Page {
    made(admin, caller, (Place::Nodes, ""), move |admin, caller| {
        if !caller.may_act {
            return Err(Failure::forbidden("this login may only read"));
        }
        let detail = detail_of(admin, &name)?;
        Ok((title(button, &detail), question(&detail, button, caller, None)))
    })
    .await
}

/// The gate has seen to `csrf`.
#[derive(Debug, Default, Deserialize)]
struct MachineForm {
    #[serde(default)]
    confirm: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    force: String,
}

fn is_script(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).is_some_and(|value| value.as_bytes() == b"application/json")
}

/// As the other actions: our script gets JSON, a plain form is led to the node, or asked again with what was wrong.
async fn act(
    State(admin): State<Arc<Admin>>,
    caller: Caller,
    Path((name, button)): Path<(String, Button)>,
    headers: HeaderMap,
    form: Result<Form<MachineForm>, FormRejection>,
) -> Response {
    let Form(MachineForm { confirm, reason, force }) = match form {
        Ok(form) => form,
        Err(error) => return Failure::new(error.status(), error.body_text()).into_response(),
    };
    let begun = async {
        let node = declared(&admin, name.clone()).await?;
        match button {
            Button::Install => begin_install(&admin, node, &confirm, &reason, &caller).await,
            _ => {
                let asked = Asked { job: button.job(), force: force == "yes", reason };
                begin(&admin, node, asked, &caller).await
            }
        }
    };
    match begun.await {
        Ok(row) if is_script(&headers) => (StatusCode::ACCEPTED, Json(row)).into_response(),
        Ok(row) => Redirect::to(&format!("/nodes/{}", row.node)).into_response(),
        Err(failure) if is_script(&headers) || failure.status == StatusCode::NOT_FOUND => failure.into_response(),
        Err(failure) => {
            let Failure { status, text } = failure.noted();
            let page = made(admin, caller, (Place::Nodes, ""), move |admin, caller| {
                let detail = detail_of(admin, &name)?;
                Ok((title(button, &detail), question(&detail, button, caller, Some(&text))))
            });
            (status, page.await).into_response()
        }
    }
}

/// Also for those who may only read.
async fn read_status(
    State(admin): State<Arc<Admin>>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let read = async {
        let node = declared(&admin, name).await?;
        let operation = control::read(&admin.app, &node, Verb::Status {}, &caller.actor).await?;
        Ok::<_, Failure>(operation.hostname)
    };
    match read.await {
        // What was read, and why not, stands on the page.
        Ok(_) if is_script(&headers) => StatusCode::NO_CONTENT.into_response(),
        Ok(hostname) => Redirect::to(&format!("/nodes/{hostname}#machine")).into_response(),
        Err(failure) if is_script(&headers) => failure.into_response(),
        Err(failure) => failed(failure),
    }
}
