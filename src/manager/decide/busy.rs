//! What a worker was sent and has yet to answer for: keeps a slow or hung one from swallowing the queue.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use super::{Effect, Manager, Now, Turn, Wish};
use crate::task::{Task, TaskId, WorkerId};

/// More than this many unanswered starts and a worker gets no further ones (stops likewise): ten full batches.
pub const MOST_IN_FLIGHT: usize = 1_000;

/// A worker that has not answered for this long gets nothing more until it does, so that the others' work is not
/// held up by it: a healthy one answers in milliseconds.
const SLOW_AFTER: Duration = Duration::from_millis(500);

/// What is under way to one worker.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    starts: HashSet<TaskId>,
    stops: usize,
    /// Stops for which there was no room.
    waiting_stops: VecDeque<Task>,
    /// Since when the worker owes an answer to a start.
    since: Duration,
}

impl Manager {
    pub(super) fn is_busy(&self, now: Now, worker: &WorkerId) -> bool {
        self.in_flight.get(worker).is_some_and(|flight| {
            !flight.starts.is_empty()
                && (flight.starts.len() >= MOST_IN_FLIGHT || now.since_start >= flight.since + SLOW_AFTER)
        })
    }

    pub(super) fn is_in_flight(&self, worker: &WorkerId, task: TaskId) -> bool {
        self.in_flight.get(worker).is_some_and(|flight| flight.starts.contains(&task))
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
                flight.starts.insert(task.id);
            }
            Wish::Stop if flight.stops >= MOST_IN_FLIGHT => {
                flight.waiting_stops.push_back(task);
                return;
            }
            Wish::Stop => flight.stops += 1,
        }
        turn.effect(Effect::Send { worker: worker.clone(), wish, task });
    }

    /// The worker answered, or will not any more.
    pub(super) fn landed(&mut self, turn: &mut Turn, worker: &WorkerId, wish: Wish, task: TaskId) {
        let Some(flight) = self.in_flight.get_mut(worker) else { return };
        match wish {
            Wish::Start => {
                flight.starts.remove(&task);
                flight.since = turn.now.since_start;
            }
            Wish::Stop => {
                flight.stops = flight.stops.saturating_sub(1);
                if let Some(next) = flight.waiting_stops.pop_front() {
                    self.send(turn, worker, Wish::Stop, next);
                }
            }
        }
    }
}
