//! Whether the appliance works: this daemon, its database, and the services beside it as a node would find them.
//!
//! The services are asked over the network, since a sandboxed daemon sees neither their processes nor systemd: nginx by an HTTP
//! request at the boot server's address, dnsmasq by a DNS query there. So "works" means "answers nodes", and not only "runs".
//! Answers are kept for some seconds, and each question has a limit of time.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Mutex;
use utoipa::ToSchema;

use super::Admin;
use super::failure::{Failure, blocking};
use super::metrics::STARTED;
use crate::seed::{DEPLOYMENT_FILE, Deployment};
use crate::spelling::spell;
use crate::store::Audited;

const PATIENCE: Duration = Duration::from_secs(1);
const KEPT: Duration = Duration::from_secs(5);

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Health {
    /// "ok", or what is wrong.
    pub(super) status: String,
    pub(super) version: String,
    /// SHA-256 of the image that runs; null outside an image.
    #[schema(required)]
    pub(super) image: Option<String>,
    pub(super) nodes: usize,
    pub(super) audit: Head,
    /// Whether what must outlive the image lies on a disk of its own.
    pub(super) state_disk: bool,
    /// Whose secrets were laid out last; null where nothing was deployed.
    #[schema(required)]
    pub(super) deployment: Option<Deployed>,
}

/// A deployment, as far as it has come here.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Deployed {
    pub(super) id: String,
    pub(super) generation: u32,
}

/// The end of the audit log. Kept elsewhere, it shows whether lines were cut off.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Head {
    pub(super) seq: u64,
    pub(super) hash: String,
}

/// One service of the appliance.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Service {
    pub(super) name: String,
    /// What it does for nodes.
    pub(super) purpose: String,
    pub(super) works: bool,
    /// What was asked, and what came back.
    pub(super) detail: String,
}

/// The files of one installer.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Medium {
    pub(super) installer: String,
    /// "ubuntu-24.04"
    pub(super) release: String,
    /// Whether the profile names a medium; without one somebody must put the files there.
    pub(super) declared: bool,
    /// Whether kernel, initrd and ISO are below the boot server's root, which they are once they are verified.
    pub(super) ready: bool,
    /// Nodes that install it.
    pub(super) nodes: usize,
}

#[derive(Default)]
pub(super) struct Probes(Mutex<Option<(Instant, Vec<Service>)>>);

/// Whether the daemon works and can use its database. Says nothing of any node.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()), responses(
    (status = 200, description = "It works", body = Health),
    (status = 503, description = "It does not, and why", body = Health)))]
pub(super) async fn healthz(State(admin): State<Arc<Admin>>) -> Response {
    let app = Arc::clone(&admin.app);
    let head = blocking(move || Ok(app.registry.store().read(Audited::head)?)).await;
    let (status, text, (seq, hash)) = match head {
        Ok(head) => (StatusCode::OK, "ok".to_owned(), head),
        Err(failure) => (StatusCode::SERVICE_UNAVAILABLE, failure.text, (0, String::new())),
    };
    let state = admin.app.state.clone();
    // Also where the database cannot be used: that may be for want of the disk.
    let (state_disk, deployment) = blocking(move || Ok(state_of(&state))).await.unwrap_or_default();
    let health = Health {
        status: text,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        image: admin.app.image.clone(),
        nodes: admin.app.registry.declared().inventory.nodes.len(),
        audit: Head { seq, hash },
        state_disk,
        deployment,
    };
    (status, Json(health)).into_response()
}

/// Whether the directory is on another device than the root, and what deployment it is of. Inside the daemon's sandbox as well: bind
/// mounts keep the device that they are of.
fn state_of(directory: &Path) -> (bool, Option<Deployed>) {
    let device = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.dev());
    let own = matches!((device(directory), device(Path::new("/"))), (Ok(one), Ok(other)) if one != other);
    let found = Deployment::read(&directory.join(DEPLOYMENT_FILE));
    (own, found.map(|found| Deployed { id: found.deployment, generation: found.generation }))
}

/// The services that nodes need, asked as a node would ask them.
#[utoipa::path(get, path = "/api/v1/services", tag = "health", responses((status = 200, body = Vec<Service>)))]
pub(super) async fn services(State(admin): State<Arc<Admin>>) -> Json<Vec<Service>> {
    Json(look(&admin).await)
}

/// The installers, and whether their files are at hand.
#[utoipa::path(get, path = "/api/v1/media", tag = "health", responses((status = 200, body = Vec<Medium>)))]
pub(super) async fn media(State(admin): State<Arc<Admin>>) -> Result<Json<Vec<Medium>>, Failure> {
    blocking(move || Ok(Json(media_of(&admin)))).await
}

pub(super) fn media_of(admin: &Admin) -> Vec<Medium> {
    let registry = &admin.app.registry;
    let nodes = &registry.declared().inventory.nodes;
    let installers = registry.declared().installers.iter();
    installers
        .map(|(installer, declared)| Medium {
            installer: installer.clone(),
            release: declared.system.release.to_string(),
            declared: declared.medium,
            ready: registry.media_ready(installer),
            nodes: nodes.iter().filter(|node| node.install.as_ref() == Some(installer)).count(),
        })
        .collect()
}

pub(super) async fn look(admin: &Admin) -> Vec<Service> {
    // Whoever comes while others are asked waits for the same answers.
    let mut kept = admin.probes.0.lock().await;
    if let Some((_, services)) = kept.as_ref().filter(|(at, _)| at.elapsed() < KEPT) {
        return services.clone();
    }
    let server = admin.app.registry.declared().site.server;
    let domain = admin.app.registry.declared().site.domain.clone();
    let (nginx, dnsmasq) = tokio::join!(ask_http(server), ask_dns(server, &domain));
    let service = |name: &str, purpose: &str, answer: Result<String, String>| Service {
        name: name.to_owned(),
        purpose: purpose.to_owned(),
        works: answer.is_ok(),
        detail: answer.unwrap_or_else(|reason| reason),
    };
    let services = vec![
        service("provd", "decides what nodes boot", Ok(format!("up for {}", spell(STARTED.elapsed().as_secs())))),
        service("nginx", "serves kernels, media and answers", nginx),
        service("dnsmasq", "gives addresses, boot loaders and names", dnsmasq),
    ];
    *kept = Some((Instant::now(), services.clone()));
    services
}

async fn in_time<T>(work: impl Future<Output = std::io::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("no answer within a second".to_owned()),
    }
}

async fn ask_http(server: Ipv4Addr) -> Result<String, String> {
    let address = SocketAddr::from((server, 80));
    let answer = in_time(async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("HEAD / HTTP/1.0\r\nHost: {server}\r\n\r\n").as_bytes()).await?;
        let mut start = [0; 12];
        stream.read_exact(&mut start).await?;
        Ok(String::from_utf8_lossy(&start).into_owned())
    });
    match answer.await {
        Ok(start) if start.starts_with("HTTP/1.") => Ok(format!("answers HTTP at {address}")),
        Ok(_) => Err(format!("what answers at {address} does not speak HTTP")),
        Err(reason) => Err(format!("asked for HTTP at {address}: {reason}")),
    }
}

async fn ask_dns(server: Ipv4Addr, domain: &str) -> Result<String, String> {
    let address = SocketAddr::from((server, 53));
    let query = dns_query(domain);
    let answer = in_time(async {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        socket.connect(address).await?;
        socket.send(&query).await?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).await?;
        Ok(length >= 12 && answer[..2] == query[..2] && answer[2] & 0x80 != 0)
    });
    match answer.await {
        Ok(true) => Ok(format!("answers DNS at {address}")),
        Ok(false) => Err(format!("what answers at {address} does not speak DNS")),
        Err(reason) => Err(format!("asked for DNS at {address}: {reason}")),
    }
}

/// A query for the domain's SOA (RFC 1035, 4.1): answered or refused without asking anybody else.
fn dns_query(domain: &str) -> Vec<u8> {
    let mut query = vec![0x70, 0x76, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in domain.split('.').filter(|label| (1..64).contains(&label.len())) {
        query.push(label.len() as u8);
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 6, 0, 1]);
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_well_formed() {
        let query = dns_query("lab.example");
        assert_eq!(&query[12..], b"\x03lab\x07example\0\0\x06\0\x01");
        assert_eq!(&dns_query("")[12..], b"\0\0\x06\0\x01");
    }

    #[test]
    fn the_state_disk_and_the_deployment_are_told_as_they_are() {
        assert!(!state_of(Path::new("/")).0);
        // Another file system than the root's, wherever this runs.
        assert_eq!(state_of(Path::new("/proc")), (true, None));
        assert_eq!(state_of(Path::new("/nonexistent")), (false, None));
        let directory = tempfile::tempdir().unwrap();
        let deployment = Deployment { deployment: "0123456789abcdef".repeat(2), generation: 7 };
        deployment.write(&directory.path().join(DEPLOYMENT_FILE)).unwrap();
        let health = Health {
            status: "ok".to_owned(),
            version: "1".to_owned(),
            image: None,
            nodes: 0,
            audit: Head { seq: 0, hash: String::new() },
            state_disk: true,
            deployment: state_of(directory.path()).1,
        };
        let json = serde_json::to_value(&health).unwrap();
        assert_eq!(json["state-disk"], true);
        let deployed = serde_json::json!({"id": "0123456789abcdef0123456789abcdef", "generation": 7});
        assert_eq!(json["deployment"], deployed);
    }
}
