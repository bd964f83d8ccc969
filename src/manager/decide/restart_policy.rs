//! What follows when a task ended by itself: nothing, or another generation after a backoff.

use std::time::Duration;

use super::{Manager, Turn};
use crate::cluster::{Cause, What};
use crate::task::{RestartPolicy, State, TaskId};

/// No task waits longer than this because of a failure.
pub(super) const LONGEST_BACKOFF: Duration = Duration::from_mins(5);

/// How long a task waits before its `count`-th restart: a second, doubled each time, at most five minutes.
fn restart_backoff(count: u32) -> Duration {
    const FIRST: Duration = Duration::from_secs(1);
    FIRST.saturating_mul(1 << count.saturating_sub(1).min(10)).min(LONGEST_BACKOFF)
}

impl Manager {
    /// Wanted as before: it starts again at once as a new generation, and no restart is counted.
    fn start_over(&mut self, turn: &mut Turn, task: TaskId) {
        let Some(record) = self.cluster.task(task) else { return };
        let status = record.status();
        let what = What::Restarting {
            task,
            generation: status.generation + 1,
            restart_count: status.restart_count,
            reason: status.reason.clone(),
            retry_at: turn.now.wall,
        };
        self.change(turn, Cause::Manager, what);
        self.queue(turn.now, task);
    }

    /// To be called once a task's end was folded in.
    pub(super) fn after_end(&mut self, turn: &mut Turn, task: TaskId) {
        let Some(record) = self.cluster.task(task) else { return };
        let status = record.status();
        if record.desired != State::Running || !status.state.has_ended() {
            return;
        }
        if status.is_interrupted {
            self.start_over(turn, task);
            return;
        }
        let count = status.restart_count + 1;
        let failed = status.state == State::Failed;
        let policy = record.task.spec.restart_policy;
        if !policy.restarts(failed, status.restart_count) {
            return;
        }
        let ended = if status.reason.is_empty() { status.state.name() } else { &status.reason };
        let of = match policy {
            RestartPolicy::OnFailure(Some(limit)) => format!(" of {limit}"),
            _ => String::new(),
        };
        let reason = format!("restart {count}{of} after: {ended}");
        let wait = restart_backoff(count);
        let what = What::Restarting {
            task,
            generation: status.generation + 1,
            restart_count: count,
            reason,
            retry_at: turn.now.wall + wait,
        };
        self.change(turn, Cause::RestartPolicy, what);
        self.queue(turn.now, task);
    }
}
