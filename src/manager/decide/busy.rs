//! What a worker was sent and has yet to answer for: keeps a slow or hung one from swallowing the queue.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::{Effect, Manager, Now, Turn, Wish};
use crate::task::{Task, TaskId, WorkerId};

/// More than this many unanswered starts and a worker gets no further ones (stops likewise): ten full batches.
pub const MOST_IN_FLIGHT: usize = 1_000;

/// A worker that has not answered for this long gets nothing more until it does, so that the others' work is not
/// held up by it: a healthy one answers in milliseconds.
const SLOW_AFTER: Duration = Duration::from_millis(500);

/// What is under way to one worker.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight {
    /// Each start, and whether its worker has shown a list without it meanwhile.
    starts: HashMap<TaskId, bool>,
    stops: usize,
    /// Stops for which there was no room.
    waiting_stops: VecDeque<Task>,
    /// Since when the worker owes an answer to a start.
    since: Duration,
}

/// Whether a worker is to get nothing more before it has answered.
pub(super) fn is_busy(in_flight: &HashMap<WorkerId, InFlight>, now: Now, worker: &WorkerId) -> bool {
    in_flight.get(worker).is_some_and(|flight| {
        !flight.starts.is_empty()
            && (flight.starts.len() >= MOST_IN_FLIGHT || now.since_start >= flight.since + SLOW_AFTER)
    })
}

impl Manager {
    /// The worker showed a list without `task`. True if its start is still under way: then it may not have
    /// arrived yet, or the worker that took it is gone; the answer to the start will not tell which.
    pub(super) fn doubt(&mut self, worker: &WorkerId, task: TaskId) -> bool {
        let start = self.in_flight.get_mut(worker).and_then(|flight| flight.starts.get_mut(&task));
        start.map(|is_doubted| *is_doubted = true).is_some()
    }

    pub(super) fn send(&mut self, turn: &mut Turn, worker: &WorkerId, wish: Wish, task: Task) {
        if !self.configured.contains(worker) {
            // Of an earlier run: there is no link. Its return sends what is still wanted.
            return;
        }
        let flight = self.in_flight.entry(worker.clone()).or_default();
        match wish {
            Wish::Start => {
                if flight.starts.is_empty() {
                    flight.since = turn.now.since_start;
                }
                flight.starts.insert(task.id, false);
            }
            Wish::Stop if flight.stops >= MOST_IN_FLIGHT => {
                flight.waiting_stops.push_back(task);
                return;
            }
            Wish::Stop => flight.stops += 1,
        }
        turn.effect(Effect::Send { worker: worker.clone(), wish, task });
    }

    /// Takes a stop back that waits for room; false if there is none.
    pub(super) fn unsend_stop(&mut self, worker: &WorkerId, task: TaskId) -> bool {
        let Some(flight) = self.in_flight.get_mut(worker) else { return false };
        let before = flight.waiting_stops.len();
        flight.waiting_stops.retain(|waiting| waiting.id != task);
        flight.waiting_stops.len() < before
    }

    /// The worker answered, or will not any more. True for a start that was [doubted](Self::doubt).
    pub(super) fn landed(&mut self, turn: &mut Turn, worker: &WorkerId, wish: Wish, task: TaskId) -> bool {
        let Some(flight) = self.in_flight.get_mut(worker) else { return false };
        if wish == Wish::Start && self.queue.has_closed() {
            self.freed.extend(self.cluster.place_of(worker));
        }
        match wish {
            Wish::Start => {
                flight.since = turn.now.since_start;
                flight.starts.remove(&task).unwrap_or(false)
            }
            Wish::Stop => {
                flight.stops = flight.stops.saturating_sub(1);
                if let Some(next) = flight.waiting_stops.pop_front() {
                    self.send(turn, worker, Wish::Stop, next);
                }
                false
            }
        }
    }
}
