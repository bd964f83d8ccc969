//! What a worker was sent and has yet to answer for: keeps a slow or hung one from swallowing the queue.

use std::collections::HashSet;
use std::time::Duration;

use super::{Manager, Now};
use crate::task::{TaskId, WorkerId};

/// More than this many unanswered starts and a worker gets no further ones: ten full batches of the link.
const MOST_IN_FLIGHT: usize = 1_000;

/// A worker that has not answered for this long gets nothing more until it does, so that the others' work is not
/// held up by it: a healthy one answers in milliseconds.
const SLOW_AFTER: Duration = Duration::from_millis(500);

/// The starts under way to one worker.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    tasks: HashSet<TaskId>,
    /// Since when the worker owes an answer.
    since: Duration,
}

impl Manager {
    pub(super) fn is_busy(&self, now: Now, worker: &WorkerId) -> bool {
        self.in_flight.get(worker).is_some_and(|flight| {
            !flight.tasks.is_empty()
                && (flight.tasks.len() >= MOST_IN_FLIGHT || now.since_start >= flight.since + SLOW_AFTER)
        })
    }

    pub(super) fn is_in_flight(&self, worker: &WorkerId, task: TaskId) -> bool {
        self.in_flight.get(worker).is_some_and(|flight| flight.tasks.contains(&task))
    }

    pub(super) fn takes_off(&mut self, now: Now, worker: &WorkerId, task: TaskId) {
        let flight = self.in_flight.entry(worker.clone()).or_default();
        if flight.tasks.is_empty() {
            flight.since = now.since_start;
        }
        flight.tasks.insert(task);
    }

    pub(super) fn lands(&mut self, now: Now, worker: &WorkerId, task: TaskId) {
        if let Some(flight) = self.in_flight.get_mut(worker) {
            flight.tasks.remove(&task);
            flight.since = now.since_start;
        }
    }
}
