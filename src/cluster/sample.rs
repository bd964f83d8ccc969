//! What passes by and is not history: load samples and progress. Never stored, never part of the fold.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::task::{TaskId, WorkerId};

/// A worker's load at one moment.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct Sample {
    pub time: Timestamp,
    /// Of the whole host, 0 to 100; `None` until there are two readings.
    pub cpu_percent: Option<f64>,
    pub memory_used_bytes: u64,
    pub memory_total_bytes: u64,
    pub disk_used_bytes: u64,
    pub disk_total_bytes: u64,
    /// Load averages over 1, 5 and 15 minutes.
    pub load: [f64; 3],
    pub task_count: u64,
    /// The running tasks' own use, where the host tells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskUse>,
}

/// What one task uses right now.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskUse {
    pub task: TaskId,
    /// 100 is one whole CPU; `None` until there are two readings.
    pub cpu_percent: Option<f64>,
    pub memory_bytes: u64,
}

/// Long work under way on a task: "pulling 37 %".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    pub task: TaskId,
    /// Empty when it is over.
    pub text: String,
}

/// A sample and whose it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkerSample {
    pub worker: WorkerId,
    pub sample: Sample,
}
