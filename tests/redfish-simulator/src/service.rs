//! The way of a request through the service: faults, authentication, headers, then reading or writing.
//!
//! Input: a [`Request`]; output: a [`Reply`]. Invariant: one request at a time, in the order in which they came; each is recorded with its status.

use std::time::Instant;

use serde_json::Value;

use crate::account::{Caller, People, SESSIONS};
use crate::etag;
use crate::faults::{Active, Fault};
use crate::messages::{self, Message};
use crate::model::{Model, Vendor};
use crate::place::Place;
use crate::power::Machine;
use crate::reply::{Delivery, Recorded, Reply, Request};
use crate::state::State;
use crate::task::Tasks;
use crate::tree::{self, Tree};
use crate::view;

pub(crate) struct Service {
    pub(crate) model: Model,
    pub(crate) tree: Tree,
    pub(crate) state: State,
    pub(crate) faults: Active,
    pub(crate) people: People,
    pub(crate) machine: Machine,
    pub(crate) tasks: Tasks,
    pub(crate) requests: Vec<Recorded>,
    told: usize,
    pub(crate) on_boot: Option<Box<dyn FnMut() + Send>>,
}

impl Service {
    pub(crate) fn new(model: Model) -> Service {
        Service {
            tree: Tree::new(&model),
            state: State::new(&model),
            faults: Active::default(),
            people: People::new(&model.user, &model.password, model.session_timeout),
            machine: Machine::default(),
            tasks: Tasks::default(),
            requests: Vec::new(),
            told: 0,
            on_boot: None,
            model,
        }
    }

    /// Lets happen what is due.
    pub(crate) fn settle(&mut self, now: Instant) {
        self.people.settle(now);
        self.run_tasks(now);
        self.machine.settle(&self.model, &mut self.state, &self.faults, now);
        self.tell_boots();
    }

    /// Whoever listens hears of each boot once.
    pub(crate) fn tell_boots(&mut self) {
        while self.told < self.state.boots.len() {
            self.told += 1;
            if let Some(hear) = self.on_boot.as_mut() {
                hear();
            }
        }
    }

    pub(crate) fn answer(&mut self, request: &Request, now: Instant) -> Reply {
        self.faults.method.clone_from(&request.method);
        self.faults.path.clone_from(&request.path);
        self.settle(now);
        let judged = self.judge(request, now);
        self.tell_boots();
        let mut reply = match judged {
            Ok(reply) | Err(reply) => reply,
        };
        if reply.is_good() && !reply.body.is_empty() {
            self.spoil(&mut reply);
        } else if !reply.is_good() {
            self.spoil_error(&mut reply);
        }
        reply.headers.push(("OData-Version", "4.0".into()));
        reply.headers.push(("Cache-Control", "no-cache".into()));
        reply.delivery = self.delivery();
        self.requests.push(Recorded::of(request, reply.status));
        self.faults.method.clear();
        self.faults.path.clear();
        reply
    }

    fn spoil(&self, reply: &mut Reply) {
        let huge = self.faults.find(|fault| match fault {
            Fault::HugeBody(bytes) => Some(*bytes),
            _ => None,
        });
        if let Some(bytes) = huge {
            let frame = "{\"Filler\":\"\"}".len();
            reply.body = format!("{{\"Filler\":\"{}\"}}", "x".repeat(bytes.saturating_sub(frame))).into_bytes();
        }
        if self.faults.is(&Fault::GarbageJson) {
            reply.body = b"{\"@odata.id\": \"/redfish/v1\", <html>not JSON".to_vec();
        }
    }

    fn spoil_error(&self, reply: &mut Reply) {
        let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) else { return };
        if self.faults.is(&Fault::HostileText) {
            view::make_hostile(&mut body);
        }
        if self.faults.is(&Fault::ErrorsOldShape) {
            messages::old_shape(&mut body);
        }
        reply.body = body.to_string().into_bytes();
        if self.faults.is(&Fault::ErrorsHtml) {
            reply.body = format!("<html><body><h1>{}</h1></body></html>", reply.status).into_bytes();
            reply.headers.retain(|(name, _)| *name != "Content-Type");
            reply.headers.push(("Content-Type", "text/html".into()));
        }
    }

    fn delivery(&self) -> Delivery {
        let slow = self.faults.find(|fault| match fault {
            Fault::Slow(time) => Some(*time),
            _ => None,
        });
        Delivery {
            before: slow.unwrap_or(self.model.latency),
            between_bytes: self.faults.find(|fault| match fault {
                Fault::SlowBody(time) => Some(*time),
                _ => None,
            }),
            cut: self.faults.find(|fault| match fault {
                Fault::Cut(where_) => Some(*where_),
                _ => None,
            }),
        }
    }

    /// Both sides of the result are answers; `Err` is one that ended the way early.
    fn judge(&mut self, request: &Request, now: Instant) -> Result<Reply, Reply> {
        if self.faults.is(&Fault::RedirectsElsewhere) {
            return Err(Reply::empty(302).with("Location", format!("https://192.0.2.1{}", request.path)));
        }
        let gone = self.faults.find(|fault| match fault {
            Fault::NoSessions(status) => Some(*status),
            _ => None,
        });
        if let Some(status) = gone.filter(|_| request.path.starts_with("/redfish/v1/SessionService")) {
            return Err(Reply::error(status, &[Message::not_found(&request.path)]));
        }
        let reads = matches!(request.method.as_str(), "GET" | "HEAD");
        let post = self.state.post;
        if self.faults.refuses_in_post(!reads && request.path != SESSIONS, post) {
            return Err(self.in_post(reads));
        }
        self.check_headers(request)?;
        if reads && let Some(reply) = self.public(&request.path) {
            self.check_query(request)?;
            return Ok(reply);
        }
        let creates = request.path.strip_suffix("/Members").unwrap_or(&request.path);
        if request.method == "POST" && creates == SESSIONS {
            return self.open_session(&object(request)?, now);
        }
        let caller = self.authenticate(request, now)?;
        self.check_password_change(request, &caller)?;
        self.check_query(request)?;
        if request.path.starts_with(&self.model.bios_path()) && self.faults.is(&Fault::Bios501) {
            return Err(Reply::error(501, &[Message::not_implemented()]));
        }
        match request.method.as_str() {
            "GET" | "HEAD" => self.read(request),
            _ => self.write(request, &caller, now),
        }
    }

    /// 503; iLO says of writes that they must wait for the end of POST.
    fn in_post(&self, reads: bool) -> Reply {
        match self.model.vendor {
            Vendor::Hpe if !reads => Reply::error(
                400,
                &[Message::of(
                    "iLO.2.15.UnableToModifyDuringSystemPOST",
                    "Unable to modify %1 until System POST has completed.",
                    &["the property"],
                    "Retry the operation when the system is not in POST.",
                )],
            ),
            _ => {
                let seconds = self.model.retry_after;
                Reply::error(503, &[Message::unavailable(seconds)]).with("Retry-After", seconds.to_string())
            }
        }
    }

    /// Documents that need no authentication.
    fn public(&self, path: &str) -> Option<Reply> {
        match path {
            "/redfish" => Some(Reply::json(200, &serde_json::json!({"v1": "/redfish/v1/"})).with("Allow", "GET, HEAD")),
            "/redfish/v1" => Some(self.representation(200, &self.view(path)?).with("Allow", "GET, HEAD")),
            "/redfish/v1/odata" => Some(Reply::json(200, &tree::odata()).with("Allow", "GET, HEAD")),
            "/redfish/v1/$metadata" => {
                let xml = tree::metadata(&self.tree).into_bytes();
                let reply = Reply { body: xml, ..Reply::empty(200) };
                Some(reply.with("Content-Type", "application/xml;charset=utf-8").with("Allow", "GET, HEAD"))
            }
            _ => None,
        }
    }

    fn check_headers(&self, request: &Request) -> Result<(), Reply> {
        if request.header("odata-version").is_some_and(|version| version.trim() != "4.0") {
            return Err(Reply::error(412, &[Message::header("OData-Version")]));
        }
        let accept = request.header("accept").unwrap_or("*/*");
        let wanted: &[&str] = match request.path.as_str() {
            "/redfish/v1/$metadata" => &["*/*", "application/*", "application/xml", "application/json"],
            _ => &["*/*", "application/*", "application/json"],
        };
        let there = matches!(request.path.as_str(), "/redfish" | "/redfish/v1/odata" | "/redfish/v1/$metadata")
            || self.view(&request.path).is_some();
        let kinds = || accept.split(',').filter_map(|one| one.split(';').next()).map(str::trim);
        if there && !kinds().any(|kind| wanted.contains(&kind)) {
            return Err(Reply::error(406, &[Message::header("Accept")]));
        }
        let json = request.header("content-type").is_none_or(|kind| kind.starts_with("application/json"));
        if !json && !request.body.is_empty() && matches!(request.method.as_str(), "POST" | "PATCH" | "PUT") {
            return Err(Reply::error(415, &[Message::header("Content-Type")]));
        }
        Ok(())
    }

    /// DSP0266 section 7.3: what begins with `$` and is unknown is refused, all else ignored.
    fn check_query(&self, request: &Request) -> Result<(), Reply> {
        let names = request.query.split('&').filter_map(|pair| pair.split('=').next());
        match names.into_iter().find(|name| name.starts_with('$') || name.starts_with("%24")) {
            Some(name) => Err(Reply::error(501, &[Message::query_unsupported(name)])),
            None => Ok(()),
        }
    }

    fn authenticate(&mut self, request: &Request, now: Instant) -> Result<Caller, Reply> {
        let basic = !self.faults.is(&Fault::BasicOff);
        let caller = match (request.header("x-auth-token"), request.header("authorization")) {
            (Some(token), _) => {
                let caller = self.people.by_token(token, now);
                if self.faults.is(&Fault::SessionsExpire) {
                    self.people.close_all();
                }
                caller
            }
            (None, Some(header)) if basic => self.people.by_basic(header),
            _ => None,
        };
        caller.ok_or_else(|| {
            let reply = Reply::error(401, &[Message::unauthorized(&request.path)]);
            if basic { reply.with("WWW-Authenticate", "Basic realm=\"Redfish\"") } else { reply }
        })
    }

    /// Until the password is changed, a caller may do that, and look at his own account and session.
    fn check_password_change(&self, request: &Request, caller: &Caller) -> Result<(), Reply> {
        let forced = self.faults.is(&Fault::PasswordChangeRequired) && caller.account == "1";
        if !caller.must_change && !forced {
            return Ok(());
        }
        let account = format!("{}/{}", crate::account::ACCOUNTS, caller.account);
        let session = caller.session.as_ref().map(|id| format!("{SESSIONS}/{id}"));
        match request.path == account || Some(&request.path) == session.as_ref() {
            true => Ok(()),
            false => Err(Reply::error(403, &[Message::password_change(&account)])),
        }
    }

    /// A resource with its headers.
    pub(crate) fn representation(&self, status: u16, resource: &Value) -> Reply {
        let kind = resource["@odata.type"].as_str().unwrap_or_default().trim_start_matches('#');
        let schema = kind.split('.').next().unwrap_or_default();
        let version = kind.rsplit_once('.').map_or(kind, |(namespace, _)| namespace);
        let reply = Reply::json(status, resource);
        let reply = match resource.get("@odata.etag").and_then(Value::as_str) {
            Some(tag) => reply.with("ETag", tag),
            None => reply,
        };
        if schema.is_empty() {
            return reply;
        }
        reply.with("Link", format!("<https://redfish.dmtf.org/schemas/v1/{version}.json>; rel=describedby"))
    }

    fn read(&mut self, request: &Request) -> Result<Reply, Reply> {
        if let Some(reply) = self.task_monitor(&request.path) {
            return Ok(reply);
        }
        let place = Place::of(&self.model, &self.settings_path(), &request.path);
        if let Some(action) = place.as_ref().filter(|place| place.is_action()) {
            return Err(Reply::error(405, &[Message::not_allowed()]).with("Allow", action.allows()));
        }
        let Some(resource) = self.view(&request.path) else {
            return Err(Reply::error(404, &[Message::not_found(&request.path)]));
        };
        let tag = resource.get("@odata.etag").and_then(Value::as_str);
        if tag.is_some() && tag == request.header("if-none-match") {
            return Err(Reply::empty(304).with("ETag", tag.unwrap_or_default()));
        }
        Ok(self.representation(200, &resource).with("Allow", place.map_or("GET, HEAD", |place| place.allows())))
    }

    /// 412 and 428.
    pub(crate) fn check_match(&self, request: &Request) -> Result<(), Reply> {
        let Some(header) = request.header("if-match") else {
            return match self.faults.is(&Fault::EtagRequired) {
                true => Err(Reply::error(428, &[Message::precondition_required()])),
                false => Ok(()),
            };
        };
        let Some(resource) = self.view(&request.path) else { return Ok(()) };
        match etag::matches(header, &etag::opaque(&resource), self.model.weak_etags, &self.faults) {
            true => Ok(()),
            false => Err(Reply::error(412, &[Message::precondition()])),
        }
    }
}

/// The body as a JSON object.
pub(crate) fn object(request: &Request) -> Result<serde_json::Map<String, Value>, Reply> {
    if request.body.is_empty() {
        return Ok(serde_json::Map::new());
    }
    match serde_json::from_slice(&request.body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Reply::json(400, &messages::error(&[Message::media_type()]))),
        Err(_) => Err(Reply::error(400, &[Message::malformed()])),
    }
}
