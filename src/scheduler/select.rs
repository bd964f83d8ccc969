//! The book's select_worker, grown up: every worker is filtered, those that can take the task are scored, the best is
//! picked. A pure function over a snapshot; `ranking` answers the same for many tasks of one shape.

use std::cmp::Ordering;

use super::filters::{Context, all, check};
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
        if !all(context).all(|(_, verdict)| verdict.as_ref().err().is_none_or(is_room)) {
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
    let mut rejections = Vec::new();
    let mut ranks: Vec<(Rank, usize)> = Vec::new();
    for (place, worker) in workers.iter().enumerate() {
        match view.verdict(request, place, objection(worker)) {
            Ok(()) => ranks.push((view.rank(request, place), place)),
            Err(rejection) => rejections.push((place, rejection)),
        }
    }
    if ranks.is_empty() {
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
