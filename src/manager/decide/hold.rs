//! Fairness: a task for which there is nowhere enough room, while smaller ones take what becomes free, gets a worker
//! where room is held back for it after a while. Knows no filter's rule.

use std::time::Duration;

use super::{Manager, Now, Timer, Turn};
use crate::cluster::WorkerRecord;
use crate::scheduler::{Rejection, Request};
use crate::task::{TaskId, WorkerId};

/// How long a task waits for room before some is held back for it.
const HOLD_AFTER: Duration = Duration::from_secs(30);

/// How long room is held back at first. If what runs there goes on for longer, others get their turn for as long, and
/// the next time is twice as long: room that nobody uses must not be the rule, nor a wait without an end.
const HOLD_FOR: Duration = Duration::from_mins(5);

/// Twice as long, so often.
const DOUBLINGS: u32 = 6;

/// Room is held back on a worker.
#[derive(Clone, Debug, Default)]
pub(super) struct Hold {
    held: Option<Held>,
    /// Nothing is held back before this.
    rest_until: Duration,
    /// For whom it was held last, and how often in a row.
    times: Option<(TaskId, u32)>,
}

#[derive(Clone, Debug)]
struct Held {
    worker: WorkerId,
    task: TaskId,
    priority: i32,
    until: Duration,
}

impl Hold {
    /// What this has against placing `task` on `worker`.
    pub(super) fn objection(&self, worker: &WorkerRecord, task: TaskId, priority: i32) -> Option<Rejection> {
        let held = self.held.as_ref()?;
        let is_kept_away = held.worker == worker.id && held.task != task && held.priority >= priority;
        is_kept_away.then_some(Rejection::HeldBack { task: held.task })
    }

    pub(super) fn task(&self) -> Option<TaskId> {
        self.held.as_ref().map(|held| held.task)
    }
}

impl Manager {
    /// Some line found no room: looked at again when it has waited long.
    pub(super) fn watch_fairness(&mut self, now: Now) {
        self.wake_once_after(now, HOLD_AFTER, Timer::Fairness);
    }

    pub(super) fn fairness(&mut self, turn: &Turn) {
        let now = turn.now.since_start;
        if let Some(held) = &self.hold.held {
            let waits = self.cluster.task(held.task).is_some_and(|record| record.queued.is_some());
            if waits && now < held.until {
                self.watch_fairness(turn.now);
                return;
            }
            self.release_hold(if waits { now + hold_for(self.hold.times) } else { now });
        }
        if now >= self.hold.rest_until
            && let Some((task, worker)) = self.who_waits_too_long(now)
        {
            let times = match self.hold.times {
                Some((before, times)) if before == task => times + 1,
                _ => 0,
            };
            self.hold.times = Some((task, times));
            let until = now + hold_for(self.hold.times);
            let priority = self.cluster.task(task).map_or(0, |record| record.task.spec.priority);
            self.hold.held = Some(Held { worker, task, priority, until });
        }
        if self.queue.closed().any(|(_, closed, _)| closed.is_full) {
            self.watch_fairness(turn.now);
        }
    }

    /// The task is placed, or gone: others may have the room again.
    pub(super) fn release_hold_of(&mut self, task: TaskId, now: Now) {
        if self.hold.task() == Some(task) {
            self.release_hold(now.since_start);
        }
        self.release_room_of(task);
    }

    fn release_hold(&mut self, rest_until: Duration) {
        if let Some(held) = self.hold.held.take() {
            self.hold.rest_until = rest_until;
            self.freed.extend(self.cluster.place_of(&held.worker));
        }
    }

    /// The first task that has waited for room long enough, and the worker that lacks the least for it.
    fn who_waits_too_long(&self, now: Duration) -> Option<(TaskId, WorkerId)> {
        let long = |since: Duration| now.saturating_sub(since) >= HOLD_AFTER;
        let waiting = self.queue.closed().filter(|(_, closed, since)| closed.is_full && long(*since));
        let mut places = waiting.filter_map(|(head, _, _)| Some((head.task, self.nearest(head.task)?)));
        places.next()
    }

    fn nearest(&self, task: TaskId) -> Option<WorkerId> {
        let record = self.cluster.task(task).filter(|record| record.queued.is_some())?;
        let request = Request::new(&record.task.spec, &self.cluster);
        let view = self.view();
        let lacking = (0..self.cluster.workers().len()).filter_map(|place| {
            let lacks = view.lacks_only_room(&request, place)?;
            Some((lacks, place))
        });
        let (_, place) = lacking.min_by(|(a, _), (b, _)| a.total_cmp(b))?;
        Some(self.cluster.workers()[place].id.clone())
    }
}

fn hold_for(times: Option<(TaskId, u32)>) -> Duration {
    HOLD_FOR.saturating_mul(1 << times.map_or(0, |(_, times)| times).min(DOUBLINGS))
}
