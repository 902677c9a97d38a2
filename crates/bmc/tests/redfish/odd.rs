//! Firmware that is odder than the simulator: a TLS server whose answers a test writes down.

use std::sync::{Arc, Mutex};

use bmc::{BootMode, BootTarget, Kind, Machine, Manner, Outcome, PowerAction, Trust, Verb};
use netboot::BmcKind;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::{TlsAcceptor, rustls};

use crate::common::patience;

const STATUS: Verb = Verb::Status {};
const ONCE: Verb = Verb::BootOnce { target: BootTarget::Pxe, mode: BootMode::Uefi };

/// A request: its first line without the version, its headers, its body.
struct Asked {
    line: String,
    head: String,
    body: Value,
}

/// Status, headers, body.
type Told = (u16, Vec<(&'static str, String)>, String);

fn told(status: u16, body: Value) -> Told {
    (status, vec![], body.to_string())
}

/// A root, a system and nothing else, with sessions.
fn usual(asked: &Asked) -> Told {
    match asked.line.as_str() {
        "GET /redfish/v1/" => told(
            200,
            json!({ "Systems": { "@odata.id": "/s" }, "Links": { "Sessions": { "@odata.id": "/sessions" } } }),
        ),
        "POST /sessions" => {
            (201, vec![("X-Auth-Token", "t0ken".into()), ("Location", "/sessions/1".into())], "{}".into())
        }
        "GET /s" => told(200, json!({ "Members": [{ "@odata.id": "/s/1" }] })),
        "GET /s/1" => told(200, json!({ "PowerState": "On", "Boot": {} })),
        "DELETE /sessions/1" => (204, vec![], String::new()),
        _ => told(404, json!({})),
    }
}

struct Odd {
    machine: Machine,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Odd {
    async fn new(answer: impl Fn(&Asked) -> Option<Told> + Send + Sync + 'static) -> Odd {
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
        let (asked, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let record = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let Some(one) = read(&mut stream).await else { continue };
                record.lock().unwrap().push(one.line.clone());
                let (status, headers, body) = answer(&one).unwrap_or_else(|| usual(&one));
                let mut text =
                    format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
                for (name, value) in headers {
                    text += &format!("{name}: {value}\r\n");
                }
                let _ = stream.write_all(format!("{text}\r\n{body}").as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        let machine = Machine {
            endpoint: bmc::Endpoint { address: std::net::Ipv4Addr::LOCALHOST, port },
            kind: BmcKind::Redfish,
            system: None,
            credentials: bmc::Credentials::parse("ADMIN:0dd-pw").unwrap(),
            trust: Trust::Insecure,
            patience: patience(),
            bios: None,
            sum: None,
        };
        Odd { machine, asked }
    }

    async fn run(&self, verb: &Verb) -> Result<Outcome, bmc::Error> {
        self.machine.run(verb, &|_| {}).await
    }

    async fn failure(&self, verb: &Verb) -> String {
        let error = self.run(verb).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("0dd-pw"));
        error.to_string().replace(&self.machine.endpoint.to_string(), "BMC")
    }

    fn asked(&self, line: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|one| one.starts_with(line)).count()
    }
}

async fn read(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<Asked> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            let line = text.split(" HTTP/").next().unwrap_or_default().to_owned();
            return Some(Asked { line, head, body: serde_json::from_str(body).unwrap_or(Value::Null) });
        }
    }
}

#[tokio::test]
async fn older_statuses_of_a_wrong_password_are_not_tried_again_with_basic() {
    for (status, id) in [(400, "iLO.0.10.UnauthorizedLoginAttempt"), (403, "Base.1.8.AccessDenied"), (401, "")] {
        let odd = Odd::new(move |asked| {
            let said = json!({ "error": { "@Message.ExtendedInfo": [{ "MessageId": id }] } });
            asked.line.starts_with("POST").then(|| told(status, said))
        })
        .await;
        let text = odd.failure(&STATUS).await;
        assert!(text.starts_with("BMC refuses the user name or the password"), "{text}");
        assert_eq!(odd.asked("POST"), 1);
        assert_eq!(odd.asked("GET"), 1, "only the root");
    }
}

#[tokio::test]
async fn a_session_service_that_is_named_and_does_not_work_is_done_without() {
    for answer in [(200, json!({})), (500, json!({})), (400, json!({ "error": {} })), (415, json!(null))] {
        let odd = Odd::new(move |asked| match asked.line.as_str() {
            "POST /sessions" => Some(told(answer.0, answer.1.clone())),
            "GET /redfish/v1/" => None,
            _ => asked.head.contains("authorization: basic").then(|| usual(asked)).or(Some(told(401, json!({})))),
        })
        .await;
        assert!(odd.run(&STATUS).await.unwrap().details().contains("login        basic\n"));
    }
}

#[tokio::test]
async fn a_service_without_sessions_is_not_asked_for_one() {
    // As sushy-tools: 401 for all that is asked without credentials, whether it is there or not.
    let odd = Odd::new(|asked| match asked.line.as_str() {
        "GET /redfish/v1/" => Some(told(200, json!({ "Systems": { "@odata.id": "/s" } }))),
        _ if asked.head.contains("authorization: basic") => None,
        _ => Some(told(401, json!({}))),
    })
    .await;
    assert_eq!(odd.run(&STATUS).await.unwrap().summary(), "on");
    assert_eq!(odd.asked("POST"), 0);
}

#[tokio::test]
async fn a_root_that_is_hidden_from_strangers_is_read_after_logging_in() {
    let odd = Odd::new(|asked| match asked.line.as_str() {
        "GET /redfish/v1/" if !asked.head.contains("x-auth-token: t0ken") => Some(told(401, json!({}))),
        "POST /redfish/v1/SessionService/Sessions" => {
            Some(usual(&Asked { line: "POST /sessions".into(), head: String::new(), body: Value::Null }))
        }
        _ => None,
    })
    .await;
    assert_eq!(odd.run(&STATUS).await.unwrap().summary(), "on");
    assert_eq!(odd.asked("DELETE /sessions/1"), 1);
}

#[tokio::test]
async fn links_that_lead_elsewhere_are_not_followed() {
    for link in [
        "https://192.0.2.1/s",
        "//192.0.2.1/s",
        "/\\192.0.2.1/s",
        "s",
        "http://127.0.0.1/s",
        "file:///etc/passwd",
        "/\\\u{1b}[2J",
    ] {
        let odd = Odd::new(move |asked| {
            (asked.line == "GET /redfish/v1/").then(|| {
                told(
                    200,
                    json!({ "Systems": { "@odata.id": link }, "Links": { "Sessions": { "@odata.id": "/sessions" } } }),
                )
            })
        })
        .await;
        let text = odd.failure(&STATUS).await;
        assert!(text.starts_with("BMC gave an answer to a link that makes no sense: it leads to '"), "{text}");
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
    let odd = Odd::new(|asked| {
        (asked.line == "GET /redfish/v1/")
            .then(|| told(200, json!({ "Links": { "Sessions": { "@odata.id": "https://192.0.2.1/sessions" } } })))
    })
    .await;
    assert!(odd.failure(&STATUS).await.contains("it leads to 'https://192.0.2.1/sessions'"));
    assert_eq!(odd.asked("POST"), 0, "the password was not sent");
}

#[tokio::test]
async fn a_redirect_within_the_bmc_is_followed_and_a_circle_is_not() {
    let odd = Odd::new(|asked| match asked.line.as_str() {
        "GET /s/1" => Some((307, vec![("Location", "/s/one".into())], String::new())),
        "GET /s/one" => Some(told(200, json!({ "PowerState": "Off" }))),
        "GET /circle" => Some((302, vec![("Location", "/circle".into())], String::new())),
        _ => None,
    })
    .await;
    assert_eq!(odd.run(&STATUS).await.unwrap().summary(), "off");
    let circle = Odd::new(|asked| match asked.line.as_str() {
        "GET /s" => Some((302, vec![("Location", "/s".into())], String::new())),
        _ => None,
    })
    .await;
    assert_eq!(circle.failure(&STATUS).await, "the BMC refused to list its systems (status 302)");
    assert_eq!(circle.asked("GET /s"), 4);
}

/// A system whose `Boot` is written to its settings object, as iDRAC 10 and MegaRAC have it.
fn settings(refusal: Value, linked: bool) -> impl Fn(&Asked) -> Option<Told> + Send + Sync + 'static {
    let boot = Mutex::new(json!({ "BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideMode": "UEFI" }));
    move |asked| match asked.line.as_str() {
        "GET /s/1" => {
            let mut system = json!({ "PowerState": "On", "Boot": { "BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideMode": "UEFI" } });
            if linked {
                system["@Redfish.Settings"] = json!({ "SettingsObject": { "@odata.id": "/s/1/SD" } });
            }
            Some(told(200, system))
        }
        "GET /s/1/SD" => Some(told(200, json!({ "Boot": *boot.lock().unwrap() }))),
        "PATCH /s/1" => Some(told(400, refusal.clone())),
        "PATCH /s/1/SD" => {
            for (key, value) in asked.body["Boot"].as_object().unwrap() {
                boot.lock().unwrap()[key] = value.clone();
            }
            Some((204, vec![], String::new()))
        }
        _ => None,
    }
}

#[tokio::test]
async fn an_override_that_belongs_into_the_settings_object_is_written_and_read_there() {
    let said =
        |id: &str| json!({ "error": { "@Message.ExtendedInfo": [{ "MessageId": id, "MessageArgs": ["Boot"] }] } });
    for (id, linked) in [("Ami.1.0.OperationSupportedInFutureStateURI", false), ("Base.1.8.PropertyNotWritable", true)]
    {
        let odd = Odd::new(settings(said(id), linked)).await;
        let outcome = odd.run(&ONCE).await.unwrap();
        assert_eq!(outcome.summary(), "Pxe once (UEFI); the system shows it after its next start");
        assert_eq!((odd.asked("PATCH /s/1/SD"), odd.asked("PATCH")), (1, 2));
    }
    // A board that is in the table is not asked in vain.
    let of_the_table = Odd::new({
        let inner = settings(json!({}), true);
        move |asked: &Asked| match asked.line.as_str() {
            "GET /redfish/v1/" => Some(told(
                200,
                json!({ "Vendor": "AMI", "Systems": { "@odata.id": "/s" }, "Links": { "Sessions": { "@odata.id": "/sessions" } } }),
            )),
            _ => inner(asked),
        }
    })
    .await;
    of_the_table.run(&ONCE).await.unwrap();
    assert_eq!((of_the_table.asked("PATCH /s/1/SD"), of_the_table.asked("PATCH")), (1, 1));
}

#[tokio::test]
async fn a_power_action_that_is_refused_for_a_while_is_asked_again() {
    let state = Mutex::new((0, "Off"));
    let odd = Odd::new(move |asked| {
        let mut state = state.lock().unwrap();
        match asked.line.as_str() {
            "GET /s/1" => Some(told(
                200,
                json!({ "PowerState": state.1, "Actions": { "#ComputerSystem.Reset": { "target": "/reset" } } }),
            )),
            "POST /reset" => {
                state.0 += 1;
                if state.0 < 3 {
                    let said = json!({ "error": { "@Message.ExtendedInfo": [{ "MessageId": "Base.1.8.ActionParameterValueConflict" }] } });
                    return Some(told(409, said));
                }
                state.1 = "On";
                Some((204, vec![], String::new()))
            }
            _ => None,
        }
    })
    .await;
    let on = Verb::Power { action: PowerAction::On, manner: Manner::Graceful };
    assert_eq!(odd.run(&on).await.unwrap().summary(), "off -> on (On)");
    assert_eq!(odd.asked("POST /reset"), 3);
}

#[tokio::test]
async fn a_failure_in_plain_text_or_html_is_told_or_left_out() {
    for (body, text) in [
        (
            "Missing the BootSourceOverrideTarget",
            "the BMC refused to read the system (status 400): Missing the BootSourceOverrideTarget",
        ),
        ("<html><h1>400</h1></html>", "the BMC refused to read the system (status 400)"),
    ] {
        let odd = Odd::new(move |asked| (asked.line == "GET /s/1").then(|| (400, vec![], body.to_owned()))).await;
        assert_eq!(odd.failure(&STATUS).await, text);
    }
}

#[tokio::test]
async fn a_licence_that_is_missing_is_named_whatever_the_status_is() {
    for status in [401, 403, 405, 400] {
        let odd = Odd::new(move |asked| {
            let said = json!({ "error": { "@Message.ExtendedInfo": [{ "MessageId": "SMC.1.0.OemLicenseNotPassed", "MessageArgs": ["DCMS"] }] } });
            (asked.line == "GET /s/1").then(|| told(status, said))
        })
        .await;
        assert_eq!(
            odd.failure(&STATUS).await,
            "the board has no licence to read the system: SMC.1.0.OemLicenseNotPassed (DCMS)"
        );
        assert_eq!(odd.asked("POST /sessions"), 1, "a licence is no reason to log in again");
        assert_eq!(odd.run(&STATUS).await.unwrap_err().kind(), Kind::Refused);
    }
}

#[tokio::test]
async fn what_a_right_password_may_not_read_is_no_wrong_password() {
    let odd = Odd::new(|asked| (asked.line == "GET /s/1").then(|| told(401, json!({})))).await;
    assert_eq!(odd.failure(&STATUS).await, "the account may not read the system");
    assert_eq!(odd.asked("POST /sessions"), 2, "the session might have ended: once more, not for ever");
}

#[tokio::test]
async fn several_systems_are_a_question() {
    let mut odd = Odd::new(|asked| match asked.line.as_str() {
        "GET /s" => Some(told(200, json!({ "Members": [{ "@odata.id": "/s/1" }, { "@odata.id": "/s/2" }] }))),
        "GET /s/2" => Some(told(200, json!({ "PowerState": "Off", "Name": "blade 2" }))),
        _ => None,
    })
    .await;
    assert_eq!(odd.failure(&STATUS).await, "BMC answers for several systems: 1, 2");
    odd.machine.system = Some("blade 2".to_owned());
    assert_eq!(odd.run(&STATUS).await.unwrap().summary(), "off");
}
