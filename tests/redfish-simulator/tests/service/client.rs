//! A plain HTTP client for the tests: no knowledge of Redfish, so that it shows what the simulator says and nothing else.
//!
//! Input: a simulator; output: status, headers and body of single requests. Invariant: trusts the simulator's certificate and no other.

use std::time::Duration;

use redfish_simulator::{Model, Simulator};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method};
use serde_json::{Value, json};

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The ids of all messages, without registry and version.
    pub(super) fn messages(&self) -> Vec<String> {
        let list = self.body["error"]["@Message.ExtendedInfo"].as_array().cloned().unwrap_or_default();
        list.iter().map(|one| one["MessageId"].as_str().unwrap().rsplit('.').next().unwrap().to_string()).collect()
    }
}

pub(super) struct Plain {
    client: Client,
    base: String,
    user: String,
    password: String,
}

impl Plain {
    pub(super) fn of(bmc: &Simulator) -> Plain {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificate = reqwest::Certificate::from_der(&bmc.certificate_der()).unwrap();
        let client = Client::builder()
            .tls_certs_only([certificate])
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(10))
            .build()
            .unwrap();
        let (user, password) = bmc.credentials();
        Plain { client, base: bmc.url(), user: user.into(), password: password.into() }
    }

    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> reqwest::Result<Answer> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if !headers.iter().any(|(name, _)| *name == "X-Auth-Token" || *name == "Anonymous") {
            request = request.basic_auth(&self.user, Some(&self.password));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await?;
        Ok(Answer { status, headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None).await.unwrap()
    }

    pub(super) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send("PATCH", path, &[], Some(&body)).await.unwrap()
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, &[], Some(&body)).await.unwrap()
    }

    pub(super) async fn reset(&self, model: &Model, kind: &str) -> Answer {
        let path = format!("/redfish/v1/Systems/{}/Actions/ComputerSystem.Reset", model.system);
        self.post(&path, json!({"ResetType": kind})).await
    }
}

pub(super) async fn started(model: Model) -> (Simulator, Plain, Model) {
    let bmc = Simulator::start(model.clone()).await;
    let plain = Plain::of(&bmc);
    (bmc, plain, model)
}
