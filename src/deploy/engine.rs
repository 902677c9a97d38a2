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

/// What a deployment is asked for, beside the build.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Orders {
    /// Deliver the secrets again, also where the build runs already.
    pub renew_secrets: bool,
    /// Take over what is there without a record.
    pub adopt: bool,
    /// Take the management page's key as it is now.
    pub forget_page_key: bool,
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
    pub fn plan(&self, id: Digest, orders: Orders) -> Result<Plan, DeployError> {
        let (record, there) = self.known(orders)?;
        plan::deploy(&record, &there, id, self.wishes(orders))
    }

    /// What `rollback` would do now. Touches nothing.
    ///
    /// # Errors
    /// There is nothing to go back to.
    pub fn plan_rollback(&self, to: Option<u32>) -> Result<Plan, DeployError> {
        let (record, there) = self.look()?;
        self.site.check()?;
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

    /// The same, for whoever will change it: what is there without a record may be anybody's.
    fn known(&self, orders: Orders) -> Result<(Record, Observed), DeployError> {
        let (mut record, there) = self.look()?;
        self.site.check()?;
        if there != Observed::default() && self.site.load()?.is_none() {
            if !orders.adopt {
                let message = format!(
                    "there is no record of a deployment, and something is there already: {}",
                    self.site.title()
                );
                return Err(DeployError::new(Kind::Refused, message).help(
                    "restore the record; or move what is there away; or take it over with --adopt: its state disk is kept, \
                     its system disks are replaced",
                ));
            }
            record.next = there.staged.iter().max().map_or(1, |last| last + 1);
            record.state = if there.state { StateDisk::InUse } else { StateDisk::None };
        }
        if orders.forget_page_key {
            record.page_key = None;
        }
        Ok((record, there))
    }

    /// Brings a build into the machine and waits until it is healthy; otherwise the generation before it runs again.
    ///
    /// # Errors
    /// A step failed: deploying again goes on from there. Or [`Kind::Unhealthy`]: the message says what runs now.
    pub fn deploy(&mut self, release: &Release, seed: MakeSeed<'_>, orders: Orders) -> Result<Outcome, DeployError> {
        self.site.lock()?;
        let (mut record, there) = self.known(orders)?;
        let plan = plan::deploy(&record, &there, release.id, self.wishes(orders))?;
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
        self.site.check()?;
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

    fn wishes(&self, orders: Orders) -> Wishes {
        let Terms { state_disk, keep, .. } = self.terms;
        Wishes { state_disk, keep, renew_secrets: orders.renew_secrets }
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
        let (mut address, mut stopped) = (None, false);
        for step in &plan.steps {
            self.note(&step.to_string());
            let done = match *step {
                Step::Await { number } => match self.await_health(record, number)? {
                    Ok(found) => {
                        address = Some(found);
                        // A way back delivers nothing: what is owed stays owed.
                        record.renew_secrets &= !plan.has(|step| matches!(step, Step::WriteSeed { .. }));
                        Ok(())
                    }
                    Err(reason) => return Err(self.unhealthy(record, number, &reason)),
                },
                step => self.take(record, step, release, medium.as_ref()),
            };
            stopped |= *step == Step::Stop;
            match (done, step) {
                (Ok(()), _) => {}
                // The machine that was stopped for this is not left so.
                (Err(error), Step::WriteSeed { .. } | Step::Configure { .. } | Step::Start) if stopped => {
                    return Err(self.undo(record, plan.target, error));
                }
                (Err(error), _) if error.help.is_none() => {
                    return Err(error.help(
                        "what was begun is in the record: deploying again goes on from here, `provbuild deploy --rollback` goes back",
                    ));
                }
                (Err(error), _) => return Err(error),
            }
        }
        let address = address.ok_or_else(|| missing(plan.target))?;
        Ok(Outcome { generation: plan.target, address, unchanged: !plan.changes() })
    }

    /// One step, but for the wait.
    fn take(
        &mut self,
        record: &mut Record,
        step: Step,
        release: Option<&Release>,
        medium: Option<&Zeroizing<Vec<u8>>>,
    ) -> Result<(), DeployError> {
        match step {
            Step::Begin(change) => self.begin(record, change, release),
            Step::Stage { number } => {
                let release = release.ok_or_else(|| missing(number))?;
                let disk = self.site.stage(record, number, release, self.progress)?;
                record.generation_mut(number).ok_or_else(|| missing(number))?.disk = Some(disk);
                self.site.save(record)
            }
            Step::MakeState { size } => {
                record.state = StateDisk::Made;
                self.site.save(record)?;
                self.site.make_state(record, size)
            }
            Step::NoteRenewal => {
                record.renew_secrets = true;
                self.site.save(record)
            }
            Step::Stop => self.site.stop(record, self.terms.stop_timeout),
            Step::WriteSeed { number } => self.site.write_seed(record, medium.ok_or_else(|| missing(number))?),
            Step::Configure { number, seed } => self.configure(record, number, seed),
            Step::Start => self.site.start(record),
            // The caller's.
            Step::Await { .. } => Ok(()),
            Step::Settle { number } => self.settle(record, number),
            Step::WipeSeed => self.site.wipe_seed(record),
            Step::Prune { number } => self.prune(record, number),
        }
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
        let generation = record.generation(number).ok_or_else(|| missing(number))?;
        let wanted = Wanted {
            image: generation.image_digest,
            // Later starts have no medium: what was read last may be of any generation.
            seed: (generation.fate == Fate::Untried).then_some(number),
        };
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
            // A hypervisor that does not answer for once is no reason to give up.
            if asked % LOOK_AFTER == 0 && self.site.observe(Some(record)).is_ok_and(|there| !there.running) {
                return Ok(Err("the machine has stopped by itself".to_owned()));
            }
            if self.clock.elapsed().saturating_sub(begin) >= self.terms.health_timeout {
                let seconds = self.terms.health_timeout.as_secs();
                return Ok(Err(format!("after {seconds} s {reason}")));
            }
            self.clock.sleep(PAUSE);
        }
    }

    /// One question: address and key of an appliance that is as it should be, or why it is not.
    fn ask(&self, record: &Record, wanted: &Wanted) -> Result<(IpAddr, String), String> {
        let address = self.site.address(record).map_err(|error| error.message)?;
        let address = address.ok_or("the guest's tools have told no address")?;
        let answer = self.health.ask(address).map_err(|reason| format!("https://{address}/healthz: {reason}"))?;
        let who = format!("the appliance at {address}");
        match answer.image {
            Some(image) if image != wanted.image.to_string() => {
                let short = image.get(..12).unwrap_or(&image);
                return Err(format!("{who} runs the image {short}, not {}", wanted.image.short()));
            }
            None => return Err(format!("{who} does not say which image it runs")),
            Some(_) if !answer.works => return Err(format!("{who} says that it does not work")),
            Some(_) => {}
        }
        if !answer.state_disk {
            return Err(format!("{who} keeps its state on its system disk"));
        }
        if let Some(number) = wanted.seed
            && answer.seed != Some((record.deployment.clone(), number))
        {
            return Err(format!("{who} has not read its seed medium"));
        }
        match &record.page_key {
            Some(known) if *known != answer.key => {
                Err(format!("{who} shows another key than before: {}, not {known}", answer.key))
            }
            _ => Ok((address, answer.key)),
        }
    }

    /// Takes a change back whose generation is not healthy. Gives the error that says what runs now.
    fn unhealthy(&mut self, record: &mut Record, number: u32, reason: &str) -> DeployError {
        let failed = |text: String| DeployError::new(Kind::Unhealthy, text);
        let what = format!("generation {number} did not become healthy: {reason}");
        let Some(change) = record.pending.filter(|pending| pending.generation == number) else {
            // Nothing was changed, or only the secrets were: there is nothing to take back.
            let help = "look at its console; `provbuild deploy --rollback` goes back to the generation before it. \
                        Where the page's key was changed on purpose: --accept-page-key";
            return failed(format!("{what}. It is the current one and was left as it is")).help(help);
        };
        // One that was healthy before may suffer from something else.
        if let Some(generation) = record.generation_mut(number)
            && generation.fate == Fate::Untried
        {
            generation.fate = Fate::Unhealthy(reason.to_owned());
        }
        let Some(from) = change.from else {
            let saved = self.site.save(record).err().map(|error| format!(" ({error})")).unwrap_or_default();
            let help = "look at its console, mend the profile and deploy again; the state disk is kept. Until then the seed medium with the \
                        secrets stays with it; `provbuild destroy` removes it with the machine";
            return failed(format!(
                "{what}. There is no generation before it to go back to: it was left as it is{saved}"
            ))
            .help(help);
        };
        self.note(&format!("{what}: back to generation {from}"));
        match self.back(record, from) {
            Ok(Ok(address)) => failed(format!("{what}. Generation {from} runs again, at {address}")).help(format!(
                "generation {number}'s system disk is kept until the next deployment; mend the profile and deploy again"
            )),
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

    /// Starts what ran before, after a step failed for which it was stopped. Gives the step's error, and what became of it.
    fn undo(&mut self, record: &mut Record, number: u32, error: DeployError) -> DeployError {
        let from = record.pending.and_then(|pending| pending.from).or(record.current);
        let Some(from) = from.filter(|from| record.generation(*from).is_some()) else { return error };
        self.note(&format!("generation {number} cannot be started ({error}): back to generation {from}"));
        let became = match self.back(record, from) {
            Ok(Ok(address)) => format!("generation {from} runs again, at {address}"),
            Ok(Err(reason)) => format!("generation {from} was started again and is not healthy: {reason}"),
            Err(again) => format!("generation {from} could not be started again: {again}"),
        };
        DeployError { message: format!("{}; {became}", error.message), ..error }
    }

    /// Back to a generation that ran before. The inner error says why it is not healthy.
    fn back(&mut self, record: &mut Record, from: u32) -> Result<Result<IpAddr, String>, DeployError> {
        record.pending = Some(Pending { generation: from, from: None });
        self.site.save(record)?;
        self.note(&Step::Stop.to_string());
        self.site.stop(record, self.terms.stop_timeout)?;
        self.note(&Step::Configure { number: from, seed: false }.to_string());
        self.configure(record, from, false)?;
        // Whatever is wrong with it is said at the end: first the appliance runs.
        self.note(&Step::WipeSeed.to_string());
        let wiped = self.site.wipe_seed(record);
        self.note(&Step::Start.to_string());
        self.site.start(record)?;
        self.note(&Step::Await { number: from }.to_string());
        let found = self.await_health(record, from)?;
        if found.is_ok() {
            record.current = Some(from);
            record.pending = None;
            self.site.save(record)?;
        }
        wiped?;
        Ok(found)
    }
}

/// What the appliance must say.
struct Wanted {
    image: Digest,
    /// Generation of the seed medium that it must have read.
    seed: Option<u32>,
}

/// A plan that speaks of what the record does not have: a fault of ours.
fn missing(number: u32) -> DeployError {
    DeployError::new(Kind::Io, format!("the record has no generation {number}: another program has changed it"))
        .help("deploy again")
}
