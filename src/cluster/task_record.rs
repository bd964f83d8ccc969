//! A task's record: the task, what is wanted of it, and what was tried. Changed by the fold alone.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Cause, Crashes, Moves, Preempted, Revision, Serving};
use crate::task::{State, Task, TaskStatus, WorkerId};

/// What the TaskDb holds of a task. It keeps this as a smaller [`super::TaskRow`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskRecord {
    pub task: Task,
    /// The state that somebody wants: Running, or Completed once a stop was asked for.
    pub desired: State,
    /// The revision that brought it in: what "in order of submission" sorts by.
    #[schema(value_type = u64)]
    pub submitted_at: Revision,
    pub submitted: Timestamp,
    /// When it last changed.
    pub changed: Timestamp,
    /// Set while it waits in `pending`.
    pub queued: Option<Queued>,
    /// The worker that was tried last: only a move to another one needs a new generation.
    pub tried: Option<WorkerId>,
    /// Dispatches that did not arrive, since the last one that did; sets the backoff.
    pub attempts: u32,
    /// Its ends soon after a start; sets the backoff before the next one.
    #[serde(default)]
    pub crashes: Crashes,
    /// Its moves off workers; `None` if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves: Option<Moves>,
    /// The workers that could not start it, since it last ran or was restarted: they are not asked again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<Refusal>,
    /// Who wants it started anew once it has ended; it is being stopped for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Cause>,
    /// Restarts up to the last one by hand: `on-failure:N` begins anew from there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub forgiven_restarts: u32,
    /// Who needs its room; it is being stopped for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preempted: Option<Preempted>,
    /// Its run from before a move, which serves until the new one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<Serving>,
}

/// A worker that could not start a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    pub worker: WorkerId,
    /// In its own words: "image x:1 could not be pulled: ..."
    pub why: String,
}

impl TaskRecord {
    /// A task that came in with this revision, and is wanted to run.
    pub(super) fn new(task: Task, revision: Revision, now: Timestamp) -> Self {
        Self {
            task,
            desired: State::Running,
            submitted_at: revision,
            submitted: now,
            changed: now,
            queued: None,
            tried: None,
            attempts: 0,
            moves: None,
            refusals: Vec::new(),
            restart: None,
            forgiven_restarts: 0,
            preempted: None,
            serving: None,
            crashes: Crashes::default(),
        }
    }

    pub fn status(&self) -> &TaskStatus {
        &self.task.status
    }

    pub fn state(&self) -> State {
        self.task.status.state
    }

    /// Why `worker` could not start it, if it tried.
    pub fn refusal_of(&self, worker: &WorkerId) -> Option<&Refusal> {
        self.refusals.iter().find(|refusal| refusal.worker == *worker)
    }

    /// Whether somebody wants it to run: now, or as soon as it is stopped.
    pub fn is_wanted(&self) -> bool {
        self.desired == State::Running || self.restart.is_some() || self.preempted.is_some()
    }

    /// Whether its policy starts it again after an end like this.
    pub fn policy_restarts(&self, failed: bool) -> bool {
        let counted = self.status().restart_count.saturating_sub(self.forgiven_restarts);
        self.task.spec.restart_policy.restarts(failed, counted)
    }

    /// A stop was asked for and is not done yet.
    pub fn is_stopping(&self) -> bool {
        self.desired == State::Completed && !self.state().has_ended()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A place in `pending`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Queued {
    /// Its key in `pending`.
    #[schema(value_type = u64)]
    pub position: Revision,
    pub since: Timestamp,
    /// Not to be tried before this, after a failure.
    pub retry_at: Option<Timestamp>,
}
