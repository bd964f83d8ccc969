//! What went down with its engine is started again as it was: the same container, and no crash. Knows no engine.
//!
//! An engine that goes down ends its containers as a user would (Docker does, without live-restore: when it is told to
//! end, or at its next start if it was killed). Both are seen to come by the kill, which is an event of its own. What
//! tells them apart is whether the engine was away when the end was looked at: one that goes down takes no new
//! connections from the beginning of its end, and each look is one of its own (bollard keeps none idle).

use std::time::Duration;

use super::{
    core::{Effect, Phase, STOPPED, Wish, Worker},
    runtime::{Exit, Run},
};
use crate::task::{State, Task, TaskId};

/// An end so soon after a kill comes from it: engines give their containers some ten seconds.
const ENDS_WITHIN: Duration = Duration::from_mins(1);

const STARTING_AGAIN: &str = "its container engine was restarted; starting it again";

/// Whether a task that is yet to be started is one that ran before in this generation.
pub(super) fn is_again(task: &Task) -> bool {
    task.status.state == State::Running
}

impl Worker {
    /// Somebody, not us, has the engine end a container.
    pub(super) fn killed(&mut self, run: Run, container: &str) {
        let Some(entry) = self.task_db.get_mut(&run.task) else { return };
        if matches!(&entry.phase, Phase::Live { container: live, .. } if live == container) {
            entry.killed = Some(self.now);
        }
    }

    /// Whether a container that was found ended, ended because its engine went down.
    pub(super) fn ended_with_engine(&self, run: Run, exit: Exit) -> bool {
        let Some(entry) = self.task_db.get(&run.task) else { return false };
        let Some(killed) = entry.killed else { return false };
        let ended = exit.at.unwrap_or(self.now);
        !self.runtime_problem.is_empty()
            && !exit.out_of_memory
            && ended <= killed + ENDS_WITHIN
            && entry.wish == Wish::Run
            && !entry.has_lapsed
            && entry.task.status.generation == run.generation
    }

    /// Lines up the start of the very container that ended.
    pub(super) fn start_again(&mut self, id: TaskId) {
        let Some(entry) = self.task_db.get_mut(&id) else { return };
        entry.phase = Phase::Queued;
        entry.killed = None;
        entry.checks = None;
        STARTING_AGAIN.clone_into(&mut entry.task.status.reason);
        self.queue.push_back(id);
        self.report(id);
    }

    /// Somebody stops it before that: nothing runs, and the container goes.
    pub(super) fn stop_before_start_again(&mut self, id: TaskId) {
        let Some(entry) = self.task_db.get_mut(&id) else { return };
        entry.phase = Phase::None;
        let container = entry.task.status.container_id.clone();
        self.out.effects.push(Effect::Remove { container });
        self.end(id, State::Completed, None, STOPPED.to_owned());
    }
}
