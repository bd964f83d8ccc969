//! What holds for every choice, whatever the workers and the task.

use jiff::Timestamp;
use proptest::prelude::*;

use super::{Rejection, select_worker};
use crate::cluster::{Capacity, WorkerHealth, WorkerRecord};
use crate::task::{TaskSpec, WorkerId};

fn any_health() -> impl Strategy<Value = WorkerHealth> {
    prop_oneof![
        4 => Just(WorkerHealth::Ready),
        1 => Just(WorkerHealth::Connecting),
        1 => Just(WorkerHealth::Stale),
        1 => Just(WorkerHealth::Lost),
    ]
}

/// A worker, and whether it is busy. Few sizes, so that many fit exactly.
fn any_worker() -> impl Strategy<Value = (WorkerRecord, bool)> {
    (any_health(), any::<bool>(), 0..4_u8, 0..4_u64, any::<bool>()).prop_map(
        |(health, is_sick, cpus, memory_bytes, is_busy)| {
            let mut worker = WorkerRecord::new(WorkerId::from(""), false, Timestamp::UNIX_EPOCH);
            worker.health = health;
            worker.runtime_problem = if is_sick { "no engine".into() } else { String::new() };
            worker.capacity = Capacity { cpus: cpus.into(), memory_bytes, disk_bytes: 0 };
            (worker, is_busy)
        },
    )
}

/// In the words of the README, not of the code.
fn can_take(worker: &WorkerRecord, spec: &TaskSpec) -> bool {
    let has = worker.capacity;
    worker.health == WorkerHealth::Ready
        && worker.runtime_problem.is_empty()
        && (has.cpus == 0.0 || spec.cpu <= has.cpus)
        && (has.memory_bytes == 0 || spec.memory_bytes <= has.memory_bytes)
}

proptest! {
    #[test]
    fn a_choice_is_always_feasible_always_the_same_and_missed_only_if_there_is_none(
        workers in proptest::collection::vec(any_worker(), 0..8),
        (cpu, memory_bytes) in (0..4_u8, 0..4_u64),
        last in proptest::option::of(0..10_usize),
    ) {
        let (mut workers, busy): (Vec<_>, Vec<_>) = workers.into_iter().unzip();
        for (index, worker) in workers.iter_mut().enumerate() {
            worker.id = WorkerId::from(index.to_string().as_str());
        }
        let spec = TaskSpec { cpu: cpu.into(), memory_bytes, ..TaskSpec::default() };
        let is_busy = |worker: &WorkerRecord| busy[worker.id.as_str().parse::<usize>().unwrap()];
        let objection = |worker: &WorkerRecord| is_busy(worker).then_some(Rejection::Busy);
        let chosen = select_worker(&spec, &workers, last, objection);
        prop_assert_eq!(&chosen, &select_worker(&spec, &workers, last, objection));
        match chosen {
            Ok(index) => prop_assert!(can_take(&workers[index], &spec) && !busy[index]),
            Err(no_worker) => {
                let free = workers.iter().filter(|worker| can_take(worker, &spec) && !is_busy(worker));
                prop_assert_eq!(free.count(), 0);
                let mut told: Vec<_> = no_worker.rejections.iter().map(|(id, _)| id.clone()).collect();
                told.sort_unstable();
                let all: Vec<_> = workers.iter().map(|worker| worker.id.clone()).collect();
                prop_assert_eq!(told, all, "every worker's reason, once");
            }
        }
    }
}
