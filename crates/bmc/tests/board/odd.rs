//! Firmware that is odder than the simulator: a TLS server whose resources a test writes down.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bmc::{Credentials, Endpoint, Error, Machine, Outcome, Trust, Verb};
use netboot::{BiosSettings, BiosValue, BmcKind};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::{TlsAcceptor, rustls};

use crate::common::patience;

type Resources = BTreeMap<String, Value>;
/// Answers a write: what it may change, method and path, body; status and body.
type Write = dyn Fn(&mut Resources, &str, &Value) -> (u16, Value) + Send + Sync;

struct Odd {
    machine: Machine,
    resources: Arc<Mutex<Resources>>,
    /// Requests at the same time, at most.
    most: Arc<AtomicUsize>,
}

impl Odd {
    /// A root with a system `/s/1`, to which `system` adds, a chassis `/c/1` and a manager `/m/1`.
    async fn new(
        resources: &[(&str, Value)],
        write: impl Fn(&mut Resources, &str, &Value) -> (u16, Value) + Send + Sync + 'static,
    ) -> Odd {
        let link = |path: &str| json!({ "@odata.id": path });
        let mut all = Resources::new();
        let links = json!({ "ManagedBy": [link("/m/1")], "Chassis": [link("/c/1")] });
        all.insert("/redfish/v1/".into(), json!({ "Systems": link("/s") }));
        all.insert("/s".into(), json!({ "Members": [link("/s/1")] }));
        all.insert("/s/1".into(), json!({ "PowerState": "On", "Links": links }));
        all.insert("/m/1".into(), json!({}));
        all.insert("/c/1".into(), json!({}));
        for (path, body) in resources {
            let resource = all.entry(path.to_string()).or_insert(json!({}));
            for (key, value) in body.as_object().unwrap() {
                resource[key] = value.clone();
            }
        }
        let resources = Arc::new(Mutex::new(all));
        let most = Arc::new(AtomicUsize::new(0));
        let port = serve(Arc::clone(&resources), Arc::clone(&most), Arc::new(write)).await;
        let machine = Machine {
            endpoint: Endpoint { address: std::net::Ipv4Addr::LOCALHOST, port },
            kind: BmcKind::Redfish,
            system: None,
            credentials: Credentials::parse("ADMIN:0dd-pw").unwrap(),
            trust: Trust::Insecure,
            patience: patience(),
            bios: None,
            sum: None,
        };
        Odd { machine, resources, most }
    }

    async fn run(&self, verb: &Verb) -> Result<Outcome, Error> {
        self.machine.run(verb, &|_| {}).await
    }

    fn get(&self, path: &str) -> Value {
        self.resources.lock().unwrap()[path].clone()
    }
}

async fn serve(resources: Arc<Mutex<Resources>>, most: Arc<AtomicUsize>, write: Arc<Write>) -> u16 {
    let made = rcgen::generate_simple_self_signed(vec!["odd.invalid".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let now = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, resources, write) = (acceptor.clone(), Arc::clone(&resources), Arc::clone(&write));
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let Some((line, body)) = read(&mut stream).await else { return };
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(2)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                let (status, body) = match line.strip_prefix("GET ") {
                    Some(path) => match resources.lock().unwrap().get(path) {
                        Some(found) => (200, found.clone()),
                        None => (404, json!({})),
                    },
                    None => write(&mut resources.lock().unwrap(), &line, &body),
                };
                let body = body.to_string();
                let head =
                    format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = stream.write_all((head + &body).as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    port
}

/// Method and path, and the body.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<(String, Value)> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let lower = head.to_lowercase();
        let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            let line = head.split(" HTTP/").next()?.to_owned();
            return Some((line, serde_json::from_str(body).unwrap_or(Value::Null)));
        }
    }
}

fn refuse(_: &mut Resources, _: &str, _: &Value) -> (u16, Value) {
    (405, json!({}))
}

fn members(paths: &[&str]) -> Value {
    json!({ "Members": paths.iter().map(|path| json!({ "@odata.id": path })).collect::<Vec<_>>() })
}

fn slot(action: Option<&str>) -> Value {
    let actions = action.map(|target| json!({ "#VirtualMedia.InsertMedia": { "target": target } }));
    json!({ "Id": "Cd", "MediaTypes": ["DVD"], "Inserted": false, "Actions": actions })
}

fn insert() -> Verb {
    Verb::MediaInsert { image: "http://10.0.0.1/a.iso".to_owned() }
}

#[tokio::test]
async fn a_slot_that_takes_no_image_is_passed_over_and_parameters_are_added_when_they_are_missed() {
    let odd = Odd::new(
        &[
            ("/m/1", json!({ "VirtualMedia": { "@odata.id": "/vm" } })),
            ("/vm", members(&["/vm/0", "/vm/1", "/vm/2"])),
            ("/vm/0", json!({ "MediaTypes": ["Floppy"] })),
            ("/vm/1", slot(Some("/vm/1/insert"))),
            ("/vm/2", slot(Some("/vm/2/insert"))),
        ],
        |resources, line, body| {
            if line != "POST /vm/2/insert" {
                return (405, json!({}));
            }
            for name in ["TransferProtocolType", "TransferMethod"] {
                if body[name].is_null() {
                    let message = json!({ "MessageId": "Base.1.8.ActionParameterMissing", "Message": "missing", "MessageArgs": ["InsertMedia", name] });
                    return (400, json!({ "error": { "@Message.ExtendedInfo": [message] } }));
                }
            }
            let slot = resources.get_mut("/vm/2").unwrap();
            (slot["Inserted"], slot["Image"]) = (json!(true), body["Image"].clone());
            (200, body.clone())
        },
    )
    .await;
    odd.run(&insert()).await.unwrap();
    assert_eq!(odd.get("/vm/2")["Image"], "http://10.0.0.1/a.iso");
}

#[tokio::test]
async fn a_slot_without_actions_is_written_by_its_properties() {
    let odd = Odd::new(
        &[
            ("/s/1", json!({ "VirtualMedia": { "@odata.id": "/vm" } })),
            ("/vm", members(&["/vm/1"])),
            ("/vm/1", slot(None)),
        ],
        |resources, line, body| {
            assert_eq!(line, "PATCH /vm/1");
            let slot = resources.get_mut("/vm/1").unwrap();
            (slot["Inserted"], slot["Image"]) = (body["Inserted"].clone(), body["Image"].clone());
            (200, json!({}))
        },
    )
    .await;
    odd.run(&insert()).await.unwrap();
    assert_eq!(odd.get("/vm/1")["Inserted"], true);
    odd.run(&Verb::MediaEject {}).await.unwrap();
    assert_eq!((odd.get("/vm/1")["Inserted"].clone(), odd.get("/vm/1")["Image"].clone()), (json!(false), Value::Null));
}

#[tokio::test]
async fn a_bmc_without_a_slot_for_cds_says_so() {
    let error = Odd::new(&[], refuse).await.run(&insert()).await.unwrap_err();
    assert_eq!(error.to_string(), "this BMC cannot insert an image: it shows no slot for a CD");
}

#[tokio::test]
async fn older_ways_to_drives_and_network_cards_are_taken_and_few_at_a_time() {
    let functions: Vec<String> = (0..12).map(|number| format!("/f/{number}")).collect();
    let paths: Vec<&str> = functions.iter().map(String::as_str).collect();
    let mut resources = vec![
        (
            "/s/1",
            json!({
                "SimpleStorage": { "@odata.id": "/ss" },
                "NetworkInterfaces": { "@odata.id": "/ni" },
            }),
        ),
        ("/ss", members(&["/ss/1"])),
        ("/ss/1", json!({ "Devices": [{ "Name": "Disk", "Model": "X", "CapacityBytes": 1_000_000_000_000_u64 }] })),
        ("/ni", members(&["/ni/1"])),
        ("/ni/1", json!({ "Links": { "NetworkAdapter": { "@odata.id": "/na" } } })),
        ("/na", json!({ "NetworkDeviceFunctions": { "@odata.id": "/f" } })),
        ("/f", members(&paths)),
    ];
    for (number, path) in paths.iter().enumerate() {
        let mac = format!("AC-1F-6B-00-00-{number:02X}");
        resources.push((path, json!({ "Id": format!("port{number}"), "Ethernet": { "MACAddress": mac } })));
    }
    let odd = Odd::new(&resources, refuse).await;
    let Outcome::Inventory(found) = odd.run(&Verb::Inventory {}).await.unwrap() else { panic!() };
    assert_eq!((found.drives[0].name.as_str(), found.drives[0].serial.as_deref()), ("Disk", None));
    assert_eq!(found.nics.len(), 12);
    assert_eq!((found.nics[11].name.as_str(), found.nics[11].mac.as_deref()), ("port11", Some("ac:1f:6b:00:00:0b")));
    let most = odd.most.load(Ordering::SeqCst);
    assert!((2..=4).contains(&most), "{most} at a time");
}

#[tokio::test]
async fn fans_and_power_supplies_of_the_newer_subsystems_are_listed() {
    let odd = Odd::new(
        &[
            (
                "/c/1",
                json!({ "ThermalSubsystem": { "@odata.id": "/t" }, "PowerSubsystem": { "@odata.id": "/p" } }),
            ),
            ("/t", json!({ "Fans": { "@odata.id": "/fans" } })),
            ("/fans", members(&["/fan/1", "/fan/2"])),
            ("/fan/1", json!({ "Name": "Fan 1", "SpeedPercent": { "Reading": 30, "SpeedRPM": 4000 }, "Status": { "Health": "OK" } })),
            ("/fan/2", json!({ "Name": "Fan 2", "Status": { "State": "Absent" } })),
            ("/p", json!({ "PowerSupplies": { "@odata.id": "/psus" } })),
            ("/psus", members(&["/psu/1"])),
            ("/psu/1", json!({ "Name": "PSU 1", "Status": { "Health": "Critical" } })),
        ],
        refuse,
    )
    .await;
    let outcome = odd.run(&Verb::Sensors {}).await.unwrap();
    assert_eq!(outcome.summary(), "2 sensors; look at PSU 1");
    assert_eq!(outcome.details(), "Fan 1  4000 rpm  OK\nPSU 1            Critical\n");
}

#[tokio::test]
async fn a_machine_without_sensors_says_so() {
    let error = Odd::new(&[], refuse).await.run(&Verb::Sensors {}).await.unwrap_err();
    assert_eq!(error.to_string(), "this BMC cannot read the sensors: no chassis of this machine shows any");
}

#[tokio::test]
async fn a_settings_resource_that_begins_with_the_first_change_and_what_the_bmc_says_after_post() {
    let mut odd = Odd::new(
        &[
            ("/s/1", json!({
                "Bios": { "@odata.id": "/b" },
                "Actions": { "#ComputerSystem.Reset": { "target": "/reset" } },
            })),
            ("/b", json!({
                "Attributes": { "Turbo": "On" },
                "@Redfish.Settings": { "SettingsObject": { "@odata.id": "/b/SD" }, "Messages": [{ "Message": "Turbo is fixed by the CPU" }] },
            })),
        ],
        |resources, line, body| match line {
            "PATCH /b/SD" => {
                resources.insert("/b/SD".into(), json!({ "Attributes": body["Attributes"] }));
                (200, json!({}))
            }
            "POST /reset" => {
                // It forgets what was pending.
                resources.remove("/b/SD");
                let state = if body["ResetType"] == "On" { "On" } else { "Off" };
                resources.get_mut("/s/1").unwrap()["PowerState"] = json!(state);
                (204, json!({}))
            }
            _ => (405, json!({})),
        },
    )
    .await;
    let settings = [("Turbo".to_owned(), BiosValue::Text("Off".into()))].into();
    odd.machine.bios = Some(BiosSettings { settings, sum: BTreeMap::new() });
    let line = odd.run(&Verb::BiosApply { restart: false }).await.unwrap().summary();
    assert_eq!(line, "1 setting sent; 1 waits for a restart");
    assert_eq!(odd.get("/b/SD"), json!({ "Attributes": { "Turbo": "Off" } }), "nothing that it did not ask for");
    let error = odd.run(&Verb::BiosApply { restart: true }).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "asked for Turbo = Off, and the BMC accepted it, but there is On; the BMC says: Turbo is fixed by the CPU"
    );
}
