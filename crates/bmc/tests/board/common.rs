//! A machine whose BMC is a simulator, with the patience of a test and declared BIOS settings.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bmc::{Credentials, Endpoint, Error, Machine, Outcome, Patience, Trust, Verb};
use netboot::{BiosSettings, BiosValue, BmcKind};
use redfish_simulator::{Model, Recorded, Simulator, Vendor};

pub fn patience() -> Patience {
    let ms = Duration::from_millis;
    Patience {
        connect: ms(1000),
        request: ms(1500),
        busy: ms(1000),
        graceful: ms(100),
        settle: ms(100),
        post: ms(400),
        poll: ms(3),
    }
}

pub struct Bench {
    pub bmc: Simulator,
    pub machine: Machine,
}

impl Bench {
    pub async fn new(model: Model) -> Bench {
        Bench::at("127.0.0.1:0", model).await
    }

    pub async fn at(address: &str, model: Model) -> Bench {
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
    pub async fn generic() -> Bench {
        Bench::new(Model::generic()).await
    }

    pub async fn supermicro() -> Bench {
        Bench::new(Model::supermicro_x11()).await
    }

    /// With declared settings of Redfish.
    pub fn declare(mut self, settings: &[(&str, BiosValue)]) -> Bench {
        let settings = settings.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
        let sum = self.machine.bios.take().map(|bios| bios.sum).unwrap_or_default();
        self.machine.bios = Some(BiosSettings { settings, sum });
        self
    }

    pub async fn run(&self, verb: &Verb) -> Result<Outcome, Error> {
        self.machine.run(verb, &|_| {}).await
    }

    pub async fn outcome(&self, verb: &Verb) -> Outcome {
        let outcome = self.run(verb).await.unwrap_or_else(|error| panic!("{verb:?}: {error}"));
        // What programs get is what it was.
        let json = serde_json::to_string(&outcome).unwrap();
        assert_eq!(serde_json::from_str::<Outcome>(&json).unwrap(), outcome);
        outcome
    }

    pub async fn line(&self, verb: &Verb) -> String {
        self.outcome(verb).await.summary()
    }

    pub async fn failure(&self, verb: &Verb) -> Error {
        match self.run(verb).await {
            Ok(outcome) => panic!("{verb:?} succeeded: {}", outcome.summary()),
            Err(error) => {
                assert!(!format!("{error} {error:?}").contains(self.bmc.credentials().1));
                error
            }
        }
    }

    /// All but reading, logging in and out.
    pub fn writes(&self) -> Vec<Recorded> {
        let is_write = |one: &Recorded| one.method != "GET" && !one.path.contains("SessionService");
        self.bmc.requests().into_iter().filter(is_write).collect()
    }
}

pub fn text(value: &str) -> BiosValue {
    BiosValue::Text(value.to_owned())
}

/// Declared settings of SUM.
pub fn for_sum(settings: &[(&str, &str)]) -> BiosSettings {
    let sum = settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    BiosSettings { settings: BTreeMap::new(), sum }
}
