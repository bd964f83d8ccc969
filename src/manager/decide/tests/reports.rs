//! The manager looks at states, not at steps: whatever comes twice, late or in another order leads to the same.

use proptest::prelude::*;

use super::*;
use crate::scheduler::properties::cases;
use crate::task::TaskStatus;

/// All that is to be known of a task, but not when it came to be so.
#[derive(Debug, PartialEq)]
struct Outcome {
    status: TaskStatus,
    desired: State,
    worker: Option<WorkerId>,
}

/// The story of one task, as its worker tells it.
#[derive(Clone, Debug)]
struct Story {
    policy: RestartPolicy,
    /// The last state that its worker reports.
    last: State,
    is_stopped: bool,
}

fn any_story() -> impl Strategy<Value = Story> {
    let policies = vec![RestartPolicy::No, RestartPolicy::OnFailure(Some(2)), RestartPolicy::Always];
    let states = vec![State::Scheduled, State::Running, State::Completed, State::Failed];
    let (policy, last) = (proptest::sample::select(policies), proptest::sample::select(states));
    (policy, last, any::<bool>()).prop_map(|(policy, last, is_stopped)| Story { policy, last, is_stopped })
}

/// A desk on which each story's task was sent to a worker.
fn desk_of(stories: &[Story]) -> (Desk, Vec<TaskId>) {
    let mut desk = Desk::with(&["a", "b"]);
    let tasks = stories.iter().enumerate().map(|(index, story)| {
        let mut event = event(TaskSpec { restart_policy: story.policy, ..TaskSpec::default() });
        event.task.id = TaskId(uuid::Uuid::from_u128(index as u128 + 1));
        let task = event.task.id;
        desk.give(Input::Submit { request: 1, cause: Cause::Command, events: vec![event] });
        if story.is_stopped {
            desk.stop(task);
        }
        task
    });
    let tasks = tasks.collect();
    (desk, tasks)
}

/// What a task's worker says of it, in order.
fn reports(desk: &Desk, tasks: &[TaskId], stories: &[Story]) -> Vec<Input> {
    let mut all = vec![];
    for (task, story) in tasks.iter().zip(stories) {
        let worker = desk.manager.cluster().worker_of(*task).unwrap();
        for state in [State::Scheduled, State::Running, State::Completed, State::Failed] {
            let is_told = state == story.last || (state < story.last && !state.has_ended());
            if !is_told {
                continue;
            }
            let mut report = desk.task(*task).task.clone();
            report.status.state = state;
            if state != State::Scheduled {
                report.status.container_id = format!("c-{task}");
                report.status.start_time = Some(Timestamp::UNIX_EPOCH);
            }
            if state.has_ended() {
                report.status.finish_time = Some(Timestamp::UNIX_EPOCH);
                report.status.exit_code = Some(i64::from(state == State::Failed));
                report.status.reason = format!("ended as {state}");
            }
            all.push(Input::WorkerTask { worker: worker.clone(), task: report });
        }
    }
    all
}

fn outcomes(desk: &Desk, tasks: &[TaskId]) -> Vec<Outcome> {
    let outcome = |task: &TaskId| {
        let record = desk.task(*task);
        let worker = desk.manager.cluster().worker_of(*task).cloned();
        Outcome { status: record.status().clone(), desired: record.desired, worker }
    };
    tasks.iter().map(outcome).collect()
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn reports_in_any_order_and_number_lead_to_the_same_as_once_in_order(
        stories in proptest::collection::vec(any_story(), 1..6),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 0..40),
        seed in any::<u64>(),
    ) {
        let (mut once, tasks) = desk_of(&stories);
        let inputs = reports(&once, &tasks, &stories);
        for input in &inputs {
            once.give(input.clone());
        }

        let (mut shuffled, _) = desk_of(&stories);
        // All of them at least once, and some more often.
        let mut delivered: Vec<&Input> = inputs.iter().collect();
        delivered.extend(order.iter().map(|index| index.get(&inputs)));
        fastrand::Rng::with_seed(seed).shuffle(&mut delivered);
        let mut sent = vec![];
        for input in delivered {
            sent.extend(shuffled.give(input.clone()).effects);
        }
        prop_assert_eq!(outcomes(&shuffled, &tasks), outcomes(&once, &tasks));
        prop_assert_eq!(starts(&sent), vec![], "a report starts nothing");
        let live = |desk: &Desk| State::ALL.map(|state| desk.manager.cluster().count(state));
        prop_assert_eq!(live(&shuffled), live(&once));
    }

    #[test]
    fn what_another_worker_or_another_generation_says_changes_nothing(
        stories in proptest::collection::vec(any_story(), 1..6),
        liar in any::<bool>(),
        off in prop_oneof![Just(1), 1..u32::MAX / 2],
    ) {
        let (mut desk, tasks) = desk_of(&stories);
        // A later generation than the first, so that there are older ones.
        let cluster = desk.manager.cluster();
        let homes: Vec<WorkerId> = tasks.iter().map(|task| cluster.worker_of(*task).unwrap().clone()).collect();
        let inputs = reports(&desk, &tasks, &stories);
        for input in inputs {
            let Input::WorkerTask { worker, mut task } = input else { continue };
            let worker = if liar {
                if worker == id("a") { id("b") } else { id("a") }
            } else {
                task.status.generation = off;
                worker
            };
            let decision = desk.give(Input::WorkerTask { worker, task });
            prop_assert_eq!(decision.changes.len(), 0);
        }
        let cluster = desk.manager.cluster();
        prop_assert!(tasks.iter().zip(&homes).all(|(task, home)| cluster.worker_of(*task) == Some(home)));
    }
}
