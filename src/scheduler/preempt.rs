//! Whose room a task may take that fits nowhere: on one worker, the fewest tasks of the lowest priority, and of those the
//! youngest. Pure; stops nobody.

use std::cmp::Reverse;

use jiff::Timestamp;

use super::filters::{Context, check};
use super::{Rejection, Request, View};
use crate::cluster::{Reserved, TaskRow, WorkerRecord};
use crate::task::{TaskId, TaskSpec};

/// Rows looked at for one choice: some milliseconds of work. With more of them, not every worker is looked at.
const MOST_ROWS: usize = 20_000;

/// Tasks of one worker that are weighed against each other, those first that are given up most easily.
const MOST_WEIGHED: usize = 256;

/// Where room is to be made, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eviction {
    /// The worker's place in `workers`.
    pub place: usize,
    /// Empty where what is being stopped there anyway makes enough.
    pub victims: Vec<TaskId>,
}

/// How much is given up, in the order of what hurts least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Price {
    highest_priority: Option<i32>,
    victims: usize,
    oldest: Reverse<Age>,
}

/// The oldest first; one that has yet to start comes last.
type Age = (bool, Option<Timestamp>);

/// One that may have to go.
#[derive(Debug)]
struct Candidate<'a> {
    id: TaskId,
    spec: &'a TaskSpec,
    /// `None` of one that has yet to start: the youngest.
    since: Option<Timestamp>,
    size: f64,
}

/// Chooses where to make room for `request`. `may_go` says which tasks can be stopped for it at all; that their priority
/// is lower is looked at here. `objection` is what there is against a worker beside its filters.
pub fn make_room(
    view: View<'_>,
    request: &Request<'_>,
    may_go: impl Fn(&TaskRow) -> bool,
    objection: impl Fn(&WorkerRecord) -> Option<Rejection>,
) -> Option<Eviction> {
    let mut best: Option<(Price, Eviction)> = None;
    let mut rows = 0;
    for (place, worker) in view.cluster.workers().iter().enumerate() {
        let is_looked_at = rows < MOST_ROWS
            && objection(worker).is_none()
            && check(view.context(request, place)).is_err_and(|rejection| rejection.is_full());
        if !is_looked_at {
            continue;
        }
        rows += view.cluster.tasks_of_len(&worker.id);
        let Some((price, victims)) = on_worker(view, request, place, &may_go) else { continue };
        if best.as_ref().is_none_or(|(least, _)| price < *least) {
            best = Some((price, Eviction { place, victims }));
        }
    }
    best.map(|(_, eviction)| eviction)
}

/// Who has to go on one worker, and what that costs; `None` if it does not help.
fn on_worker(
    view: View<'_>,
    request: &Request<'_>,
    place: usize,
    may_go: &impl Fn(&TaskRow) -> bool,
) -> Option<(Price, Vec<TaskId>)> {
    let context = view.context(request, place);
    let fits = |reserved: &Reserved| check(Context { reserved, ..context }).is_ok();
    let mut reserved = context.reserved.clone();
    let mut candidates = Vec::new();
    for row in view.cluster.tasks_of(&context.worker.id).filter_map(|task| view.cluster.row(task)) {
        if row.state().has_ended() {
            continue;
        }
        if row.is_stopping() {
            // It is on its way out.
            reserved.count(row.spec(), false);
        } else if row.spec().priority < request.spec.priority && may_go(row) {
            let size = size(row.spec(), &context);
            candidates.push(Candidate { id: row.id(), spec: row.spec(), since: row.start_time(), size });
        }
    }
    if fits(&reserved) {
        let price = Price { highest_priority: None, victims: 0, oldest: Reverse((true, None)) };
        return Some((price, Vec::new()));
    }
    candidates.sort_by(|a, b| {
        let by_priority = a.spec.priority.cmp(&b.spec.priority);
        by_priority.then(b.size.total_cmp(&a.size)).then(age(b).cmp(&age(a))).then(a.id.cmp(&b.id))
    });
    candidates.truncate(MOST_WEIGHED);
    let victims = one(&reserved, &candidates, fits).or_else(|| several(reserved, &candidates, fits))?;
    let price = Price {
        highest_priority: victims.iter().map(|victim| victim.spec.priority).max(),
        victims: victims.len(),
        oldest: Reverse(victims.iter().map(|victim| age(victim)).min().unwrap_or((true, None))),
    };
    Some((price, victims.into_iter().map(|victim| victim.id).collect()))
}

/// The one that is enough alone: of the lowest priority, the smallest of those, and of those the youngest.
fn one<'a, 'b>(
    reserved: &Reserved,
    candidates: &'b [Candidate<'a>],
    fits: impl Fn(&Reserved) -> bool,
) -> Option<Vec<&'b Candidate<'a>>> {
    let is_enough = |candidate: &&Candidate<'_>| {
        let mut without = reserved.clone();
        without.count(candidate.spec, false);
        fits(&without)
    };
    let least = candidates.iter().filter(is_enough).min_by(|a, b| {
        let by_priority = a.spec.priority.cmp(&b.spec.priority);
        by_priority.then(a.size.total_cmp(&b.size)).then(age(b).cmp(&age(a)))
    })?;
    Some(vec![least])
}

/// All go up to the lowest priority with which it fits; then each is spared that can be, the highest priority first, and
/// of those the smallest, so that the fewest are left.
fn several<'a, 'b>(
    mut reserved: Reserved,
    candidates: &'b [Candidate<'a>],
    fits: impl Fn(&Reserved) -> bool,
) -> Option<Vec<&'b Candidate<'a>>> {
    let mut going = Vec::new();
    let mut is_enough = false;
    for level in candidates.chunk_by(|a, b| a.spec.priority == b.spec.priority) {
        for candidate in level {
            reserved.count(candidate.spec, false);
            going.push(candidate);
        }
        is_enough = fits(&reserved);
        if is_enough {
            break;
        }
    }
    if !is_enough {
        return None;
    }
    going.sort_by(|a, b| {
        let by_priority = b.spec.priority.cmp(&a.spec.priority);
        by_priority.then(a.size.total_cmp(&b.size)).then(age(a).cmp(&age(b))).then(a.id.cmp(&b.id))
    });
    going.retain(|candidate| {
        reserved.count(candidate.spec, true);
        let is_spared = fits(&reserved);
        if !is_spared {
            reserved.count(candidate.spec, false);
        }
        !is_spared
    });
    Some(going)
}

fn age(candidate: &Candidate<'_>) -> Age {
    (candidate.since.is_none(), candidate.since)
}

/// The larger of its shares of the worker's CPU and memory.
#[expect(clippy::cast_precision_loss, reason = "sizes are compared")]
fn size(spec: &TaskSpec, context: &Context<'_>) -> f64 {
    let has = context.promised;
    let share = |part: f64, whole: u64| if whole == 0 { 0.0 } else { part / whole as f64 };
    share(spec.cpu * 1e9, has.cpu_nanos).max(share(spec.memory_bytes as f64, has.memory_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Capacity, Cause, Change, Cluster, What, WorkerHealth};
    use crate::scheduler::Loads;
    use crate::task::{EventId, State, Task, TaskStatus};

    /// What runs on workers of 4 CPUs: (worker, CPUs, priority), the first for the longest.
    fn cluster(tasks: &[(&str, f64, i32)]) -> Cluster {
        let mut cluster = Cluster::default();
        let mut second = 0;
        let mut apply = |what| {
            second += 1;
            let time = Timestamp::from_second(second).unwrap();
            let revision = cluster.revision() + 1;
            cluster.apply(&Change { revision, time, cause: Cause::Command, what }.into());
        };
        for name in ["a", "b"] {
            let mut worker = WorkerRecord::new(name.into(), false, Timestamp::UNIX_EPOCH);
            worker.health = WorkerHealth::Ready;
            worker.capacity = Capacity { cpus: 4.0, memory_bytes: 8 << 30, disk_bytes: 0 };
            apply(What::Worker { worker });
        }
        for (number, (worker, cpu, priority)) in (0..).zip(tasks) {
            let spec = TaskSpec { cpu: *cpu, priority: *priority, ..TaskSpec::default() };
            let id = TaskId(uuid::Uuid::from_u128(number));
            let task = Task { id, spec: spec.into(), ..Task::default() };
            apply(What::Submitted { event: EventId::default(), task });
            apply(What::scheduled(id, (*worker).into(), 0));
            let start_time = Some(Timestamp::from_second(i64::try_from(number).unwrap()).unwrap());
            let status = TaskStatus { state: State::Running, start_time, ..TaskStatus::default() };
            apply(What::Observed { task: id, status });
        }
        cluster
    }

    /// The worker and the numbers of the victims.
    fn makes_room(cluster: &Cluster, cpu: f64, priority: i32, kept: &[u128]) -> Option<(usize, Vec<u128>)> {
        let spec = TaskSpec { cpu, priority, ..TaskSpec::default() };
        let loads = Loads::default();
        let view = View { cluster, loads: &loads };
        let may_go = |row: &TaskRow| !kept.contains(&row.id().0.as_u128());
        let eviction = make_room(view, &Request::new(&spec, cluster), may_go, |_| None)?;
        let mut victims: Vec<u128> = eviction.victims.iter().map(|task| task.0.as_u128()).collect();
        victims.sort_unstable();
        Some((eviction.place, victims))
    }

    #[test]
    fn the_lowest_priority_goes_then_the_fewest_then_the_youngest_and_never_an_equal() {
        type Case<'a> = (&'a [(&'a str, f64, i32)], f64, Option<(usize, Vec<u128>)>);
        let cases: [Case<'_>; 9] = [
            (&[("a", 4.0, 3), ("b", 4.0, 1)], 2.0, Some((1, vec![1]))),
            (&[("a", 2.0, 1), ("a", 2.0, 1), ("b", 4.0, 1)], 4.0, Some((1, vec![2]))),
            // As few, and the one that has run for less long.
            (&[("a", 4.0, 1), ("b", 4.0, 1)], 1.0, Some((1, vec![1]))),
            (&[("b", 4.0, 1), ("a", 4.0, 1)], 1.0, Some((0, vec![1]))),
            // Not the small one too, and no bigger one than it takes.
            (&[("a", 3.0, 1), ("a", 1.0, 1), ("b", 4.0, 9)], 1.0, Some((0, vec![1]))),
            (&[("a", 3.0, 1), ("a", 1.0, 1), ("b", 4.0, 9)], 2.0, Some((0, vec![0]))),
            // Two of a lower priority before one of a higher.
            (&[("a", 2.0, 1), ("a", 2.0, 1), ("b", 4.0, 2)], 4.0, Some((0, vec![0, 1]))),
            (&[("a", 4.0, 5), ("b", 4.0, 7)], 1.0, None),
            (&[("a", 4.0, 1), ("b", 4.0, 1)], 5.0, None),
        ];
        for (tasks, cpu, expected) in cases {
            assert_eq!(makes_room(&cluster(tasks), cpu, 5, &[]), expected, "{tasks:?} {cpu}");
        }
    }

    #[test]
    fn who_may_not_go_stays_and_what_goes_anyway_is_waited_for() {
        let mut cluster = cluster(&[("a", 4.0, 1), ("b", 4.0, 2)]);
        assert_eq!(makes_room(&cluster, 2.0, 5, &[0]), Some((1, vec![1])));
        let revision = cluster.revision() + 1;
        let what = What::StopRequested { task: TaskId(uuid::Uuid::from_u128(1)) };
        let change = Change { revision, time: Timestamp::UNIX_EPOCH, cause: Cause::Command, what };
        cluster.apply(&change.into());
        assert_eq!(makes_room(&cluster, 2.0, 5, &[]), Some((1, vec![])));
    }
}
