//! The web page: plain HTML that reads and acts without a script; the script keeps it live and asks in a dialog.
//!
//! In: a [`Caller`]. Out: HTML in which every text is escaped: host names of strangers and reports of installers are hostile.

mod assets;
mod machine;
mod nodes;
mod other;
mod shell;

use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use maud::Markup;
use serde::Deserialize;

use super::access::{self, SESSION};
use super::act::{Action, find, perform};
use super::api::model::{AuditQuery, NodeDetail, NodeRow};
use super::api::nodes::timeline_of;
use super::api::operations::newest;
use super::api::record;
use super::auth::{self, By, COOKIE, Caller};
use super::failure::{Failure, blocking};
use super::{Admin, health};
use crate::store::{Audited, Token};
use shell::{Frame, Place};

/// Lines of the audit log on one page.
const LINES: usize = 100;

pub(super) fn routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/", get(table))
        .route("/nodes/{node}", get(node))
        .route("/nodes/{node}/arm", get(ask_arm).post(arm))
        .route("/nodes/{node}/disarm", get(ask_disarm).post(disarm))
        .route("/nodes/{node}/reinstall", get(ask_reinstall).post(reinstall))
        .route("/strangers", get(strangers))
        .route("/strangers/{mac}/forget", post(forget))
        .route("/audit", get(audit))
        .route("/services", get(services))
        .route("/logout", post(log_out))
        .merge(machine::routes())
}

/// What waits for a BMC.
pub(super) fn slow_routes() -> Router<Arc<Admin>> {
    machine::slow_routes()
}

pub(super) fn open_routes() -> Router<Arc<Admin>> {
    Router::new().route("/login", get(login).post(log_in)).route("/assets/{name}", get(assets::asset))
}

/// Whether somebody looks at this with a browser.
pub(super) fn is_page(method: &Method, path: &str) -> bool {
    matches!(*method, Method::GET | Method::HEAD) && !path.starts_with("/api/") && path != "/openapi.json"
}

pub(super) fn to_login() -> Response {
    Redirect::to("/login").into_response()
}

/// A failure as a page of its own.
pub(super) fn failed(failure: Failure) -> Response {
    let Failure { status, text } = failure.noted();
    let frame =
        Frame { place: Place::Outside, title: "Not possible", appliance: "provd", caller: None, live: "", seq: 0 };
    let content = maud::html! {
        h1 { "Not possible" }
        p.warning { (text) }
        p { a.button href="/" { "Nodes" } }
    };
    (status, shell::page(&frame, &content)).into_response()
}

type Page = Result<Markup, PageFailure>;

/// A failure that a person sees.
struct PageFailure(Failure);

impl<T: Into<Failure>> From<T> for PageFailure {
    fn from(failure: T) -> Self {
        PageFailure(failure.into())
    }
}

impl IntoResponse for PageFailure {
    fn into_response(self) -> Response {
        failed(self.0)
    }
}

/// Makes a page, where blocking is allowed.
async fn made(
    admin: Arc<Admin>,
    caller: Caller,
    (place, live): (Place, &'static str),
    content: impl FnOnce(&Admin, &Caller) -> Result<(String, Markup), Failure> + Send + 'static,
) -> Page {
    let page = blocking(move || {
        // Before the content: what changes in between is then told again, which harms nothing.
        let (seq, _) = admin.app.registry.store().read(Audited::head)?;
        let (title, content) = content(&admin, &caller)?;
        let appliance = &admin.app.registry.declared().name;
        Ok(shell::page(&Frame { place, title: &title, appliance, caller: Some(&caller), live, seq }, &content))
    });
    Ok(page.await?)
}

#[derive(Debug, Default, Deserialize)]
struct TableQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    state: String,
}

async fn table(State(admin): State<Arc<Admin>>, caller: Caller, Query(query): Query<TableQuery>) -> Page {
    made(admin, caller, (Place::Nodes, "table"), move |admin, caller| {
        let rows: Vec<NodeRow> = admin.app.registry.nodes().iter().map(NodeRow::of).collect();
        let state = Some(query.state).filter(|state| crate::state::State::NAMES.contains(&state.as_str()));
        let filter = nodes::Filter { state, text: query.q };
        Ok(("Nodes".to_owned(), nodes::table(&rows, &filter, caller)))
    })
    .await
}

#[derive(Debug, Default, Deserialize)]
struct NodeQuery {
    #[serde(default)]
    done: String,
}

async fn node(
    State(admin): State<Arc<Admin>>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<NodeQuery>,
) -> Page {
    made(admin, caller, (Place::Nodes, "part"), move |admin, caller| {
        let view = find(&admin.app.registry, &name)?;
        let timeline = timeline_of(&admin.app, view.stored.mac)?;
        let log = admin.app.registry.log(view.stored.mac)?;
        let detail = NodeDetail::of(&view);
        let machine = match detail.bmc {
            Some(_) => {
                let operations = newest(admin, view.stored.mac, machine::SHOWN)?;
                let seen = admin.app.control.seen(view.stored.mac);
                Some(machine::section(&detail, &operations, seen.as_ref(), caller))
            }
            None => None,
        };
        let texts = nodes::Texts { log: log.as_deref(), done: &query.done, machine };
        let content = nodes::node(&detail, &timeline, texts, caller);
        Ok((view.stored.hostname, content))
    })
    .await
}

async fn ask_arm(admin: State<Arc<Admin>>, caller: Caller, name: Path<String>) -> Page {
    ask(admin.0, caller, name.0, Action::Arm).await
}

async fn ask_disarm(admin: State<Arc<Admin>>, caller: Caller, name: Path<String>) -> Page {
    ask(admin.0, caller, name.0, Action::Disarm).await
}

async fn ask_reinstall(admin: State<Arc<Admin>>, caller: Caller, name: Path<String>) -> Page {
    ask(admin.0, caller, name.0, Action::Reinstall).await
}

async fn ask(admin: Arc<Admin>, caller: Caller, name: String, action: Action) -> Page {
    made(admin, caller, (Place::Nodes, ""), move |admin, caller| {
        if !caller.may_act {
            return Err(Failure::forbidden("this login may only read"));
        }
        let detail = NodeDetail::of(&find(&admin.app.registry, &name)?);
        Ok((format!("{} {}", action.name(), detail.node.hostname), nodes::confirm(&detail, action, caller, None)))
    })
    .await
}

/// The forms of the page. The gate has seen to `csrf`.
#[derive(Debug, Default, Deserialize)]
struct ActForm {
    #[serde(default)]
    confirm: String,
    #[serde(default)]
    reason: String,
}

type Asked = Result<Form<ActForm>, FormRejection>;

async fn arm(s: State<Arc<Admin>>, caller: Caller, name: Path<String>, headers: HeaderMap, form: Asked) -> Response {
    act(s.0, caller, name.0, Action::Arm, &headers, form).await
}

async fn disarm(s: State<Arc<Admin>>, caller: Caller, name: Path<String>, headers: HeaderMap, form: Asked) -> Response {
    act(s.0, caller, name.0, Action::Disarm, &headers, form).await
}

async fn reinstall(
    s: State<Arc<Admin>>,
    caller: Caller,
    name: Path<String>,
    headers: HeaderMap,
    form: Asked,
) -> Response {
    act(s.0, caller, name.0, Action::Reinstall, &headers, form).await
}

/// Our script asks for JSON and stays where it is; a plain form is led to the node, or asked again with what was wrong.
async fn act(
    admin: Arc<Admin>,
    caller: Caller,
    name: String,
    action: Action,
    headers: &HeaderMap,
    form: Asked,
) -> Response {
    let script = headers.get(header::ACCEPT).is_some_and(|value| value.as_bytes() == b"application/json");
    let Form(ActForm { confirm, reason }) = match form {
        Ok(form) => form,
        Err(error) => return Failure::new(error.status(), error.body_text()).into_response(),
    };
    let (app, actor, node) = (Arc::clone(&admin.app), caller.actor.clone(), name.clone());
    let done = blocking(move || {
        perform(&app, &actor, &node, action, &reason, Some(&confirm), Timestamp::now())?;
        Ok(NodeRow::of(&find(&app.registry, &node)?))
    });
    match done.await {
        Ok(row) if script => Json(row).into_response(),
        Ok(row) => Redirect::to(&format!("{}?done={}", shell::path_of(&row), action.name())).into_response(),
        Err(failure) if script || failure.status == StatusCode::NOT_FOUND => failure.into_response(),
        Err(failure) => {
            let Failure { status, text } = failure.noted();
            let page = made(admin, caller, (Place::Nodes, ""), move |admin, caller| {
                let detail = NodeDetail::of(&find(&admin.app.registry, &name)?);
                let content = nodes::confirm(&detail, action, caller, Some(&text));
                Ok((format!("{} {}", action.name(), detail.node.hostname), content))
            });
            (status, page.await).into_response()
        }
    }
}

async fn strangers(State(admin): State<Arc<Admin>>, caller: Caller) -> Page {
    made(admin, caller, (Place::Strangers, "part"), |admin, caller| {
        Ok(("Strangers".to_owned(), other::strangers(&record::strangers_of(admin)?, caller)))
    })
    .await
}

async fn forget(
    State(admin): State<Arc<Admin>>,
    caller: Caller,
    Path(mac): Path<String>,
) -> Result<Redirect, PageFailure> {
    blocking(move || record::forget_stranger(&admin, &mac, &caller)).await?;
    Ok(Redirect::to("/strangers"))
}

#[derive(Debug, Default, Deserialize)]
struct AuditPageQuery {
    before: Option<u64>,
    verify: Option<String>,
}

async fn audit(State(admin): State<Arc<Admin>>, caller: Caller, Query(query): Query<AuditPageQuery>) -> Page {
    let live = if query.before.is_none() && query.verify.is_none() { "part" } else { "" };
    made(admin, caller, (Place::Audit, live), move |admin, _| {
        let asked = AuditQuery { before: query.before, limit: Some(LINES), ..AuditQuery::default() };
        let lines = record::lines(admin, &asked)?;
        let verification = query.verify.map(|_| record::verify(admin)).transpose()?;
        Ok(("Audit log".to_owned(), other::audit(&lines, verification.as_ref(), LINES)))
    })
    .await
}

async fn services(State(admin): State<Arc<Admin>>, caller: Caller) -> Page {
    let seen = health::look(&admin).await;
    made(admin, caller, (Place::Services, "poll"), move |admin, _| {
        let media = health::media_of(admin);
        let image = admin.app.image.as_deref();
        Ok(("Services".to_owned(), other::services(&seen, &media, env!("CARGO_PKG_VERSION"), image)))
    })
    .await
}

async fn login(State(admin): State<Arc<Admin>>) -> Markup {
    login_page(&admin, None)
}

fn login_page(admin: &Admin, fault: Option<&str>) -> Markup {
    let appliance = &admin.app.registry.declared().name;
    let frame = Frame { place: Place::Outside, title: "Log in", appliance, caller: None, live: "", seq: 0 };
    shell::page(&frame, &other::login(fault))
}

#[derive(Deserialize)]
struct LoginForm {
    secret: String,
}

async fn log_in(
    State(admin): State<Arc<Admin>>,
    headers: HeaderMap,
    form: Result<Form<LoginForm>, FormRejection>,
) -> Response {
    let now = Timestamp::now();
    let address = auth::client_address(&headers);
    let origin = auth::origin_of(address);
    let again = |failure: Failure| {
        let Failure { status, text } = failure.noted();
        (status, login_page(&admin, Some(&text))).into_response()
    };
    // Nobody is to be logged in by another page, in another's name.
    if let Err(failure) = auth::same_origin(&headers) {
        return again(failure);
    }
    if admin.limit.reached(address, now) {
        return again(auth::too_often());
    }
    let Ok(Form(LoginForm { secret })) = form else {
        return again(Failure::bad("give the code of the link, or an API token"));
    };
    let made = match secret.trim().parse::<Token>() {
        Ok(secret) => {
            let app = Arc::clone(&admin.app);
            blocking(move || Ok(access::log_in(app.registry.store(), &secret, now)?)).await
        }
        Err(_) => Ok(None),
    };
    match made {
        Ok(Some((session, holder))) => {
            tracing::info!(who = holder.name, origin, may_act = holder.may_act, "logged in");
            let cookie = cookie(&session.reveal(), SESSION.as_secs());
            ([cookie], Redirect::to("/")).into_response()
        }
        Ok(None) => {
            admin.limit.failed(address, now);
            tracing::warn!(origin, "a login has failed");
            again(Failure::new(
                StatusCode::UNAUTHORIZED,
                "this code is not known, was used already, or is older than ten minutes: ask for another with `provd login`",
            ))
        }
        Err(failure) => again(failure),
    }
}

async fn log_out(State(admin): State<Arc<Admin>>, caller: Caller) -> Result<Response, PageFailure> {
    if let By::Session { token, .. } = caller.by {
        blocking(move || Ok(access::log_out(admin.app.registry.store(), &token)?)).await?;
    }
    Ok(([cookie("", 0)], Redirect::to("/login")).into_response())
}

fn cookie(value: &str, seconds: i64) -> (HeaderName, String) {
    let cookie = format!("{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={seconds}");
    (header::SET_COOKIE, cookie)
}
