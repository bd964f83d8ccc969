//! Which ended containers are kept for their logs, and which must go: the last of each task, so many in all, for so
//! long. Knows no engine; a live container is never in here.

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;

use super::{core::Limits, runtime::Run};
use crate::task::TaskId;

/// The ended containers that are still there, the one that ended first in front. There are few of them
/// ([`Limits::kept_containers`]), so that a walk is cheap.
#[derive(Debug, Default)]
pub(super) struct Kept(VecDeque<Container>);

#[derive(Debug)]
struct Container {
    name: String,
    run: Run,
    ended: Timestamp,
}

impl Kept {
    /// Takes in a container that ended; says which ones must go for it. That can be the new one itself, when
    /// there is a later one of the same task.
    #[must_use]
    pub(super) fn keep(&mut self, run: Run, name: String, ended: Timestamp, limits: &Limits) -> Vec<String> {
        if self.0.iter().any(|kept| kept.name == name) {
            return Vec::new();
        }
        let mut gone = Vec::new();
        let of_task = self.0.iter().position(|kept| kept.run.task == run.task);
        match of_task {
            // At a start they are found in any order.
            Some(at) if (self.0[at].run.generation, self.0[at].ended) > (run.generation, ended) => {
                return vec![name];
            }
            Some(at) => gone.extend(self.0.remove(at).map(|kept| kept.name)),
            None => {}
        }
        let at = self.0.partition_point(|kept| kept.ended <= ended);
        self.0.insert(at, Container { name, run, ended });
        while self.0.len() > limits.kept_containers {
            gone.extend(self.0.pop_front().map(|kept| kept.name));
        }
        gone
    }

    /// Those that were kept for long enough.
    #[must_use]
    pub(super) fn expired(&mut self, now: Timestamp, kept_for: Duration) -> Vec<String> {
        let is_over = |kept: &Container| is_longer_ago(kept.ended, now, kept_for);
        let count = self.0.iter().take_while(|kept| is_over(kept)).count();
        self.0.drain(..count).map(|kept| kept.name).collect()
    }

    /// It is gone, or live again. True if it was kept.
    pub(super) fn forget(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|kept| kept.name != name);
        self.0.len() < before
    }

    pub(super) fn of_task(&self, task: TaskId) -> Option<(Run, &str)> {
        self.0.iter().find(|kept| kept.run.task == task).map(|kept| (kept.run, kept.name.as_str()))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (TaskId, &str)> {
        self.0.iter().map(|kept| (kept.run.task, kept.name.as_str()))
    }
}

/// By a clock that may have been set back meanwhile: then it is not.
pub(super) fn is_longer_ago(then: Timestamp, now: Timestamp, limit: Duration) -> bool {
    Duration::try_from(now.duration_since(then)).is_ok_and(|ago| ago > limit)
}
