//! One thing that happened: the unit that is stored, streamed and folded. Knows no one who decides it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Crashes, Placement, Settings, WorkerRecord};
use crate::task::{EventId, State, Task, TaskId, TaskStatus, WorkerId};

/// Counts the Changes of a cluster: 1, 2, 3 … without a gap.
pub type Revision = u64;

/// One thing that happened. The log of these is the EventDb; the TaskDb is what it folds to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    #[schema(value_type = u64)]
    pub revision: Revision,
    pub time: Timestamp,
    pub cause: Cause,
    #[serde(flatten)]
    pub what: What,
}

/// Who or what asked for a Change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Somebody at the dashboard.
    Dashboard,
    /// A `cube-tui` command.
    Command,
    /// A request on the HTTP API.
    Api,
    /// `select_worker` and `send_work`.
    Scheduler,
    /// What a worker said of its tasks.
    WorkerReport,
    /// What the link to a worker showed: answers, silence, refusals.
    WorkerLink,
    /// The task's restart policy.
    RestartPolicy,
    /// A task that may take the room of others.
    Preemption,
    /// Somebody wants the load evened out.
    Rebalance,
    /// The manager itself: its start, its end.
    Manager,
}

impl Cause {
    /// The words for people and for the `cause` of JSON output.
    pub fn words(self) -> &'static str {
        match self {
            Self::Dashboard => "dashboard",
            Self::Command => "command",
            Self::Api => "api request",
            Self::Scheduler => "scheduler",
            Self::WorkerReport => "worker report",
            Self::WorkerLink => "worker link",
            Self::RestartPolicy => "restart policy",
            Self::Preemption => "preemption",
            Self::Rebalance => "rebalance",
            Self::Manager => "manager",
        }
    }
}

/// What happened. Every variant holds all that the fold needs: `apply` never looks anything up elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum What {
    /// A task was accepted and waits in `pending`.
    Submitted { event: EventId, task: Task },
    /// `select_worker` chose; `send_work` is on its way there.
    Scheduled {
        task: TaskId,
        worker: WorkerId,
        generation: u32,
        /// Why there, if there was a choice.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        placement: Option<Box<Placement>>,
    },
    /// The dispatch did not arrive, or its worker was forgotten: back in `pending`, not before `retry_at`.
    Returned { task: TaskId, reason: String, retry_at: Timestamp },
    /// Its worker is lost, drained or fuller than others, and another one was chosen: it starts there as a new generation.
    /// The reason names both.
    Moved {
        task: TaskId,
        from: WorkerId,
        worker: WorkerId,
        generation: u32,
        reason: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        placement: Option<Box<Placement>>,
        /// The old run serves until the new one does.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        serves: bool,
    },
    /// `worker` could not start it, and says `why`: it starts on another one at once, or waits in `pending` for one, as
    /// a new generation. The reason tells it all.
    Refused {
        task: TaskId,
        worker: WorkerId,
        why: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<WorkerId>,
        generation: u32,
        reason: String,
    },
    /// Stays where it is, in `pending` or with a lost worker, and this is why.
    Waiting { task: TaskId, reason: String },
    /// Somebody wants it stopped; its worker has yet to do it.
    StopRequested { task: TaskId },
    /// Somebody wants it started anew; it is stopped first, where it runs.
    RestartRequested { task: TaskId },
    /// `by` has a higher priority and needs its room: it is stopped where it runs, and waits in `pending` then.
    Preempted { task: TaskId, by: TaskId, reason: String },
    /// The worker's view, where it differs from ours.
    Observed { task: TaskId, status: TaskStatus },
    /// Ended without (or against) a worker's word.
    Ended { task: TaskId, state: State, reason: String },
    /// Starts again: back in `pending` as a new generation, not before `retry_at`.
    Restarting {
        task: TaskId,
        generation: u32,
        restart_count: u32,
        /// With this end in it. A log of before it was counted starts at none.
        #[serde(default)]
        crashes: Crashes,
        reason: String,
        retry_at: Timestamp,
        /// Somebody asked for it: what the restart policy counted so far is forgiven.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        by_hand: bool,
    },
    /// Ended long enough ago, or too many ended since: forgotten. Submitted again, they are new tasks.
    Collected { tasks: Vec<TaskId> },
    /// A worker has it, and it was not in the store (or only as it was before): taken over as it stands there.
    Adopted { task: Task, worker: WorkerId },
    /// A worker appeared or its health changed; the whole new record.
    Worker { worker: WorkerRecord },
    /// How workers are selected from now on.
    Settings { settings: Settings },
    /// A lost worker is no longer counted on to come back.
    Forgotten { worker: WorkerId },
}

impl What {
    /// Sent there without a choice of `select_worker`'s.
    pub fn scheduled(task: TaskId, worker: WorkerId, generation: u32) -> Self {
        Self::Scheduled { task, worker, generation, placement: None }
    }

    /// Every task whose row the fold looks at or changes: a store folds a Change with nothing but these at hand.
    pub fn task_ids(&self) -> impl Iterator<Item = TaskId> {
        self.task_id().into_iter().chain(self.collected().iter().copied())
    }

    /// The task this is about, if it is about one and not about many.
    pub fn task_id(&self) -> Option<TaskId> {
        match self {
            Self::Submitted { task, .. } | Self::Adopted { task, .. } => Some(task.id),
            Self::Scheduled { task, .. }
            | Self::Returned { task, .. }
            | Self::Moved { task, .. }
            | Self::Refused { task, .. }
            | Self::Waiting { task, .. }
            | Self::StopRequested { task }
            | Self::RestartRequested { task }
            | Self::Preempted { task, .. }
            | Self::Observed { task, .. }
            | Self::Ended { task, .. }
            | Self::Restarting { task, .. } => Some(*task),
            Self::Collected { .. } | Self::Worker { .. } | Self::Forgotten { .. } | Self::Settings { .. } => {
                None
            }
        }
    }
}
