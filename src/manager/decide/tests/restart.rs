//! Restarts by hand: of what runs, waits, is held back, has ended, or sits on a worker that is away.

use std::time::Duration;

use super::{Desk, id, starts, stops};
use crate::cluster::{Cause, What};
use crate::manager::decide::*;
use crate::manager::request::Restarted;
use crate::task::{RestartPolicy, State, TaskSpec};

fn restart(desk: &mut Desk, task: TaskId) -> (Restarted, Vec<Effect>) {
    let decision = desk.give(Input::Restart { request: 3, cause: Cause::Dashboard, tasks: vec![task] });
    let answer = decision.effects.iter().find_map(|effect| match effect {
        Effect::Answer { answer: Ok(Answer::Restarted(outcomes)), .. } => outcomes.first().cloned(),
        _ => None,
    });
    (answer.expect("an answer"), decision.effects)
}

fn running(workers: &[&str], spec: TaskSpec) -> (Desk, TaskId) {
    let mut desk = Desk::with(workers);
    let (task, _) = desk.submit(spec);
    desk.report("a", task, State::Running);
    (desk, task)
}

fn ends(desk: &mut Desk, worker: &str, task: TaskId, code: i64) -> Decision {
    desk.report_with(worker, task, |task| {
        task.status.state = if code == 0 { State::Completed } else { State::Failed };
        task.status.exit_code = Some(code);
    })
}

/// Lets the first backoffs pass, with the worker alive.
fn backoff(desk: &mut Desk) {
    for _ in 0..3 {
        desk.give(Input::Heartbeat { worker: id("a"), runtime_problem: String::new() });
        desk.wait(Duration::from_secs(1));
    }
}

#[test]
fn what_runs_is_stopped_and_starts_at_the_same_worker_as_the_next_generation() {
    let (mut desk, task) = running(&["a", "b"], TaskSpec::default());
    let (outcome, effects) = restart(&mut desk, task);
    assert!(outcome.is_new);
    assert_eq!((stops(&effects), starts(&effects)), (vec![("a", 0)], vec![]));
    let (again, effects) = restart(&mut desk, task);
    assert!(!again.is_new && stops(&effects).is_empty(), "it is under way already");
    let ended = ends(&mut desk, "a", task, 143);
    assert_eq!(starts(&ended.effects), [("a", 1)], "not b, whose turn it is");
    let record = desk.task(task);
    assert_eq!((record.state(), record.desired), (State::Scheduled, State::Running));
    assert_eq!((record.status().restart_count, record.restart), (1, None));
    let causes: Vec<_> = desk.log.iter().rev().take(4).map(|change| (change.cause, &change.what)).collect();
    assert!(matches!(causes[0], (Cause::Scheduler, What::Scheduled { .. })), "{causes:?}");
    assert!(matches!(causes[1], (Cause::Dashboard, What::Restarting { by_hand: true, .. })), "{causes:?}");
    assert!(matches!(causes[3], (Cause::Dashboard, What::RestartRequested { .. })), "{causes:?}");
}

#[test]
fn where_it_no_longer_fits_it_starts_elsewhere() {
    let (mut desk, task) = running(&["a", "b"], TaskSpec::default());
    restart(&mut desk, task);
    desk.give(Input::Heartbeat { worker: id("a"), runtime_problem: "no engine".into() });
    assert_eq!(starts(&ends(&mut desk, "a", task, 143).effects), [("b", 1)]);
}

#[test]
fn what_has_ended_runs_again_also_after_a_stop_and_is_not_stopped_by_it() {
    let (mut desk, task) = running(&["a"], TaskSpec::default());
    desk.stop(task);
    ends(&mut desk, "a", task, 0);
    assert_eq!(desk.state(task), State::Completed);
    let (outcome, effects) = restart(&mut desk, task);
    assert_eq!((outcome.state, starts(&effects)), (State::Scheduled, vec![("a", 1)]));
    desk.report("a", task, State::Running);
    assert!(!desk.task(task).is_stopping());
}

#[test]
fn a_crash_loop_is_forgiven_and_on_failure_counts_anew() {
    let policy = RestartPolicy::OnFailure(Some(2));
    let (mut desk, task) = running(&["a"], TaskSpec { restart_policy: policy, ..TaskSpec::default() });
    for _ in 0..2 {
        ends(&mut desk, "a", task, 3);
        backoff(&mut desk);
        desk.report("a", task, State::Running);
    }
    ends(&mut desk, "a", task, 3);
    assert_eq!((desk.state(task), desk.task(task).status().restart_count), (State::Failed, 2));
    restart(&mut desk, task);
    assert_eq!((desk.task(task).crashes.in_a_row, desk.task(task).status().restart_count), (0, 3));
    for number in 1..=2 {
        desk.report("a", task, State::Running);
        ends(&mut desk, "a", task, 3);
        assert_eq!(desk.reason(task), format!("restart {number} of 2 after: exit code 3"));
        backoff(&mut desk);
    }
    desk.report("a", task, State::Running);
    ends(&mut desk, "a", task, 3);
    assert_eq!(desk.state(task), State::Failed);
}

#[test]
fn what_is_held_back_starts_at_once_and_what_only_waits_stays_in_line() {
    let policy = RestartPolicy::Always;
    let (mut desk, task) = running(&["a"], TaskSpec { restart_policy: policy, ..TaskSpec::default() });
    ends(&mut desk, "a", task, 3);
    assert_eq!(desk.state(task), State::Pending);
    let (outcome, effects) = restart(&mut desk, task);
    assert!(outcome.is_new);
    assert_eq!(starts(&effects), [("a", 2)]);
    assert!(starts(&desk.wait(Duration::from_secs(5))).is_empty(), "the backoff's own turn starts nothing");

    let mut empty = Desk::with(&[]);
    let (waiting, _) = empty.submit(TaskSpec::default());
    let revision = empty.manager.cluster().revision();
    assert!(!restart(&mut empty, waiting).0.is_new);
    assert_eq!(empty.manager.cluster().revision(), revision);
}

#[test]
fn a_stop_after_it_wins_and_a_restart_after_a_stop_too() {
    let (mut desk, task) = running(&["a"], TaskSpec::default());
    restart(&mut desk, task);
    desk.stop(task);
    assert!(starts(&ends(&mut desk, "a", task, 143).effects).is_empty());
    assert_eq!(desk.state(task), State::Completed);

    let (mut desk, task) = running(&["a"], TaskSpec::default());
    desk.stop(task);
    restart(&mut desk, task);
    assert_eq!(starts(&ends(&mut desk, "a", task, 143).effects), [("a", 1)]);
}

#[test]
fn on_a_worker_that_is_lost_it_starts_elsewhere() {
    let (mut desk, task) = running(&["a", "b"], TaskSpec::default());
    let b_says = |desk: &mut Desk, problem: &str| {
        desk.give(Input::Heartbeat { worker: id("b"), runtime_problem: problem.into() }).effects
    };
    for _ in 0..10 {
        b_says(&mut desk, "no engine");
        desk.wait(Duration::from_secs(1));
    }
    assert!(restart(&mut desk, task).0.is_new);
    assert_eq!(desk.state(task), State::Running, "nobody else can take it");
    let effects = b_says(&mut desk, "");
    let moved = desk.task(task);
    assert_eq!(desk.manager.cluster().worker_of(task), Some(&id("b")), "{effects:?}");
    assert_eq!((moved.desired, moved.restart), (State::Running, None));
}

#[test]
fn one_unknown_task_and_none_is_restarted() {
    let (mut desk, task) = running(&["a"], TaskSpec::default());
    let tasks = vec![task, TaskId::random()];
    let decision = desk.give(Input::Restart { request: 3, cause: Cause::Command, tasks });
    assert!(decision.changes.is_empty());
    let answer = &decision.effects[0];
    assert!(matches!(answer, Effect::Answer { answer: Err(RequestError::UnknownTask(_)), .. }), "{answer:?}");
}
