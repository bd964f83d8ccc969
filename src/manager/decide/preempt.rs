//! Preemption: a task that asks for it (`Preempt`) and fits nowhere takes the room of tasks with a lower priority. They
//! are stopped and wait in `pending` again, and the room is kept for it meanwhile. Knows no filter's rule.
//!
//! What the store holds of it is who makes room for whom; the rest is worked out again after a start. A task that had to
//! make room is left alone for as long as one that was moved: five seconds, doubled each time within ten minutes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::busy::is_busy;
use super::moves::moved_lately;
use super::queue::Head;
use super::{Manager, Timer, Turn};
use crate::cluster::{Cause, Peer, Revision, TaskRow, What, WorkerHealth, WorkerRecord};
use crate::scheduler::{Eviction, Rejection, Request, View, make_room};
use crate::task::{State, TaskId, TaskSpec, TaskStatus, WorkerId};

/// How soon one that found nobody to make room looks again: the others may have moved on, or run for long enough.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// For a stop beyond its own grace: to get there, to be done, and to be told. After it the room is sought elsewhere.
const STOPS_WITHIN: Duration = Duration::from_secs(15);

/// Tasks that room is sought for in one turn.
const TRIED: usize = 4;

/// Room that is being made, and that which is yet to be found.
#[derive(Clone, Debug, Default)]
pub(super) struct Preemption {
    rooms: BTreeMap<WorkerId, Room>,
    /// By whom it is for.
    workers: BTreeMap<TaskId, WorkerId>,
    /// Workers on which it was not made in time: others come first.
    passed_over: BTreeMap<TaskId, BTreeSet<WorkerId>>,
    /// Tasks that fit nowhere, in the order in which it is their turn.
    wanted: BTreeSet<(Reverse<i32>, Revision, TaskId)>,
    /// Tasks that make room, whose worker was there without a break since it was asked to stop them: how they ended is
    /// what it says, and not what a later look at their containers makes of it.
    attended: BTreeSet<TaskId>,
}

/// On one worker, for one task.
#[derive(Clone, Debug)]
struct Room {
    task: TaskId,
    priority: i32,
    until: Duration,
}

impl Preemption {
    /// What this has against placing `task` on `worker`.
    pub(super) fn objection(&self, worker: &WorkerRecord, task: TaskId, priority: i32) -> Option<Rejection> {
        let room = self.rooms.get(&worker.id)?;
        let is_kept_away = room.task != task && room.priority >= priority;
        is_kept_away.then_some(Rejection::HeldBack { task: room.task })
    }

    /// Where room is being made for `task`.
    pub(super) fn worker_for(&self, task: TaskId) -> Option<&WorkerId> {
        self.workers.get(&task)
    }

    /// It fits nowhere.
    pub(super) fn want(&mut self, row: &TaskRow) {
        if let Some(queued) = row.queued() {
            self.wanted.insert((Reverse(row.spec().priority), queued.position, row.id()));
        }
    }

    fn keep(&mut self, worker: WorkerId, room: Room) {
        // One room for a task, and one on a worker.
        if let Some(before) = self.rooms.remove(&worker) {
            self.workers.remove(&before.task);
        }
        if let Some(elsewhere) = self.workers.insert(room.task, worker.clone()) {
            self.rooms.remove(&elsewhere);
        }
        self.rooms.insert(worker, room);
    }
}

impl Manager {
    /// After a start, and when a worker takes work again: `row` may be making room there yet.
    pub(super) fn resume_preemption(&mut self, turn: &Turn, row: &TaskRow) {
        let (Some(preempted), Some(worker)) = (row.preempted(), self.cluster.worker_of(row.id())) else {
            return;
        };
        let Some(by) = self.cluster.row(preempted.by).filter(|by| by.queued().is_some()) else { return };
        let (task, priority) = (by.id(), by.spec().priority);
        let until = turn.now.since_start + STOPS_WITHIN + row.spec().stop_timeout();
        match self.preemption.rooms.get_mut(worker) {
            Some(room) if room.task == task => room.until = room.until.max(until),
            Some(room) if room.priority >= priority => {}
            // Meanwhile it was sought, and found, elsewhere.
            _ if self.preemption.workers.contains_key(&task) => {}
            _ => self.preemption.keep(worker.clone(), Room { task, priority, until }),
        }
        self.wake_once_after(turn.now, LOOK_AGAIN, Timer::Preempt);
    }

    /// A worker takes work again: what is being stopped there yet makes room for the same task, and not for who comes
    /// first.
    pub(super) fn resume_rooms_on(&mut self, turn: &Turn, worker: &WorkerId) {
        let rows = self.assigned(worker).into_iter().filter_map(|task| self.cluster.row(task));
        let rows: Vec<TaskRow> = rows.filter(|row| row.preempted().is_some()).cloned().collect();
        for row in &rows {
            self.resume_preemption(turn, row);
        }
    }

    /// Seeks room for those that fit nowhere, a few a turn.
    pub(super) fn preempt(&mut self, turn: &mut Turn) {
        for _ in 0..TRIED {
            let Some((_, _, task)) = self.preemption.wanted.pop_first() else { return };
            self.preempt_for(turn, task);
        }
        if self.seeks_more_room() {
            self.wake_once_after(turn.now, Duration::ZERO, Timer::MoveOn);
        }
    }

    /// Whether room is sought for more tasks in the next turn.
    pub(super) fn seeks_more_room(&self) -> bool {
        !self.preemption.wanted.is_empty()
    }

    fn preempt_for(&mut self, turn: &mut Turn, task: TaskId) {
        let Some(record) = self.cluster.task(task).filter(|record| record.queued.is_some()) else { return };
        let spec = &record.task.spec;
        // What crashes anyway is not worth anybody's room.
        if !spec.preempt || record.crashes.is_loop() || self.unset_secret(spec).is_some() {
            return;
        }
        self.wake_once_after(turn.now, LOOK_AGAIN, Timer::Preempt);
        if self.preemption.workers.contains_key(&task) {
            return;
        }
        let workers = self.cluster.workers();
        if workers.iter().any(|worker| worker.health == WorkerHealth::Connecting) {
            // It may have room; that is known within seconds.
            return;
        }
        let Self { cluster, loads, in_flight, hold, preemption, drains, .. } = &*self;
        let passed_over = preemption.passed_over.get(&task);
        let may_go = |row: &TaskRow| {
            row.preempted().is_none() && row.serving().is_none() && !moved_lately(turn.now, row)
        };
        let objection = |worker: &WorkerRecord| {
            if let Some(refusal) = record.refusal_of(&worker.id) {
                return Some(Rejection::Refused { why: refusal.why.clone() });
            }
            // What moves off it has its room yet.
            let is_left_out = worker.peer != Peer::Cube
                || drains.contains_key(&worker.id)
                || is_busy(in_flight, turn.now, &worker.id)
                || passed_over.is_some_and(|passed_over| passed_over.contains(&worker.id));
            let objection = is_left_out.then_some(Rejection::Busy);
            let objection = objection.or_else(|| hold.objection(worker, task, spec.priority));
            objection.or_else(|| preemption.objection(worker, task, spec.priority))
        };
        let view = View { cluster, loads };
        match make_room(view, &Request::new(spec, cluster), may_go, objection) {
            Some(eviction) => self.evict(turn, task, spec, eviction),
            None => _ = self.preemption.passed_over.remove(&task),
        }
    }

    fn evict(&mut self, turn: &mut Turn, task: TaskId, spec: &TaskSpec, eviction: Eviction) {
        let Eviction { place, victims } = eviction;
        let worker = self.cluster.workers()[place].id.clone();
        let reason = format!("made room for {} ({})", spec.name, task.short());
        let mut grace = Duration::ZERO;
        for victim in victims {
            let stop_timeout = self.cluster.row(victim).map(|row| row.spec().stop_timeout());
            grace = grace.max(stop_timeout.unwrap_or_default());
            let what = What::Preempted { task: victim, by: task, reason: reason.clone() };
            self.change(turn, Cause::Preemption, what);
            self.preemption.attended.insert(victim);
            self.send_stop(turn, victim);
        }
        let until = turn.now.since_start + grace + STOPS_WITHIN;
        self.preemption.keep(worker, Room { task, priority: spec.priority, until });
    }

    /// Lets go of room that nobody waits for any more or that did not come, and seeks it again for those that wait.
    pub(super) fn look_for_room(&mut self, turn: &Turn) {
        let takes_work =
            |worker: &WorkerId| self.cluster.worker(worker).is_some_and(WorkerRecord::takes_work);
        let waits = |task: TaskId| self.cluster.row(task).is_some_and(|row| row.queued().is_some());
        let is_late = |room: &Room| room.until <= turn.now.since_start;
        let over = self
            .preemption
            .rooms
            .iter()
            .filter(|(worker, room)| is_late(room) || !waits(room.task) || !takes_work(worker));
        let over: Vec<(WorkerId, TaskId, bool)> =
            over.map(|(worker, room)| (worker.clone(), room.task, is_late(room))).collect();
        for (worker, task, was_late) in over {
            self.release_room_of(task);
            if was_late {
                self.preemption.passed_over.entry(task).or_default().insert(worker);
            }
        }
        let cluster = &self.cluster;
        let waits = |task: &TaskId| cluster.row(*task).is_some_and(|row| row.queued().is_some());
        self.preemption.passed_over.retain(|task, _| waits(task));
        let asks = |head: &Head| cluster.row(head.task).is_some_and(|row| row.spec().preempt);
        let full = self.queue.closed().filter(|(_, closed, _)| closed.is_full).map(|(head, _, _)| head);
        let (waiting, gone): (Vec<Head>, Vec<Head>) = full.filter(asks).partition(|head| waits(&head.task));
        for row in waiting.iter().filter_map(|head| cluster.row(head.task)) {
            self.preemption.want(row);
        }
        for head in &gone {
            // Behind it may be others.
            self.queue.open(head, false);
        }
        if !self.preemption.rooms.is_empty() {
            self.wake_once_after(turn.now, LOOK_AGAIN, Timer::Preempt);
        }
    }

    /// The link to a worker broke.
    pub(super) fn attend_no_more(&mut self, worker: &WorkerId) {
        let cluster = &self.cluster;
        self.preemption.attended.retain(|task| cluster.worker_of(*task) != Some(worker));
    }

    /// A task that makes room has ended by `report`: whether for that, and not because it was done just before. Where
    /// nobody saw it, a clean end is taken for that of its stop: work that is done twice is better than work that is
    /// lost.
    pub(super) fn has_made_room(&mut self, task: TaskId, report: &TaskStatus) -> bool {
        let is_attended = self.preemption.attended.remove(&task);
        let is_done = report.state == State::Completed
            && report.exit_code == Some(0)
            && !report.reason.starts_with(crate::worker::STOPPED);
        !(is_attended && is_done)
    }

    /// The task is placed, or gone: others may have the room.
    pub(super) fn release_room_of(&mut self, task: TaskId) {
        if let Some(worker) = self.preemption.workers.remove(&task) {
            self.preemption.rooms.remove(&worker);
            self.freed.extend(self.cluster.place_of(&worker));
        }
    }
}
