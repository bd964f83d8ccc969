//! What can be named on a command line: little of many tasks and workers, for completing it.

use serde::Deserialize;

use super::ManagerClient;
use crate::manager::request::RequestError;
use crate::task::{State, TaskId, WorkerId};

/// More at a time nobody reads.
const MOST: &str = "500";

/// What a task is called.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TaskName {
    #[serde(rename = "ID")]
    pub id: TaskId,
    #[serde(rename = "Name", default)]
    pub name: String,
}

#[derive(Deserialize)]
struct Tasks {
    tasks: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    task: TaskName,
}

#[derive(Deserialize)]
struct Workers {
    workers: Vec<Worker>,
}

#[derive(Deserialize)]
struct Worker {
    id: WorkerId,
}

impl ManagerClient {
    /// The first tasks in this state whose name or id begins with `start`.
    pub async fn task_names(&self, start: &str, state: State) -> Result<Vec<TaskName>, RequestError> {
        let mut query =
            reqwest::Url::parse("query:").map_err(|error| self.unreachable(&error.to_string()))?;
        let state = state.number().to_string();
        query.query_pairs_mut().extend_pairs([("start", start), ("state", &state), ("limit", MOST)]);
        let Tasks { tasks } = self.get(&format!("tasks?{}", query.query().unwrap_or_default())).await?;
        Ok(tasks.into_iter().map(|row| row.task).collect())
    }

    pub async fn worker_names(&self) -> Result<Vec<WorkerId>, RequestError> {
        let Workers { workers } = self.get("workers").await?;
        Ok(workers.into_iter().map(|worker| worker.id).collect())
    }
}
