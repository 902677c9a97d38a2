//! The handle that tests hold: starts and stops the service, switches faults, shows what is and what was asked.
//!
//! Input: a model; output: an address with a BMC behind it. Invariant: nothing of it is left when the handle is dropped; stopping keeps the
//! machine's state, so that a start on the same port goes on with it. The service has threads of its own: a test that blocks its thread, with
//! a child process say, is answered all the same.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::faults::{Fault, Scope};
use crate::model::Model;
use crate::reply::Recorded;
use crate::server::{self, Shared};
use crate::service::Service;
use crate::state::State;
use crate::tls::Identity;

pub struct Simulator {
    shared: Arc<Shared>,
    address: SocketAddr,
    user: String,
    password: String,
    task: Option<JoinHandle<()>>,
}

impl Simulator {
    /// On a free port of 127.0.0.1.
    ///
    /// # Panics
    /// Where there is no loopback.
    pub async fn start(model: Model) -> Simulator {
        Simulator::start_blocking(model)
    }

    pub async fn bind(address: SocketAddr, model: Model) -> io::Result<Simulator> {
        Simulator::bind_blocking(address, model)
    }

    /// As [`Simulator::start`], for tests without a runtime.
    ///
    /// # Panics
    /// Where there is no loopback.
    pub fn start_blocking(model: Model) -> Simulator {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Simulator::bind_blocking(address, model).expect("the loopback has a free port")
    }

    pub fn bind_blocking(address: SocketAddr, model: Model) -> io::Result<Simulator> {
        let listener = listen(address)?;
        let address = listener.local_addr()?;
        let (user, password) = (model.user.clone(), model.password.clone());
        let shared = Arc::new(Shared::new(Service::new(model), Identity::new(address.ip())));
        let task = runtime().spawn(server::serve(listener, Arc::clone(&shared)));
        Ok(Simulator { shared, address, user, password, task: Some(task) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub fn credentials(&self) -> (&str, &str) {
        (&self.user, &self.password)
    }

    /// SHA-256 of the certificate's DER.
    pub fn certificate_sha256(&self) -> [u8; 32] {
        self.shared.identity().sha256
    }

    pub fn certificate_der(&self) -> Vec<u8> {
        self.shared.identity().der
    }

    /// New connections see another certificate; open ones go on.
    pub fn new_certificate(&self) {
        self.shared.replace_identity(Identity::new(self.address.ip()));
    }

    /// Switches a fault on, beside those that are.
    pub fn fault(&self, fault: Fault) {
        self.fault_at("", "", fault);
    }

    /// A fault for requests of one method (empty: all) whose path holds `path` (empty: all).
    pub fn fault_at(&self, method: &str, path: &str, fault: Fault) {
        let scope = Scope { method: method.into(), path: path.into() };
        self.shared.with(|service| service.faults.add(fault, scope));
    }

    /// Switches all faults off. What they did stays done.
    pub fn heal(&self) {
        self.shared.with(|service| service.faults.clear());
    }

    /// What the machine is now, with all that is due.
    pub fn state(&self) -> State {
        self.shared.with(|service| {
            service.settle(Instant::now());
            State { sessions: service.people.sessions(), ..service.state.clone() }
        })
    }

    /// Changes the machine behind the service's back, as a person at its console would.
    pub fn tamper(&self, change: impl FnOnce(&mut State)) {
        self.shared.with(|service| change(&mut service.state));
    }

    /// Calls `hear` once for each boot of the machine, as soon as a request or a look at the state brings it to light.
    pub fn on_boot(&self, hear: impl FnMut() + Send + 'static) {
        self.shared.with(|service| service.on_boot = Some(Box::new(hear)));
    }

    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.with(|service| service.requests.clone())
    }

    pub fn forget_requests(&self) {
        self.shared.with(|service| service.requests.clear());
    }

    /// All sessions end, as after a restart of the BMC.
    pub fn close_sessions(&self) {
        self.shared.with(|service| service.people.close_all());
    }

    pub fn set_latency(&self, latency: Duration) {
        self.shared.with(|service| service.model.latency = latency);
    }

    /// Unreachable: the port is closed, all connections end.
    pub fn stop(&mut self) {
        let Some(task) = self.task.take() else { return };
        task.abort();
        let begin = Instant::now();
        while !task.is_finished() && begin.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Reachable again at the same address.
    pub fn start_again(&mut self) -> io::Result<()> {
        if self.task.is_none() {
            let listener = listen(self.address)?;
            self.task = Some(runtime().spawn(server::serve(listener, Arc::clone(&self.shared))));
        }
        Ok(())
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One for all simulators of a process.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).thread_name("simulator").enable_all().build().expect("threads can be started")
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let _guard = runtime().enter();
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(128)
}
