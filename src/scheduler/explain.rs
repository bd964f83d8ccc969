//! Why a task is, or would be, where it is: every filter's verdict on the workers that come first, the scores with their
//! terms, how many are kept away by what, and the nearest change that would place it. Decides nothing; agrees with who
//! does.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::filters::{all, in_short, objections, passes};
use super::schedulers::rounded;
use super::select::Rank;
use super::{Filter, NoWorker, Rejection, Request, View, select_worker};
use crate::cluster::{RejectedBy, Resources, SchedulerName, Term, WorkerRecord};
use crate::task::WorkerId;

/// What became, or would become, of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    pub scheduler: SchedulerName,
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What it asks for.
    pub needs: Resources,
    /// The best first, then those that can't take it, the nearest to it first; not all of them where there are many.
    pub workers: Vec<WorkerVerdict>,
    /// So many more there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
    /// How many can take it.
    pub feasible: usize,
    /// How many each filter keeps away; a worker counts with each that does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<RejectedBy>,
    /// The nearest change that would place it; empty if it has a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest_change: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    Placed {
        worker: WorkerId,
    },
    /// Nobody can take it now.
    Waiting {
        reason: String,
    },
    /// Nobody ever can, as it is and as they are.
    NeverFits {
        reason: String,
    },
}

/// One worker's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkerVerdict {
    pub worker: WorkerId,
    pub is_feasible: bool,
    pub verdicts: Vec<Verdict>,
    /// Lower is better; only of those that can take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Nothing fresh is known of its load: it comes after those of whom it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_unknown: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<Term>,
}

/// One filter's verdict, with its numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FilterVerdict)] // A health check's verdict has this name in the API, too.
pub struct Verdict {
    pub filter: String,
    pub passes: bool,
    pub text: String,
    /// The same in a word or two, for a table; empty where there is nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub short: String,
}

/// Explains the choice for a task, worker by worker for the first `most`. `objection` is what its history or work under
/// way has against a worker.
pub fn explain(
    view: View<'_>,
    request: &Request<'_>,
    objection: impl Fn(&WorkerRecord) -> Option<Rejection>,
    most: usize,
) -> Explanation {
    let workers = view.cluster.workers();
    let mut order: Vec<(Order, usize)> = Vec::with_capacity(workers.len());
    let mut rejected = [0; Filter::ALL.len()];
    for (place, worker) in workers.iter().enumerate() {
        let rejections: Vec<_> = objections(view.context(request, place)).chain(objection(worker)).collect();
        for rejection in &rejections {
            rejected[rejection.filter() as usize] += 1;
        }
        order.push((
            if rejections.is_empty() {
                Order::Can(view.rank(request, place))
            } else {
                Order::Cannot(Distance::of(&rejections))
            },
            place,
        ));
    }
    order.sort_by(|(a, _), (b, _)| a.cmp(b));
    let outcome = match select_worker(view, request, &objection) {
        Ok(choice) => Outcome::Placed { worker: workers[choice.place].id.clone() },
        Err(no_worker) => nobody(&no_worker),
    };
    let nearest_change = match (&outcome, order.first()) {
        (Outcome::Placed { .. }, _) => None,
        (_, None) => Some("add a worker with --worker HOST:PORT".to_owned()),
        (_, Some((_, place))) => {
            let worker = &workers[*place];
            let rejections = objections(view.context(request, *place)).chain(objection(worker));
            let steps: Vec<String> = rejections.map(|rejection| rejection.remedy(&worker.id)).collect();
            Some(steps.join(", and "))
        }
    };
    let feasible = order.iter().filter(|(order, _)| matches!(order, Order::Can(_))).count();
    let told = order.iter().take(most).map(|(order, place)| {
        let rank = match order {
            Order::Can(rank) => Some(*rank),
            Order::Cannot(_) => None,
        };
        told(view, request, *place, objection(&workers[*place]), rank)
    });
    let counted = Filter::ALL.iter().zip(rejected).filter(|(_, workers)| *workers > 0);
    Explanation {
        scheduler: view.cluster.settings().scheduler,
        outcome,
        needs: request.needs,
        workers: told.collect(),
        more: workers.len().saturating_sub(most),
        feasible,
        rejected: counted
            .map(|(filter, workers)| RejectedBy { filter: filter.name().to_owned(), workers })
            .collect(),
        nearest_change,
    }
}

/// All that is to be said of one worker.
fn told(
    view: View<'_>,
    request: &Request<'_>,
    place: usize,
    objection: Option<Rejection>,
    rank: Option<Rank>,
) -> WorkerVerdict {
    let context = view.context(request, place);
    let history = objection.map(|rejection| (rejection.filter(), Err(rejection)));
    let verdicts = all(context).chain(history).map(|(filter, verdict)| {
        let (passes, text, short) = match verdict {
            Ok(()) => (true, passes(filter, context), in_short(filter, context)),
            Err(rejection) => (false, rejection.to_string(), rejection.in_short()),
        };
        Verdict { filter: filter.name().to_owned(), passes, text, short }
    });
    let verdicts = verdicts.collect();
    let worker = context.worker.id.clone();
    let Some(rank) = rank else {
        return WorkerVerdict {
            worker,
            is_feasible: false,
            verdicts,
            score: None,
            is_unknown: false,
            terms: Vec::new(),
        };
    };
    let candidate = view.candidate(request, place);
    WorkerVerdict {
        worker,
        is_feasible: true,
        verdicts,
        score: (!view.goes_by_turns()).then(|| rounded(rank.score)),
        is_unknown: view.scheduler().is_unknown(&candidate),
        terms: view.scheduler().terms(&candidate),
    }
}

fn nobody(no_worker: &NoWorker) -> Outcome {
    let reason = no_worker.to_string();
    if no_worker.is_never() && !no_worker.rejections.is_empty() {
        Outcome::NeverFits { reason }
    } else {
        Outcome::Waiting { reason }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Can(Rank),
    Cannot(Distance),
}

/// How far away a worker is from taking it: few objections first, and those that go away by themselves before those that
/// need a change; of the same, who lacks less.
struct Distance(usize, f64);

impl Distance {
    fn of(rejections: &[Rejection]) -> Self {
        let weight = |rejection: &Rejection| if rejection.is_temporary() { 1 } else { 10 };
        Self(rejections.iter().map(weight).sum(), rejections.iter().map(Rejection::shortfall).sum())
    }
}

impl PartialEq for Distance {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Distance {}

impl PartialOrd for Distance {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Distance {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0).then(self.1.total_cmp(&other.1))
    }
}
