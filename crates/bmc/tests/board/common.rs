//! A machine whose BMC is a simulator, with the patience of a test and declared BIOS settings.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bmc::{Credentials, Endpoint, Error, Machine, Outcome, Patience, Trust, Verb};
use netboot::{BiosSettings, BiosValue, BmcKind};
use redfish_simulator::{Model, Recorded, Simulator, Vendor};

pub(crate) fn patience() -> Patience {
    let ms = Duration::from_millis;
    Patience {
        connect: ms(1000),
        request: ms(1500),
        busy: ms(1000),
        graceful: ms(100),
        settle: ms(100),
        post: ms(400),
        whole: None,
        poll: ms(3),
    }
}

pub(crate) struct Bench {
    pub(crate) bmc: Simulator,
    pub(crate) machine: Machine,
}

impl Bench {
    pub(crate) async fn new(model: Model) -> Bench {
        Bench::at("127.0.0.1:0", model).await
    }

    pub(crate) async fn at(address: &str, model: Model) -> Bench {
        let address: SocketAddr = address.parse().unwrap();
        let kind = match model.vendor {
            Vendor::Supermicro => BmcKind::Supermicro,
            _ => BmcKind::Redfish,
        };
        let bmc = Simulator::bind(address, model).await.unwrap_or_else(|error| panic!("{address}: {error}"));
        let IpAddr::V4(address) = bmc.address().ip() else { panic!("not IPv4") };
        let (user, password) = bmc.credentials();
        let machine = Machine {
            endpoint: Endpoint { address, port: bmc.address().port() },
            kind,
            system: None,
            credentials: Credentials::parse(&format!("{user}:{password}")).unwrap(),
            trust: Trust::Insecure,
            patience: patience(),
            bios: None,
            sum: None,
        };
        Bench { bmc, machine }
    }

    /// By the book.
    pub(crate) async fn generic() -> Bench {
        Bench::new(Model::generic()).await
    }

    pub(crate) async fn supermicro() -> Bench {
        Bench::new(Model::supermicro_x11()).await
    }

    /// With declared settings of Redfish.
    pub(crate) fn declare(mut self, settings: &[(&str, BiosValue)]) -> Bench {
        let settings = settings.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
        let sum = self.machine.bios.take().map(|bios| bios.sum).unwrap_or_default();
        self.machine.bios = Some(BiosSettings { settings, sum });
        self
    }

    pub(crate) async fn run(&self, verb: &Verb) -> Result<Outcome, Error> {
        self.machine.run(verb, &|_| {}).await
    }

    pub(crate) async fn outcome(&self, verb: &Verb) -> Outcome {
        let outcome = self.run(verb).await.unwrap_or_else(|error| panic!("{verb:?}: {error}"));
        // What programs get is what it was.
        let json = serde_json::to_string(&outcome).unwrap();
        assert_eq!(serde_json::from_str::<Outcome>(&json).unwrap(), outcome);
        outcome
    }

    pub(crate) async fn line(&self, verb: &Verb) -> String {
        self.outcome(verb).await.summary()
    }

    pub(crate) async fn failure(&self, verb: &Verb) -> Error {
        match self.run(verb).await {
            Ok(outcome) => panic!("{verb:?} succeeded: {}", outcome.summary()),
            Err(error) => {
                assert!(!format!("{error} {error:?}").contains(self.bmc.credentials().1));
                error
            }
        }
    }

    /// All but reading, logging in and out.
    pub(crate) fn writes(&self) -> Vec<Recorded> {
        let is_write = |one: &Recorded| one.method != "GET" && !one.path.contains("SessionService");
        self.bmc.requests().into_iter().filter(is_write).collect()
    }
}

pub(crate) fn text(value: &str) -> BiosValue {
    BiosValue::Text(value.to_owned())
}

/// Declared settings of SUM.
pub(crate) fn for_sum(settings: &[(&str, &str)]) -> BiosSettings {
    let sum = settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    BiosSettings { settings: BTreeMap::new(), sum }
}
