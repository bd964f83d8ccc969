//! What design.md promises, looked at after every step and once more when all has healed.

use std::collections::BTreeMap;

use cube_tui::cluster::{Cluster, What};
use cube_tui::task::{RestartPolicy, State, TaskId};
use cube_tui::worker::runtime::{FoundState, Run};

use crate::engine::{Behaviour, behaviour};
use crate::world::World;

/// After every step.
pub fn always(world: &World) {
    acknowledged_submits_are_stored(world);
    at_most_one_live_container_a_run(world);
    maps_name_the_same_pairs(world.manager_cluster());
}

/// Invariant 1.
fn acknowledged_submits_are_stored(world: &World) {
    for task in world.acknowledged() {
        assert!(world.stored().task(*task).is_some(), "acknowledged {task} is not in the store");
    }
}

/// Invariant 2.
fn at_most_one_live_container_a_run(world: &World) {
    let mut live: BTreeMap<Run, &str> = BTreeMap::new();
    for engine in world.engines() {
        for found in engine.live() {
            if let Some(other) = live.insert(found.run, &found.container) {
                panic!("{:?} runs twice: {other} and {}", found.run, found.container);
            }
        }
    }
}

/// Invariant 5, and that what waits is in `pending`.
fn maps_name_the_same_pairs(cluster: &Cluster) {
    let mut pairs = 0;
    for worker in cluster.workers() {
        for task in cluster.tasks_of(&worker.id) {
            pairs += 1;
            assert_eq!(cluster.worker_of(task), Some(&worker.id));
        }
    }
    let mut assigned = 0;
    for record in cluster.task_db() {
        assigned += usize::from(cluster.worker_of(record.task.id).is_some());
        assert_eq!(record.queued.is_some(), record.state() == State::Pending, "{record:?}");
    }
    assert_eq!(pairs, assigned);
}

/// Invariants 3 and 4, over a Change and the cluster before it.
pub fn change_is_legal(before: &Cluster, change: &cube_tui::cluster::Change) {
    let What::Observed { task, status } = &change.what else { return };
    let record = before.task(*task).expect("a report of a task that is known");
    assert!(
        record.state().can_become(status.state),
        "{} can't become {} by {change:?}",
        record.state(),
        status.state
    );
    assert_eq!(record.status().generation, status.generation, "another generation's report: {change:?}");
}

/// Invariant 6: after the last fault and some minutes, what was wanted is so.
pub fn healed(world: &World) {
    let cluster = world.manager_cluster();
    let mut live: BTreeMap<TaskId, usize> = BTreeMap::new();
    for engine in world.engines() {
        for found in engine.containers.values() {
            assert_ne!(found.state, FoundState::Created, "left half made: {found:?}");
        }
        for found in engine.live() {
            *live.entry(found.run.task).or_default() += 1;
        }
    }
    for task in live.keys() {
        assert!(cluster.task(*task).is_some(), "{task} runs and nobody knows it");
    }
    for record in cluster.task_db() {
        let task = &record.task;
        let running = live.get(&task.id).copied().unwrap_or(0);
        let state = record.state();
        let expected = match (record.desired, behaviour(task), task.spec.restart_policy) {
            (State::Completed, ..) | (_, Behaviour::Ends { code: 0, .. }, _) => {
                vec![State::Completed, State::Failed]
            }
            (State::Running, Behaviour::Stays, RestartPolicy::No) => vec![State::Running, State::Failed],
            (_, Behaviour::Stays, _) => vec![State::Running],
            (_, Behaviour::Ends { .. }, _) => vec![State::Failed],
        };
        assert!(expected.contains(&state), "{} is {state}, wanted {expected:?}: {record:?}", task.spec.name);
        if state == State::Failed {
            assert!(!task.status.reason.is_empty(), "failed without a reason: {record:?}");
        }
        assert_eq!(running, usize::from(state == State::Running), "containers of {record:?}");
    }
}
