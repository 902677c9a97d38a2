//! The engine on a site of memory whose power can go at any moment.
//!
//! Every change of the world costs one unit of a budget; when it is used up, nothing more happens, as after kill -9. The tests walk over all budgets, so
//! that each deployment is cut off at each of its moments, and then look at what the next one makes of it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use secrecy::zeroize::Zeroizing;

use super::*;
use crate::manifest::{FORMAT, Inputs, Machine, Manifest, Tool};
use crate::vocab::{ByteSize, Digest, Epoch, Progress, Silent};

const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

/// What is on the disks and in the hypervisor.
#[derive(Debug, Default)]
struct World {
    record: Option<String>,
    /// The image on each generation's disk; `None`: only half of it is there.
    disks: BTreeMap<u32, Option<String>>,
    /// What guests have written; `None`: there is no state disk.
    state: Option<Vec<String>>,
    seed: Option<String>,
    /// The last seed that a guest has read, and how many were.
    read: Option<(String, u32)>,
    deliveries: u32,
    /// The medium is not seen by the guest.
    deaf: bool,
    /// This verb fails from now on.
    fails: Option<&'static str>,
    /// Generation that the machine is configured with, and whether the medium is attached.
    machine: Option<(u32, bool)>,
    running: bool,
    /// Images that never become healthy.
    broken: BTreeSet<String>,
    /// Changes that are still possible; `None`: any number.
    budget: Option<u32>,
    changes: u32,
}

impl World {
    fn spend(&mut self) -> Result<(), DeployError> {
        self.changes += 1;
        match &mut self.budget {
            Some(0) => Err(DeployError::new(Kind::Io, "the power went")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What the guest does when it starts.
    fn boot(&mut self) {
        let Some((number, medium)) = self.machine else { return };
        let image = self.disks.get(&number).cloned().flatten().expect("the machine starts from a whole disk");
        let state = self.state.as_mut().expect("the machine starts with its state disk");
        if state.is_empty() {
            let seed = self.seed.as_deref().filter(|_| medium).unwrap_or_default();
            assert!(seed.contains("new"), "an empty state disk is formatted by a seed only");
            state.push("formatted".to_owned());
        }
        state.push(image);
        if let Some(seed) = self.seed.as_deref().filter(|_| medium && !self.deaf) {
            let words: Vec<&str> = seed.split(' ').collect();
            self.read = Some((words[1].to_owned(), words[2].parse().unwrap()));
            self.deliveries += 1;
        }
    }

    fn refuses(&self, verb: &str) -> Result<(), DeployError> {
        match self.fails == Some(verb) {
            true => Err(DeployError::new(Kind::Hypervisor, format!("{verb} does not work"))),
            false => Ok(()),
        }
    }

    fn image(&self) -> Option<&String> {
        self.disks.get(&self.machine?.0)?.as_ref()
    }
}

struct Memory(Rc<RefCell<World>>);

impl Site for Memory {
    fn title(&self) -> String {
        "memory".to_owned()
    }

    fn lock(&mut self) -> Result<(), DeployError> {
        Ok(())
    }

    fn load(&self) -> Result<Option<Record>, DeployError> {
        Ok(self.0.borrow().record.as_deref().map(|text| Record::parse(text).unwrap()))
    }

    fn save(&mut self, record: &Record) -> Result<(), DeployError> {
        let mut world = self.0.borrow_mut();
        world.spend()?;
        world.record = Some(record.to_text());
        Ok(())
    }

    fn observe(&self, _: Option<&Record>) -> Result<Observed, DeployError> {
        let world = self.0.borrow();
        Ok(Observed {
            exists: world.machine.is_some(),
            running: world.running,
            configured: world.machine.map(|(number, _)| number),
            staged: world.disks.iter().filter(|(_, image)| image.is_some()).map(|(number, _)| *number).collect(),
            state: world.state.is_some(),
            seed: world.seed.is_some() || world.machine.is_some_and(|(_, medium)| medium),
        })
    }

    fn stage(&mut self, _: &Record, number: u32, release: &Release, _: &dyn Progress) -> Result<String, DeployError> {
        let mut world = self.0.borrow_mut();
        if !matches!(world.disks.get(&number), Some(Some(_))) {
            world.spend()?;
            world.disks.insert(number, None);
            world.spend()?;
            world.disks.insert(number, Some(release.manifest.image_digest.to_string()));
        }
        Ok(format!("disk {number}"))
    }

    fn make_state(&mut self, _: &Record, _: ByteSize) -> Result<(), DeployError> {
        let mut world = self.0.borrow_mut();
        assert!(world.state.is_none(), "a state disk that is there is not made again");
        world.spend()?;
        world.state = Some(Vec::new());
        Ok(())
    }

    fn write_seed(&mut self, record: &Record, image: &[u8]) -> Result<(), DeployError> {
        let mut world = self.0.borrow_mut();
        world.spend()?;
        assert!(record.pending.is_some() || record.current.is_some(), "what is begun is in the record");
        assert!(!world.running, "a machine that runs may hold its medium");
        world.refuses("write_seed")?;
        world.seed = Some(String::from_utf8(image.to_vec()).unwrap());
        Ok(())
    }

    fn wipe_seed(&mut self, _: &Record) -> Result<(), DeployError> {
        let mut world = self.0.borrow_mut();
        world.spend()?;
        if let Some((_, medium)) = &mut world.machine {
            *medium = false;
        }
        world.spend()?;
        world.seed = None;
        Ok(())
    }

    fn configure(&mut self, configuration: Configuration<'_>) -> Result<(), DeployError> {
        let mut world = self.0.borrow_mut();
        assert!(!world.running, "a machine that runs is not configured");
        assert!(!configuration.seed || world.seed.is_some(), "a medium that is attached is there");
        world.spend()?;
        world.machine = Some((configuration.generation.number, configuration.seed));
        Ok(())
    }

    fn start(&mut self, _: &Record) -> Result<(), DeployError> {
        let mut world = self.0.borrow_mut();
        if !world.running {
            if world.machine.is_some_and(|(number, _)| number > 1) {
                world.refuses("start")?;
            }
            world.spend()?;
            world.running = true;
            world.boot();
        }
        Ok(())
    }

    fn stop(&mut self, _: &Record, _: Duration) -> Result<(), DeployError> {
        let mut world = self.0.borrow_mut();
        if world.running {
            world.spend()?;
            world.running = false;
        }
        Ok(())
    }

    fn address(&self, _: &Record) -> Result<Option<IpAddr>, DeployError> {
        Ok(Some(ADDRESS).filter(|_| self.0.borrow().running))
    }

    fn remove_generation(&mut self, _: &Record, number: u32) -> Result<(), DeployError> {
        let mut world = self.0.borrow_mut();
        assert_ne!(world.machine.map(|(configured, _)| configured), Some(number));
        world.spend()?;
        world.disks.remove(&number);
        Ok(())
    }

    fn remove_machine(&mut self, _: &Record) -> Result<(), DeployError> {
        let mut world = self.0.borrow_mut();
        assert!(!world.running);
        world.spend()?;
        (world.machine, world.seed) = (None, None);
        world.spend()?;
        world.disks.clear();
        Ok(())
    }

    fn remove_state(&mut self, _: &Record) -> Result<(), DeployError> {
        let mut world = self.0.borrow_mut();
        assert!(world.machine.is_none());
        world.spend()?;
        world.state = None;
        world.spend()?;
        world.record = None;
        Ok(())
    }
}

/// The appliance that runs in the world, unless its image is broken.
struct Guest(Rc<RefCell<World>>);

impl Health for Guest {
    fn ask(&self, _: IpAddr) -> Result<Answer, String> {
        let world = self.0.borrow();
        match world.image().filter(|image| world.running && !world.broken.contains(*image)) {
            Some(image) => Ok(Answer {
                works: true,
                image: Some(image.clone()),
                state_disk: true,
                seed: world.read.clone(),
                key: "SHA256:k".to_owned(),
            }),
            None => Err("connection refused".to_owned()),
        }
    }
}

#[derive(Default)]
struct Leap(Cell<Duration>);

impl Clock for Leap {
    fn now(&self) -> Epoch {
        Epoch(1_800_000_000)
    }

    fn elapsed(&self) -> Duration {
        self.0.get()
    }

    fn sleep(&self, pause: Duration) {
        self.0.set(self.0.get() + pause);
    }
}

fn release(name: &str) -> Release {
    let digest = Digest::of(name.as_bytes());
    let machine = Machine {
        memory_bytes: 4 << 30,
        cpus: 2,
        disk_bytes: 25 << 30,
        firmware: "efi".to_owned(),
        secure_boot: true,
        uplink_mac: "00:50:56:00:00:01".to_owned(),
        provisioning_mac: "00:50:56:00:00:02".to_owned(),
    };
    let manifest = Manifest {
        format: FORMAT,
        name: "lab".to_owned(),
        tool: Tool { version: "0".to_owned(), source: "0".to_owned() },
        inputs: Inputs { profile: digest, lock: digest, epoch: Epoch(0) },
        stages: Vec::new(),
        machine,
        daemon: None,
        image_digest: digest,
        artifacts: Vec::new(),
    };
    Release::new(Path::new("out/lab"), manifest, "memory")
}

#[derive(Default)]
struct Bench {
    world: Rc<RefCell<World>>,
    clock: Leap,
}

impl Bench {
    fn with<T>(&self, budget: Option<u32>, act: impl FnOnce(&mut Deployment<'_>) -> T) -> T {
        self.world.borrow_mut().budget = budget;
        let guest = Guest(Rc::clone(&self.world));
        let terms = Terms {
            keep: 1,
            health_timeout: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(60),
            state_disk: ByteSize::gib(1),
        };
        act(&mut Deployment {
            site: Box::new(Memory(Rc::clone(&self.world))),
            name: "lab",
            terms,
            fresh: "0123456789abcdef0123456789abcdef".to_owned(),
            clock: &self.clock,
            health: &guest,
            progress: &Silent,
        })
    }

    fn deploy(&self, name: &str, budget: Option<u32>) -> Result<Outcome, DeployError> {
        self.ordered(name, budget, Orders::default())
    }

    fn ordered(&self, name: &str, budget: Option<u32>, orders: Orders) -> Result<Outcome, DeployError> {
        let seed = |record: &Record, number: u32| {
            let state = if record.state == StateDisk::InUse { "keep" } else { "new" };
            Ok(Zeroizing::new(format!("{state} {} {number}", record.deployment).into_bytes()))
        };
        self.with(budget, |deployment| deployment.deploy(&release(name), &seed, orders))
    }

    fn rollback(&self, budget: Option<u32>) -> Result<Outcome, DeployError> {
        self.with(budget, |deployment| deployment.rollback(None))
    }

    fn broken(&self, name: &str) {
        self.world.borrow_mut().broken.insert(release(name).manifest.image_digest.to_string());
    }

    /// The build runs, nothing is half done, no secret lies about.
    fn is_settled_on(&self, name: &str) {
        let world = self.world.borrow();
        let record = Record::parse(world.record.as_deref().unwrap()).unwrap();
        assert!(world.running, "{world:?}");
        assert_eq!(world.image(), Some(&release(name).manifest.image_digest.to_string()));
        assert_eq!((record.current, record.pending), (world.machine.map(|(number, _)| number), None));
        assert_eq!((&world.seed, world.machine.map(|(_, medium)| medium)), (&None, Some(false)), "{world:?}");
        assert_eq!(record.state, StateDisk::InUse);
        assert!(world.disks.len() <= 3, "{world:?}");
    }

    fn state(&self) -> Vec<String> {
        self.world.borrow().state.clone().unwrap_or_default()
    }
}

#[test]
fn the_same_build_twice_changes_nothing() {
    let bench = Bench::default();
    assert!(!bench.deploy("a", None).unwrap().unchanged);
    bench.is_settled_on("a");
    let before = bench.world.borrow().changes;
    assert_eq!(bench.deploy("a", Some(0)).unwrap(), Outcome { generation: 1, address: ADDRESS, unchanged: true });
    assert_eq!(bench.world.borrow().changes, before);
}

#[test]
fn a_machine_that_was_switched_off_is_only_started() {
    let bench = Bench::default();
    bench.deploy("a", None).unwrap();
    bench.world.borrow_mut().running = false;
    assert_eq!(bench.deploy("a", Some(1)).unwrap().generation, 1);
    bench.is_settled_on("a");
}

#[test]
fn another_build_gets_the_machine_and_the_state_stays() {
    let bench = Bench::default();
    bench.deploy("a", None).unwrap();
    let before = bench.state();
    assert_eq!(bench.deploy("b", None).unwrap().generation, 2);
    bench.is_settled_on("b");
    assert!(bench.state().starts_with(&before));
    // Of many generations, one is kept beside the current one.
    bench.deploy("c", None).unwrap();
    assert_eq!(bench.world.borrow().disks.keys().copied().collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn a_build_that_is_not_healthy_is_taken_back() {
    let bench = Bench::default();
    bench.deploy("a", None).unwrap();
    bench.broken("b");
    let error = bench.deploy("b", None).unwrap_err();
    assert_eq!(error.kind, Kind::Unhealthy);
    assert_eq!(
        error.message,
        "generation 2 did not become healthy: after 60 s https://192.0.2.7/healthz: connection refused. Generation 1 runs \
         again, at 192.0.2.7"
    );
    bench.is_settled_on("a");
    let record = Record::parse(bench.world.borrow().record.as_deref().unwrap()).unwrap();
    assert!(matches!(&record.generation(2).unwrap().fate, Fate::Unhealthy(why) if why.contains("refused")));
    // Asked again, it is tried again; once it is mended, it stays.
    assert_eq!(bench.deploy("b", None).unwrap_err().kind, Kind::Unhealthy);
    bench.world.borrow_mut().broken.clear();
    assert_eq!(bench.deploy("b", None).unwrap().generation, 4);
    bench.is_settled_on("b");
}

#[test]
fn a_first_build_that_is_not_healthy_is_left_to_be_looked_at() {
    let bench = Bench::default();
    bench.broken("a");
    let error = bench.deploy("a", None).unwrap_err();
    assert!(error.message.contains("left as it is"), "{error}");
    assert!(bench.world.borrow().running);
    bench.deploy("b", None).unwrap();
    bench.is_settled_on("b");
    assert_eq!(bench.state().iter().filter(|line| *line == "formatted").count(), 1);
}

#[test]
fn back_and_forth() {
    let bench = Bench::default();
    bench.deploy("a", None).unwrap();
    assert!(bench.rollback(None).unwrap_err().message.contains("no healthy generation before 1"));
    bench.deploy("b", None).unwrap();
    assert_eq!(bench.rollback(None).unwrap().generation, 1);
    bench.is_settled_on("a");
    // The build that somebody went back from is deployed anew, and is not where the next way back leads.
    assert_eq!(bench.deploy("b", None).unwrap().generation, 3);
    assert_eq!(bench.rollback(None).unwrap().generation, 1);
    bench.broken("a");
    let error = bench.with(None, |deployment| deployment.rollback(Some(3))).unwrap();
    assert_eq!(error.generation, 3);
    // A way back that leads to a broken build ends where it came from.
    let error = bench.rollback(None).unwrap_err();
    assert!(error.message.contains("Generation 3 runs again"), "{error}");
    bench.is_settled_on("b");
}

/// Cut off at every moment, and once more at every moment of what follows.
#[test]
fn whatever_moment_the_power_goes_the_next_deployment_completes() {
    for broken in [false, true] {
        for first in 0.. {
            let bench = Bench::default();
            bench.deploy("a", None).unwrap();
            if broken {
                bench.broken("b");
            }
            let before = bench.state();
            let done = bench.deploy("b", Some(first));
            for second in (0..40).step_by(3) {
                // The same build, another one, the one before: whatever a person asks for then.
                let _ = bench.deploy(["b", "c", "a"][second as usize % 3], Some(second));
            }
            bench.deploy("c", None).unwrap_or_else(|error| panic!("broken {broken}, cut after {first}: {error}"));
            bench.is_settled_on("c");
            assert!(bench.state().starts_with(&before));
            assert_eq!(bench.state().iter().filter(|line| *line == "formatted").count(), 1);
            match done {
                Err(error) if error.message.contains("the power went") => {}
                done => {
                    assert_eq!(done.is_err(), broken);
                    break;
                }
            }
        }
    }
}

#[test]
fn a_first_deployment_that_is_cut_off_anywhere_is_completed() {
    for first in 0.. {
        let bench = Bench::default();
        let done = bench.deploy("a", Some(first)).is_ok();
        assert_eq!(bench.deploy("a", None).unwrap().generation, 1, "cut after {first}");
        bench.is_settled_on("a");
        if done {
            break;
        }
    }
}

#[test]
fn a_way_back_that_is_cut_off_anywhere_is_completed() {
    for first in 0.. {
        let bench = Bench::default();
        bench.deploy("a", None).unwrap();
        bench.deploy("b", None).unwrap();
        let done = bench.rollback(Some(first)).is_ok();
        assert_eq!(
            bench.rollback(None).map(|outcome| outcome.generation).ok(),
            (!done).then_some(1),
            "cut after {first}"
        );
        bench.is_settled_on("a");
        if done {
            break;
        }
    }
}

#[test]
fn an_automatic_way_back_that_was_cut_off_is_completed_by_a_rollback() {
    for first in 0.. {
        let bench = Bench::default();
        bench.deploy("a", None).unwrap();
        bench.broken("b");
        let error = bench.deploy("b", Some(first)).unwrap_err();
        if bench.world.borrow().changes == 0 {
            continue;
        }
        // Before the change has begun there is nothing to go back from.
        match bench.rollback(None) {
            Ok(outcome) => assert_eq!(outcome.generation, 1),
            Err(error) => {
                assert!(error.message.contains("no healthy generation before 1"), "cut after {first}: {error}")
            }
        }
        bench.is_settled_on("a");
        if error.kind == Kind::Unhealthy && !error.message.contains("on the way back") {
            break;
        }
    }
}

#[test]
fn destroying_keeps_the_state_unless_it_is_named() {
    for first in 0.. {
        let bench = Bench::default();
        bench.deploy("a", None).unwrap();
        let state = bench.state();
        let done = bench.with(Some(first), |deployment| deployment.destroy(false));
        bench.with(None, |deployment| deployment.destroy(false)).unwrap();
        assert_eq!(bench.state(), state);
        assert!(bench.world.borrow().disks.is_empty() && bench.world.borrow().machine.is_none());
        // The next deployment goes on with it.
        assert_eq!(bench.deploy("b", None).unwrap().generation, 2);
        assert!(bench.state().starts_with(&state));
        if done.is_ok() {
            break;
        }
    }
    for first in 0.. {
        let bench = Bench::default();
        bench.deploy("a", None).unwrap();
        let done = bench.with(Some(first), |deployment| deployment.destroy(true));
        let again = bench.with(None, |deployment| deployment.destroy(true)).unwrap();
        assert_eq!(bench.world.borrow().state, None);
        assert_eq!(bench.world.borrow().record, None);
        if done.is_ok() {
            assert!(!again);
            break;
        }
    }
}

#[test]
fn without_its_state_disk_nothing_is_deployed() {
    let bench = Bench::default();
    bench.deploy("a", None).unwrap();
    bench.world.borrow_mut().state = None;
    let changes = bench.world.borrow().changes;
    let error = bench.deploy("b", None).unwrap_err();
    assert_eq!((error.kind, bench.world.borrow().changes), (Kind::Refused, changes));
    assert!(error.message.contains("the state disk of lab is gone"));
}

#[test]
fn the_plan_says_what_will_be_done() {
    let bench = Bench::default();
    let plan = |name: &str| {
        let plan = bench.with(Some(0), |deployment| deployment.plan(release(name).id, Orders::default())).unwrap();
        plan.steps.iter().map(|step| format!("{step}\n")).collect::<String>()
    };
    insta::assert_snapshot!("first_plan", plan("a"));
    bench.deploy("a", None).unwrap();
    insta::assert_snapshot!("plan_of_nothing", plan("a"));
    insta::assert_snapshot!("plan_of_an_upgrade", plan("b"));
    bench.deploy("b", None).unwrap();
    bench.deploy("c", None).unwrap();
    let back = bench.with(Some(0), |deployment| deployment.plan_rollback(None)).unwrap();
    insta::assert_snapshot!(
        "plan_of_a_rollback",
        back.steps.iter().map(|step| format!("{step}\n")).collect::<String>()
    );
}

#[test]
fn a_medium_that_cannot_be_made_stops_before_anything_is_touched() {
    let bench = Bench::default();
    let seed = |_: &Record, _: u32| Err(DeployError::new(Kind::Io, "env:BMC is not set"));
    let error = bench.with(None, |deployment| deployment.deploy(&release("a"), &seed, Orders::default())).unwrap_err();
    assert_eq!((error.message.as_str(), bench.world.borrow().changes), ("env:BMC is not set", 0));
}

#[test]
fn another_key_than_before_is_not_healthy() {
    let bench = Bench::default();
    bench.deploy("a", None).unwrap();
    let mut record = Record::parse(bench.world.borrow().record.as_deref().unwrap()).unwrap();
    record.page_key = Some("SHA256:other".to_owned());
    bench.world.borrow_mut().record = Some(record.to_text());
    let error = bench.deploy("a", None).unwrap_err();
    assert!(error.message.contains("shows another key than before: SHA256:k, not SHA256:other"), "{error}");
}

#[test]
fn a_generation_that_has_not_read_its_medium_is_not_healthy() {
    let bench = Bench::default();
    bench.deploy("a", None).unwrap();
    bench.world.borrow_mut().deaf = true;
    let error = bench.deploy("b", None).unwrap_err();
    assert!(error.message.contains("has not read its seed medium. Generation 1 runs again"), "{error}");
    bench.is_settled_on("a");
}

#[test]
fn a_machine_that_was_stopped_for_a_step_that_fails_runs_again() {
    for verb in ["write_seed", "start"] {
        let bench = Bench::default();
        bench.deploy("a", None).unwrap();
        bench.world.borrow_mut().fails = Some(verb);
        let error = bench.deploy("b", None).unwrap_err();
        assert_eq!(error.kind, Kind::Hypervisor);
        assert_eq!(error.message, format!("{verb} does not work; generation 1 runs again, at 192.0.2.7"));
        bench.is_settled_on("a");
        bench.world.borrow_mut().fails = None;
        bench.deploy("b", None).unwrap();
        bench.is_settled_on("b");
    }
}

#[test]
fn secrets_are_delivered_again_though_it_is_cut_off() {
    let renew = Orders { renew_secrets: true, ..Orders::default() };
    for first in 0.. {
        let bench = Bench::default();
        bench.deploy("a", None).unwrap();
        let done = bench.ordered("a", Some(first), renew).is_ok();
        let begun = bench.world.borrow().record.as_ref().unwrap().contains("\"renew-secrets\": true");
        // Nobody says it again: the record knows.
        bench.deploy("a", None).unwrap();
        bench.is_settled_on("a");
        let deliveries = bench.world.borrow().deliveries;
        assert!(!(begun || done) || deliveries >= 2, "cut after {first}: {deliveries}");
        if done {
            assert_eq!(deliveries, 2);
            break;
        }
    }
}

#[test]
fn what_is_there_without_a_record_is_taken_over_only_where_somebody_says_so() {
    let bench = Bench::default();
    bench.deploy("a", None).unwrap();
    bench.deploy("b", None).unwrap();
    let state = bench.state();
    bench.world.borrow_mut().record = None;
    let changes = bench.world.borrow().changes;
    let error = bench.deploy("b", None).unwrap_err();
    assert_eq!((error.kind, bench.world.borrow().changes), (Kind::Refused, changes));
    let adopt = Orders { adopt: true, ..Orders::default() };
    assert_eq!(bench.ordered("b", None, adopt).unwrap().generation, 3);
    bench.is_settled_on("b");
    assert!(bench.state().starts_with(&state));
    // Nobody knows what the disks of before held.
    assert_eq!(bench.world.borrow().disks.keys().copied().collect::<Vec<_>>(), [3]);
}

#[test]
fn a_key_that_was_changed_is_accepted_where_somebody_says_so() {
    let bench = Bench::default();
    bench.deploy("a", None).unwrap();
    let mut record = Record::parse(bench.world.borrow().record.as_deref().unwrap()).unwrap();
    record.page_key = Some("SHA256:other".to_owned());
    bench.world.borrow_mut().record = Some(record.to_text());
    let accept = Orders { forget_page_key: true, ..Orders::default() };
    assert!(bench.ordered("a", None, accept).unwrap().unchanged);
    assert!(bench.world.borrow().record.as_ref().unwrap().contains("\"page-key\": \"SHA256:k\""));
}

#[test]
fn secrets_that_are_owed_are_still_owed_after_a_way_back() {
    let bench = Bench::default();
    bench.deploy("a", None).unwrap();
    bench.deploy("b", None).unwrap();
    let renew = Orders { renew_secrets: true, ..Orders::default() };
    bench.ordered("b", Some(1), renew).unwrap_err();
    bench.rollback(None).unwrap();
    let delivered = bench.world.borrow().deliveries;
    bench.deploy("a", None).unwrap();
    bench.is_settled_on("a");
    assert_eq!(bench.world.borrow().deliveries, delivered + 1);
}
