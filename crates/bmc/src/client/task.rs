//! Writes that are answered 202: the task is followed to its end (DSP0266, "Asynchronous operations").
//!
//! In: the answer. Out: the answer that the write would have got at once. Invariant: a task that waits for a restart is not waited
//! for; what was done is read back anyway.

use std::time::Instant;

use reqwest::StatusCode;
use serde_json::Value;

use super::messages::of_task;
use super::{Answer, Client};
use crate::error::Error;

/// How a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Runs,
    /// It goes on with the next restart.
    Waits,
    Failed,
    /// Or something that is no task: the write's own answer.
    Ended,
}

impl Client {
    pub(super) async fn finished(&self, answer: Answer, what: &str) -> Result<Answer, Error> {
        if answer.status != StatusCode::ACCEPTED {
            return Ok(answer);
        }
        let Some(monitor) = monitor(&answer) else { return Ok(answer) };
        let path = self.local(&monitor);
        let begun = Instant::now();
        loop {
            let now = self.ask(&path).await?;
            // A monitor that is gone has told all that it had to.
            if matches!(now.status, StatusCode::NOT_FOUND | StatusCode::GONE) {
                return Ok(Answer { status: StatusCode::NO_CONTENT, ..now });
            }
            let stage = match now.status {
                StatusCode::ACCEPTED if stage(&now.body) == Stage::Ended => Stage::Runs,
                _ => stage(&now.body),
            };
            match stage {
                Stage::Ended | Stage::Waits => return Ok(now),
                Stage::Failed => {
                    let mut said = now.said();
                    said.extend(of_task(&now.body).into_iter().filter(|message| !now.said().contains(message)));
                    return Err(Error::Refused { what: what.to_owned(), status: now.status.as_u16(), said });
                }
                Stage::Runs if begun.elapsed() >= self.patience.busy => {
                    return Err(Error::Busy {
                        endpoint: self.endpoint.clone(),
                        seconds: begun.elapsed().as_secs(),
                        said: "its task does not come to an end".to_owned(),
                    });
                }
                Stage::Runs => tokio::time::sleep(self.patience.poll).await,
            }
        }
    }
}

/// Where the task can be asked for: `Location`, else what the body says.
fn monitor(answer: &Answer) -> Option<String> {
    let body = &answer.body;
    let is_task = body["@odata.type"].as_str().is_some_and(|kind| kind.starts_with("#Task."));
    let own = || body["@odata.id"].as_str().filter(|_| is_task);
    let link = answer.location.as_deref().or_else(|| body["TaskMonitor"].as_str()).or_else(own)?;
    Some(link.to_owned())
}

/// TaskState; a BMC with jobs of its own says more in the OEM part's JobState.
fn stage(task: &Value) -> Stage {
    let jobs = task["Oem"].as_object().into_iter().flatten().find_map(|(_, oem)| oem["JobState"].as_str());
    let job = jobs.or_else(|| task["JobState"].as_str());
    if job == Some("Scheduled") {
        return Stage::Waits;
    }
    match task["TaskState"].as_str().or(job) {
        None | Some("Completed") => Stage::Ended,
        Some("Pending") => Stage::Waits,
        Some("Exception" | "Killed" | "Cancelled" | "Failed" | "CompletedWithErrors") => Stage::Failed,
        Some(_) => Stage::Runs,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_task_that_waits_for_a_restart_is_not_waited_for() {
        for (task, expected) in [
            (json!({ "TaskState": "Running" }), Stage::Runs),
            (json!({ "TaskState": "Starting", "Oem": { "Dell": { "JobState": "Scheduled" } } }), Stage::Waits),
            (json!({ "TaskState": "Pending" }), Stage::Waits),
            (json!({ "TaskState": "Exception" }), Stage::Failed),
            (json!({ "JobState": "CompletedWithErrors" }), Stage::Failed),
            (json!({ "TaskState": "Completed" }), Stage::Ended),
            (json!({ "PowerState": "On" }), Stage::Ended),
            (json!(null), Stage::Ended),
        ] {
            assert_eq!(stage(&task), expected, "{task}");
        }
    }
}
