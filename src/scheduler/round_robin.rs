//! The book's select_worker: the next worker after the last one, wrapping at the end, passing over those that
//! can't take the task. Knows no load.

use super::filter::{NoWorker, Rejection, check};
use crate::cluster::WorkerRecord;
use crate::task::TaskSpec;

/// Chooses a worker for `spec`: its place in `workers`, or every worker's reason.
///
/// `last_worker` is the place of the one chosen before; with none, the first is next. `objection` is what
/// the task's own history or work under way has against a worker.
pub fn select_worker(
    spec: &TaskSpec,
    workers: &[WorkerRecord],
    last_worker: Option<usize>,
    objection: impl Fn(&WorkerRecord) -> Option<Rejection>,
) -> Result<usize, NoWorker> {
    let count = workers.len();
    let first = last_worker.map_or(0, |last| last + 1);
    let mut rejections = Vec::new();
    for step in 0..count {
        let index = (first + step) % count;
        let worker = &workers[index];
        let rejection = match (objection(worker), check(spec, worker)) {
            // However the worker does now, that is what became of it there.
            (Some(refused @ Rejection::Refused { .. }), _) => refused,
            (_, Err(rejection)) | (Some(rejection), Ok(())) => rejection,
            (None, Ok(())) => return Ok(index),
        };
        rejections.push((worker.id.clone(), rejection));
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
                let index = select_worker(&TaskSpec::default(), workers, last, |_| None).unwrap();
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
        let error = select_worker(&spec, &workers, Some(0), |_| None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "waiting: b has 8 GiB of memory, 16 GiB wanted; a is stale (silent for 6s)"
        );
        workers[0].health = WorkerHealth::Ready;
        let error = select_worker(&spec, &workers, Some(1), |_| None).unwrap_err();
        assert!(error.to_string().starts_with("never fits: a has 8 GiB"), "{error}");
    }

    #[test]
    fn a_worker_whose_policy_does_not_allow_it_is_passed_over_and_says_which_line_would() {
        let mut workers = [worker("a"), worker("b")];
        workers[0].allows = Some(crate::cluster::Allows::default());
        workers[1].allows = Some(crate::cluster::Allows::ALL);
        let on_host = TaskSpec { network_mode: crate::task::NetworkMode::Host, ..TaskSpec::default() };
        assert_eq!(select_worker(&on_host, &workers, None, |_| None), Ok(1));
        assert_eq!(select_worker(&TaskSpec::default(), &workers, None, |_| None), Ok(0));
        let error = select_worker(&on_host, &workers[..1], None, |_| None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "never fits: a does not allow the host's network (`host_network = true` in its policy.toml does)"
        );
    }

    #[test]
    fn a_busy_worker_is_passed_over_and_said_to_be_only_busy() {
        let workers = [worker("a"), worker("b")];
        let only_a = |worker: &WorkerRecord| (worker.id.as_str() == "a").then_some(Rejection::Busy);
        assert_eq!(select_worker(&TaskSpec::default(), &workers, None, only_a), Ok(1));
        let error =
            select_worker(&TaskSpec::default(), &workers, None, |_| Some(Rejection::Busy)).unwrap_err();
        assert!(error.is_only_busy());
    }

    #[test]
    fn a_worker_that_refused_it_is_passed_over_and_that_is_what_is_told_of_it() {
        let mut workers = [worker("a"), worker("b")];
        let refused = |worker: &WorkerRecord| {
            (worker.id.as_str() == "a").then(|| Rejection::Refused { why: "no space".into() })
        };
        assert_eq!(select_worker(&TaskSpec::default(), &workers, None, refused), Ok(1));
        workers[0].health = WorkerHealth::Stale;
        workers[1].runtime_problem = "no engine".into();
        let error = select_worker(&TaskSpec::default(), &workers, Some(0), refused).unwrap_err();
        assert!(!error.is_soon_decided(), "{error}");
        assert_eq!(error.tried_first(), "a could not start it (no space); b runtime unhealthy (no engine)");
        workers[1].health = WorkerHealth::Connecting;
        let error = select_worker(&TaskSpec::default(), &workers, Some(0), refused).unwrap_err();
        assert!(error.is_soon_decided(), "{error}");
    }
}
