//! What a million tasks take in the memory of a manager: the Cluster alone, folded from Changes as they come in (G9).
//! `cargo bench --bench memory`

#![expect(clippy::unwrap_used, reason = "a bench that fails may panic")]

mod measure;

use std::sync::Arc;

use cube_tui::cluster::{Cause, Change, Cluster, ENDED_TASKS, What, WorkerRecord};
use cube_tui::task::{EventId, State, Task, TaskId, TaskSpec, TaskStatus, WorkerId};
use jiff::Timestamp;
use measure::{Goal, status_of, tell, tell_load};

const TASKS: u32 = 1_000_000;
const WORKERS: usize = 50;

fn main() {
    if !measure::is_bench() {
        return;
    }
    tell_load();
    let resident = || status_of("/proc/self/status", "VmRSS");
    let before = resident();
    let mut cluster = Cluster::default();
    let workers: Vec<WorkerId> =
        (0..WORKERS).map(|number| WorkerId::from(&*format!("host-{number}:5555"))).collect();
    for worker in &workers {
        let worker = WorkerRecord::new(worker.clone(), false, Timestamp::now());
        fold(&mut cluster, What::Worker { worker });
    }
    for number in 0..TASKS {
        let worker = &workers[number as usize % WORKERS];
        life(&mut cluster, number, worker);
    }
    let kib = f64::from(u32::try_from(resident() - before).unwrap());
    assert_eq!(cluster.task_db().len(), TASKS as usize);
    let mix: Vec<_> = State::ALL.iter().map(|state| format!("{} {state}", cluster.count(*state))).collect();
    println!("{}", mix.join(", "));
    let what = "resident for a task, the recent history included, the store not";
    tell("G9", what, kib * 1_024.0 / f64::from(TASKS), "B", Goal::AtMost(256.0));
    tell_load();
}

/// As in a large batch: the tasks ask for the same under names of their own, and each spec is one of its own as it
/// comes in. As many have ended as a manager keeps; of the others a third waits, is Scheduled, runs.
fn life(cluster: &mut Cluster, number: u32, worker: &WorkerId) {
    let id = TaskId::random();
    let spec = TaskSpec {
        name: format!("render-{number:07}"),
        image: "shop/render:1.9".to_owned(),
        cmd: vec!["render".to_owned(), "--all".to_owned()],
        env: vec!["BUCKET=frames".to_owned()],
        memory_bytes: 64 << 20,
        ..TaskSpec::default()
    };
    let task = Task { id, spec: Arc::new(spec), ..Task::default() };
    fold(cluster, What::Submitted { event: EventId::random(), task });
    let has_ended = (number as usize) < ENDED_TASKS;
    if number.is_multiple_of(3) && !has_ended {
        return;
    }
    fold(cluster, What::scheduled(id, worker.clone(), 0));
    if number % 3 == 1 && !has_ended {
        return;
    }
    let mut status = TaskStatus {
        state: State::Running,
        container_id: format!(
            "{:064x}",
            u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
        ),
        start_time: Some(Timestamp::now()),
        ..TaskStatus::default()
    };
    fold(cluster, What::Observed { task: id, status: status.clone() });
    if has_ended {
        status.state = State::Completed;
        status.finish_time = Some(Timestamp::now());
        status.exit_code = Some(0);
        fold(cluster, What::Observed { task: id, status });
    }
}

fn fold(cluster: &mut Cluster, what: What) {
    let revision = cluster.revision() + 1;
    cluster.apply(&Arc::new(Change { revision, time: Timestamp::now(), cause: Cause::Command, what }));
}
