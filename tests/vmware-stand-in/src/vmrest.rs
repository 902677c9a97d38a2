//! vmrest's HTTP: Workstation's REST API over the same engine. One request for each connection, one after the other.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::calls::{self, Call};
use crate::engine::Engine;
use crate::faults::Moment;
use crate::{Refusal, now, state};

pub const MEDIA_TYPE: &str = "application/vnd.vmware.vmw.rest-v1+json";
/// The library: machines that were registered, by id.
const INVENTORY: &str = "inventory.json";
const LONGEST_BODY: usize = 1 << 20;

struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: String,
}

struct Failure {
    status: u16,
    message: String,
}

type Answer = Result<(u16, Value), Failure>;

fn failure(status: u16, message: impl Into<String>) -> Failure {
    Failure { status, message: message.into() }
}

impl From<Refusal> for Failure {
    fn from(Refusal(text): Refusal) -> Self {
        let conflict =
            text.contains("not powered on") || text.contains("Tools are not running") || text.contains("in use");
        failure(if conflict { 409 } else { 500 }, text)
    }
}

/// Answers until the listener fails.
///
/// # Errors
/// The listener has failed.
pub fn serve(listener: &TcpListener, engine: &Engine) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        // A client that goes away in the middle concerns nobody else.
        let _ = one(&stream, engine);
    }
}

fn read(stream: &TcpStream) -> io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = || -> io::Result<String> {
        let mut text = String::new();
        reader.by_ref().take(16 << 10).read_line(&mut text)?;
        Ok(text.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        let text = line()?;
        match text.split_once(':') {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
            None => break,
        };
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    if length > LONGEST_BODY {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let path = path.split('?').next().unwrap_or_default().to_owned();
    Ok(Request { method, path, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

fn one(mut stream: &TcpStream, engine: &Engine) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let time = now();
    let request = read(stream)?;
    let (status, body) = match answer(engine, &request) {
        Ok((status, Value::Null)) => (status, String::new()),
        Ok((status, body)) => (status, body.to_string()),
        Err(Failure { status, message }) => (status, json!({ "Code": status, "Message": message }).to_string()),
    };
    let Request { method, path, body: asked, .. } = request;
    let call = Call {
        time,
        program: "vmrest".into(),
        arguments: vec![method, path, asked],
        exit: status.into(),
        said: body.clone(),
    };
    calls::record(&engine.settings().directory, &call)?;
    let reason = match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        _ => "Error",
    };
    let challenge = if status == 401 { "WWW-Authenticate: Basic realm=\"VMware\"\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {}\r\n{challenge}Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes())
}

fn check(engine: &Engine, request: &Request) -> Result<(), Failure> {
    let header = |name: &str| request.headers.get(name).map(String::as_str);
    let given = header("authorization").and_then(|text| text.strip_prefix("Basic "));
    let given = given.and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
    if given.as_deref() != Some(engine.settings().credentials.as_bytes()) {
        return Err(failure(401, "Authentication failed"));
    }
    let accepts = header("accept").unwrap_or("*/*");
    if !accepts.contains(MEDIA_TYPE) && !accepts.contains("*/*") {
        return Err(failure(406, "Not acceptable"));
    }
    if matches!(request.method.as_str(), "PUT" | "POST") && header("content-type") != Some(MEDIA_TYPE) {
        return Err(failure(406, "Content type was not supported"));
    }
    Ok(())
}

fn inventory(engine: &Engine) -> io::Result<BTreeMap<String, PathBuf>> {
    match std::fs::read_to_string(engine.settings().directory.join(INVENTORY)) {
        Ok(text) => Ok(serde_json::from_str(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

fn keep(engine: &Engine, machines: &BTreeMap<String, PathBuf>) -> Result<(), Failure> {
    let broken = |error: &dyn std::fmt::Display| failure(500, format!("stand-in: {error}"));
    let text = serde_json::to_string_pretty(machines).map_err(|error| broken(&error))?;
    crate::replace(&engine.settings().directory.join(INVENTORY), text.as_bytes()).map_err(|error| broken(&error))
}

fn answer(engine: &Engine, request: &Request) -> Answer {
    check(engine, request)?;
    let mut machines = inventory(engine).map_err(|error| failure(500, format!("stand-in: {error}")))?;
    let Some(path) = request.path.strip_prefix("/api/vms") else { return Err(failure(404, "Not found")) };
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match (request.method.as_str(), &parts[..]) {
        ("GET", []) => {
            // One whose file is gone stays in the library, as it does in Workstation's.
            let listed = machines.iter().map(|(id, path)| json!({ "id": id, "path": path })).collect();
            Ok((200, Value::Array(listed)))
        }
        ("POST", ["registration"]) => {
            let body: Value = serde_json::from_str(&request.body).map_err(|_| failure(400, "Invalid JSON"))?;
            let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            let (Some(_), Some(path)) = (text("name"), text("path")) else {
                return Err(failure(400, "name and path are needed"));
            };
            let vmx = Path::new(path);
            crate::machine::dictionary(vmx).map_err(|Refusal(text)| failure(404, text))?;
            let id = state::identity(vmx).repeat(2);
            if machines.contains_key(&id) {
                return Err(failure(409, "The virtual machine is registered already"));
            }
            machines.insert(id.clone(), vmx.to_owned());
            keep(engine, &machines)?;
            Ok((201, json!({ "id": id, "path": path })))
        }
        (method, [id, rest @ ..]) => {
            let Some(vmx) = machines.get(*id).cloned() else {
                return Err(failure(404, "The virtual machine cannot be found"));
            };
            if (method, rest) == ("DELETE", &[]) {
                engine.delete(&vmx)?;
                machines.remove(*id);
                keep(engine, &machines)?;
                return Ok((204, Value::Null));
            }
            about(engine, &vmx, id, request, rest)
        }
        _ => Err(failure(405, "Method not allowed")),
    }
}

fn about(engine: &Engine, vmx: &Path, id: &str, request: &Request, rest: &[&str]) -> Answer {
    let power = || -> Answer {
        let on = engine.running()?.iter().any(|state| state.vmx == vmx);
        Ok((200, json!({ "power_state": if on { "poweredOn" } else { "poweredOff" } })))
    };
    let faulty = |command: &str, verb: &dyn Fn() -> Result<(), Refusal>| -> Answer {
        let faults = engine.faults();
        if let Some(time) = faults.hang(command) {
            std::thread::sleep(time);
        }
        if let Some(message) = faults.message(command, Moment::Before) {
            return Err(failure(500, message));
        }
        verb()?;
        match faults.message(command, Moment::After) {
            Some(message) => Err(failure(500, message)),
            None => power(),
        }
    };
    match (request.method.as_str(), rest) {
        ("GET", []) => {
            let found = crate::machine::Machine::read(vmx)?;
            Ok((200, json!({ "id": id, "cpu": { "processors": found.cpus }, "memory": found.memory_mib })))
        }
        ("GET", ["power"]) => power(),
        // One bare word, no JSON.
        ("PUT", ["power"]) => match request.body.as_str() {
            "on" => faulty("start", &|| engine.start(vmx, false)),
            "off" => faulty("stop", &|| engine.stop(vmx, true)),
            "shutdown" => faulty("stop", &|| engine.stop(vmx, false)),
            other => Err(failure(400, format!("stand-in: no such power operation: {other}"))),
        },
        ("GET", ["ip"]) => {
            let address = engine.address(vmx, false)?;
            Ok((200, json!({ "ip": address.to_string() })))
        }
        ("GET", ["params", name]) => {
            let value = engine.variable(vmx, false, name)?;
            Ok((200, json!({ "name": name, "value": value })))
        }
        _ => Err(failure(404, "Not found")),
    }
}
