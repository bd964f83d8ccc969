//! Where a task runs, or why nowhere: filter, score, pick. Pure: a cluster and its live load in, a choice or every
//! worker's reason out.

mod explain;
mod filters;
mod load;
mod preempt;
mod ranking;
mod rebalance;
mod rejection;
mod request;
mod schedulers;
mod select;

pub use explain::{Explanation, Outcome, Verdict, WorkerVerdict, explain};
pub use load::{Load, Loads};
pub use preempt::{Eviction, make_room};
pub use ranking::Rankings;
pub use rebalance::{Evenness, Measure, Move, Rebalancing, is_movable, is_worth_it, rebalance};
pub use rejection::{Filter, NEVER_FITS, NoWorker, Rejection, in_cpus};
pub use request::{Request, Shape};
pub use schedulers::{Candidate, Scheduler, by_name};
pub use select::{Choice, View, select_worker};

#[cfg(test)]
pub(crate) mod properties;
