//! Tasks: writes that are answered 202 and done later.
//!
//! Input: a write that was accepted; output: its monitor and its task resource. Invariant: the write happens when the task ends, not before.

use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::faults::Fault;
use crate::messages::Message;
use crate::place::Place;
use crate::reply::Reply;
use crate::service::Service;
use crate::tree::collection;

const TASKS: &str = "/redfish/v1/TaskService/Tasks";
const MONITORS: &str = "/redfish/v1/TaskService/TaskMonitors";

struct Task {
    id: String,
    due: Instant,
    /// None: done.
    write: Option<(Place, Map<String, Value>)>,
    outcome: Option<Reply>,
}

#[derive(Default)]
pub(crate) struct Tasks {
    list: Vec<Task>,
}

impl Service {
    /// Puts a write off; 202.
    pub(crate) fn put_off(&mut self, place: Place, body: Map<String, Value>, now: Instant) -> Reply {
        let id = (self.tasks.list.len() + 1).to_string();
        let due = now + self.model.task_time;
        self.tasks.list.push(Task { id: id.clone(), due, write: Some((place, body)), outcome: None });
        let view = self.task_view(&format!("{TASKS}/{id}")).unwrap_or_default();
        Reply::json(202, &view)
            .with("Location", format!("{MONITORS}/{id}"))
            .with("Retry-After", self.model.retry_after.to_string())
    }

    pub(crate) fn run_tasks(&mut self, now: Instant) {
        for index in 0..self.tasks.list.len() {
            let task = &mut self.tasks.list[index];
            if task.due > now {
                continue;
            }
            let Some((place, body)) = task.write.take() else { continue };
            let outcome = match self.faults.is(&Fault::TasksFail) {
                true => Reply::error(500, &[Message::general()]),
                false => self.carry_out(&place, &body, now),
            };
            self.tasks.list[index].outcome = Some(outcome);
        }
    }

    /// While a task runs: 202. Then the answer that the write would have got.
    pub(crate) fn task_monitor(&self, path: &str) -> Option<Reply> {
        let id = path.strip_prefix(&format!("{MONITORS}/"))?;
        let task = self.tasks.list.iter().find(|task| task.id == id)?;
        match &task.outcome {
            Some(outcome) => Some(outcome.clone()),
            None => {
                let view = self.task_view(&format!("{TASKS}/{id}"))?;
                Some(
                    Reply::json(202, &view)
                        .with("Location", path)
                        .with("Retry-After", self.model.retry_after.to_string()),
                )
            }
        }
    }

    pub(crate) fn task_view(&self, path: &str) -> Option<Value> {
        if path == TASKS {
            let ids: Vec<String> = self.tasks.list.iter().map(|task| task.id.clone()).collect();
            return Some(collection(path, "Task", "Tasks", &ids));
        }
        let id = path.strip_prefix(&format!("{TASKS}/"))?;
        let task = self.tasks.list.iter().find(|task| task.id == id)?;
        let (state, status, messages) = match &task.outcome {
            None => ("Running", "OK", json!([])),
            Some(reply) if reply.is_good() => ("Completed", "OK", json!([Message::success().extended()])),
            Some(_) => ("Exception", "Critical", json!([Message::general().extended()])),
        };
        Some(json!({
            "@odata.type": "#Task.v1_7_0.Task",
            "@odata.id": path,
            "Id": id,
            "Name": format!("Task {id}"),
            "TaskState": state,
            "TaskStatus": status,
            "TaskMonitor": format!("{MONITORS}/{id}"),
            "Messages": messages,
        }))
    }
}
