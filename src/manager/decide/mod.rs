//! What the manager decides: `handle(now, Input) -> Decision`, a state machine without IO. No clock, random, log,
//! lock or async in here; the driver runs the effects and feeds their results back as inputs.

mod add_task;
mod busy;
mod collect;
mod double;
mod drain;
mod effect;
mod forget;
mod hold;
mod input;
mod join;
mod lease;
mod moves;
mod place;
mod plan;
mod preempt;
mod queue;
mod rebalance;
mod recover;
mod refusals;
mod restart;
mod restart_policy;
mod secrets;
mod send_work;
mod stop_task;
mod stop_to_move;
mod update_tasks;
mod watch;
mod why;
mod worker_health;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::request::RequestError;
use crate::cluster::{Cause, Change, Cluster, Revision, TaskRow, What};
use crate::scheduler::{Loads, Rankings};
use crate::task::{SecretName, TaskId, TaskStatus, WorkerId};
pub use add_task::MOST_WAITING;
use busy::InFlight;
pub use busy::MOST_IN_FLIGHT;
use collect::Kept;
use drain::Drain;
pub use effect::{Answer, Decision, Effect, Wish};
use hold::Hold;
pub use input::{ConfiguredWorker, Input, Now, RequestId, SendOutcome};
pub use lease::LEASE_IS_OVER_AFTER;
use lease::Leases;
use moves::Leaving;
pub use moves::move_backoff;
pub use plan::Planner;
use preempt::Preemption;
use queue::Queue;
use rebalance::Rebalancing;
use recover::Unknown;
pub use secrets::not_set;
pub use send_work::{dispatch_backoff, must_be_new};
use stop_to_move::is_stopped_for_a_drain;
use watch::Watch;
pub use worker_health::{LOST_AFTER, STALE_AFTER};

/// Something to look at again later.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Timer {
    /// A backoff in `pending` is over.
    Retry(Place),
    /// The start of an Exclusive task is due again at the same worker.
    StartAgain(TaskId),
    /// A stop that did not reach its worker is due again.
    StopAgain(TaskId),
    /// A stop of what an earlier dispatch left on a worker did not reach it.
    LeftoverAgain(WorkerId, TaskId, u32),
    /// A worker may be late.
    Health(WorkerId),
    /// A task on a lost worker moved lately, and may do so again.
    Move(TaskId),
    /// There were more tasks to move than one turn takes.
    MoveOn,
    /// An ended task may have been kept for long enough.
    Collect,
    /// The next round of a drain.
    Drain(WorkerId),
    /// A task may have waited for room long enough.
    Fairness,
    /// Room that others were to make may be there, or not come.
    Preempt,
    /// Reasons of waiting tasks may be out of date.
    Retell,
}

/// A waiting task, as of one stay in `pending`: a place that was left is passed over when its turn comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Place {
    position: Revision,
    task: TaskId,
}

/// The book's Manager. `cluster` is its memory, changed by Changes alone; the rest is derived from it and from
/// what is under way, and starts empty.
#[derive(Debug, Default)]
pub struct Manager {
    cluster: Cluster,
    /// The waiting tasks that are due.
    queue: Queue,
    /// Workers that may have room, or be well, since the last turn; and those that got a task.
    freed: BTreeSet<usize>,
    joined: BTreeSet<usize>,
    /// What the workers' samples show, and what the scheduler has worked out from it all.
    loads: Loads,
    rankings: Rankings,
    hold: Hold,
    preemption: Preemption,
    leaving: Leaving,
    drains: BTreeMap<WorkerId, Drain>,
    rebalancing: Rebalancing,
    leases: Leases,
    in_flight: HashMap<WorkerId, InFlight>,
    /// How the link to each worker does.
    watches: HashMap<WorkerId, Watch>,
    configured: HashSet<WorkerId>,
    /// Second names of workers that are there under another one.
    doubles: HashSet<WorkerId>,
    timers: BTreeSet<(Duration, Timer)>,
    /// What workers have and the store does not.
    unknown: Unknown,
    /// Those of the timers of which one at a time is enough.
    single_timers: HashSet<Timer>,
    kept: Kept,
    /// What is set, for tasks to name.
    secrets: BTreeSet<SecretName>,
    /// When [`Timer::Collect`] is due, if it lies among the timers.
    collect_at: Option<Duration>,
}

impl Manager {
    /// A manager that knows `cluster` (the folded log) and has yet to be [started](Input::Started).
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster, ..Self::default() }
    }

    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// When it wants an [`Input::Tick`], as time since start.
    pub fn next_wake(&self) -> Option<Duration> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Decides on one input. The work grows with the input, not with the cluster; only a start, and a worker
    /// that is lost or comes back, look at all of the tasks they concern.
    pub fn handle(&mut self, now: Now, input: Input) -> Decision {
        let mut turn = Turn { now, decision: Decision::default() };
        if self.is_passed_over(&input) {
            return turn.decision;
        }
        match input {
            Input::Started { workers } => self.started(&mut turn, workers),
            Input::Submit { request, cause, events } => self.submit(&mut turn, request, cause, events),
            Input::Stop { request, cause, tasks } => self.stop(&mut turn, request, cause, &tasks),
            Input::Restart { request, cause, tasks } => self.restart(&mut turn, request, cause, &tasks),
            Input::Forget { request, cause, worker } => self.forget(&mut turn, request, cause, &worker),
            Input::Recover { request, cause } => self.recover(&mut turn, request, cause),
            Input::WorkerJoined { request, cause, worker, joined } => {
                self.worker_joined(&mut turn, request, cause, worker, joined);
            }
            Input::WorkerLeft { request, cause, worker } => {
                self.worker_left(&mut turn, request, cause, &worker);
            }
            Input::Secrets { names } => self.secrets_are(names),
            Input::Sent { worker, task, generation, wish, outcome } => {
                self.sent(&mut turn, &worker, task, generation, wish, outcome);
            }
            Input::WorkerUp { worker, peer, capacity, runtime_problem, facts, allows } => {
                self.worker_up(&mut turn, &worker, peer, (capacity, allows), runtime_problem, *facts);
            }
            Input::Load { worker, sample } => self.load(turn.now, &worker, &sample),
            Input::SetAvailability { request, cause, worker, wish } => {
                self.set_availability(&mut turn, request, cause, &worker, wish);
            }
            Input::SetScheduling { request, cause, scheduler, overcommit } => {
                self.set_scheduling(&mut turn, request, cause, scheduler, overcommit);
            }
            Input::Rebalance { request, wish } => self.rebalance(&mut turn, request, wish),
            Input::WorkerTasks { worker, tasks } => self.worker_tasks(&mut turn, &worker, tasks),
            Input::WorkerTask { worker, task } => self.update_task(&mut turn, &worker, task),
            Input::Heartbeat { worker, runtime_problem } => {
                self.heartbeat(&mut turn, &worker, runtime_problem);
            }
            Input::LeaseClock { worker, clock } => self.lease_clock(&mut turn, worker, clock),
            Input::HostIsThere { worker } => self.host_is_there(worker),
            Input::LinkDown { worker, reason } => self.link_down(&mut turn, &worker, reason),
            Input::Tick => self.tick(&mut turn),
        }
        self.move_tasks(&mut turn);
        self.drain_tasks(&mut turn);
        self.rebalance_tasks(&mut turn);
        self.send_work(&mut turn);
        self.collect(&mut turn);
        turn.decision
    }

    /// Whether a worker was let go while this word of it was on its way, or is heard under another name as well.
    fn is_passed_over(&self, input: &Input) -> bool {
        match input {
            Input::WorkerUp { worker, .. } => !self.configured.contains(worker),
            Input::Heartbeat { worker, .. } | Input::LeaseClock { worker, .. } => {
                !self.configured.contains(worker) || self.doubles.contains(worker)
            }
            Input::WorkerTasks { worker, .. }
            | Input::WorkerTask { worker, .. }
            | Input::Load { worker, .. } => self.doubles.contains(worker),
            _ => false,
        }
    }

    /// After the log was folded: what waits is tried, and every worker has to show itself first.
    fn started(&mut self, turn: &mut Turn, workers: Vec<ConfiguredWorker>) {
        self.configure(turn, workers);
        let waiting: Vec<_> = self.cluster.pending().collect();
        for task in waiting {
            self.queue(turn, task);
        }
        let under_way = self.cluster.rows().filter(|row| {
            row.preempted().is_some() || row.serving().is_some() || is_stopped_for_a_drain(row)
        });
        let mut under_way: Vec<TaskRow> = under_way.cloned().collect();
        under_way.sort_unstable_by_key(TaskRow::id);
        for row in &under_way {
            self.resume_preemption(turn, row);
            self.resume_move(row);
        }
        self.resume_drains(turn);
    }

    fn tick(&mut self, turn: &mut Turn) {
        self.make_up_for_a_pause(turn.now);
        while let Some((due, _)) = self.timers.first() {
            if *due > turn.now.since_start {
                break;
            }
            let Some((_, timer)) = self.timers.pop_first() else { break };
            self.single_timers.remove(&timer);
            match timer {
                Timer::Retry(place) => self.line_up(turn, place),
                Timer::StartAgain(task) => self.start_again(turn, task),
                Timer::StopAgain(task) => self.send_stop(turn, task),
                Timer::LeftoverAgain(worker, task, generation) => {
                    let status = TaskStatus { generation, ..TaskStatus::default() };
                    self.stop_leftover(turn, &worker, task, status);
                }
                Timer::Health(worker) => self.check_health(turn, &worker),
                Timer::Move(task) => self.leaving.due_again(task),
                // This turn goes on with them.
                Timer::MoveOn => {}
                // Every turn ends with it.
                Timer::Collect => self.collect_at = None,
                Timer::Drain(worker) => self.drain_round(turn, &worker),
                Timer::Fairness => self.fairness(turn),
                Timer::Preempt => self.look_for_room(turn),
                Timer::Retell => self.retell_in_turn(turn.now),
            }
        }
    }

    fn wake_after(&mut self, now: Now, wait: Duration, timer: Timer) {
        self.timers.insert((now.since_start + wait, timer));
    }

    /// The same, unless it waits already: what failed twice is tried again once.
    fn wake_once_after(&mut self, now: Now, wait: Duration, timer: Timer) {
        if self.single_timers.insert(timer.clone()) {
            self.wake_after(now, wait, timer);
        }
    }

    /// Decides a Change: gives it its revision, folds it in, and hands it on.
    fn change(&mut self, turn: &mut Turn, cause: Cause, what: What) {
        let revision = self.cluster.revision() + 1;
        let change = Arc::new(Change { revision, time: turn.now.wall, cause, what });
        let task = change.what.task_id();
        let before = task.and_then(|task| self.home_of(task));
        self.cluster.apply(&change);
        self.note_move(before, task.and_then(|task| self.home_of(task)));
        match &change.what {
            What::Worker { worker } => self.note_worker(&worker.id),
            What::Forgotten { .. } => self.forget_places(),
            _ => {}
        }
        turn.decision.changes.push(change);
    }
}

/// One call of `handle`: the present, and what was decided so far.
#[derive(Debug)]
struct Turn {
    now: Now,
    decision: Decision,
}

impl Turn {
    fn effect(&mut self, effect: Effect) {
        self.decision.effects.push(effect);
    }
}

#[cfg(test)]
mod tests;
