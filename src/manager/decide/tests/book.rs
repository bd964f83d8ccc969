//! What is decided differently where the worker is one of the book's: it knows no generations, looks at its queue
//! slowly, and loses it when it ends.

use std::time::Duration;

use super::{Desk, id};
use crate::cluster::{Capacity, Peer};
use crate::manager::decide::{Effect, Input, SendOutcome, Wish};
use crate::task::{RestartPolicy, State, Task, TaskId, TaskSpec};

const POLL: Duration = Duration::from_secs(1);

fn desk() -> Desk {
    let mut desk = Desk::with(&[]);
    desk.start(&["b"]);
    desk.give(Input::WorkerUp {
        allows: None,
        worker: id("b"),
        peer: Peer::Book,
        capacity: Capacity::default(),
        runtime_problem: String::new(),
        facts: Box::default(),
    });
    desk
}

impl Desk {
    /// What the book's worker lists: the tasks in these states, after this many restarts.
    fn lists(&mut self, tasks: &[(TaskId, State, u32)]) -> Vec<Effect> {
        let tasks = tasks.iter().map(|&(task, state, restart_count)| {
            let mut listed = Task { id: task, ..Task::default() };
            listed.status.state = state;
            listed.status.restart_count = restart_count;
            listed
        });
        let tasks = tasks.collect();
        self.give(Input::WorkerTasks { worker: id("b"), tasks }).effects
    }

    /// Lists the same every second.
    fn lists_for(&mut self, seconds: u64, tasks: &[(TaskId, State, u32)]) -> Vec<Effect> {
        let mut effects = vec![];
        for _ in 0..seconds {
            effects.extend(self.wait(POLL));
            effects.extend(self.lists(tasks));
        }
        effects
    }

    fn accepted(&mut self, spec: TaskSpec) -> TaskId {
        let (task, _) = self.submit(spec);
        self.sent("b", task, SendOutcome::Accepted);
        task
    }
}

fn starts(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Send { wish: Wish::Start, .. })).count()
}

#[test]
fn a_long_queue_is_waited_for_as_long_as_it_moves() {
    let mut desk = desk();
    let tasks: Vec<TaskId> = (0..20).map(|_| desk.accepted(TaskSpec::default())).collect();
    for done in 0..tasks.len() {
        let listed: Vec<_> = tasks[..done].iter().map(|task| (*task, State::Running, 0)).collect();
        assert_eq!(starts(&desk.lists_for(10, &listed)), 0, "{done} of 20 are listed");
    }
}

#[test]
fn a_lost_start_is_sent_again_once_in_a_while() {
    let mut desk = desk();
    let task = desk.accepted(TaskSpec::default());
    assert_eq!(starts(&desk.lists_for(119, &[])), 0);
    let again = desk.lists_for(60, &[]);
    assert_eq!(starts(&again), 1, "not at every look");
    desk.sent("b", task, SendOutcome::Accepted);
    assert_eq!(starts(&desk.lists_for(130, &[])), 1);
    desk.sent("b", task, SendOutcome::Accepted);
    desk.lists(&[(task, State::Running, 0)]);
    assert_eq!(desk.state(task), State::Running);
}

#[test]
fn a_lost_start_that_is_to_stop_is_not_sent_again() {
    let mut desk = desk();
    let task = desk.accepted(TaskSpec::default());
    desk.stop(task);
    assert_eq!(starts(&desk.lists_for(130, &[])), 0);
    assert_eq!(
        (desk.state(task), desk.reason(task)),
        (State::Completed, "stopped; its worker no longer has it")
    );
}

#[test]
fn the_end_before_a_restart_counts_once() {
    let mut desk = desk();
    let restart_policy = RestartPolicy::OnFailure(Some(1));
    let task = desk.accepted(TaskSpec { restart_policy, ..TaskSpec::default() });
    desk.lists(&[(task, State::Running, 0)]);
    desk.lists(&[(task, State::Failed, 0)]);
    assert_eq!(starts(&desk.wait(Duration::from_secs(2))), 1, "restarted after its backoff");
    desk.sent("b", task, SendOutcome::Accepted);
    desk.lists_for(30, &[(task, State::Failed, 0)]);
    assert_eq!(desk.state(task), State::Scheduled, "that was the first end");
    desk.lists(&[(task, State::Running, 1)]);
    assert_eq!(desk.state(task), State::Running);
    desk.lists(&[(task, State::Failed, 1)]);
    assert_eq!(desk.state(task), State::Failed);
}

/// Chapters 7 and 8 leave a failed task as it is.
#[test]
fn a_restart_that_a_worker_never_carries_out_fails_in_the_end() {
    let mut desk = desk();
    let restart_policy = RestartPolicy::OnFailure(Some(1));
    let task = desk.accepted(TaskSpec { restart_policy, ..TaskSpec::default() });
    desk.lists(&[(task, State::Failed, 0)]);
    desk.wait(Duration::from_secs(2));
    desk.sent("b", task, SendOutcome::Accepted);
    desk.lists_for(130, &[(task, State::Failed, 0)]);
    assert_eq!(desk.state(task), State::Failed);
}
