//! Rebalance: evens out the load with a few moves, in the very way of a drain: a task starts elsewhere and is stopped here
//! once it runs there. Knows no score.
//!
//! Each move is whole by itself, and looked at again before it is made. What is left of a plan is not kept: a manager that
//! restarts has forgotten it, and somebody may ask again.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::busy::is_busy;
use super::drain::still_taken;
use super::moves::wait_of;
use super::{Answer, Effect, Manager, Now, RequestId, Turn};
use crate::cluster::{Cause, Peer, TaskRow, WorkerRecord};
use crate::manager::request::{Load, PlannedMove, RebalanceWish, Rebalanced, RequestError};
use crate::scheduler::{Evenness, Measure, Rejection, Request, is_movable, is_worth_it, rebalance};
use crate::task::{TaskId, TaskSpec, WorkerId};

/// More moves at once are no small correction any more, and cost the manager a while to plan.
const MOST_MOVES: usize = 100;

/// Moves that are under way at a time.
const AT_ONCE: usize = 4;

/// What is left of a plan after this long is of another time.
const GOOD_FOR: Duration = Duration::from_mins(10);

/// What a rebalance is at.
#[derive(Debug, Default)]
pub(super) struct Rebalancing {
    left: VecDeque<Step>,
    moving: BTreeSet<TaskId>,
    until: Duration,
}

/// A move of one run.
#[derive(Debug)]
struct Step {
    task: TaskId,
    generation: u32,
    from: WorkerId,
    to: WorkerId,
}

impl Manager {
    /// Somebody wants to know how the load could be more even, or wants it so.
    pub(super) fn rebalance(&mut self, turn: &mut Turn, request: RequestId, wish: RebalanceWish) {
        let answer = if (1..=MOST_MOVES).contains(&wish.moves) {
            Ok(Answer::Rebalanced(Box::new(self.plan_moves(turn.now, wish))))
        } else {
            let problem = format!("expected from 1 to {MOST_MOVES} moves, found {}", wish.moves);
            Err(RequestError::Invalid(problem))
        };
        turn.effect(Effect::Answer { request, answer });
    }

    fn plan_moves(&mut self, now: Now, wish: RebalanceWish) -> Rebalanced {
        let scheduler = self.cluster.settings().scheduler;
        let Some(measure) = Measure::of(scheduler) else {
            let note = format!("{scheduler} fills workers one after the other: there is nothing to even out");
            return Rebalanced { scheduler, note: Some(note), ..Rebalanced::default() };
        };
        let may_move = |row: &TaskRow| self.may_be_moved(now, row);
        let objection = |worker: &WorkerRecord| (worker.peer != Peer::Cube).then_some(Rejection::Busy);
        let plan = rebalance(self.view(), measure, wish.moves, may_move, objection);
        let name = |place: usize| self.cluster.workers()[place].id.clone();
        let load = |evenness: Evenness| Load {
            fullest: (!self.cluster.workers().is_empty()).then(|| name(evenness.fullest)),
            most: evenness.most,
            deviation: evenness.deviation,
        };
        let moves = plan.moves.iter().filter_map(|planned| {
            let row = self.cluster.row(planned.task)?;
            let (from, to) = (name(planned.from), name(planned.to));
            let task_name = row.name().to_owned();
            Some((
                row.generation(),
                PlannedMove { task: row.id(), name: task_name, from, to, gain: planned.gain },
            ))
        });
        let moves: Vec<(u32, PlannedMove)> = moves.collect();
        let answer = Rebalanced {
            scheduler,
            measure: Some(measure),
            before: load(plan.before),
            after: load(plan.after),
            moves: moves.iter().map(|(_, planned)| planned.clone()).collect(),
            is_under_way: !wish.plan && !moves.is_empty(),
            note: None,
        };
        if !wish.plan {
            let steps = moves.into_iter().map(|(generation, planned)| {
                let PlannedMove { task, from, to, .. } = planned;
                Step { task, generation, from, to }
            });
            self.rebalancing.left = steps.collect();
            self.rebalancing.until = now.since_start + GOOD_FOR;
        }
        answer
    }

    fn may_be_moved(&self, now: Now, row: &TaskRow) -> bool {
        let moved_lately = row.moves().and_then(|moves| wait_of(now, moves)).is_some();
        is_movable(row) && !moved_lately && self.unset_secret(row.spec()).is_none()
    }

    /// Goes on with what is left.
    pub(super) fn rebalance_tasks(&mut self, turn: &mut Turn) {
        if self.rebalancing.left.is_empty() {
            return;
        }
        if turn.now.since_start >= self.rebalancing.until {
            self.rebalancing.left.clear();
        }
        let cluster = &self.cluster;
        let is_moving = |task: &TaskId| cluster.row(*task).is_some_and(|row| row.serving().is_some());
        self.rebalancing.moving.retain(is_moving);
        while self.rebalancing.moving.len() < AT_ONCE {
            let Some(step) = self.rebalancing.left.pop_front() else { break };
            if is_busy(&self.in_flight, turn.now, &step.to) {
                // Its answer brings the next turn.
                self.rebalancing.left.push_front(step);
                break;
            }
            if self.is_still_good(turn.now, &step) {
                let Step { task, from, to, .. } = step;
                let reason = format!("rebalanced: moved from {from} to {to}");
                self.start_elsewhere(turn, Cause::Rebalance, &from, task, (to, None), reason);
                self.rebalancing.moving.insert(task);
            }
        }
    }

    /// Whether all is as it was when the move was planned, as far as that matters.
    fn is_still_good(&self, now: Now, step: &Step) -> bool {
        let places = self.cluster.place_of(&step.from).zip(self.cluster.place_of(&step.to));
        let (Some(row), Some((from, to)), Some(measure)) =
            (self.cluster.row(step.task), places, Measure::of(self.cluster.settings().scheduler))
        else {
            return false;
        };
        let (spec, workers) = (row.spec(), self.cluster.workers());
        let is_objected_to = self.hold.objection(&workers[to], step.task, spec.priority).is_some()
            || self.preemption.objection(&workers[to], step.task, spec.priority).is_some()
            || self.still_taken(&workers[to], spec).is_some();
        row.generation() == step.generation
            && self.cluster.worker_of(step.task) == Some(&step.from)
            && self.may_be_moved(now, row)
            && workers[from].takes_work()
            && !is_objected_to
            && self.view().can_take(&Request::new(spec, &self.cluster), to)
            && is_worth_it(self.view(), measure, spec, from, to)
    }

    fn still_taken(&self, worker: &WorkerRecord, spec: &TaskSpec) -> Option<Rejection> {
        still_taken(&self.drains, &self.cluster, worker, spec)
    }
}
