//! One node and its BMC: the way from a verb to its outcome.
//!
//! In: a [`Machine`], a [`Verb`]. Out: an [`Outcome`] or an [`Error`]. Invariant: the session is ended whatever becomes of the verb.

use netboot::{BiosSettings, BmcKind};

use crate::client::Client;
use crate::credentials::Credentials;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::patience::Patience;
use crate::service::Service;
use crate::step::{Step, Steps};
use crate::sum::SumTool;
use crate::trust::Trust;
use crate::verb::Verb;
use crate::{bios, boot, boot_order, inventory, media, power, raw, sensors, status};

/// What is needed to talk to a node's BMC.
#[derive(Clone)]
pub struct Machine {
    pub endpoint: Endpoint,
    pub kind: BmcKind,
    /// Which system, where the BMC answers for several.
    pub system: Option<String>,
    pub credentials: Credentials,
    pub trust: Trust,
    pub patience: Patience,
    /// What the profile wants the BIOS to be.
    pub bios: Option<BiosSettings>,
    /// For boards whose Redfish cannot change the BIOS.
    pub sum: Option<SumTool>,
}

/// A BMC that was reached, and what is told meanwhile.
pub(crate) struct Talk<'a> {
    pub(crate) client: Client,
    pub(crate) service: Service,
    pub(crate) machine: &'a Machine,
    steps: &'a Steps<'a>,
}

impl Talk<'_> {
    /// Tells whoever waits what is done now, in a few words.
    pub(crate) fn step(&self, text: &str) {
        (self.steps)(Step::Doing(text));
    }

    /// Tells that the power was touched.
    pub(crate) fn step_reset(&self, kind: &str) {
        (self.steps)(Step::Reset(kind));
    }
}

impl Machine {
    /// Carries a verb out. `steps` is told what is done meanwhile. Whoever gets an [`Outcome`] of a write knows that it was read
    /// back.
    ///
    /// # Errors
    /// See [`Error`]; nothing was changed unless the error is one of reading back, or of an answer that was lost.
    pub async fn run(&self, verb: &Verb, steps: &Steps<'_>) -> Result<Outcome, Error> {
        verb.check()?;
        steps(Step::Connecting);
        let client =
            Client::connect(self.endpoint, self.credentials.clone(), &self.trust, self.patience.clone()).await?;
        let service = match Service::discover(&client, self.kind, self.system.as_deref()).await {
            Ok(service) => service,
            Err(error) => {
                client.close().await;
                return Err(error);
            }
        };
        let talk = Talk { client, service, machine: self, steps };
        let result = talk.in_time(verb).await;
        talk.client.close().await;
        result
    }
}

impl Talk<'_> {
    async fn in_time(&self, verb: &Verb) -> Result<Outcome, Error> {
        let Some(whole) = self.machine.patience.whole else { return self.carry_out(verb).await };
        tokio::time::timeout(whole, self.carry_out(verb)).await.unwrap_or_else(|_| {
            Err(Error::Cut {
                endpoint: self.client.endpoint().to_owned(),
                request: verb.title(),
                reason: format!("it was not over in {} seconds", whole.as_secs()),
            })
        })
    }

    async fn carry_out(&self, verb: &Verb) -> Result<Outcome, Error> {
        Ok(match verb {
            Verb::Status {} => Outcome::Status(status::read(self).await),
            Verb::Power { action, manner } => Outcome::Power(power::change(self, *action, *manner).await?),
            Verb::BootOnce { target, mode } => Outcome::BootOnce(boot::once(self, *target, *mode).await?),
            Verb::BootOrderGet {} => Outcome::BootOrder(boot_order::get(self).await?),
            Verb::BootOrderSet { order } => Outcome::BootOrder(boot_order::set(self, order).await?),
            Verb::BiosGet { attributes } => Outcome::BiosGet(bios::get(self, attributes).await?),
            Verb::BiosPlan {} => Outcome::BiosPlan(bios::plan(self).await?),
            Verb::BiosApply { restart } => Outcome::BiosApply(bios::apply(self, *restart).await?),
            Verb::BiosDiff {} => Outcome::BiosDiff(bios::diff(self).await?),
            Verb::Sensors {} => Outcome::Sensors(sensors::read(self).await?),
            Verb::Inventory {} => Outcome::Inventory(inventory::read(self).await?),
            Verb::MediaInsert { image } => Outcome::MediaInsert(media::insert(self, image).await?),
            Verb::MediaEject {} => Outcome::MediaEject(media::eject(self).await?),
            Verb::Raw { path } => Outcome::Raw(raw::get(self, path).await?),
        })
    }
}
