//! A machine whose BMC is a simulator, with the patience of a test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bmc::{Credentials, Endpoint, Error, Fingerprint, Machine, Outcome, Patience, PinError, Pins, Trust, Verb};
use netboot::BmcKind;
use redfish_simulator::{Model, Recorded, Simulator, State};

/// Certificates, in memory.
#[derive(Default)]
pub(crate) struct Memory(pub(crate) Mutex<BTreeMap<String, Fingerprint>>);

impl Pins for Memory {
    fn pinned(&self, endpoint: &str) -> Result<Option<Fingerprint>, PinError> {
        Ok(self.0.lock().unwrap().get(endpoint).copied())
    }

    fn pin(&self, endpoint: &str, fingerprint: Fingerprint) -> Result<(), PinError> {
        self.0.lock().unwrap().entry(endpoint.to_owned()).or_insert(fingerprint);
        Ok(())
    }
}

pub(crate) fn patience() -> Patience {
    let ms = Duration::from_millis;
    Patience {
        connect: ms(1000),
        request: ms(1500),
        busy: ms(200),
        graceful: ms(60),
        settle: ms(60),
        post: ms(60),
        whole: None,
        poll: ms(3),
    }
}

/// A simulator and the node that it stands for.
pub(crate) struct Bench {
    pub(crate) bmc: Simulator,
    pub(crate) machine: Machine,
}

impl Bench {
    pub(crate) async fn new(model: Model) -> Bench {
        let bmc = Simulator::start(model).await;
        let machine = machine(&bmc, Arc::new(Memory::default()));
        Bench { bmc, machine }
    }

    pub(crate) async fn generic() -> Bench {
        Bench::new(Model::generic()).await
    }

    pub(crate) async fn supermicro() -> Bench {
        let mut bench = Bench::new(Model::supermicro_x11()).await;
        bench.machine.kind = BmcKind::Supermicro;
        bench
    }

    pub(crate) async fn run(&self, verb: &Verb) -> Result<Outcome, Error> {
        self.machine.run(verb, &|_| {}).await
    }

    /// The line of a verb that succeeds.
    pub(crate) async fn line(&self, verb: &Verb) -> String {
        self.run(verb).await.unwrap_or_else(|error| panic!("{verb:?}: {error}")).summary()
    }

    /// What is said of a verb that fails: the error and what to do, with the address left out. No secret is in it.
    pub(crate) async fn failure(&self, verb: &Verb) -> String {
        let error = match self.run(verb).await {
            Ok(outcome) => panic!("{verb:?} succeeded: {}", outcome.summary()),
            Err(error) => error,
        };
        let debug = format!("{error:?}");
        let password = self.bmc.credentials().1;
        let text = match error.help() {
            Some(help) => format!("{error}\nhelp: {help}"),
            None => error.to_string(),
        };
        assert!(!text.contains(password) && !debug.contains(password), "the password is in an error");
        assert!(!text.contains("wrong-pw") && !debug.contains("wrong-pw"), "the password is in an error");
        text.replace(&self.bmc.address().to_string(), "BMC")
    }

    /// Runs a verb that must fail, and must leave the machine as it is.
    pub(crate) async fn unchanged(&self, verb: &Verb) -> String {
        let before = self.state();
        let text = self.failure(verb).await;
        assert_eq!(self.state(), before, "the machine was changed");
        text
    }

    /// Without sessions, which come and go.
    pub(crate) fn state(&self) -> State {
        State { sessions: Vec::new(), ..self.bmc.state() }
    }

    /// Writes to the machine: all but reading, logging in and out.
    pub(crate) fn writes(&self) -> Vec<Recorded> {
        let is_write = |one: &Recorded| one.method != "GET" && !one.path.contains("SessionService");
        self.bmc.requests().into_iter().filter(is_write).collect()
    }
}

pub(crate) fn machine(bmc: &Simulator, pins: Arc<dyn Pins>) -> Machine {
    let (user, password) = bmc.credentials();
    let std::net::IpAddr::V4(address) = bmc.address().ip() else { panic!("not IPv4") };
    Machine {
        endpoint: Endpoint { address, port: bmc.address().port() },
        kind: BmcKind::Redfish,
        system: None,
        credentials: Credentials::parse(&format!("{user}:{password}")).unwrap(),
        trust: Trust::FirstUse(pins),
        patience: patience(),
        bios: None,
        sum: None,
    }
}
