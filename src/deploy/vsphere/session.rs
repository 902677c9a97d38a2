//! A session with one vCenter or host: log in, call, read properties, wait for tasks.
//!
//! In: a URL, credentials, whom to trust. Out: answers of calls. Invariants: the password and the cookie go to this host and port only, after
//! its certificate was accepted; an answer is bounded before it is parsed; a call is sent again only when it was certainly not carried out
//! (the session had ended), or when it reads.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use reqwest::blocking::{Body, Client, RequestBuilder, Response};
use reqwest::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::super::error::{DeployError, Kind};
use super::soap::{self, Failure, Moref, localized, said};
use super::tls::{self, Trust};
use super::xml::{Element, LONGEST};

/// The oldest version of the API that has all that is used here; later servers answer in it as well.
const VERSION: &str = "urn:vim25/6.5";
/// Times that a reading is tried when the connection breaks.
const TRIES: u32 = 3;
const COOKIE_NAME: &str = "vmware_soap_session=";
const LONGEST_COOKIE: usize = 4096;
/// Between two looks at a task.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Pages of one reading.
const MOST_PAGES: usize = 1000;

/// What the service offers.
pub(super) struct Services {
    pub(super) root: Moref,
    pub(super) files: Moref,
    pub(super) disks: Moref,
    pub(super) ovf: Moref,
    pub(super) search: Moref,
    properties: Moref,
    sessions: Moref,
    views: Moref,
    /// "VMware ESXi 8.0.2 build-..."
    pub(super) title: String,
}

pub(super) struct Session {
    http: Client,
    pub(super) trust: Trust,
    url: Url,
    user: String,
    password: SecretString,
    cookie: Mutex<Option<Zeroizing<String>>>,
    pub(super) services: Services,
}

/// One object with the properties that were asked for, as far as they are set.
pub(super) struct Object {
    pub(super) of: Moref,
    pub(super) values: BTreeMap<String, Element>,
}

impl Session {
    /// # Errors
    /// It cannot be reached, is not trusted, or refuses the credentials.
    pub(super) fn open(url: &Url, credentials: &SecretString, trust: Trust) -> Result<Self, DeployError> {
        let mut url = url.clone();
        if matches!(url.path(), "" | "/") {
            url.set_path("/sdk");
        }
        let credentials = credentials.expose_secret().trim_end_matches(['\n', '\r']);
        let Some((user, password)) = credentials.split_once(':').filter(|(user, _)| !user.is_empty()) else {
            return Err(DeployError::new(Kind::Settings, "deploy.vsphere.credentials does not lead to USER:PASSWORD")
                .help("write the user, a colon and the password on one line"));
        };
        let http = trust.client()?;
        let host = host_of(&url);
        // The content is for everybody: whoever answers shows the certificate before being told the password.
        let call = Moref::new("ServiceInstance", "ServiceInstance").call("RetrieveServiceContent");
        let body = Zeroizing::new(soap::envelope(&call));
        let (answer, _) = send(&http, &url, None, &body, &host)?;
        let services = Services::read(&soap::answer(&answer, &call.name)?)?;
        let session = Session {
            http,
            trust,
            url,
            user: user.to_owned(),
            password: SecretString::from(password),
            cookie: Mutex::default(),
            services,
        };
        session.log_in()?;
        Ok(session)
    }

    /// Host and port, for messages and for `openssl s_client`.
    pub(super) fn host(&self) -> String {
        host_of(&self.url)
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    fn cookie(&self) -> Option<Zeroizing<String>> {
        self.cookie.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn log_in(&self) -> Result<(), Failure> {
        let body = soap::login(&self.services.sessions, &self.user, self.password.expose_secret());
        let (answer, cookie) = send(&self.http, &self.url, None, &body, &self.host())?;
        soap::answer(&answer, "Login")?;
        let Some(cookie) = cookie else { return Err(Failure::nonsense("a login without a session's cookie")) };
        *self.cookie.lock().unwrap_or_else(PoisonError::into_inner) = Some(cookie);
        Ok(())
    }

    /// Calls a method; gives what is inside its answer.
    pub(super) fn call(&self, call: &Element) -> Result<Element, Failure> {
        let body = Zeroizing::new(soap::envelope(call));
        let mut renewed = false;
        loop {
            let (answer, _) = send(&self.http, &self.url, self.cookie().as_ref(), &body, &self.host())?;
            match soap::answer(&answer, &call.name) {
                Err(failure) if failure.is(&["NotAuthenticated"]) && !renewed => {
                    renewed = true;
                    self.log_in()?;
                }
                result => return result,
            }
        }
    }

    /// Calls what may be called any number of times.
    fn ask(&self, call: &Element) -> Result<Element, Failure> {
        let mut tries = 1;
        loop {
            match self.call(call) {
                Err(Failure::Other(error)) if error.kind == Kind::Unreachable && tries < TRIES => {
                    thread::sleep(Duration::from_secs(u64::from(tries)));
                    tries += 1;
                }
                result => return result,
            }
        }
    }

    /// The properties of one object, as far as they are set.
    pub(super) fn properties(&self, of: &Moref, paths: &[&str]) -> Result<BTreeMap<String, Element>, Failure> {
        let object = Element::new("objectSet").with(of.element("obj")).leaf("skip", false);
        let wanted = [(of.kind.as_str(), paths)];
        let mut objects = self.retrieve(&wanted, object)?;
        match objects.pop() {
            Some(object) if objects.is_empty() => Ok(object.values),
            _ => Err(Failure::nonsense(format!("no properties of a {}", said(&of.kind)))),
        }
    }

    /// Everything of some types below a container, with properties of each.
    pub(super) fn view(&self, container: &Moref, wanted: &[(&str, &[&str])]) -> Result<Vec<Object>, Failure> {
        let mut call = self.services.views.call("CreateContainerView").with(container.element("container"));
        for (kind, _) in wanted {
            call = call.leaf("type", kind);
        }
        let answer = self.ask(&call.leaf("recursive", true))?;
        let view = reference(&answer)?;
        let traversal = Element::typed("selectSet", "TraversalSpec")
            .leaf("name", "view")
            .leaf("type", "ContainerView")
            .leaf("path", "view")
            .leaf("skip", false);
        let object = Element::new("objectSet").with(view.element("obj")).leaf("skip", true).with(traversal);
        let objects = self.retrieve(wanted, object);
        // It ends with the session at the latest.
        let _ = self.call(&view.call("DestroyView"));
        objects
    }

    fn retrieve(&self, wanted: &[(&str, &[&str])], object: Element) -> Result<Vec<Object>, Failure> {
        let mut spec = Element::new("specSet");
        for (kind, paths) in wanted {
            let mut set = Element::new("propSet").leaf("type", kind);
            for path in *paths {
                set = set.leaf("pathSet", path);
            }
            spec = spec.with(set);
        }
        let collector = &self.services.properties;
        let call = collector.call("RetrievePropertiesEx").with(spec.with(object)).with(Element::new("options"));
        let mut answer = self.ask(&call)?;
        let mut objects = Vec::new();
        for _ in 0..MOST_PAGES {
            let Some(value) = answer.child("returnval") else { return Ok(objects) };
            for object in value.all("objects") {
                let Some(of) = object.child("obj").and_then(Moref::of) else { continue };
                let sets = object.all("propSet");
                let values = sets.filter_map(|set| Some((set.text_of("name")?.to_owned(), set.child("val")?.clone())));
                objects.push(Object { of, values: values.collect() });
            }
            let Some(token) = value.text_of("token") else { return Ok(objects) };
            answer = self.ask(&collector.call("ContinueRetrievePropertiesEx").leaf("token", token))?;
        }
        Err(Failure::nonsense("an endless list"))
    }

    /// Calls a method that gives a task, and waits for the task's end; gives its result, where it has one.
    pub(super) fn task(&self, call: &Element) -> Result<Option<Element>, Failure> {
        self.task_with(call, &mut || Ok(()))
    }

    /// The same; `meanwhile` is called between two looks, and ends the waiting when it fails.
    pub(super) fn task_with(
        &self,
        call: &Element,
        meanwhile: &mut dyn FnMut() -> Result<(), Failure>,
    ) -> Result<Option<Element>, Failure> {
        let task = reference(&self.call(call)?)?;
        let mut pause = FIRST_PAUSE;
        loop {
            let mut info = self.properties(&task, &["info.state", "info.error", "info.result"])?;
            match info.get("info.state").map(|state| state.text.trim()) {
                Some("success") => return Ok(info.remove("info.result")),
                Some("error") => {
                    let error = info.get("info.error").cloned().unwrap_or_default();
                    return Err(Failure::Fault(localized(&error, &call.name)));
                }
                Some("queued" | "running") => {}
                _ => return Err(Failure::nonsense("a task without a state")),
            }
            meanwhile()?;
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// A plain HTTP request to this host and port, with the session.
    pub(super) fn request(&self, method: reqwest::Method, url: Url) -> Result<RequestBuilder, DeployError> {
        if url.origin() != self.url.origin() {
            return Err(DeployError::new(Kind::Hypervisor, "a request of this session to another host"));
        }
        let request = self.http.request(method, url);
        Ok(match self.cookie() {
            Some(cookie) => request.header(COOKIE, cookie.as_str()),
            None => request,
        })
    }
}

impl Drop for Session {
    /// A session that stays open costs vCenter one of a few hundred, for half an hour.
    fn drop(&mut self) {
        let call = self.services.sessions.call("Logout");
        let body = Zeroizing::new(soap::envelope(&call));
        if let Some(cookie) = self.cookie() {
            let _ = send(&self.http, &self.url, Some(&cookie), &body, "");
        }
    }
}

impl Services {
    fn read(answer: &Element) -> Result<Self, Failure> {
        let content = answer.child("returnval").ok_or_else(|| Failure::nonsense("no service content"))?;
        let service = |name: &str| {
            content
                .child(name)
                .and_then(Moref::of)
                .ok_or_else(|| Failure::nonsense(format!("a service without {name}")))
        };
        let about = content.child("about");
        let title = about.and_then(|about| about.text_of("fullName")).unwrap_or("vSphere");
        Ok(Services {
            root: service("rootFolder")?,
            files: service("fileManager")?,
            disks: service("virtualDiskManager")?,
            ovf: service("ovfManager")?,
            search: service("searchIndex")?,
            properties: service("propertyCollector")?,
            sessions: service("sessionManager")?,
            views: service("viewManager")?,
            title: said(title),
        })
    }
}

/// The `returnval` that refers to an object.
pub(super) fn reference(answer: &Element) -> Result<Moref, Failure> {
    answer
        .child("returnval")
        .and_then(Moref::of)
        .ok_or_else(|| Failure::nonsense(format!("{} without a value", said(&answer.name))))
}

fn host_of(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(443))
}

/// Sends one SOAP request; the answer's text, and the session's cookie if one was set.
fn send(
    http: &Client,
    url: &Url,
    cookie: Option<&Zeroizing<String>>,
    body: &Zeroizing<String>,
    host: &str,
) -> Result<(String, Option<Zeroizing<String>>), DeployError> {
    let bytes = Zeroizing::new(body.as_bytes().to_vec());
    let length = bytes.len() as u64;
    let mut request = http
        .post(url.clone())
        .header(CONTENT_TYPE, "text/xml; charset=utf-8")
        .header("SOAPAction", format!("\"{VERSION}\""))
        .body(Body::sized(Cursor::new(bytes), length));
    if let Some(cookie) = cookie {
        request = request.header(COOKIE, cookie.as_str());
    }
    let response = request.send().map_err(|error| tls::failure(&error, host))?;
    let status = response.status().as_u16();
    if !matches!(status, 200 | 500) {
        return Err(status_failure(status, url, host));
    }
    let set = response.headers().get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let set = set.filter_map(|value| value.split(';').next()).find(|value| value.starts_with(COOKIE_NAME));
    let set = set.filter(|value| value.len() <= LONGEST_COOKIE).map(|value| Zeroizing::new(value.to_owned()));
    let text = String::from_utf8(bounded(response, LONGEST, host)?)
        .map_err(|_| DeployError::new(Kind::Hypervisor, format!("{host} answers with what is no UTF-8")))?;
    Ok((text, set))
}

pub(super) fn status_failure(status: u16, url: &Url, host: &str) -> DeployError {
    let failed = |kind| DeployError::new(kind, format!("{host} answers {} with status {status}", url.path()));
    match status {
        401 | 403 => failed(Kind::Refused).help("give the user the privileges that docs/deploy.md lists"),
        404 => failed(Kind::Hypervisor).help("is deploy.vsphere.url that of a vCenter or an ESXi host?"),
        502..=504 => failed(Kind::Unreachable).help("deploy again when its services have started"),
        507 => failed(Kind::Refused).help("make room in the datastore, then deploy again"),
        _ => failed(Kind::Hypervisor),
    }
}

/// An answer's body, if it is not longer than it may be.
pub(super) fn bounded(response: Response, longest: usize, host: &str) -> Result<Vec<u8>, DeployError> {
    let mut bytes = Vec::new();
    let read = response.take(longest as u64 + 1).read_to_end(&mut bytes);
    match read {
        Ok(_) if bytes.len() > longest => {
            Err(DeployError::new(Kind::Hypervisor, format!("{host} answers with more than {longest} bytes")))
        }
        Ok(_) => Ok(bytes),
        Err(error) => Err(DeployError::new(
            Kind::Unreachable,
            format!("{host} broke off its answer: {}", said(&error.to_string())),
        )
        .help("deploy again: what was begun is taken up")),
    }
}
