//! vmrest, Workstation's REST service (`vmrest`, by default http://127.0.0.1:8697).
//!
//! It knows machines by ids of its own and only those of Workstation's library: ours is registered before its first start. It has no calls
//! for disks and CDs, and its DELETE of a machine removes every disk of it: that is never called. Invariant: the password goes to this host, or
//! through TLS.

use std::io::Read as _;
use std::net::IpAddr;
use std::path::Path;

use bmc::{plain, root_cause};
use reqwest::blocking::{Client, RequestBuilder};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::{Host, Url};

use super::super::error::{DeployError, Kind};
use super::control::{Asked, Pace, usable};
use super::paths::Paths;

const MEDIA_TYPE: &str = "application/vnd.vmware.vmw.rest-v1+json";
/// Of an answer that is read; a library of thousands of machines is shorter.
const LONGEST: u64 = 4 << 20;

pub(super) struct Vmrest {
    client: Client,
    /// Ends with a slash.
    base: Url,
    user: String,
    password: SecretString,
    paths: Paths,
    /// As the library shows it.
    name: String,
}

#[derive(Deserialize)]
struct Known {
    id: String,
    path: String,
}

#[derive(Deserialize)]
struct Power {
    power_state: String,
}

#[derive(Deserialize)]
struct Address {
    ip: String,
}

#[derive(Deserialize)]
struct Adapters {
    #[serde(default)]
    nics: Vec<Adapter>,
}

#[derive(Deserialize)]
struct Adapter {
    #[serde(default)]
    mac: String,
    /// "192.168.5.7/24"
    #[serde(default)]
    ip: Vec<String>,
}

/// The service's reason; the documentation and the service differ in its spelling.
#[derive(Default, Deserialize)]
struct Reason {
    #[serde(default, alias = "Code")]
    code: i64,
    #[serde(default, alias = "Message")]
    message: String,
}

enum Failure {
    Status(StatusCode, Reason),
    Other(DeployError),
}

impl Vmrest {
    pub(super) fn new(
        url: &Url,
        credentials: &SecretString,
        paths: Paths,
        name: &str,
        pace: &Pace,
    ) -> Result<Self, DeployError> {
        let local = is_this_host(url);
        if url.scheme() != "https" && !local {
            let message = format!("{url} would get the password unprotected");
            return Err(DeployError::new(Kind::Settings, message)
                .help("write https://, and start vmrest with -c CERTIFICATE -k KEY; http is for 127.0.0.1 only"));
        }
        let (user, password) = credentials.expose_secret().split_once(':').ok_or_else(|| {
            DeployError::new(Kind::Settings, "the credentials of deploy.workstation.rest are not user:password")
        })?;
        // Someone may have installed one before; any provider will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("provbuild/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            // On this host the certificate protects no more than the loopback interface does.
            .tls_danger_accept_invalid_certs(local)
            .connect_timeout(pace.call.min(std::time::Duration::from_secs(10)))
            .timeout(pace.start)
            .build()
            .map_err(|error| DeployError::new(Kind::Hypervisor, plain(&root_cause(&error))))?;
        let mut base = url.clone();
        let path = base.path().trim_end_matches('/').trim_end_matches("/api").to_owned();
        base.set_path(&format!("{path}/api/"));
        let (user, password) = (user.to_owned(), SecretString::from(password.to_owned()));
        Ok(Vmrest { client, base, user, password, paths, name: name.to_owned() })
    }

    pub(super) fn running(&self, vmx: &Path) -> Result<bool, DeployError> {
        let Some(id) = self.id(vmx)? else { return Ok(false) };
        let power: Power =
            self.get(&format!("vms/{id}/power")).map_err(|failure| self.failed("tell a machine's power", failure))?;
        // A suspended machine holds no processor, and its memory is dropped by the next configuration.
        Ok(!matches!(power.power_state.as_str(), "poweredOff" | "suspended"))
    }

    pub(super) fn start(&self, vmx: &Path) -> Result<(), DeployError> {
        let id = match self.id(vmx)? {
            Some(id) => id,
            None => self.register(vmx)?,
        };
        self.power(&id, "on").map_err(|failure| self.failed("start the machine", failure))
    }

    pub(super) fn shut_down(&self, vmx: &Path) -> Result<Asked, DeployError> {
        let Some(id) = self.id(vmx)? else { return Ok(Asked::Accepted) };
        match self.power(&id, "shutdown") {
            Ok(()) => Ok(Asked::Accepted),
            Err(Failure::Status(status, _)) if status != StatusCode::UNAUTHORIZED => Ok(Asked::Refused),
            Err(failure) => Err(self.failed("shut the machine down", failure)),
        }
    }

    pub(super) fn switch_off(&self, vmx: &Path) -> Result<(), DeployError> {
        let Some(id) = self.id(vmx)? else { return Ok(()) };
        self.power(&id, "off").map_err(|failure| self.failed("switch the machine off", failure))
    }

    pub(super) fn address(&self, vmx: &Path, mac: Option<&str>) -> Result<Option<IpAddr>, DeployError> {
        let Some(id) = self.id(vmx)? else { return Ok(None) };
        let asked = "tell the machine's address";
        if let Some(mac) = mac {
            // Older services do not know this one.
            match self.get::<Adapters>(&format!("vms/{id}/nicips")) {
                Ok(adapters) => return Ok(of_adapter(&adapters, mac)),
                Err(Failure::Status(StatusCode::NOT_FOUND | StatusCode::CONFLICT, _)) => {}
                Err(Failure::Status(status, _)) if status.is_server_error() => {}
                Err(failure) => return Err(self.failed(asked, failure)),
            }
        }
        match self.get::<Address>(&format!("vms/{id}/ip")) {
            Ok(address) => Ok(address.ip.parse().ok().and_then(usable)),
            // The tools do not run yet: it says so in several ways.
            Err(Failure::Status(status, _)) if status != StatusCode::UNAUTHORIZED => Ok(None),
            Err(failure) => Err(self.failed(asked, failure)),
        }
    }

    fn id(&self, vmx: &Path) -> Result<Option<String>, DeployError> {
        let known: Vec<Known> = self.get("vms").map_err(|failure| self.failed("list the machines", failure))?;
        for machine in known {
            if self.paths.same(&machine.path, vmx)? {
                // It becomes part of a path.
                let id = machine.id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
                return match id && !machine.id.is_empty() {
                    true => Ok(Some(machine.id)),
                    false => Err(self.nonsense("an id that is none")),
                };
            }
        }
        Ok(None)
    }

    fn register(&self, vmx: &Path) -> Result<String, DeployError> {
        let path = self.paths.outward(vmx)?;
        let body = serde_json::json!({ "name": self.name, "path": path.to_string_lossy() }).to_string();
        let request = self.request(Method::POST, "vms/registration").map(|request| request.body(body));
        let registered = request.and_then(|request| self.send(request));
        registered.map_err(|failure| self.failed("register the machine", failure))?;
        // The id in the answer is another one than the list's in some versions.
        self.id(vmx)?.ok_or_else(|| self.nonsense("no machine where one was registered"))
    }

    /// The body is the bare word.
    fn power(&self, id: &str, word: &'static str) -> Result<(), Failure> {
        let request = self.request(Method::PUT, &format!("vms/{id}/power"))?.body(word);
        self.send(request).map(drop)
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let bytes = self.send(self.request(Method::GET, path)?)?;
        serde_json::from_slice(&bytes).map_err(|error| Failure::Other(self.nonsense(&error.to_string())))
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Failure> {
        let url = self.base.join(path).map_err(|error| Failure::Other(self.nonsense(&error.to_string())))?;
        let request = self.client.request(method, url).header(ACCEPT, MEDIA_TYPE).header(CONTENT_TYPE, MEDIA_TYPE);
        // reqwest marks the header as sensitive.
        Ok(request.basic_auth(&self.user, Some(self.password.expose_secret())))
    }

    fn send(&self, request: RequestBuilder) -> Result<Vec<u8>, Failure> {
        let unreachable = |reason: String| {
            let message = format!("{} cannot be reached: {}", self.base, plain(&reason));
            Failure::Other(DeployError::new(Kind::Unreachable, message).help("start vmrest, as the user who deploys"))
        };
        let answer = request.send().map_err(|error| unreachable(root_cause(&error)))?;
        let status = answer.status();
        let mut bytes = Vec::new();
        answer.take(LONGEST).read_to_end(&mut bytes).map_err(|error| unreachable(error.to_string()))?;
        match status.is_success() {
            true => Ok(bytes),
            false => Err(Failure::Status(status, serde_json::from_slice(&bytes).unwrap_or_default())),
        }
    }

    fn failed(&self, what: &str, failure: Failure) -> DeployError {
        let (status, reason) = match failure {
            Failure::Other(error) => return error,
            Failure::Status(status, reason) => (status, reason),
        };
        if status == StatusCode::UNAUTHORIZED {
            let message = format!("{} refuses the credentials of deploy.workstation.rest", self.base);
            return DeployError::new(Kind::Trust, message).help("`vmrest -C` sets its user and password");
        }
        let said = match plain(&reason.message) {
            empty if empty.is_empty() => status.to_string(),
            message if reason.code == 0 => message,
            message => format!("{message} (code {})", reason.code),
        };
        DeployError::new(Kind::Hypervisor, format!("vmrest cannot {what}: {said}"))
    }

    fn nonsense(&self, reason: &str) -> DeployError {
        DeployError::new(Kind::Hypervisor, format!("{} does not answer as vmrest does: {}", self.base, plain(reason)))
    }
}

fn of_adapter(adapters: &Adapters, mac: &str) -> Option<IpAddr> {
    let adapter = adapters.nics.iter().find(|adapter| adapter.mac.eq_ignore_ascii_case(mac))?;
    let addresses = adapter.ip.iter().filter_map(|text| text.split('/').next()?.parse().ok());
    let mut addresses: Vec<IpAddr> = addresses.filter_map(usable).collect();
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses.first().copied()
}

fn is_this_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};
    use std::thread;
    use std::time::Duration;

    use super::super::control::Control;
    use super::*;

    /// A vmrest of one machine, on a port of its own; lives until the process ends.
    struct Service {
        url: Url,
        state: Arc<Mutex<State>>,
    }

    #[derive(Default)]
    struct State {
        vmx: String,
        registered: bool,
        power: String,
        deaf: bool,
        nics: Option<String>,
        calls: Vec<String>,
    }

    impl State {
        fn answer(&mut self, call: &str) -> (u16, String) {
            let fault = |status, text: &str| (status, format!("{{\"Code\": 7, \"Message\": \"{text}\"}}"));
            match call.split_whitespace().collect::<Vec<_>>()[..] {
                ["GET", "/api/vms"] if self.registered => (
                    200,
                    format!(
                        "[{{\"id\": \"OTHER\", \"path\": \"/x\"}}, {{\"id\": \"A1\", \"path\": \"{}\"}}]",
                        self.vmx
                    ),
                ),
                ["GET", "/api/vms"] => (200, "[]".to_owned()),
                ["POST", "/api/vms/registration", ..] => {
                    self.registered = true;
                    (201, "{\"id\": \"WRONG\", \"path\": \"\"}".to_owned())
                }
                ["GET", "/api/vms/A1/power"] => (200, format!("{{\"power_state\": \"{}\"}}", self.power)),
                ["PUT", "/api/vms/A1/power", "shutdown"] if self.deaf => fault(409, "The tools do not run"),
                ["PUT", "/api/vms/A1/power", "on"] if self.power == "broken" => fault(500, "No\\u001b[31m\\nlicence"),
                ["PUT", "/api/vms/A1/power", word] => {
                    self.power = if word == "on" { "poweredOn" } else { "poweredOff" }.to_owned();
                    (200, "{\"power_state\": \"poweringOn\"}".to_owned())
                }
                ["GET", "/api/vms/A1/nicips"] => match &self.nics {
                    Some(nics) => (200, nics.clone()),
                    None => fault(404, "unknown call"),
                },
                ["GET", "/api/vms/A1/ip"] => (200, "{\"ip\": \"10.0.0.9\"}".to_owned()),
                _ => fault(404, "no such thing"),
            }
        }
    }

    impl Service {
        fn start(vmx: &Path) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
            let first = State { vmx: vmx.display().to_string(), power: "poweredOff".into(), ..State::default() };
            let state = Arc::new(Mutex::new(first));
            let shared = Arc::clone(&state);
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let mut stream = stream.unwrap();
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    let mut call = line.split(" HTTP/").next().unwrap().to_owned();
                    let (mut length, mut allowed, mut media) = (0, false, false);
                    loop {
                        line.clear();
                        reader.read_line(&mut line).unwrap();
                        let Some((name, value)) = line.trim().split_once(": ") else { break };
                        match name.to_ascii_lowercase().as_str() {
                            "content-length" => length = value.parse().unwrap(),
                            // "user:pass:word"
                            "authorization" => allowed = value == "Basic dXNlcjpwYXNzOndvcmQ=",
                            "accept" => media = value == MEDIA_TYPE,
                            _ => {}
                        }
                    }
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).unwrap();
                    if !body.is_empty() {
                        call += &format!(" {}", String::from_utf8(body).unwrap());
                    }
                    let mut state = shared.lock().unwrap();
                    let (status, text) = match (allowed, media) {
                        (false, _) => (401, String::new()),
                        (_, false) => (406, String::new()),
                        _ => state.answer(&call),
                    };
                    state.calls.push(call);
                    let head =
                        format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
                    stream.write_all((head + &text).as_bytes()).unwrap();
                }
            });
            Service { url, state }
        }

        fn control(&self, credentials: &str) -> Control {
            Control::Vmrest(client(&self.url, credentials).unwrap())
        }

        fn set(&self, change: impl FnOnce(&mut State)) {
            change(&mut self.state.lock().unwrap());
        }

        fn calls(&self) -> Vec<String> {
            let mut calls = std::mem::take(&mut self.state.lock().unwrap().calls);
            calls.retain(|call| !call.starts_with("GET"));
            calls
        }
    }

    const PACE: Pace = Pace {
        look: Duration::from_millis(5),
        call: Duration::from_secs(60),
        start: Duration::from_secs(60),
        deaf: Duration::from_millis(30),
        off: Duration::from_millis(100),
    };

    fn client(url: &Url, credentials: &str) -> Result<Vmrest, DeployError> {
        Vmrest::new(url, &SecretString::from(credentials.to_owned()), Paths::Native, "lab", &PACE)
    }

    #[test]
    fn a_machine_is_registered_started_and_stopped() {
        let vmx = Path::new("/vm/lab/lab.vmx");
        let service = Service::start(vmx);
        let control = service.control("user:pass:word");
        assert!(!control.running(vmx).unwrap());
        control.start(vmx).unwrap();
        let registered = "POST /api/vms/registration {\"name\":\"lab\",\"path\":\"/vm/lab/lab.vmx\"}";
        assert_eq!(service.calls(), [registered, "PUT /api/vms/A1/power on"]);
        control.start(vmx).unwrap();
        assert!(service.calls().is_empty() && control.running(vmx).unwrap());
        control.stop(vmx, Duration::from_secs(20), &PACE).unwrap();
        assert_eq!(service.calls(), ["PUT /api/vms/A1/power shutdown"]);
        control.start(vmx).unwrap();
        service.set(|state| state.deaf = true);
        service.calls();
        control.stop(vmx, Duration::from_secs(20), &PACE).unwrap();
        assert_eq!(service.calls().last().unwrap(), "PUT /api/vms/A1/power off");
    }

    #[test]
    fn the_address_is_that_of_the_uplink() {
        let vmx = Path::new("/vm/lab/lab.vmx");
        let service = Service::start(vmx);
        let control = service.control("user:pass:word");
        service.set(|state| (state.registered, state.power) = (true, "poweredOn".into()));
        let address = |mac| control.address(vmx, mac).unwrap().map(|address| address.to_string());
        let mac = Some("00:50:56:00:00:01");
        assert_eq!(address(mac).as_deref(), Some("10.0.0.9"));
        service.set(|state| {
            let other = "{\"mac\": \"00:50:56:00:00:02\", \"ip\": [\"172.16.0.1/24\"]}";
            let uplink =
                "{\"mac\": \"00:50:56:00:00:01\", \"ip\": [\"fe80::1/64\", \"2001:db8::7/64\", \"192.168.5.7/24\"]}";
            state.nics = Some(format!("{{\"nics\": [{other}, {uplink}]}}"));
        });
        assert_eq!(address(mac).as_deref(), Some("192.168.5.7"));
        assert_eq!(address(Some("00:50:56:00:00:03")), None);
        assert_eq!(address(None).as_deref(), Some("10.0.0.9"));
        service.set(|state| (state.power, state.nics) = ("poweredOff".into(), Some("{}".into())));
        assert!(control.address(vmx, mac).unwrap_err().message.ends_with("has stopped"));
    }

    #[test]
    fn what_it_refuses_is_told_in_plain_words() {
        let vmx = Path::new("/vm/lab/lab.vmx");
        let service = Service::start(vmx);
        let refused = service.control("user:wrong").running(vmx).unwrap_err();
        assert_eq!(refused.kind, Kind::Trust);
        assert!(!refused.message.contains("wrong"));
        service.set(|state| (state.registered, state.power) = (true, "broken".into()));
        let failed = match service.control("user:pass:word") {
            Control::Vmrest(vmrest) => vmrest.start(vmx).unwrap_err(),
            Control::Vmrun(_) => unreachable!(),
        };
        assert_eq!(failed.message, "vmrest cannot start the machine: No [31m licence (code 7)");
        let nobody = client(&Url::parse("http://127.0.0.1:9").unwrap(), "user:pass").unwrap().running(vmx).unwrap_err();
        assert_eq!(nobody.kind, Kind::Unreachable);
    }

    #[test]
    fn the_password_does_not_go_over_the_network_in_clear() {
        let new = |url: &str| client(&Url::parse(url).unwrap(), "user:password").map(|vmrest| vmrest.base.to_string());
        for url in ["http://192.0.2.7:8697", "http://windows.example:8697/", "http://localhost.example"] {
            let refused = new(url).unwrap_err();
            assert_eq!(refused.kind, Kind::Settings, "{url}");
            assert!(!refused.to_string().contains("user:password"));
        }
        for url in ["http://127.0.0.1:8697", "http://[::1]:8697/api", "http://localhost:8697/api/", "https://192.0.2.7"]
        {
            assert!(new(url).unwrap().ends_with("/api/"), "{url}");
        }
        assert!(client(&Url::parse("http://127.0.0.1").unwrap(), "no colon").is_err());
    }
}
