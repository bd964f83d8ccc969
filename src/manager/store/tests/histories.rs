//! Made-up Changes, and what is compared of the Cluster that they fold to.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use crate::cluster::{
    Cause, Change, Cluster, Crashes, Overcommit, SchedulerName, Settings, Snapshot, What, WorkerHealth,
    WorkerRecord,
};
use crate::task::{EventId, State, Task, TaskId, TaskSpec, TaskStatus, WorkerId};
use uuid::Uuid;

pub(super) fn task(number: u8) -> TaskId {
    TaskId(Uuid::from_u128(u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)))
}

pub(super) fn worker(number: u8) -> WorkerId {
    WorkerId::from(format!("worker-{number}:5555").as_str())
}

/// What a Change is about is of no matter to a store, as long as its fold is the same: any sequence will do.
pub(super) fn what() -> impl Strategy<Value = What> {
    let task = || (0..12_u8).prop_map(task);
    let worker = || (0..4_u8).prop_map(worker);
    let retry_at = || (0..99_i64).prop_map(|s| Timestamp::from_second(s).unwrap());
    let reason = || "[a-z ]{0,12}";
    prop_oneof![
        3 => (task(), 0.0..4.0).prop_map(|(id, cpu)| {
            let mut spec = TaskSpec { image: "web:1".to_owned(), cpu, ..TaskSpec::default() };
            if cpu < 2.0 {
                spec.labels.insert("app".to_owned(), "web".to_owned());
                spec.constraints.push("without:app=db".parse().unwrap());
                spec.port_bindings = Some([("80/tcp".to_owned(), "8080".to_owned())].into());
            }
            What::Submitted { event: EventId::default(), task: Task { id, spec: spec.into(), ..Task::default() } }
        }),
        3 => (task(), worker(), 0..3_u32)
            .prop_map(|(task, worker, generation)| What::scheduled(task, worker, generation)),
        1 => (task(), reason(), retry_at())
            .prop_map(|(task, reason, retry_at)| What::Returned { task, reason, retry_at }),
        1 => (task(), reason()).prop_map(|(task, reason)| What::Waiting { task, reason }),
        1 => task().prop_map(|task| What::StopRequested { task }),
        3 => (task(), 0..5_u64, 0..3_u32).prop_map(|(task, state, generation)| {
            let state = State::from_number(state).unwrap();
            What::Observed { task, status: TaskStatus { state, generation, ..TaskStatus::default() } }
        }),
        1 => (task(), reason())
            .prop_map(|(task, reason)| What::Ended { task, state: State::Failed, reason }),
        1 => task().prop_map(|task| What::RestartRequested { task }),
        1 => (task(), task(), reason()).prop_map(|(task, by, reason)| What::Preempted { task, by, reason }),
        1 => worker().prop_map(|worker| What::Forgotten { worker }),
        1 => (task(), 0..3_u32, retry_at(), reason(), any::<bool>()).prop_map(|(task, generation, retry_at, reason, by_hand)| {
            let crashes = Crashes::default();
            What::Restarting { task, generation, restart_count: generation, crashes, reason, retry_at, by_hand }
        }),
        1 => (task(), worker(), 2..5_u64).prop_map(|(id, worker, state)| {
            let state = State::from_number(state).unwrap();
            let status = TaskStatus { state, generation: 1, ..TaskStatus::default() };
            What::Adopted { task: Task { id, status, ..Task::default() }, worker }
        }),
        1 => (task(), worker(), worker(), 0..3_u32, reason(), any::<bool>()).prop_map(|(task, from, worker, generation, reason, serves)| {
            What::Moved { task, from, worker, generation, reason, placement: None, serves }
        }),
        1 => (task(), worker(), prop::option::of(worker()), 0..3_u32, reason()).prop_map(|(task, worker, to, generation, reason)| {
            What::Refused { task, worker, why: reason.clone(), to, generation, reason }
        }),
        1 => prop::collection::vec(task(), 0..4).prop_map(|tasks| What::Collected { tasks }),
        1 => (0..5_usize, 1..4_u8).prop_map(|(scheduler, factor)| {
            let overcommit = Overcommit { cpu: factor.into(), ..Overcommit::default() };
            What::Settings { settings: Settings { scheduler: SchedulerName::ALL[scheduler], overcommit } }
        }),
        2 => (worker(), any::<bool>()).prop_map(|(id, is_ready)| {
            let mut worker = WorkerRecord::new(id, false, Timestamp::UNIX_EPOCH);
            worker.health = if is_ready { WorkerHealth::Ready } else { WorkerHealth::Lost };
            What::Worker { worker }
        }),
    ]
}

/// In this order, a minute apart.
pub(super) fn changes(whats: Vec<What>) -> Vec<Arc<Change>> {
    (1_u32..)
        .zip(whats)
        .map(|(number, what)| {
            let time = Timestamp::UNIX_EPOCH + Duration::from_mins(u64::from(number));
            Arc::new(Change { revision: number.into(), time, cause: Cause::Command, what })
        })
        .collect()
}

/// As random as `seed` has it, and the same for the same seed.
pub(super) fn seeded(seed: u8, count: usize) -> Vec<Arc<Change>> {
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let whats = (0..count).map(|_| what().new_tree(&mut runner).unwrap().current()).collect();
    changes(whats)
}

pub(super) fn fold(changes: &[Arc<Change>]) -> Cluster {
    let mut cluster = Cluster::default();
    for change in changes {
        cluster.apply(change);
    }
    cluster
}

/// All that a Cluster holds but its history.
pub(super) fn picture(cluster: &Cluster) -> String {
    let mut snapshot = Snapshot::from(cluster);
    snapshot.events.clear();
    snapshot.assignments.sort();
    let pending: Vec<_> = cluster.pending_range(..).collect();
    let counts: Vec<_> = (0..5).map(|state| cluster.count(State::from_number(state).unwrap())).collect();
    let of_workers: Vec<_> =
        cluster.workers().iter().map(|worker| cluster.tasks_of_len(&worker.id)).collect();
    let ended: Vec<_> = cluster.ended().collect();
    let reserved: Vec<_> = cluster.workers().iter().map(|worker| cluster.reserved(&worker.id)).collect();
    for worker in cluster.workers() {
        assert_eq!(cluster.reserved(&worker.id), Some(&cluster.count_reserved(&worker.id)), "{}", worker.id);
    }
    format!("{snapshot:?} {pending:?} {counts:?} {of_workers:?} {ended:?} {reserved:?}")
}

/// That `cluster` is the fold of `changes`, and its history the end of them.
#[track_caller]
pub(super) fn assert_folds(cluster: &Cluster, changes: &[Arc<Change>]) {
    assert_eq!(picture(cluster), picture(&fold(changes)));
    let history: Vec<_> = cluster.event_db().iter().collect();
    assert!(changes.iter().rev().zip(history.into_iter().rev()).all(|(a, b)| a == b));
}
