//! Lets go of ended tasks: beyond a number and after a time, those that ended first. Never of one that lives.

use std::time::Duration;

use jiff::Timestamp;

use super::{Manager, Timer, Turn};
use crate::cluster::{Cause, ENDED_KEPT_FOR, ENDED_TASKS, What};
use crate::task::TaskId;

/// Let go by one Change: a log of single ones would be as long again as that of the tasks.
const BATCH: usize = 256;

/// A look at the clock at least this often: it may be set meanwhile.
const LOOK_AGAIN: Duration = Duration::from_hours(1);

/// How many ended tasks are kept, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) tasks: usize,
    pub(super) no_longer_than: Duration,
    pub(super) batch: usize,
}

impl Default for Kept {
    fn default() -> Self {
        Self { tasks: ENDED_TASKS, no_longer_than: ENDED_KEPT_FOR, batch: BATCH }
    }
}

impl Manager {
    /// One batch a turn: the work of a turn stays small however many ended at once. Whether there is one is seen
    /// at the first of them.
    pub(super) fn collect(&mut self, turn: &mut Turn) {
        let tasks = self.collectable(turn.now.wall);
        if !tasks.is_empty() {
            self.change(turn, Cause::Manager, What::Collected { tasks });
        }
        let Some((oldest, _)) = self.cluster.ended().next() else { return };
        let wait = if self.is_over(oldest, turn.now.wall) {
            Duration::ZERO
        } else {
            // A part of a second more, so that it is over then.
            let left = self.kept.no_longer_than.saturating_sub(age(oldest, turn.now.wall));
            (left + Duration::from_millis(1)).min(LOOK_AGAIN)
        };
        let due = turn.now.since_start + wait;
        if self.collect_at.is_none_or(|at| due < at) {
            if let Some(at) = self.collect_at.replace(due) {
                self.timers.remove(&(at, Timer::Collect));
            }
            self.timers.insert((due, Timer::Collect));
        }
    }

    /// The first to go: a whole batch as soon as there are too many, so that the next end does not bring the next
    /// Change.
    fn collectable(&self, now: Timestamp) -> Vec<TaskId> {
        let ended = self.cluster.ended();
        let are_too_many = ended.len() > self.kept.tasks;
        let is_due = |at: &Timestamp| are_too_many || age(*at, now) > self.kept.no_longer_than;
        ended.take(self.kept.batch).take_while(|(at, _)| is_due(at)).map(|(_, task)| task).collect()
    }

    fn is_over(&self, oldest: Timestamp, now: Timestamp) -> bool {
        self.cluster.ended().len() > self.kept.tasks || age(oldest, now) > self.kept.no_longer_than
    }
}

/// Nothing by a clock that was set back.
fn age(ended: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(ended)).unwrap_or_default()
}
