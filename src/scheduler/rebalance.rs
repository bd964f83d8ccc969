//! Which few moves even out the load: from the fullest worker to the emptiest that can take it, as long as it is worth
//! it. Pure; moves nothing.
//!
//! What is evened out is what the present scheduler goes by: the number of tasks for `roundrobin` and `spread`, the share
//! that is reserved (the fuller of CPU and memory) for `greedy` and `epvm`. `binpack` wants it uneven: there is nothing
//! to do. Live load is left out, so that a plan does not depend on the second in which it is made.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::filters::{Context, check};
use super::schedulers::{Candidate, rounded};
use super::{Rejection, Request, View};
use crate::cluster::{Reserved, Resources, SchedulerName, TaskRow, WorkerRecord};
use crate::task::{TaskId, TaskSpec};

/// A move is worth it if the worker that takes the task is then still emptier than the one that gives it was before, by
/// so much of a share; of tasks, by one. A move back is then never worth it.
const MARGIN: f64 = 0.05;

/// Tasks of one worker, workers that give, and workers that may take, that are tried for one move.
const TASKS: usize = 64;
const GIVERS: usize = 8;
const TAKERS: usize = 4;

/// What the load is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// Tasks that live on a worker.
    Tasks,
    /// What is reserved of it: the fuller of CPU and memory, 0 to 1.
    Share,
}

impl Measure {
    /// What the scheduler wants to be even, if it wants that.
    pub fn of(scheduler: SchedulerName) -> Option<Self> {
        match scheduler {
            SchedulerName::RoundRobin | SchedulerName::Spread => Some(Self::Tasks),
            SchedulerName::Greedy | SchedulerName::Epvm => Some(Self::Share),
            SchedulerName::Binpack => None,
        }
    }

    fn margin(self) -> f64 {
        match self {
            Self::Tasks => 1.0,
            Self::Share => MARGIN,
        }
    }
}

/// How even the load is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evenness {
    /// The place of the fullest worker.
    pub fullest: usize,
    pub most: f64,
    pub deviation: f64,
}

/// One task, one worker to another; as places in `workers`.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    pub task: TaskId,
    pub from: usize,
    pub to: usize,
    /// By how much the deviation falls with it.
    pub gain: f64,
}

/// The moves in their order, and what they come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rebalancing {
    pub moves: Vec<Move>,
    pub before: Evenness,
    pub after: Evenness,
}

/// A worker that takes part.
#[derive(Clone, Debug)]
struct Seat {
    place: usize,
    reserved: Reserved,
    load: f64,
}

struct Planner<'a> {
    view: View<'a>,
    measure: Measure,
    seats: Vec<Seat>,
}

/// Plans at most `most` moves. `may_move` says of which tasks beside what is looked at here; `objection` is what there is
/// against a worker beside its filters.
pub fn rebalance(
    view: View<'_>,
    measure: Measure,
    most: usize,
    may_move: impl Fn(&TaskRow) -> bool,
    objection: impl Fn(&WorkerRecord) -> Option<Rejection>,
) -> Rebalancing {
    let workers = view.cluster.workers().iter().enumerate();
    let is_in = |worker: &WorkerRecord| {
        let is_told = worker.capacity.cpus > 0.0 && worker.capacity.memory_bytes > 0;
        worker.takes_work() && (is_told || measure == Measure::Tasks) && objection(worker).is_none()
    };
    let seats = workers.filter(|(_, worker)| is_in(worker)).map(|(place, worker)| {
        let reserved = view.cluster.reserved_at(place).cloned().unwrap_or_default();
        Seat { place, load: load(measure, worker, &reserved), reserved }
    });
    let mut planner = Planner { view, measure, seats: seats.collect() };
    let before = planner.evenness();
    let mut moves: Vec<Move> = Vec::new();
    while moves.len() < most {
        let is_free =
            |row: &TaskRow| is_movable(row) && may_move(row) && moves.iter().all(|m| m.task != row.id());
        let Some(next) = planner.best(is_free) else { break };
        moves.push(next);
    }
    Rebalancing { moves, before, after: planner.evenness() }
}

/// Whether a task may be moved while all is well: nothing binds it to where it is, and two of it may run for a moment.
pub fn is_movable(row: &TaskRow) -> bool {
    let spec = row.spec();
    let is_bound = spec.exclusive
        || spec.fixed_host_ports().next().is_some()
        || !spec.mounts.is_empty()
        // Its place depends on where others are.
        || super::Shape::of(spec).is_none();
    let runs = row.state() == crate::task::State::Running && row.desired() == crate::task::State::Running;
    runs && !is_bound && row.serving().is_none()
}

/// Whether a single move is still worth it.
pub fn is_worth_it(view: View<'_>, measure: Measure, spec: &TaskSpec, from: usize, to: usize) -> bool {
    let load = |place: usize, change: Option<bool>| {
        let mut reserved = view.cluster.reserved_at(place).cloned().unwrap_or_default();
        if let Some(comes) = change {
            reserved.count(spec, comes);
        }
        self::load(measure, &view.cluster.workers()[place], &reserved)
    };
    load(to, Some(true)) <= load(from, None) - measure.margin()
}

impl Planner<'_> {
    /// The best move off the fullest worker that has a good one, carried out in the plan.
    fn best(&mut self, may_move: impl Fn(&TaskRow) -> bool) -> Option<Move> {
        let mut order: Vec<usize> = (0..self.seats.len()).collect();
        order.sort_by(|a, b| self.seats[*b].load.total_cmp(&self.seats[*a].load).then(a.cmp(b)));
        let (from, to, task) =
            order.iter().take(GIVERS).find_map(|from| self.off(*from, &order, &may_move))?;
        let before = self.evenness().deviation;
        let spec = self.view.cluster.row(task)?.spec();
        for (seat, comes) in [(from, false), (to, true)] {
            let Seat { place, reserved, load } = &mut self.seats[seat];
            reserved.count(spec, comes);
            *load = self::load(self.measure, &self.view.cluster.workers()[*place], reserved);
        }
        let gain = rounded(before - self.evenness().deviation);
        Some(Move { task, from: self.seats[from].place, to: self.seats[to].place, gain })
    }

    /// The best move off one worker: to whom, and which task.
    fn off(
        &self,
        from: usize,
        order: &[usize],
        may_move: impl Fn(&TaskRow) -> bool,
    ) -> Option<(usize, usize, TaskId)> {
        let cluster = self.view.cluster;
        let giver = &self.seats[from];
        let rows = cluster.tasks_of(&cluster.workers()[giver.place].id).filter_map(|task| cluster.row(task));
        let mut rows: Vec<&TaskRow> = rows.filter(|row| may_move(row)).collect();
        // The least is lost with the youngest.
        rows.sort_unstable_by_key(|row| (Reverse(row.start_time()), row.id()));
        rows.truncate(TASKS);
        let now = deviation(self.seats.iter().map(|seat| seat.load));
        let mut best: Option<(f64, usize, TaskId)> = None;
        for row in rows {
            let request = Request::new(row.spec(), cluster);
            for to in order.iter().rev().take(TAKERS).copied().filter(|to| *to != from) {
                let Some(then) = self.deviation_with(row.spec(), from, to) else { continue };
                let is_better = best.as_ref().is_none_or(|(least, _, _)| then < *least - 1e-9);
                if then < now - 1e-6 && is_better && self.takes(&request, to) {
                    best = Some((then, to, row.id()));
                }
            }
            if self.measure == Measure::Tasks && best.is_some() {
                // One is as good as another.
                break;
            }
        }
        best.map(|(_, to, task)| (from, to, task))
    }

    fn takes(&self, request: &Request<'_>, to: usize) -> bool {
        let Seat { place, reserved, .. } = &self.seats[to];
        check(Context { reserved, ..self.view.context(request, *place) }).is_ok()
    }

    /// How uneven it is once the task has moved; `None` if that is not worth it.
    fn deviation_with(&self, spec: &TaskSpec, from: usize, to: usize) -> Option<f64> {
        let with = |seat: &Seat, comes: bool| {
            let mut reserved = seat.reserved.clone();
            reserved.count(spec, comes);
            load(self.measure, &self.view.cluster.workers()[seat.place], &reserved)
        };
        let (given, taken) = (with(&self.seats[from], false), with(&self.seats[to], true));
        let is_worth_it = taken <= self.seats[from].load - self.measure.margin();
        is_worth_it.then(|| {
            deviation(self.seats.iter().enumerate().map(|(seat, Seat { load, .. })| match seat {
                _ if seat == from => given,
                _ if seat == to => taken,
                _ => *load,
            }))
        })
    }

    fn evenness(&self) -> Evenness {
        let fullest = self.seats.iter().max_by(|a, b| a.load.total_cmp(&b.load).then(b.place.cmp(&a.place)));
        let Some(fullest) = fullest else { return Evenness::default() };
        let deviation = rounded(deviation(self.seats.iter().map(|seat| seat.load)));
        Evenness { fullest: fullest.place, most: rounded(fullest.load), deviation }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of tasks")]
fn load(measure: Measure, worker: &WorkerRecord, reserved: &Reserved) -> f64 {
    match measure {
        Measure::Tasks => reserved.tasks as f64,
        Measure::Share => {
            let (capacity, needs) = (worker.capacity, Resources::default());
            Candidate { capacity, reserved, live: None, needs }.share()
        }
    }
}

/// The standard deviation.
#[expect(clippy::cast_precision_loss, reason = "a count of workers")]
fn deviation(loads: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = loads.clone().count().max(1) as f64;
    let mean = loads.clone().sum::<f64>() / count;
    (loads.map(|load| (load - mean).powi(2)).sum::<f64>() / count).sqrt()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::cluster::{Capacity, Cause, Change, Cluster, Settings, What, WorkerHealth};
    use crate::scheduler::Loads;
    use crate::task::{EventId, State, Task, TaskStatus, WorkerId};

    fn apply(cluster: &mut Cluster, what: What) {
        let revision = cluster.revision() + 1;
        let change = Change { revision, time: Timestamp::UNIX_EPOCH, cause: Cause::Command, what };
        cluster.apply(&change.into());
    }

    fn runs(cluster: &mut Cluster, task: TaskId, generation: u32) {
        let status = TaskStatus { state: State::Running, generation, ..TaskStatus::default() };
        apply(cluster, What::Observed { task, status });
    }

    /// Workers by their CPUs; tasks by worker, half CPUs and GiB.
    fn cluster(scheduler: SchedulerName, workers: &[u8], tasks: &[(usize, u8, u8)]) -> Cluster {
        let mut cluster = Cluster::default();
        let settings = Settings { scheduler, ..Settings::default() };
        apply(&mut cluster, What::Settings { settings });
        for (place, cpus) in workers.iter().enumerate() {
            let id = WorkerId::from(format!("w{place}").as_str());
            let mut worker = WorkerRecord::new(id, false, Timestamp::UNIX_EPOCH);
            worker.health = WorkerHealth::Ready;
            let memory_bytes = u64::from(*cpus) << 30;
            worker.capacity = Capacity { cpus: (*cpus).into(), memory_bytes, disk_bytes: 0 };
            apply(&mut cluster, What::Worker { worker });
        }
        for (number, (place, halves, memory)) in (0..).zip(tasks) {
            let place = place % workers.len();
            let memory_bytes = u64::from(*memory) << 30;
            let spec = TaskSpec { cpu: f64::from(*halves) / 2.0, memory_bytes, ..TaskSpec::default() };
            let view = View { cluster: &cluster, loads: &Loads::default() };
            if !view.can_take(&Request::new(&spec, &cluster), place) {
                continue;
            }
            let task = TaskId(uuid::Uuid::from_u128(number));
            let worker = cluster.workers()[place].id.clone();
            let submitted = Task { id: task, spec: spec.into(), ..Task::default() };
            apply(&mut cluster, What::Submitted { event: EventId::default(), task: submitted });
            apply(&mut cluster, What::scheduled(task, worker, 0));
            runs(&mut cluster, task, 0);
        }
        cluster
    }

    fn plan(cluster: &Cluster, most: usize) -> Rebalancing {
        let measure = Measure::of(cluster.settings().scheduler).unwrap();
        let loads = Loads::default();
        rebalance(View { cluster, loads: &loads }, measure, most, |_| true, |_| None)
    }

    fn carry_out(cluster: &mut Cluster, plan: &Rebalancing) {
        for Move { task, from, to, .. } in plan.moves.clone() {
            let (from, worker) = (cluster.workers()[from].id.clone(), cluster.workers()[to].id.clone());
            assert_eq!(cluster.worker_of(task), Some(&from));
            let generation = cluster.row(task).unwrap().generation() + 1;
            let (reason, placement) = (String::new(), None);
            apply(cluster, What::Moved { task, from, worker, generation, reason, placement, serves: true });
            runs(cluster, task, generation);
        }
    }

    const EVENING: [SchedulerName; 4] =
        [SchedulerName::RoundRobin, SchedulerName::Spread, SchedulerName::Greedy, SchedulerName::Epvm];

    proptest! {
        #[test]
        fn a_plan_fits_is_worth_it_comes_to_what_it_says_and_the_next_moves_none_of_the_others(
            workers in proptest::collection::vec(1..9_u8, 1..6),
            tasks in proptest::collection::vec((0..6_usize, 0..5_u8, 0..4_u8), 0..50),
            scheduler in proptest::sample::select(EVENING.to_vec()),
            most in 1..60_usize,
        ) {
            let mut cluster = cluster(scheduler, &workers, &tasks);
            let made = plan(&cluster, most);
            prop_assert!(made.moves.len() <= most);
            prop_assert!(made.moves.iter().all(|planned| planned.gain >= 0.0 && planned.from != planned.to));
            prop_assert!(made.after.most <= made.before.most && made.after.deviation <= made.before.deviation);
            carry_out(&mut cluster, &made);
            for worker in cluster.workers() {
                let taken = cluster.reserved(&worker.id).unwrap().resources;
                let promised = Resources::promised(worker.capacity, cluster.settings().overcommit);
                prop_assert!(taken.cpu_nanos <= promised.cpu_nanos && taken.memory_bytes <= promised.memory_bytes);
            }
            let second = plan(&cluster, most);
            prop_assert_eq!(second.before, made.after, "it came to what was told");
            // A plan moves no task twice; for one that it moved there may be a still better place.
            let was_moved = |again: &Move| made.moves.iter().any(|first| first.task == again.task);
            prop_assert!(made.moves.len() == most || second.moves.iter().all(was_moved), "{:?}", second);
        }
    }

    #[test]
    fn tasks_are_counted_or_their_shares_as_the_scheduler_has_it_and_binpack_wants_nothing() {
        // Many small ones on the first, one that fills the second.
        let tasks = [(0, 1, 0), (0, 1, 0), (0, 1, 0), (0, 1, 0), (1, 7, 0)];
        let moves = |scheduler| plan(&cluster(scheduler, &[4, 4], &tasks), 9).moves.len();
        assert_eq!(moves(SchedulerName::Spread), 1);
        assert_eq!(moves(SchedulerName::Greedy), 0);
        assert_eq!(Measure::of(SchedulerName::Binpack), None);
    }

    #[test]
    fn a_difference_that_is_within_the_margin_moves_nothing() {
        assert_eq!(plan(&cluster(SchedulerName::Spread, &[8, 8], &[(0, 1, 0)]), 9).moves, []);
        let small = [(0, 1, 0)];
        assert_eq!(plan(&cluster(SchedulerName::Epvm, &[8, 8], &small), 9).moves, []);
    }
}
