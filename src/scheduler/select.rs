//! The book's select_worker, grown up: every worker is filtered, those that can take the task are scored, the best is
//! picked. A pure function over a snapshot; `ranking` answers the same for many tasks of one shape.

use std::cmp::Ordering;

use super::filters::{Context, check, lasting, objections};
use super::schedulers::{Candidate, Scheduler, by_name, rounded};
use super::{Filter, Loads, NoWorker, Rejection, Request};
use crate::cluster::{Cluster, Placement, RejectedBy, RunnerUp, SchedulerName, WorkerRecord};

/// How many of the next best are told.
pub(super) const RUNNERS_UP: usize = 3;

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub cluster: &'a Cluster,
    pub loads: &'a Loads,
}

/// How many workers each filter kept away.
pub(super) type Rejected = [usize; Filter::ALL.len()];

/// A worker was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Its place in `workers`.
    pub place: usize,
    pub(super) score: f64,
    pub(super) feasible: usize,
    pub(super) runners_up: Vec<(usize, f64)>,
    pub(super) rejected: Rejected,
}

/// Where a worker that can take a task stands among the others: the least is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rank {
    /// Of the task's own wish to be spread; it goes before everybody's score.
    crowd: usize,
    is_unknown: bool,
    pub(super) score: f64,
    tasks: usize,
    /// Round robin's turn; then the place, so that the same input has the same answer.
    pub(super) turn: usize,
}

impl Eq for Rank {}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        self.crowd
            .cmp(&other.crowd)
            .then(self.is_unknown.cmp(&other.is_unknown))
            .then(self.score.total_cmp(&other.score))
            .then(self.tasks.cmp(&other.tasks))
            .then(self.turn.cmp(&other.turn))
    }
}

impl<'a> View<'a> {
    pub(super) fn scheduler(self) -> &'static dyn Scheduler {
        by_name(self.cluster.settings().scheduler)
    }

    pub(super) fn goes_by_turns(self) -> bool {
        self.cluster.settings().scheduler == SchedulerName::RoundRobin
    }

    pub(super) fn context(self, request: &'a Request<'a>, place: usize) -> Context<'a> {
        Context::new(request, self.cluster, place)
    }

    pub(super) fn candidate(self, request: &'a Request<'a>, place: usize) -> Candidate<'a> {
        let context = self.context(request, place);
        Candidate {
            capacity: context.worker.capacity,
            reserved: context.reserved,
            live: self.loads.of(&context.worker.id),
            needs: request.needs,
        }
    }

    /// Where the worker stands, were it to take the task.
    pub(super) fn rank(self, request: &Request<'_>, place: usize) -> Rank {
        let (scheduler, candidate) = (self.scheduler(), self.candidate(request, place));
        let by_turns = self.goes_by_turns();
        Rank {
            crowd: request.crowd(&self.cluster.workers()[place]),
            is_unknown: scheduler.is_unknown(&candidate),
            score: scheduler.score(&candidate),
            tasks: if by_turns { 0 } else { candidate.reserved.tasks },
            turn: if by_turns { self.turn(place) } else { place },
        }
    }

    /// How many turns away a worker is: the one after the last is next.
    fn turn(self, place: usize) -> usize {
        let count = self.cluster.workers().len();
        let first = self.cluster.last_worker().map_or(0, |last| last + 1);
        (place + count - first % count) % count
    }

    /// Whether the worker can take it: what was there before goes first, however the worker does now.
    pub(super) fn verdict(
        self,
        request: &Request<'_>,
        place: usize,
        objection: Option<Rejection>,
    ) -> Result<(), Rejection> {
        match (objection, check(self.context(request, place))) {
            (Some(refused @ Rejection::Refused { .. }), _) => Err(refused),
            (_, Err(rejection)) | (Some(rejection), Ok(())) => Err(rejection),
            (None, Ok(())) => Ok(()),
        }
    }

    /// What keeps the task away from a worker for as long as both are as they are, whatever else does for now. Nothing
    /// is known of one that is away: it may come back with more, or with other labels.
    pub(super) fn lasting(self, request: &Request<'_>, place: usize, first: &Rejection) -> Option<Rejection> {
        match first {
            Rejection::NotReady { .. } => None,
            first if !first.is_temporary() => Some(first.clone()),
            _ => lasting(self.context(request, place)),
        }
    }

    /// Whether the worker passes every filter.
    pub fn can_take(self, request: &Request<'_>, place: usize) -> bool {
        place < self.cluster.workers().len() && check(self.context(request, place)).is_ok()
    }

    /// If nothing but room is lacking on a worker: how much, as a share of what there is.
    #[expect(clippy::cast_precision_loss, reason = "shares are compared")]
    pub fn lacks_only_room(self, request: &Request<'_>, place: usize) -> Option<f64> {
        let context = self.context(request, place);
        let is_room = |rejection: &Rejection| {
            matches!(
                rejection,
                Rejection::CpuReserved { .. }
                    | Rejection::MemoryReserved { .. }
                    | Rejection::DiskReserved { .. }
            )
        };
        if !objections(context).all(|rejection| is_room(&rejection)) {
            return None;
        }
        let share = |needs: u64, taken: u64, has: u64| {
            let lacking = needs.saturating_sub(has.saturating_sub(taken));
            if has == 0 || needs == 0 { 0.0 } else { lacking as f64 / has as f64 }
        };
        let (needs, taken, has) = (request.needs, context.reserved.resources, context.promised);
        let cpu = share(needs.cpu_nanos, taken.cpu_nanos, has.cpu_nanos);
        let memory = share(needs.memory_bytes, taken.memory_bytes, has.memory_bytes);
        Some(cpu.max(memory).max(share(needs.disk_bytes, taken.disk_bytes, has.disk_bytes)))
    }

    /// Why there, to be kept; nothing where there was no choice.
    pub fn placement(self, request: &Request<'_>, choice: &Choice) -> Option<Box<Placement>> {
        if self.cluster.workers().len() < 2 {
            return None;
        }
        let runners_up = choice.runners_up.iter().map(|(place, score)| RunnerUp {
            worker: self.cluster.workers()[*place].id.clone(),
            score: rounded(*score),
        });
        let rejected = Filter::ALL.iter().zip(choice.rejected).filter(|(_, workers)| *workers > 0);
        Some(Box::new(Placement {
            scheduler: self.cluster.settings().scheduler,
            score: rounded(choice.score),
            terms: self.scheduler().terms(&self.candidate(request, choice.place)),
            feasible: choice.feasible,
            runners_up: runners_up.collect(),
            rejected: rejected
                .map(|(filter, workers)| RejectedBy { filter: filter.name().to_owned(), workers })
                .collect(),
        }))
    }
}

/// Chooses a worker, or tells every worker's reason. `objection` is what the task's own history or work under way has
/// against a worker.
pub fn select_worker(
    view: View<'_>,
    request: &Request<'_>,
    objection: impl Fn(&WorkerRecord) -> Option<Rejection>,
) -> Result<Choice, NoWorker> {
    let workers = view.cluster.workers();
    let mut rejections: Vec<(usize, Rejection)> = Vec::new();
    let mut ranks: Vec<(Rank, usize)> = Vec::new();
    for (place, worker) in workers.iter().enumerate() {
        match view.verdict(request, place, objection(worker)) {
            Ok(()) => ranks.push((view.rank(request, place), place)),
            Err(rejection) => rejections.push((place, rejection)),
        }
    }
    if ranks.is_empty() {
        // What only keeps it away for now must not hide that it never fits.
        let lasting =
            rejections.iter().map(|(place, first)| Some((*place, view.lasting(request, *place, first)?)));
        let mut rejections = lasting.collect::<Option<Vec<_>>>().unwrap_or(rejections);
        // In turn, so that in a long list it is not always the same few that are told.
        rejections.sort_by_key(|(place, _)| view.turn(*place));
        let told = rejections.into_iter().map(|(place, rejection)| (workers[place].id.clone(), rejection));
        return Err(NoWorker { rejections: told.collect() });
    }
    let mut rejected = [0; Filter::ALL.len()];
    for (_, rejection) in &rejections {
        rejected[rejection.filter() as usize] += 1;
    }
    let feasible = ranks.len();
    let told = if view.goes_by_turns() { 1 } else { RUNNERS_UP + 1 };
    if ranks.len() > told {
        ranks.select_nth_unstable(told - 1);
        ranks.truncate(told);
    }
    ranks.sort_unstable();
    let mut best = ranks.into_iter();
    let (rank, place) = best.next().unwrap_or_else(|| unreachable!("there is one"));
    Ok(Choice {
        place,
        score: rank.score,
        feasible,
        runners_up: best.map(|(rank, place)| (place, rank.score)).collect(),
        rejected,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::cluster::{Capacity, Cause, Change, Peer, What, WorkerHealth};
    use crate::task::{EventId, Privileges, Task, TaskId, TaskSpec, WorkerId};

    struct World(Cluster, u128);

    impl World {
        fn of(workers: &[(&str, f64)]) -> Self {
            let mut world = Self(Cluster::default(), 0);
            for (name, cpus) in workers {
                world.worker(name, |worker| worker.capacity.cpus = *cpus);
            }
            world
        }

        fn worker(&mut self, name: &str, change: impl FnOnce(&mut WorkerRecord)) {
            let id = WorkerId::from(name);
            let known = self.0.worker(&id).cloned();
            let mut worker = known.unwrap_or_else(|| {
                let mut worker = WorkerRecord::new(id, false, Timestamp::UNIX_EPOCH);
                worker.health = WorkerHealth::Ready;
                worker.capacity = Capacity { cpus: 2.0, memory_bytes: 8 << 30, disk_bytes: 0 };
                worker
            });
            change(&mut worker);
            self.apply(What::Worker { worker });
        }

        fn apply(&mut self, what: What) {
            let revision = self.0.revision() + 1;
            let change = Change { revision, time: Timestamp::UNIX_EPOCH, cause: Cause::Scheduler, what };
            self.0.apply(&Arc::new(change));
        }

        fn select(
            &self,
            spec: &TaskSpec,
            objection: impl Fn(&WorkerRecord) -> Option<Rejection>,
        ) -> Result<&str, NoWorker> {
            let loads = Loads::default();
            let view = View { cluster: &self.0, loads: &loads };
            let choice = select_worker(view, &Request::new(spec, &self.0), objection)?;
            Ok(self.0.workers()[choice.place].id.as_str())
        }

        fn place(&mut self, spec: TaskSpec) -> String {
            let worker = self.select(&spec, |_| None).unwrap().to_owned();
            self.1 += 1;
            let id = TaskId(uuid::Uuid::from_u128(self.1));
            self.apply(What::Submitted {
                event: EventId::default(),
                task: Task { id, spec: spec.into(), ..Task::default() },
            });
            self.apply(What::scheduled(id, worker.as_str().into(), 0));
            worker
        }
    }

    fn with(constraints: &[&str], app: &str) -> TaskSpec {
        TaskSpec {
            constraints: constraints.iter().map(|text| text.parse().unwrap()).collect(),
            labels: [("app".to_owned(), app.to_owned())].into(),
            ..TaskSpec::default()
        }
    }

    #[test]
    fn round_robin_takes_the_next_wraps_and_passes_over_who_can_not() {
        let mut world = World::of(&[("a", 2.0), ("b", 2.0), ("c", 2.0)]);
        let turns: Vec<_> = (0..5).map(|_| world.place(TaskSpec::default())).collect();
        assert_eq!(turns, ["a", "b", "c", "a", "b"]);
        world.worker("c", |worker| worker.health = WorkerHealth::Lost);
        world.worker("b", |worker| worker.runtime_problem = "engine is away".into());
        assert_eq!(world.place(TaskSpec::default()), "a");
        assert_eq!(world.place(TaskSpec::default()), "a");
    }

    #[test]
    fn no_fit_names_every_worker_and_its_reason_in_turn() {
        let mut world = World::of(&[("a", 2.0), ("b", 2.0)]);
        world.place(TaskSpec::default());
        world.worker("a", |worker| {
            worker.health = WorkerHealth::Stale;
            worker.reason = "silent for 6s".into();
        });
        let spec = TaskSpec { memory_bytes: 16 << 30, ..TaskSpec::default() };
        let error = world.select(&spec, |_| None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "waiting: b has 8 GiB of memory, 16 GiB wanted; a is stale (silent for 6s)"
        );
        world.worker("a", |worker| worker.health = WorkerHealth::Ready);
        let error = world.select(&spec, |_| None).unwrap_err();
        assert!(error.is_never() && error.to_string().starts_with("never fits: b has 8 GiB"), "{error}");
    }

    #[test]
    fn what_only_keeps_it_away_for_now_does_not_hide_that_it_never_fits() {
        let mut world = World::of(&[("a", 2.0), ("b", 2.0)]);
        world.worker("a", |worker| worker.availability = crate::cluster::Availability::Drained);
        world.worker("b", |worker| worker.runtime_problem = "no engine".into());
        let huge = TaskSpec { memory_bytes: 16 << 30, ..TaskSpec::default() };
        let error = world.select(&huge, |_| None).unwrap_err();
        assert!(error.is_never() && error.to_string().contains("a has 8 GiB of memory"), "{error}");
        assert!(!world.select(&TaskSpec::default(), |_| None).unwrap_err().is_never());
        // Nor does a worker that is full, for a task that wants a label which it has not.
        let mut world = World::of(&[("a", 2.0)]);
        world.place(TaskSpec { cpu: 2.0, ..TaskSpec::default() });
        let spec = TaskSpec { cpu: 1.0, ..with(&["zone=b"], "web") };
        let error = world.select(&spec, |_| None).unwrap_err();
        assert_eq!(error.to_string(), "never fits: a has no label zone, zone=b wanted");
        // One that is away may come back with it.
        world.worker("a", |worker| worker.health = WorkerHealth::Lost);
        assert!(!world.select(&spec, |_| None).unwrap_err().is_never());
        // A refusal lasts; one worker that takes it later is enough.
        world.worker("c", |_| {});
        let busy = |worker: &WorkerRecord| (worker.id.as_str() == "c").then_some(Rejection::Busy);
        assert!(!world.select(&TaskSpec::default(), busy).is_ok_and(|worker| worker == "c"));
    }

    #[test]
    fn a_worker_whose_policy_does_not_allow_it_is_passed_over_and_says_which_line_would() {
        let mut world = World::of(&[("a", 2.0), ("b", 2.0)]);
        world.worker("a", |worker| worker.allows = Some(crate::cluster::Allows::default()));
        world.worker("b", |worker| worker.allows = Some(crate::cluster::Allows::all()));
        let on_host = TaskSpec { network_mode: crate::task::NetworkMode::Host, ..TaskSpec::default() };
        assert_eq!(world.select(&on_host, |_| None), Ok("b"));
        assert_eq!(world.select(&TaskSpec::default(), |_| None), Ok("a"));
        world.worker("b", |worker| worker.allows = Some(crate::cluster::Allows::default()));
        let error = world.select(&on_host, |_| None).unwrap_err().to_string();
        let expected = "never fits: a does not allow the host's network (`host_network = true` in its policy.toml would)";
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn a_worker_of_the_book_is_not_asked_for_what_it_would_pass_over() {
        let mut world = World::of(&[("a", 2.0), ("b", 2.0)]);
        world.worker("a", |worker| worker.peer = Peer::Book);
        let asked = Privileges { privileged: true, ..Privileges::default() }.boxed();
        let root = TaskSpec { privileges: asked, ..TaskSpec::default() };
        assert_eq!(world.select(&root, |_| None), Ok("b"));
        world.worker("b", |worker| worker.peer = Peer::Book);
        let error = world.select(&root, |_| None).unwrap_err().to_string();
        assert!(error.contains("a is one of the book's and can't give it to be privileged"), "{error}");
        assert!(world.select(&TaskSpec::default(), |_| None).is_ok());
    }

    #[test]
    fn a_worker_that_refused_it_is_passed_over_and_that_is_what_is_told_of_it() {
        let mut world = World::of(&[("a", 2.0), ("b", 2.0)]);
        let refused = |worker: &WorkerRecord| {
            (worker.id.as_str() == "a").then(|| Rejection::Refused { why: "no space".into() })
        };
        assert_eq!(world.select(&TaskSpec::default(), refused), Ok("b"));
        world.worker("a", |worker| worker.health = WorkerHealth::Stale);
        world.worker("b", |worker| worker.runtime_problem = "no engine".into());
        let error = world.select(&TaskSpec::default(), refused).unwrap_err();
        assert!(!error.may_yet(), "{error}");
        assert_eq!(error.tried_first(), "a could not start it (no space); b runtime unhealthy (no engine)");
        world.worker("b", |worker| worker.health = WorkerHealth::Connecting);
        assert!(world.select(&TaskSpec::default(), refused).unwrap_err().may_yet());
    }

    #[test]
    fn tasks_are_spread_over_zones_kept_apart_and_put_together() {
        let mut world = World::of(&[("a", 2.0), ("b", 2.0), ("c", 2.0), ("d", 2.0)]);
        for (worker, zone) in [("a", "east"), ("b", "east"), ("c", "west")] {
            world.worker(worker, |worker| drop(worker.facts.labels.insert("zone".into(), zone.into())));
        }
        let zones: Vec<_> = (0..4).map(|_| world.place(with(&["spread:zone"], "web"))).collect();
        assert_eq!(zones.iter().filter(|worker| *worker == "c").count(), 2, "{zones:?}");
        assert!(!zones.contains(&"d".to_owned()), "it has no zone");
        assert_eq!(world.place(with(&["without:app=web"], "db")), "d");
        assert_eq!(world.place(with(&["with:app=db"], "cache")), "d");
        let error = world.select(&with(&["worker=d"], "web"), |_| None).unwrap_err();
        assert_eq!(
            error.rejections.iter().find(|(worker, _)| worker.as_str() == "d").unwrap().1.to_string(),
            "has a task that keeps app=web away"
        );
    }

    #[test]
    fn a_host_port_is_given_once_a_worker() {
        let mut world = World::of(&[("a", 2.0), ("b", 2.0)]);
        let web = || TaskSpec {
            port_bindings: Some([("80/tcp".to_owned(), "8080".to_owned())].into()),
            ..TaskSpec::default()
        };
        assert_eq!([world.place(web()), world.place(web())], ["a", "b"]);
        let error = world.select(&web(), |_| None).unwrap_err();
        assert_eq!(error.to_string(), "waiting: a has port 8080/tcp taken; b has port 8080/tcp taken");
    }
}
