//! Carries plans out on a site: deploy, roll back, destroy.
//!
//! In: a site, the profile's wishes, a clock, who asks the appliance. Out: what became of it. Invariants: the record is saved before each step that
//! changes something, and after it where the step gives news; a process that is killed at any point leaves what the next one completes or takes
//! back; the engine asks for a state disk to be made only where there is none, and to be removed only where the caller says so.

use std::net::IpAddr;
use std::time::Duration;

use secrecy::zeroize::Zeroizing;

use super::error::{DeployError, Kind};
use super::health::Health;
use super::plan::{self, Plan, Step, Wishes};
use super::record::{Fate, Generation, Pending, Record, StateDisk};
use super::release::Release;
use super::site::{Configuration, Observed, Site};
use crate::vocab::{ByteSize, Digest, Epoch, Progress, Stage};

/// Between two questions whether the appliance is healthy.
const PAUSE: Duration = Duration::from_secs(3);
/// Questions between two looks whether the machine still runs.
const LOOK_AFTER: u32 = 3;

/// Time, from outside.
pub trait Clock {
    fn now(&self) -> Epoch;
    /// From some moment in the past.
    fn elapsed(&self) -> Duration;
    fn sleep(&self, pause: Duration);
}

/// Makes the image of the seed medium for a generation.
pub type MakeSeed<'a> = &'a dyn Fn(&Record, u32) -> Result<Zeroizing<Vec<u8>>, DeployError>;

/// What the profile says about deployments.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Earlier generations to keep.
    pub keep: u32,
    pub health_timeout: Duration,
    pub stop_timeout: Duration,
    pub state_disk: ByteSize,
}

/// An appliance on a site.
pub struct Deployment<'a> {
    pub site: Box<dyn Site + 'a>,
    /// Name of the appliance.
    pub name: &'a str,
    pub terms: Terms,
    /// Names a deployment that is new: 32 hexadecimal digits, drawn by the caller.
    pub fresh: String,
    pub clock: &'a dyn Clock,
    pub health: &'a dyn Health,
    pub progress: &'a dyn Progress,
}

/// What became of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub generation: u32,
    pub address: IpAddr,
    /// Nothing had to be done.
    pub unchanged: bool,
}

impl Deployment<'_> {
    /// What `deploy` would do now with the release of this id. Touches nothing.
    ///
    /// # Errors
    /// The site cannot be asked, or the state disk is gone.
    pub fn plan(&self, id: Digest, renew_secrets: bool) -> Result<Plan, DeployError> {
        let (record, there) = self.look()?;
        plan::deploy(&record, &there, id, self.wishes(renew_secrets))
    }

    /// What `rollback` would do now. Touches nothing.
    ///
    /// # Errors
    /// There is nothing to go back to.
    pub fn plan_rollback(&self, to: Option<u32>) -> Result<Plan, DeployError> {
        let (record, there) = self.look()?;
        plan::rollback(&record, &there, to)
    }

    /// The record and what is there.
    ///
    /// # Errors
    /// The site cannot be asked.
    pub fn look(&self) -> Result<(Record, Observed), DeployError> {
        let record = self.site.load()?;
        let there = self.site.observe(record.as_ref())?;
        let record = record.unwrap_or_else(|| Record::new(self.name, self.fresh.clone()));
        Ok((record, there))
    }

    /// Brings a build into the machine and waits until it is healthy; otherwise the generation before it runs again.
    ///
    /// # Errors
    /// A step failed: deploying again goes on from there. Or [`Kind::Unhealthy`]: the message says what runs now.
    pub fn deploy(
        &mut self,
        release: &Release,
        seed: MakeSeed<'_>,
        renew_secrets: bool,
    ) -> Result<Outcome, DeployError> {
        self.site.lock()?;
        let (mut record, there) = self.look()?;
        let plan = plan::deploy(&record, &there, release.id, self.wishes(renew_secrets))?;
        // Whatever is wrong with the secrets shows before anything is touched.
        let medium = match plan.has(|step| matches!(step, Step::WriteSeed { .. })) {
            true => Some(seed(&record, plan.target)?),
            false => None,
        };
        self.carry_out(&mut record, &plan, Some(release), medium)
    }

    /// Goes back to an earlier generation.
    ///
    /// # Errors
    /// As for [`Deployment::deploy`].
    pub fn rollback(&mut self, to: Option<u32>) -> Result<Outcome, DeployError> {
        self.site.lock()?;
        let (mut record, there) = self.look()?;
        let plan = plan::rollback(&record, &there, to)?;
        self.carry_out(&mut record, &plan, None, None)
    }

    /// Stops and removes the machine with its system disks; the state disk goes only `with_state`. `false`: there was nothing.
    ///
    /// # Errors
    /// A step failed: destroying again goes on from there.
    pub fn destroy(&mut self, with_state: bool) -> Result<bool, DeployError> {
        let nothing = |there: &Observed| *there == Observed::default();
        if self.site.load()?.is_none() && nothing(&self.site.observe(None)?) {
            return Ok(false);
        }
        self.site.lock()?;
        let (mut record, there) = self.look()?;
        if there.running {
            self.note("stop the machine");
            self.site.stop(&record, self.terms.stop_timeout)?;
        }
        record.pending = None;
        record.current = None;
        self.site.save(&record)?;
        self.note("remove the machine and its system disks");
        self.site.remove_machine(&record)?;
        record.generations.clear();
        self.site.save(&record)?;
        if with_state {
            self.note("remove the state disk and the record");
            self.site.remove_state(&record)?;
        }
        Ok(true)
    }

    fn wishes(&self, renew_secrets: bool) -> Wishes {
        Wishes { state_disk: self.terms.state_disk, keep: self.terms.keep, renew_secrets }
    }

    fn note(&self, text: &str) {
        self.progress.note(Stage::Deploy, text.to_owned());
    }

    fn carry_out(
        &mut self,
        record: &mut Record,
        plan: &Plan,
        release: Option<&Release>,
        medium: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<Outcome, DeployError> {
        let mut address = None;
        for step in &plan.steps {
            self.note(&step.to_string());
            match *step {
                Step::Begin(change) => self.begin(record, change, release)?,
                Step::Stage { number } => {
                    let release = release.ok_or_else(|| missing(number))?;
                    let disk = self.site.stage(record, number, release, self.progress)?;
                    record.generation_mut(number).ok_or_else(|| missing(number))?.disk = Some(disk);
                    self.site.save(record)?;
                }
                Step::MakeState { size } => {
                    record.state = StateDisk::Made;
                    self.site.save(record)?;
                    self.site.make_state(record, size)?;
                }
                Step::WriteSeed { number } => {
                    let medium = medium.as_ref().ok_or_else(|| missing(number))?;
                    self.site.write_seed(record, medium)?;
                }
                Step::Stop => self.site.stop(record, self.terms.stop_timeout)?,
                Step::Configure { number, seed } => self.configure(record, number, seed)?,
                Step::Start => self.site.start(record)?,
                Step::Await { number } => match self.await_health(record, number)? {
                    Ok(found) => address = Some(found),
                    Err(reason) => return Err(self.unhealthy(record, plan, number, &reason)),
                },
                Step::Settle { number } => self.settle(record, number)?,
                Step::WipeSeed => self.site.wipe_seed(record)?,
                Step::Prune { number } => self.prune(record, number)?,
            }
        }
        let address = address.ok_or_else(|| missing(plan.target))?;
        Ok(Outcome { generation: plan.target, address, unchanged: !plan.changes() })
    }

    fn begin(&mut self, record: &mut Record, change: Pending, release: Option<&Release>) -> Result<(), DeployError> {
        let number = change.generation;
        if record.generation(number).is_none() {
            let release = release.ok_or_else(|| missing(number))?;
            record.generations.push(Generation {
                number,
                id: release.id,
                image_digest: release.manifest.image_digest,
                made: self.clock.now(),
                machine: release.machine().clone(),
                disk: None,
                fate: Fate::Untried,
            });
            record.next = number + 1;
        }
        record.pending = Some(change);
        self.site.save(record)
    }

    fn configure(&mut self, record: &Record, number: u32, seed: bool) -> Result<(), DeployError> {
        let generation = record.generation(number).ok_or_else(|| missing(number))?;
        self.site.configure(Configuration { record, generation, seed })
    }

    fn settle(&mut self, record: &mut Record, number: u32) -> Result<(), DeployError> {
        if let Some(before) = record.current.filter(|before| *before > number)
            && let Some(generation) = record.generation_mut(before)
            && generation.fate == Fate::Healthy
        {
            generation.fate = Fate::Withdrawn;
        }
        if let Some(generation) = record.generation_mut(number) {
            generation.fate = Fate::Healthy;
        }
        record.current = Some(number);
        record.pending = None;
        record.state = StateDisk::InUse;
        self.site.save(record)
    }

    fn prune(&mut self, record: &mut Record, number: u32) -> Result<(), DeployError> {
        self.site.remove_generation(record, number)?;
        record.generations.retain(|generation| generation.number != number);
        self.site.save(record)
    }

    /// Waits for the appliance; the inner error says why it is not healthy.
    fn await_health(&mut self, record: &mut Record, number: u32) -> Result<Result<IpAddr, String>, DeployError> {
        let wanted = record.generation(number).ok_or_else(|| missing(number))?.image_digest.to_string();
        let begin = self.clock.elapsed();
        let mut asked = 0;
        loop {
            let reason = match self.ask(record, &wanted) {
                Ok((address, key)) => {
                    if record.page_key.is_none() {
                        record.page_key = Some(key);
                        self.site.save(record)?;
                    }
                    return Ok(Ok(address));
                }
                Err(reason) => reason,
            };
            asked += 1;
            if asked % LOOK_AFTER == 0 && !self.site.observe(Some(record))?.running {
                return Ok(Err("the machine has stopped by itself".to_owned()));
            }
            if self.clock.elapsed().saturating_sub(begin) >= self.terms.health_timeout {
                let seconds = self.terms.health_timeout.as_secs();
                return Ok(Err(format!("after {seconds} s {reason}")));
            }
            self.clock.sleep(PAUSE);
        }
    }

    /// One question: address and key of an appliance that runs the wanted image, or why not.
    fn ask(&self, record: &Record, wanted: &str) -> Result<(IpAddr, String), String> {
        let address = self.site.address(record).map_err(|error| error.message)?;
        let address = address.ok_or("the guest's tools have told no address")?;
        let answer = self.health.ask(address).map_err(|reason| format!("https://{address}/healthz: {reason}"))?;
        match answer.image {
            Some(image) if image != wanted => Err(format!("the appliance at {address} runs the image {image}")),
            None => Err(format!("the appliance at {address} does not say which image it runs")),
            Some(_) if !answer.works => Err(format!("the appliance at {address} says that it does not work")),
            Some(_) => match &record.page_key {
                Some(known) if *known != answer.key => Err(format!(
                    "the appliance at {address} shows another key than before: {}, not {known}",
                    answer.key
                )),
                _ => Ok((address, answer.key)),
            },
        }
    }

    /// Takes a change back whose generation is not healthy. Gives the error that says what runs now.
    fn unhealthy(&mut self, record: &mut Record, plan: &Plan, number: u32, reason: &str) -> DeployError {
        let failed = |text: String| DeployError::new(Kind::Unhealthy, text);
        let what = format!("generation {number} did not become healthy: {reason}");
        let change = record.pending.filter(|pending| pending.generation == number);
        let Some(change) = change else {
            // Nothing was changed, or only the secrets were: there is nothing to take back.
            let help = "look at its console; `provbuild deploy --rollback` goes back to the generation before it";
            return failed(format!("{what}. It is the current one and was left as it is")).help(help);
        };
        let Some(from) = change.from else {
            if let Some(generation) = record.generation_mut(number) {
                generation.fate = Fate::Unhealthy(reason.to_owned());
            }
            let saved = self.site.save(record).err().map(|error| format!(" ({error})")).unwrap_or_default();
            let help = "look at its console, mend the profile and deploy again; the state disk is kept";
            return failed(format!(
                "{what}. There is no generation before it to go back to: it was left as it is{saved}"
            ))
            .help(help);
        };
        self.note(&format!("{what}: back to generation {from}"));
        match self.back(record, plan, number, from, reason) {
            Ok(Ok(address)) => failed(format!("{what}. Generation {from} runs again, at {address}"))
                .help("its system disk is kept until the next deployment; mend the profile, build and deploy again"),
            Ok(Err(again)) => {
                failed(format!("{what}; back on generation {from}: {again}. The machine was left as it is"))
                    .help("neither build is healthy: look at the console, the network and the state disk")
            }
            Err(error) => DeployError {
                kind: error.kind,
                message: format!("{what}; on the way back to generation {from}: {error}"),
                help: error.help,
            }
            .help("deploy again, or `provbuild deploy --rollback`: both go on from here"),
        }
    }

    fn back(
        &mut self,
        record: &mut Record,
        plan: &Plan,
        failed: u32,
        from: u32,
        reason: &str,
    ) -> Result<Result<IpAddr, String>, DeployError> {
        if let Some(generation) = record.generation_mut(failed) {
            generation.fate = Fate::Unhealthy(reason.to_owned());
        }
        record.pending = Some(Pending { generation: from, from: None });
        self.site.save(record)?;
        self.site.stop(record, self.terms.stop_timeout)?;
        self.configure(record, from, false)?;
        if plan.has(|step| matches!(step, Step::WriteSeed { .. } | Step::WipeSeed)) {
            self.site.wipe_seed(record)?;
        }
        self.site.start(record)?;
        let found = self.await_health(record, from)?;
        if found.is_ok() {
            self.settle_back(record, from)?;
        }
        Ok(found)
    }

    fn settle_back(&mut self, record: &mut Record, from: u32) -> Result<(), DeployError> {
        record.current = Some(from);
        record.pending = None;
        self.site.save(record)
    }
}

/// A plan that speaks of what the record does not have: a fault of ours.
fn missing(number: u32) -> DeployError {
    DeployError::new(Kind::Io, format!("the record has no generation {number}: another program has changed it"))
        .help("deploy again")
}
