//! Why a task is, or would be, where it is: every filter's verdict on every worker, the scores with their terms, and the
//! nearest change that would place it. Decides nothing; agrees with who does.

use serde::{Deserialize, Serialize};

use super::filters::all;
use super::schedulers::rounded;
use super::select::Rank;
use super::{NoWorker, Rejection, Request, View, select_worker};
use crate::cluster::{SchedulerName, Term, WorkerRecord};
use crate::task::WorkerId;

/// What became, or would become, of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    pub scheduler: SchedulerName,
    pub outcome: Outcome,
    /// The best first, then those that can't take it, the nearest to it first.
    pub workers: Vec<WorkerVerdict>,
    /// The nearest change that would place it; empty if it has a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest_change: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub filter: String,
    pub passes: bool,
    pub text: String,
}

/// Explains the choice for a task. `objection` is what its history or work under way has against a worker.
pub fn explain(
    view: View<'_>,
    request: &Request<'_>,
    objection: impl Fn(&WorkerRecord) -> Option<Rejection>,
) -> Explanation {
    let scheduler = view.cluster.settings().scheduler;
    let workers = view.cluster.workers();
    let mut told: Vec<(Order, WorkerVerdict)> = Vec::with_capacity(workers.len());
    let mut remedies: Vec<(usize, String)> = Vec::new();
    for (place, worker) in workers.iter().enumerate() {
        let mut rejections = Vec::new();
        let mut verdicts = Vec::new();
        let history = objection(worker).map(|rejection| (rejection.filter(), Err(rejection)));
        for (filter, verdict) in all(view.context(request, place)).chain(history) {
            let passes = verdict.is_ok();
            let text = match verdict {
                Ok(numbers) => numbers,
                Err(rejection) => {
                    let text = rejection.to_string();
                    rejections.push(rejection);
                    text
                }
            };
            verdicts.push(Verdict { filter: filter.name().to_owned(), passes, text });
        }
        let is_feasible = rejections.is_empty();
        let mut verdict = WorkerVerdict {
            worker: worker.id.clone(),
            is_feasible,
            verdicts,
            score: None,
            is_unknown: false,
            terms: Vec::new(),
        };
        if is_feasible {
            let (rank, candidate) = (view.rank(request, place), view.candidate(request, place));
            verdict.score = (!view.goes_by_turns()).then(|| rounded(rank.score));
            verdict.is_unknown = view.scheduler().is_unknown(&candidate);
            verdict.terms = view.scheduler().terms(&candidate);
            told.push((Order::Can(rank), verdict));
        } else {
            let steps: Vec<String> =
                rejections.iter().map(|rejection| rejection.remedy(&worker.id)).collect();
            remedies.push((weight(&rejections), steps.join(", and ")));
            told.push((Order::Cannot(weight(&rejections)), verdict));
        }
    }
    told.sort_by(|(a, _), (b, _)| a.cmp(b));
    let outcome = match select_worker(view, request, objection) {
        Ok(choice) => Outcome::Placed { worker: workers[choice.place].id.clone() },
        Err(no_worker) => nobody(&no_worker),
    };
    let nearest_change = match &outcome {
        Outcome::Placed { .. } => None,
        _ if workers.is_empty() => Some("add a worker with --worker HOST:PORT".to_owned()),
        _ => remedies.into_iter().min_by_key(|(weight, _)| *weight).map(|(_, steps)| steps),
    };
    let workers = told.into_iter().map(|(_, verdict)| verdict).collect();
    Explanation { scheduler, outcome, workers, nearest_change }
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
    Cannot(usize),
}

/// How far away a worker is from taking it: few objections first, and those that go away by themselves before those that
/// need a change.
fn weight(rejections: &[Rejection]) -> usize {
    rejections.iter().map(|rejection| if rejection.is_temporary() { 1 } else { 10 }).sum()
}
