//! The page's and the API's answers, asked of the routers themselves.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode, header};
use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use provd::admin::{self, Peer};
use provd::pen::Sighting;
use provd::registry::Report;
use redfish_simulator::{Model, Simulator};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::lab::{Lab, Walk, mac};

pub(crate) struct Site {
    pub(crate) lab: Lab,
    pub(crate) web: Router,
    pub(crate) local: Router,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// A refusal is one line of JSON with one field.
    pub(crate) fn error(&self) -> String {
        assert!(!self.text.contains('\n'), "{}", self.text);
        let json = self.json();
        assert_eq!(json.as_object().unwrap().len(), 1);
        json["error"].as_str().unwrap().to_owned()
    }
}

pub(crate) async fn ask(router: &Router, request: Request<Body>) -> Answer {
    let answer = router.clone().oneshot(request).await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    Answer { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

/// `method path`, headers, body.
pub(crate) fn request(line: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path).header("x-provbuild-address", "192.0.2.7");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

impl Site {
    fn new() -> Site {
        Site::of(Lab::new(3))
    }

    pub(crate) fn of(lab: Lab) -> Site {
        let (web, local) = (admin::router(lab.app.clone()), admin::local_router(lab.app.clone()));
        Site { lab, web, local }
    }

    pub(crate) async fn local(&self, line: &str, body: &Value) -> Answer {
        let mut request = request(line, &[("content-type", "application/json")], &body.to_string());
        request.extensions_mut().insert(ConnectInfo(Peer { uid: Some(0) }));
        ask(&self.local, request).await
    }

    pub(crate) async fn token(&self, name: &str, read_only: bool) -> String {
        let made = self.local("POST /api/v1/tokens", &json!({"name": name, "read-only": read_only})).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        format!("Bearer {}", made.json()["token"].as_str().unwrap())
    }

    pub(crate) async fn api(&self, line: &str, token: &str, body: &Value) -> Answer {
        let headers = [("authorization", token), ("content-type", "application/json")];
        ask(&self.web, request(line, &headers, &body.to_string())).await
    }

    async fn code(&self, read_only: bool) -> String {
        let made = self.local("POST /api/v1/logins", &json!({"read-only": read_only})).await;
        made.json()["code"].as_str().unwrap().to_owned()
    }

    async fn post_login(&self, secret: &str) -> Answer {
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "same-origin")];
        ask(&self.web, request("POST /login", &headers, &format!("secret={secret}"))).await
    }

    /// A cookie, and the CSRF token of its pages.
    pub(crate) async fn log_in(&self, read_only: bool) -> (String, String) {
        let answer = self.post_login(&self.code(read_only).await).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        let set = answer.headers[header::SET_COOKIE].to_str().unwrap();
        let (cookie, flags) = set.split_once("; ").unwrap();
        assert_eq!(flags, "Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=43200");
        assert!(cookie.starts_with("__Host-provd="));
        let page = ask(&self.web, request("GET /", &[("cookie", cookie)], "")).await;
        let csrf = page.text.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        (cookie.to_owned(), csrf.to_owned())
    }

    pub(crate) async fn form(&self, path: &str, cookie: &str, more: &[(&str, &str)], form: &str) -> Answer {
        let mut headers = vec![("content-type", "application/x-www-form-urlencoded"), ("cookie", cookie)];
        headers.extend_from_slice(more);
        ask(&self.web, request(&format!("POST {path}"), &headers, form)).await
    }

    pub(crate) fn state(&self, number: usize) -> &'static str {
        self.lab.app.registry.node(mac(number)).unwrap().stored.state.name()
    }

    fn lines(&self) -> Vec<(String, String, String)> {
        let lines = self.lab.app.registry.audit(None, 0, 1000).unwrap();
        lines.into_iter().map(|a| (a.line.to, a.line.who, a.line.origin)).collect()
    }
}

#[tokio::test]
async fn nobody_is_answered_without_a_name() {
    let site = Site::new();
    let document: Value = site.local("GET /openapi.json", &json!({})).await.json();
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().map(|method| method.to_uppercase()) {
            if path == "/healthz" || path.starts_with("/api/v1/tokens") || path == "/api/v1/logins" {
                continue;
            }
            let path = path.replace("{node}", "node1").replace("{mac}", "52:54:00:00:00:01").replace("{id}", "1");
            let answer = ask(&site.web, request(&format!("{method} {path}"), &[], "{}")).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
            assert!(answer.error().contains("provd login"));
            asked += 1;
        }
    }
    assert!(asked > 12);
    for page in ["/", "/nodes/node1", "/nodes/node1/arm", "/strangers", "/audit", "/services", "/nothing"] {
        let answer = ask(&site.web, request(&format!("GET {page}"), &[], "")).await;
        assert_eq!((answer.status, answer.headers["location"].to_str().unwrap()), (StatusCode::SEE_OTHER, "/login"));
    }
    for page in ["POST /nodes/node1/arm", "POST /logout", "POST /strangers/52:54:00:00:00:09/forget"] {
        let answer = ask(&site.web, request(page, &[("sec-fetch-site", "same-origin")], "")).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{page}");
    }
    // What only the local socket answers is not there for anybody else, whatever he shows.
    let token = site.token("ci", false).await;
    for line in ["POST /api/v1/tokens", "GET /api/v1/tokens", "POST /api/v1/logins", "DELETE /api/v1/tokens/ci"] {
        assert_eq!(site.api(line, &token, &json!({"name": "x"})).await.status, StatusCode::NOT_FOUND, "{line}");
    }
    // And the local socket answers nobody whom the kernel does not name.
    assert_eq!(ask(&site.local, request("GET /api/v1/nodes", &[], "")).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(site.state(1), "disk");
}

#[tokio::test]
async fn a_program_arms_a_node_and_the_audit_log_says_so() {
    let site = Site::new();
    let token = site.token("ci", false).await;
    let arm = |confirm: &str| json!({"reason": "new disk", "confirm": confirm});
    let refused = site.api("POST /api/v1/nodes/node1/arm", &token, &arm("node2")).await;
    assert_eq!((refused.status, refused.error().contains("host name")), (StatusCode::UNPROCESSABLE_ENTITY, true));
    assert_eq!(site.state(1), "disk");
    let armed = site.api("POST /api/v1/nodes/node1/arm", &token, &arm("node1")).await;
    assert_eq!(
        (armed.status, armed.json()["node"]["state"].as_str()),
        (StatusCode::OK, Some("armed")),
        "{}",
        armed.text
    );
    let busy = site.api("POST /api/v1/nodes/node1/arm", &token, &arm("node1")).await;
    assert_eq!((busy.status, busy.error()), (StatusCode::CONFLICT, "node1 is armed: disarm it first".to_owned()));
    let again = site.api("POST /api/v1/nodes/52:54:00:00:00:01/reinstall", &token, &arm("node1")).await;
    assert_eq!(again.json()["attempt"]["number"], 2);
    let off = site.api("POST /api/v1/nodes/node1/disarm", &token, &json!({})).await;
    assert_eq!(off.json()["node"]["state"], "disk");
    assert_eq!(site.api("POST /api/v1/nodes/node1/disarm", &token, &json!({})).await.status, StatusCode::CONFLICT);
    assert_eq!(site.api("POST /api/v1/nodes/node9/arm", &token, &arm("node9")).await.status, StatusCode::NOT_FOUND);
    let by_root = site.local("POST /api/v1/nodes/node2/arm", &json!({"confirm": "node2"})).await;
    assert_eq!(by_root.status, StatusCode::OK);
    let people: Vec<_> = site.lines().into_iter().skip(3).collect();
    let program = |to: &str| (to.to_owned(), "token:ci".to_owned(), "192.0.2.7".to_owned());
    let root = ("armed".to_owned(), "root".to_owned(), "local".to_owned());
    assert_eq!(people, [program("armed"), program("disk"), program("armed"), program("disk"), root]);
    let verified = site.api("GET /api/v1/audit/verification", &token, &json!({})).await.json();
    assert_eq!((&verified["valid"], &verified["lines"]), (&json!(true), &json!(8)));

    // A token that is revoked is nobody's.
    assert_eq!(site.local("DELETE /api/v1/tokens/ci", &json!({})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.api("GET /api/v1/nodes", &token, &json!({})).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn whoever_may_only_read_cannot_act() {
    let site = Site::new();
    let token = site.token("dashboard", true).await;
    assert_eq!(site.api("GET /api/v1/nodes", &token, &json!({})).await.status, StatusCode::OK);
    for line in [
        "POST /api/v1/nodes/node1/arm",
        "POST /api/v1/nodes/node1/disarm",
        "DELETE /api/v1/strangers/52:54:00:00:00:09",
    ] {
        let answer = site.api(line, &token, &json!({"confirm": "node1"})).await;
        assert_eq!((answer.status, answer.error()), (StatusCode::FORBIDDEN, "this login may only read".to_owned()));
    }
    let (cookie, csrf) = site.log_in(true).await;
    let same = [("sec-fetch-site", "same-origin")];
    let answer = site.form("/nodes/node1/arm", &cookie, &same, &format!("csrf={csrf}&confirm=node1")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let page = ask(&site.web, request("GET /", &[("cookie", &cookie)], "")).await.text;
    assert!(page.contains("may only read") && !page.contains("data-action"));
    assert_eq!(site.state(1), "disk");
    // He may leave.
    assert_eq!(site.form("/logout", &cookie, &same, &format!("csrf={csrf}")).await.status, StatusCode::SEE_OTHER);
    assert_eq!(ask(&site.web, request("GET /", &[("cookie", &cookie)], "")).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_form_of_another_page_changes_nothing() {
    let site = Site::new();
    let (cookie, csrf) = site.log_in(false).await;
    let (_, other) = site.log_in(false).await;
    let good = format!("csrf={csrf}&confirm=node1&reason=test");
    let same = ("sec-fetch-site", "same-origin");
    for (headers, form) in [
        (vec![same], "confirm=node1".to_owned()),
        (vec![same], "csrf=&confirm=node1".to_owned()),
        (vec![same], format!("csrf={other}&confirm=node1")),
        (vec![], good.clone()),
        (vec![("sec-fetch-site", "cross-site")], good.clone()),
        (vec![("sec-fetch-site", "same-site")], good.clone()),
        (vec![("origin", "https://evil.example"), ("host", "boot.lab")], good.clone()),
    ] {
        let answer = site.form("/nodes/node1/arm", &cookie, &headers, &form).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{headers:?} {form}");
        assert_eq!(site.state(1), "disk");
    }
    // The API takes the cookie only with the same token in a header.
    let json = r#"{"confirm":"node1"}"#;
    let headers = [("content-type", "application/json"), ("cookie", &cookie), same];
    let line = "POST /api/v1/nodes/node1/arm";
    assert_eq!(ask(&site.web, request(line, &headers, json)).await.status, StatusCode::FORBIDDEN);
    let with = [headers[0], headers[1], headers[2], ("x-csrf-token", csrf.as_str())];
    assert_eq!(ask(&site.web, request(line, &with, json)).await.status, StatusCode::OK);
    assert_eq!(site.state(1), "armed");
    let good = format!("csrf={csrf}&reason=test");
    let answer =
        site.form("/nodes/node1/disarm", &cookie, &[("origin", "https://boot.lab"), ("host", "boot.lab")], &good).await;
    assert_eq!(
        (answer.status, &answer.headers["location"]),
        (StatusCode::SEE_OTHER, &"/nodes/node1?done=disarm".parse().unwrap())
    );
    assert_eq!(site.lines().last().unwrap(), &("disk".to_owned(), "root".to_owned(), "192.0.2.7".to_owned()));
    // Nobody is logged in by another page.
    let code = site.code(false).await;
    let cross = [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "cross-site")];
    let answer = ask(&site.web, request("POST /login", &cross, &format!("secret={code}"))).await;
    assert_eq!((answer.status, answer.headers.get("set-cookie")), (StatusCode::FORBIDDEN, None));
}

#[tokio::test]
async fn guessing_comes_to_an_end_and_codes_are_good_once() {
    let site = Site::new();
    let code = site.code(false).await;
    assert_eq!(site.post_login(&code).await.status, StatusCode::SEE_OTHER);
    assert_eq!(site.post_login(&code).await.status, StatusCode::UNAUTHORIZED);
    let fresh = site.code(false).await;
    for number in 0..9 {
        let guess = format!("{number:032x}");
        assert_eq!(site.post_login(&guess).await.status, StatusCode::UNAUTHORIZED);
    }
    let answer = site.post_login(&fresh).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.text.contains("wait five minutes"));
    // Tokens from there count as guesses too; from elsewhere nothing is in the way.
    let token = site.token("ci", false).await;
    assert_eq!(site.api("GET /api/v1/nodes", &token, &json!({})).await.status, StatusCode::TOO_MANY_REQUESTS);
    let mut elsewhere = request("GET /api/v1/nodes", &[("authorization", &token)], "");
    elsewhere.headers_mut().insert("x-provbuild-address", "192.0.2.8".parse().unwrap());
    assert_eq!(ask(&site.web, elsewhere).await.status, StatusCode::OK);
}

#[tokio::test]
async fn bad_input_is_refused_in_one_line() {
    let site = Site::new();
    let token = site.token("ci", false).await;
    let json = |text: &str| {
        request(
            "POST /api/v1/nodes/node1/arm",
            &[("authorization", &token), ("content-type", "application/json")],
            text,
        )
    };
    let long = format!(r#"{{"confirm":"node1","reason":"{}"}}"#, "x".repeat(300));
    let huge = format!(r#"{{"confirm":"node1","reason":"{}"}}"#, "x".repeat(100_000));
    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("[]", 422),
        ("{}", 422),
        (r#"{"confirm":"node1","force":true}"#, 422),
        (r#"{"confirm":"node1","reason":"a\nb"}"#, 400),
        (&long, 400),
        (&huge, 413),
    ] {
        let answer = ask(&site.web, json(body)).await;
        assert_eq!(answer.status.as_u16(), status, "{body:.60}");
        answer.error();
    }
    for (line, status) in [
        ("GET /api/v1/nodes?state=happy", 400),
        ("GET /api/v1/nodes?stat=disk", 400),
        ("GET /api/v1/nodes/..%2f..%2fetc%2fpasswd", 404),
        ("GET /api/v1/nodes/%00", 404),
        ("GET /api/v1/nodes/node1/log", 404),
        ("GET /api/v1/audit?limit=0", 400),
        ("GET /api/v1/audit?limit=100000", 400),
        ("GET /api/v1/audit?after=1&before=2", 400),
        ("GET /api/v1/audit?after=-1", 400),
        ("GET /api/v1/audit?after=18446744073709551615", 200),
        ("GET /api/v1/nothing", 404),
        ("PUT /api/v1/nodes", 405),
        ("DELETE /api/v1/strangers/nonsense", 404),
    ] {
        let answer = site.api(line, &token, &json!({})).await;
        assert_eq!(answer.status.as_u16(), status, "{line}: {}", answer.text);
        if status != 200 {
            answer.error();
        }
    }
    assert_eq!(site.state(1), "disk");
}

#[tokio::test]
async fn what_nodes_say_is_text() {
    let site = Site::new();
    let hostile = "<script>alert(1)</script>\"'&";
    let hostile_name = format!("subiquity/{hostile}");
    site.local("POST /api/v1/nodes/node1/arm", &json!({"confirm": "node1", "reason": hostile})).await;
    let app = site.lab.app.clone();
    let mut walk = Walk::of(&app, 1);
    walk.boot();
    walk.read_answers();
    walk.step(&hostile_name, hostile);
    walk.report(Report::Failed { reason: hostile.to_owned(), log: Some(hostile.to_owned()) });
    let seen = Sighting { vendor: Some(hostile.to_owned()), hostname: Some(hostile.to_owned()), ..Sighting::default() };
    app.pen.note(mac(99), &seen, Timestamp::now()).unwrap();
    let (cookie, _) = site.log_in(false).await;
    for page in [
        "/",
        "/?q=%3Cscript%3Ealert(1)",
        "/nodes/node1",
        "/nodes/node1?done=%3Cscript%3E",
        "/nodes/node1/arm",
        "/strangers",
        "/audit",
    ] {
        let answer = ask(&site.web, request(&format!("GET {page}"), &[("cookie", &cookie)], "")).await;
        assert_eq!(answer.status, StatusCode::OK, "{page}");
        assert!(!answer.text.contains("<script>"), "{page}: {}", answer.text);
        // The only script is a file of ours, as the policy wants it.
        assert_eq!(answer.text.matches("<script").count(), 1, "{page}");
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(!answer.text.contains("style=\"") && !answer.text.contains("onclick"), "{page}");
    }
    let page = ask(&site.web, request("GET /strangers", &[("cookie", &cookie)], "")).await.text;
    assert!(page.contains("&lt;script&gt;alert(1)"));
    let gone = site.local(&format!("DELETE /api/v1/strangers/{}", mac(99)), &json!({})).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(site.local("GET /api/v1/strangers", &json!({})).await.json(), json!([]));
}

#[tokio::test]
async fn health_and_metrics_tell_everybody_nothing_secret() {
    let site = Site::new();
    site.local("POST /api/v1/nodes/node1/arm", &json!({"confirm": "node1"})).await;
    let health = ask(&site.web, request("GET /healthz", &[], "")).await;
    let json = health.json();
    assert_eq!(
        (health.status, json["status"].as_str(), json["image"].as_str()),
        (StatusCode::OK, Some("ok"), Some("sha256:feed"))
    );
    assert_eq!((&json["nodes"], &json["audit"]["seq"]), (&json!(3), &json!(4)));
    // The laboratory is on the system's disk, and nobody has deployed it.
    assert!(json.as_object().unwrap().contains_key("deployment") && json["deployment"].is_null());
    assert!(json["state-disk"].is_boolean());
    let metrics = ask(&site.web, request("GET /metrics", &[], "")).await;
    assert_eq!(metrics.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = &metrics.text;
    for line in [
        "provd_nodes{state=\"armed\"} 1",
        "provd_nodes{state=\"disk\"} 2",
        "provd_transitions_total 4",
        "provd_outbox 0",
        "provd_audit_seq 4",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} in {text}");
    }
    assert!(!text.contains("node1") && !text.contains("52:54") && !text.contains("10.10"));
    // Every line is a comment or a number with a name; every name is described once.
    let mut described = BTreeSet::new();
    for line in text.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(rest) => assert!(described.insert(rest.split(' ').next().unwrap())),
            None if line.starts_with("# HELP ") => {}
            None => {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert!(described.contains(name.split('{').next().unwrap()), "{line}");
                value.parse::<f64>().unwrap();
            }
        }
    }
}

#[tokio::test]
async fn no_page_and_no_answer_holds_a_secret_of_a_node() {
    let site = Site::new();
    site.local("POST /api/v1/nodes/node1/arm", &json!({"confirm": "node1"})).await;
    let app = site.lab.app.clone();
    let mut walk = Walk::of(&app, 1);
    walk.boot();
    walk.read_answers();
    let hashes: Vec<String> = site
        .lab
        .store()
        .read(|connection| {
            let mut statement = connection.prepare("SELECT hash FROM tokens UNION SELECT hash FROM access")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .unwrap();
    assert!(!hashes.is_empty());
    let token = site.token("ci", false).await;
    let secrets = walk.secrets();
    for line in [
        "/",
        "/nodes/node1",
        "/audit",
        "/strangers",
        "/services",
        "/metrics",
        "/healthz",
        "/api/v1/nodes",
        "/api/v1/nodes/node1",
        "/api/v1/nodes/node1/timeline",
        "/api/v1/audit",
        "/api/v1/media",
    ] {
        let answer = site.api(&format!("GET {line}"), &token, &json!({})).await;
        assert_eq!(answer.status, StatusCode::OK, "{line}");
        assert!(secrets.iter().all(|secret| !answer.text.contains(secret)), "{line}");
        assert!(hashes.iter().all(|hash| !answer.text.contains(hash)), "{line}");
        assert!(!answer.text.contains("ubuntu:") && !answer.text.contains("password"), "{line}");
    }
}

/// The data lines of a stream, until one has this text.
async fn read_until(answer: axum::response::Response, text: &str) -> String {
    let mut stream = answer.into_body().into_data_stream();
    let mut read = String::new();
    while !read.contains(text) {
        read += std::str::from_utf8(&stream.next().await.expect(&read).unwrap()).unwrap();
    }
    read
}

#[tokio::test]
async fn a_stream_goes_on_where_it_was_left() {
    let site = Site::new();
    let token = site.token("ci", true).await;
    let open = |last: Option<&'static str>, query: &'static str| {
        let mut headers = vec![("authorization", token.as_str())];
        headers.extend(last.map(|last| ("last-event-id", last)));
        site.web.clone().oneshot(request(&format!("GET /api/v1/events{query}"), &headers, ""))
    };
    let live = open(None, "").await.unwrap();
    assert_eq!(live.headers()["content-type"], "text/event-stream");
    site.local("POST /api/v1/nodes/node1/arm", &json!({"confirm": "node1"})).await;
    site.local("POST /api/v1/nodes/node1/disarm", &json!({})).await;
    let read = read_until(live, "id: 5").await;
    assert!(!read.contains("id: 3\n") && read.contains("id: 4\n"), "{read}");
    assert!(read.contains("event: transition"));
    // With the number of the last line, or with that of the page.
    for (last, query) in [(Some("3"), ""), (None, "?after=3"), (Some("3"), "?after=0")] {
        let read = read_until(open(last, query).await.unwrap(), "id: 5").await;
        assert!(!read.contains("id: 3\n") && read.contains("id: 4\n"), "{read}");
    }
    let read = read_until(open(Some("77"), "").await.unwrap(), "event: reload").await;
    assert!(!read.contains("transition"));
    // Who was away for too long reads everything anew.
    for _ in 0..300 {
        site.local("POST /api/v1/nodes/node2/arm", &json!({"confirm": "node2"})).await;
        site.local("POST /api/v1/nodes/node2/disarm", &json!({})).await;
    }
    let read = read_until(open(Some("4"), "").await.unwrap(), "event: reload").await;
    assert!(!read.contains("transition"));
}

/// Whether a value is what a schema says. Knows the words that utoipa writes.
fn holds(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.strip_prefix("#/components/schemas/").unwrap();
        return holds(document, &document["components"]["schemas"][name], value, at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        if value.is_null() {
            assert!(choices.iter().any(|choice| choice["type"] == "null"), "{at} is null");
            return;
        }
        let other = choices.iter().find(|choice| choice["type"] != "null").unwrap();
        return holds(document, other, value, at);
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(kinds.contains(&kind), "{at} is {value}, not {kinds:?}");
    if let Some(items) = value.as_array() {
        items.iter().for_each(|item| holds(document, &schema["items"], item, at));
    }
    if let (Some(fields), Some(properties)) = (value.as_object(), schema["properties"].as_object()) {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            assert!(fields.contains_key(name), "{at} has no {name}");
        }
        for (name, field) in fields {
            let property = properties.get(name).unwrap_or_else(|| panic!("{at}.{name} is not described"));
            holds(document, property, field, &format!("{at}.{name}"));
        }
    }
}

#[tokio::test]
async fn answers_are_what_the_description_says() {
    let bmc = Simulator::start(Model::generic()).await;
    let site = Site::of(Lab::with_bmcs(3, &[bmc.address()]));
    let verb = json!({"verb": {"verb": "boot-once", "target": "pxe"}});
    assert_eq!(site.local("POST /api/v1/nodes/node1/operations", &verb).await.status, StatusCode::ACCEPTED);
    let document = site.local("GET /openapi.json", &json!({})).await.json();
    site.local("POST /api/v1/nodes/node1/arm", &json!({"confirm": "node1"})).await;
    site.local("POST /api/v1/tokens", &json!({"name": "ci", "lasts": 60})).await;
    let app = site.lab.app.clone();
    let mut walk = Walk::of(&app, 1);
    walk.boot();
    walk.read_answers();
    walk.step("subiquity/Network", "");
    walk.report(Report::Failed { reason: "no disk".to_owned(), log: Some("line".to_owned()) });
    app.pen.note(mac(99), &Sighting::default(), Timestamp::now()).unwrap();
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(operation) = item.get("get") else { continue };
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        if schema.is_null() || path == "/openapi.json" {
            continue;
        }
        let answer =
            site.local(&format!("GET {}", path.replace("{node}", "node1").replace("{id}", "1")), &json!({})).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        let json = answer.json();
        assert!(json.as_array().is_none_or(|items| !items.is_empty()), "{path} is empty: nothing is shown by it");
        holds(&document, schema, &json, path);
        asked += 1;
    }
    assert!(asked >= 12, "{asked}");
}
