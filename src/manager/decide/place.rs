//! Where a task goes now: asks the scheduler with what only the manager knows (refusals, answers that are due, room that
//! is held back), and notes which workers changed. Sends nothing.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::busy::{InFlight, is_busy};
use super::drain::{Drain, still_taken};
use super::hold::Hold;
use super::preempt::Preemption;
use super::queue::{Head, Key};
use super::{Answer, Effect, Manager, Now, RequestId, Timer, Turn};
use crate::cluster::{
    Cause, Cluster, Overcommit, Placement, Refusal, Sample, SchedulerName, Settings, What, WorkerRecord,
};
use crate::scheduler::{NoWorker, Rankings, Rejection, Request, View, select_worker};
use crate::task::{TaskId, TaskSpec, WorkerId};

/// A worker, and why it.
pub(super) type Chosen = (WorkerId, Option<Box<Placement>>);

/// More workers that changed at once are not looked at one by one for every line that waits.
const FREED: usize = 64;

/// Tasks of lost workers that are tried again where room may have come.
const STUCK: usize = 2;

/// What the manager has under way, and no worker's record tells.
#[derive(Clone, Copy)]
pub(super) struct UnderWay<'a> {
    now: Now,
    cluster: &'a Cluster,
    in_flight: &'a HashMap<WorkerId, InFlight>,
    hold: &'a Hold,
    preemption: &'a Preemption,
    drains: &'a BTreeMap<WorkerId, Drain>,
}

impl UnderWay<'_> {
    /// What it has against placing `task` on `worker`.
    pub(super) fn objection(
        &self,
        worker: &WorkerRecord,
        task: TaskId,
        spec: &TaskSpec,
    ) -> Option<Rejection> {
        let busy = is_busy(self.in_flight, self.now, &worker.id).then_some(Rejection::Busy);
        let held = busy.or_else(|| self.hold.objection(worker, task, spec.priority));
        let held = held.or_else(|| self.preemption.objection(worker, task, spec.priority));
        held.or_else(|| still_taken(self.drains, self.cluster, worker, task, spec))
    }
}

impl Manager {
    pub(super) fn under_way(&self, now: Now) -> UnderWay<'_> {
        let Self { cluster, in_flight, hold, preemption, drains, .. } = self;
        UnderWay { now, cluster, in_flight, hold, preemption, drains }
    }

    pub(super) fn view(&self) -> View<'_> {
        View { cluster: &self.cluster, loads: &self.loads }
    }

    /// Where `task` can go now: not where it was refused. `fresh` is a refusal that is yet to be noted.
    pub(super) fn choose(
        &mut self,
        now: Now,
        task: TaskId,
        fresh: Option<&Refusal>,
    ) -> Result<Chosen, NoWorker> {
        let Self { cluster, loads, rankings, in_flight, hold, preemption, drains, .. } = self;
        let Some(record) = cluster.task(task) else { return Err(NoWorker { rejections: Vec::new() }) };
        let view = View { cluster, loads };
        let under_way = UnderWay { now, cluster, in_flight, hold, preemption, drains };
        let request = Request::new(&record.task.spec, cluster);
        let objection = |worker: &WorkerRecord| {
            let fresh = fresh.filter(|refusal| refusal.worker == worker.id);
            if let Some(refusal) = fresh.or_else(|| record.refusal_of(&worker.id)) {
                return Some(Rejection::Refused { why: refusal.why.clone() });
            }
            under_way.objection(worker, task, &record.task.spec)
        };
        let is_plain = fresh.is_none() && record.refusals.is_empty();
        let quick = request.shape().filter(|_| is_plain);
        let quick = quick.and_then(|shape| rankings.choose(view, &request, &shape, objection));
        let choice = match quick {
            Some(choice) => choice,
            None => select_worker(view, &request, objection)?,
        };
        let placement = view.placement(&request, &choice);
        Ok((cluster.workers()[choice.place].id.clone(), placement))
    }

    /// Decides how workers are selected from now on.
    pub(super) fn set_scheduling(
        &mut self,
        turn: &mut Turn,
        request: Option<RequestId>,
        cause: Cause,
        scheduler: Option<SchedulerName>,
        overcommit: Option<Overcommit>,
    ) {
        let before = self.cluster.settings();
        let settings = Settings {
            scheduler: scheduler.unwrap_or(before.scheduler),
            overcommit: overcommit.unwrap_or(before.overcommit),
        };
        if settings != before {
            self.change(turn, cause, What::Settings { settings });
            self.open_all();
        }
        if let Some(request) = request {
            turn.effect(Effect::Answer { request, answer: Ok(Answer::Scheduling(settings)) });
        }
    }

    /// A worker told its load.
    pub(super) fn load(&mut self, now: Now, worker: &WorkerId, sample: &Sample) {
        if let Some(watch) = self.watches.get_mut(worker) {
            watch.sampled = now.since_start;
        }
        if self.loads.record(worker, sample) {
            self.touch(worker);
        }
    }

    /// Nothing is known of its load any more.
    pub(super) fn forget_load(&mut self, worker: &WorkerId) {
        if self.loads.forget(worker) {
            self.touch(worker);
        }
    }

    fn touch(&mut self, worker: &WorkerId) {
        if let Some(place) = self.cluster.place_of(worker) {
            self.rankings.touch(place);
        }
    }

    /// The place of the worker where a living task is.
    pub(super) fn home_of(&self, task: TaskId) -> Option<usize> {
        self.cluster.row(task).filter(|row| !row.state().has_ended())?;
        self.cluster.place_of(self.cluster.worker_of(task)?)
    }

    /// A task went from one worker to another, or came, or left.
    pub(super) fn note_move(&mut self, before: Option<usize>, after: Option<usize>) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.rankings.touch(before);
            self.freed.insert(before);
        }
        if let Some(after) = after {
            self.rankings.touch(after);
            self.joined.insert(after);
        }
    }

    /// The workers have other places now.
    pub(super) fn forget_places(&mut self) {
        self.rankings = Rankings::default();
        self.freed.clear();
        self.joined.clear();
    }

    /// The record of a worker changed.
    pub(super) fn note_worker(&mut self, worker: &WorkerId) {
        if let Some(place) = self.cluster.place_of(worker) {
            self.rankings.touch(place);
            self.freed.insert(place);
        }
    }

    /// Opens the lines that a worker that changed could take: only those workers are looked at.
    pub(super) fn open_lines(&mut self, now: Now) {
        let (freed, joined) = (std::mem::take(&mut self.freed), std::mem::take(&mut self.joined));
        if !freed.is_empty() {
            self.leaving.retell(STUCK);
            if self.leaving.room_at(&freed) {
                self.wake_once_after(now, Duration::ZERO, Timer::MoveOn);
            }
        }
        if !self.queue.has_closed() || (freed.is_empty() && joined.is_empty()) {
            return;
        }
        self.note_news(now);
        let opened: Vec<Head> = self
            .queue
            .closed()
            .filter(|(head, closed, _)| {
                let Some(row) = self.cluster.row(head.task) else { return true };
                if row.queued().is_none() || freed.len() > FREED {
                    return true;
                }
                let depends_on_others = matches!(*head.key, Key::Alone(_));
                let request = Request::new(row.spec(), &self.cluster);
                let joined = joined.iter().filter(|_| depends_on_others);
                // One that lacked more than room, and now lacks no more than that, may be given some.
                let may = |place: usize| {
                    self.view().can_take(&request, place)
                        || (!closed.is_full && self.view().lacks_only_room(&request, place).is_some())
                };
                freed.iter().chain(joined).any(|place| may(*place))
            })
            .map(|(head, _, _)| head)
            .collect();
        for head in &opened {
            self.queue.open(head, false);
        }
    }
}
