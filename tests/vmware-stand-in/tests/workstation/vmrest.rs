//! vmrest: its paths, its media type, its errors.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use serde_json::{Value, json};
use vmware_stand_in::Mode;
use vmware_stand_in::vmrest::MEDIA_TYPE;

use crate::lab::Lab;

struct Rest {
    process: Child,
    address: String,
}

impl Rest {
    fn start(lab: &Lab) -> Rest {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stub-vmrest"));
        command.args(["-p", "0"]).envs(lab.bench.settings().iter().cloned()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("Serving HTTP on ").unwrap().to_owned();
        Rest { process, address }
    }

    fn send(&self, method: &str, path: &str, body: &str, headers: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head =
            format!("{method} /api{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
        stream.write_all((head + body).as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Type: {MEDIA_TYPE}")), "{head}");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap() })
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let login = base64::engine::general_purpose::STANDARD.encode("user:Passw0rd!");
        let headers = format!("Authorization: Basic {login}\r\nContent-Type: {MEDIA_TYPE}\r\nAccept: {MEDIA_TYPE}\r\n");
        self.send(method, path, body, &headers)
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_machine_is_registered_switched_and_asked() {
    let lab = Lab::new(Mode::Paper);
    let rest = Rest::start(&lab);
    assert_eq!(rest.ask("GET", "/vms", ""), (200, json!([])));
    let body = json!({ "name": "lab", "path": lab.vmx() }).to_string();
    let (status, made) = rest.ask("POST", "/vms/registration", &body);
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!((status, &made), (201, &json!({ "id": id, "path": lab.vmx() })));
    assert_eq!(rest.ask("GET", "/vms", ""), (200, json!([made])));
    assert_eq!(rest.ask("POST", "/vms/registration", &body).0, 409);

    let power = format!("/vms/{id}/power");
    assert_eq!(rest.ask("GET", &power, ""), (200, json!({ "power_state": "poweredOff" })));
    assert_eq!(rest.ask("PUT", &power, "off").0, 409);
    assert_eq!(rest.ask("PUT", &power, "on"), (200, json!({ "power_state": "poweredOn" })));
    assert_eq!(rest.ask("PUT", &power, "on").0, 409);
    assert!(lab.vmrun(&["list"]).1.starts_with("Total running VMs: 1\n"), "the same machines as vmrun's");
    let (status, said) = rest.ask("GET", &format!("/vms/{id}/ip"), "");
    assert!(status == 409 && said["Code"] == 409 && said["Message"].as_str().unwrap().contains("Tools"), "{said}");
    lab.bench.address(Some("127.0.0.5")).unwrap();
    assert_eq!(rest.ask("GET", &format!("/vms/{id}/ip"), ""), (200, json!({ "ip": "127.0.0.5" })));
    assert_eq!(rest.ask("PUT", &power, "shutdown"), (200, json!({ "power_state": "poweredOff" })));
    assert_eq!(rest.ask("GET", &format!("/vms/{id}"), "").1["memory"], 512);
    assert_eq!(rest.ask("DELETE", &format!("/vms/{id}"), ""), (204, Value::Null));
    assert!(!lab.vmx().exists() && !lab.path("state.vmdk").exists());
    assert!(lab.bench.calls().unwrap().iter().any(|call| call.arguments == ["PUT", &format!("/api{power}"), "on"]));
}

#[test]
fn who_asks_wrongly_is_told() {
    let lab = Lab::new(Mode::Paper);
    let rest = Rest::start(&lab);
    assert_eq!(rest.send("GET", "/vms", "", "").0, 401);
    assert_eq!(rest.send("GET", "/vms", "", "Authorization: Basic dXNlcjp4\r\n").0, 401);
    let login = base64::engine::general_purpose::STANDARD.encode("user:Passw0rd!");
    let json_only = format!("Authorization: Basic {login}\r\nContent-Type: application/json\r\n");
    assert_eq!(rest.send("POST", "/vms/registration", "{}", &json_only).0, 406);
    assert_eq!(rest.ask("GET", "/vms/AB/power", "").0, 404);
    assert_eq!(rest.ask("POST", "/vms/registration", "{").0, 400);
    assert_eq!(rest.ask("POST", "/vms/registration", "{\"name\": \"x\", \"path\": \"/nowhere/x.vmx\"}").0, 404);
    lab.bench.fault("start-fails", "1 The operation was canceled").unwrap();
    let body = json!({ "name": "lab", "path": lab.vmx() }).to_string();
    let id = rest.ask("POST", "/vms/registration", &body).1["id"].as_str().unwrap().to_owned();
    let refused = (500, json!({ "Code": 500, "Message": "The operation was canceled" }));
    assert_eq!(rest.ask("PUT", &format!("/vms/{id}/power"), "on"), refused);
    // No password is in the record.
    let record = std::fs::read_to_string(lab.bench.directory().join("calls.jsonl")).unwrap();
    assert!(!record.contains(&login) && !record.contains("Passw0rd"), "{record}");
}
