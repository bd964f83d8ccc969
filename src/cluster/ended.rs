//! Ended tasks: how many are kept and for how long, and their part of the fold. Decides nothing.

use std::time::Duration;

use jiff::Timestamp;

use super::{Cluster, What};
use crate::task::TaskId;

/// Ended tasks that are kept, in all: some ten megabytes, and a day of one task every ten seconds.
pub const ENDED_TASKS: usize = 10_000;

/// And no longer than this: who looks for what broke last week still finds it.
pub const ENDED_KEPT_FOR: Duration = Duration::from_hours(7 * 24);

impl Cluster {
    /// The ended tasks and when they ended, the one that did first in front; kept, not sorted.
    pub fn ended(&self) -> impl ExactSizeIterator<Item = (Timestamp, TaskId)> {
        self.ended.iter().copied()
    }

    /// Lets go of ended tasks. What lives is never let go, whatever the Change says.
    pub(super) fn collected(&mut self, tasks: &[TaskId]) {
        for task in tasks {
            if self.task_db.get(*task).is_none_or(|row| !row.state().has_ended()) {
                continue;
            }
            if let Some(record) = self.take(*task) {
                // A worker may remember it. If it is submitted again, that is news to the worker.
                self.first_generation =
                    self.first_generation.max(record.status().generation.saturating_add(1));
            }
        }
    }
}

impl What {
    /// The tasks that are let go by this.
    pub fn collected(&self) -> &[TaskId] {
        match self {
            Self::Collected { tasks } => tasks,
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::cluster::{Cause, Change, Crashes, Snapshot};
    use crate::task::{EventId, State, Task, TaskStatus, WorkerId};

    fn id(number: u8) -> TaskId {
        TaskId(uuid::Uuid::from_u128(number.into()))
    }

    /// Any Change about one of four tasks, also where it makes no sense.
    fn any_what() -> impl Strategy<Value = What> {
        let task = (0..4_u8).prop_map(id);
        let state = proptest::sample::select(State::ALL.to_vec());
        (0..6_u8, task, state, proptest::collection::vec((0..4_u8).prop_map(id), 0..4)).prop_map(
            |(kind, task, state, tasks)| match kind {
                0 => {
                    What::Submitted { event: EventId::default(), task: Task { id: task, ..Task::default() } }
                }
                1 => What::scheduled(task, WorkerId::from("a"), 3),
                2 => What::Observed {
                    task,
                    status: TaskStatus { state, generation: 3, ..TaskStatus::default() },
                },
                3 => What::Ended { task, state: State::Failed, reason: "no".into() },
                4 => What::Restarting {
                    task,
                    generation: 4,
                    restart_count: 1,
                    crashes: Crashes::default(),
                    reason: "again".into(),
                    retry_at: Timestamp::UNIX_EPOCH,
                    by_hand: false,
                },
                _ => What::Collected { tasks },
            },
        )
    }

    proptest! {
        #[test]
        fn nothing_that_lives_is_let_go_and_the_index_tells_what_has_ended(
            whats in proptest::collection::vec(any_what(), 1..60)
        ) {
            let mut cluster = Cluster::default();
            for (revision, what) in (1_u64..).zip(whats) {
                let live: Vec<TaskId> = cluster
                    .task_db()
                    .filter(|record| !record.state().has_ended())
                    .map(|record| record.task.id)
                    .collect();
                let is_collection = !what.collected().is_empty();
                let time = Timestamp::from_second(i64::try_from(revision / 2).unwrap()).unwrap();
                cluster.apply(&Arc::new(Change { revision, time, cause: Cause::Manager, what }));
                if is_collection {
                    prop_assert!(live.iter().all(|task| cluster.task(*task).is_some()));
                }
                for cluster in [&cluster, &Cluster::from(Snapshot::from(&cluster))] {
                    let mut ended: Vec<_> = cluster
                        .task_db()
                        .filter(|record| record.state().has_ended())
                        .map(|record| (record.changed, record.task.id))
                        .collect();
                    ended.sort_unstable();
                    prop_assert_eq!(cluster.ended().collect::<Vec<_>>(), ended);
                    for state in State::ALL {
                        let count = cluster.task_db().filter(|record| record.state() == state).count();
                        prop_assert_eq!(cluster.count(state), count);
                    }
                    for task in cluster.tasks_of(&WorkerId::from("a")).chain(cluster.pending()) {
                        prop_assert!(cluster.task(task).is_some(), "a map names what is gone");
                    }
                }
            }
        }
    }
}
