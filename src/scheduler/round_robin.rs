//! The book's select_worker: the next worker after the last one, wrapping at the end, passing over those that
//! can't take the task. Knows no load.

use super::filter::{NoWorker, Rejection, check};
use crate::cluster::WorkerRecord;
use crate::task::TaskSpec;

/// Chooses a worker for `spec`: its place in `workers`, or every worker's reason.
///
/// `last_worker` is the place of the one chosen before; with none, the first is next. `is_busy` names workers
/// that have yet to answer for what they were sent.
pub fn select_worker(
    spec: &TaskSpec,
    workers: &[WorkerRecord],
    last_worker: Option<usize>,
    is_busy: impl Fn(&WorkerRecord) -> bool,
) -> Result<usize, NoWorker> {
    let count = workers.len();
    let first = last_worker.map_or(0, |last| last + 1);
    let mut rejections = Vec::new();
    for step in 0..count {
        let index = (first + step) % count;
        let worker = &workers[index];
        match check(spec, worker) {
            Ok(()) if is_busy(worker) => rejections.push((worker.id.clone(), Rejection::Busy)),
            Ok(()) => return Ok(index),
            Err(rejection) => rejections.push((worker.id.clone(), rejection)),
        }
    }
    Err(NoWorker { rejections })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::cluster::{Capacity, WorkerHealth};
    use crate::task::WorkerId;

    fn worker(name: &str) -> WorkerRecord {
        let mut worker = WorkerRecord::new(WorkerId::from(name), false, Timestamp::UNIX_EPOCH);
        worker.health = WorkerHealth::Ready;
        worker.capacity = Capacity { cpus: 2.0, memory_bytes: 8 << 30, disk_bytes: 0 };
        worker
    }

    fn picks(workers: &[WorkerRecord], times: usize) -> Vec<usize> {
        let mut last = None;
        (0..times)
            .map(|_| {
                let index = select_worker(&TaskSpec::default(), workers, last, |_| false).unwrap();
                last = Some(index);
                index
            })
            .collect()
    }

    #[test]
    fn takes_the_next_worker_and_wraps_at_the_end() {
        let workers = [worker("a"), worker("b"), worker("c")];
        assert_eq!(picks(&workers, 7), [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn passes_over_a_worker_that_is_not_ready() {
        let mut workers = [worker("a"), worker("b"), worker("c")];
        workers[1].health = WorkerHealth::Lost;
        workers[2].runtime_problem = "engine is away".into();
        assert_eq!(picks(&workers, 3), [0, 0, 0]);
    }

    #[test]
    fn no_fit_names_every_worker_and_its_reason() {
        let mut workers = [worker("a"), worker("b")];
        workers[0].health = WorkerHealth::Stale;
        workers[0].reason = "silent for 6s".into();
        let spec = TaskSpec { memory_bytes: 16 << 30, ..TaskSpec::default() };
        let error = select_worker(&spec, &workers, Some(0), |_| false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "waiting: b has 8 GiB of memory, 16 GiB wanted; a is stale (silent for 6s)"
        );
        workers[0].health = WorkerHealth::Ready;
        let error = select_worker(&spec, &workers, Some(1), |_| false).unwrap_err();
        assert!(error.to_string().starts_with("never fits: a has 8 GiB"), "{error}");
    }

    #[test]
    fn a_busy_worker_is_passed_over_and_said_to_be_only_busy() {
        let workers = [worker("a"), worker("b")];
        let only_a = |worker: &WorkerRecord| worker.id.as_str() == "a";
        assert_eq!(select_worker(&TaskSpec::default(), &workers, None, only_a), Ok(1));
        let error = select_worker(&TaskSpec::default(), &workers, None, |_| true).unwrap_err();
        assert!(error.is_only_busy());
    }
}
