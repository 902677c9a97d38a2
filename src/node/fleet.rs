//! One verb on many nodes at once.
//!
//! In: jobs, a place to tell what goes on. Out: what became of each, told as they end. Invariants: at most [`AT_ONCE`] BMCs are talked to at a
//! time; two nodes of one BMC are not written to at once; after Ctrl-C no node is begun, and what was begun is finished.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bmc::{Outcome, Step};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::error::NodeError;
use super::interrupt::Interrupt;
use super::select::{Job, Unfit, turns};

/// BMCs at a time: each costs a connection, and a login that the BMC computes slowly, not this machine.
pub const AT_ONCE: usize = 64;
/// For readings that are under way at the first Ctrl-C: most log out in that time.
const GRACE: Duration = Duration::from_secs(2);

/// Whoever is told what goes on.
pub trait Watch: Send + Sync {
    /// What is done to a node now, in a few words.
    fn step(&self, node: &str, text: &str);
    /// A node is through; `index` is its place among the jobs.
    fn ended(&self, index: usize, node: &str, result: Result<Outcome, NodeError>);
}

/// Carries every job out, and returns when the last one has ended. What is none has ended already.
pub async fn run(jobs: Vec<Result<Job, Unfit>>, watch: Arc<dyn Watch>, interrupt: &Interrupt) {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let turns = turns(&jobs);
    let mut tasks = JoinSet::new();
    for (index, job) in jobs.into_iter().enumerate() {
        let job = match job {
            Ok(job) => job,
            Err(Unfit { node, error }) => {
                watch.ended(index, &node, Err(error));
                continue;
            }
        };
        let turn = turns.get(&job.machine.endpoint).filter(|_| !job.verb.reads()).cloned();
        let (permits, watch, interrupt) = (Arc::clone(&permits), Arc::clone(&watch), interrupt.clone());
        tasks.spawn(async move {
            let result = one(&job, &permits, turn.as_deref(), &watch, &interrupt).await;
            watch.ended(index, &job.node, result);
        });
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

async fn one(
    job: &Job,
    permits: &Semaphore,
    turn: Option<&tokio::sync::Mutex<()>>,
    watch: &Arc<dyn Watch>,
    interrupt: &Interrupt,
) -> Result<Outcome, NodeError> {
    let wait = async {
        let turn = match turn {
            Some(turn) => Some(turn.lock().await),
            None => None,
        };
        (turn, permits.acquire().await)
    };
    let _held = tokio::select! {
        biased;
        () = interrupt.reaches(1) => return Err(NodeError::Interrupted),
        held = wait => held,
    };
    let progress = Progress::new(&job.node, Arc::clone(watch));
    carry_out(job, &progress, interrupt).await
}

/// Where a node's verb is.
pub(super) struct Progress {
    node: String,
    watch: Arc<dyn Watch>,
    /// Something was sent, or is about to be.
    begun: AtomicBool,
    last: Mutex<String>,
    powered: AtomicBool,
}

impl Progress {
    pub(super) fn new(node: &str, watch: Arc<dyn Watch>) -> Self {
        let (begun, powered, last) = (AtomicBool::new(false), AtomicBool::new(false), Mutex::default());
        Progress { node: node.to_owned(), watch, begun, last, powered }
    }

    fn step(&self, step: Step<'_>) {
        if step != Step::Connecting {
            self.begun.store(true, Ordering::Relaxed);
        }
        if matches!(step, Step::Reset(_)) {
            // What is sent was told before.
            return self.powered.store(true, Ordering::Relaxed);
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = step.to_string();
        self.watch.step(&self.node, &step.to_string());
    }

    /// Whether a change of the power was asked for.
    pub(super) fn powered(&self) -> bool {
        self.powered.load(Ordering::Relaxed)
    }

    fn left(&self) -> NodeError {
        NodeError::Left { step: self.last.lock().unwrap_or_else(PoisonError::into_inner).clone() }
    }
}

/// A verb that has begun to write is finished at the first Ctrl-C: between off and on, between two settings is no place to stop.
pub(super) async fn carry_out(job: &Job, progress: &Progress, interrupt: &Interrupt) -> Result<Outcome, NodeError> {
    let steps = |step: Step<'_>| progress.step(step);
    let work = job.machine.run(&job.verb, &steps);
    tokio::pin!(work);
    tokio::select! {
        biased;
        result = &mut work => return Ok(result?),
        () = interrupt.reaches(1) => {}
    }
    if job.verb.reads() {
        return tokio::select! {
            result = &mut work => Ok(result?),
            () = tokio::time::sleep(GRACE) => Err(NodeError::Interrupted),
            () = interrupt.reaches(2) => Err(NodeError::Interrupted),
        };
    }
    if !progress.begun.load(Ordering::Relaxed) {
        return Err(NodeError::Interrupted);
    }
    tokio::select! {
        result = &mut work => Ok(result?),
        () = interrupt.reaches(2) => Err(progress.left()),
    }
}
