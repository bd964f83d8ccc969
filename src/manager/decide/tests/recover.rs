//! The decisions about tasks that workers have and the store does not.

use std::time::Duration;

use super::{Desk, id, starts, stops};
use crate::cluster::{Cause, What, WorkerRecord};
use crate::manager::decide::{Answer, Effect, Input};
use crate::manager::request::Recovered;
use crate::task::{RestartPolicy, State, Task, TaskId, TaskSpec, WorkerId};

/// A task as a worker reports it.
fn found(state: State, generation: u32, spec: TaskSpec) -> Task {
    let mut task = Task { id: TaskId::random(), spec: spec.into(), ..Task::default() };
    task.status.state = state;
    task.status.generation = generation;
    task.status.container_id = format!("of-generation-{generation}");
    task
}

fn running() -> Task {
    found(State::Running, 3, TaskSpec::default())
}

impl Desk {
    fn lists_all(&mut self, worker: &str, tasks: &[&Task]) -> Vec<Effect> {
        let tasks = tasks.iter().map(|task| (*task).clone()).collect();
        self.give(Input::WorkerTasks { worker: id(worker), tasks }).effects
    }

    fn recover(&mut self) -> (Recovered, Vec<Effect>) {
        let effects = self.give(Input::Recover { request: 7, cause: Cause::Command }).effects;
        let answer = effects.iter().find_map(|effect| match effect {
            Effect::Answer { request: 7, answer: Ok(Answer::Recovered(recovered)) } => {
                Some(recovered.clone())
            }
            _ => None,
        });
        (answer.expect("it is answered"), effects)
    }

    fn taken(&mut self) -> Vec<(TaskId, WorkerId)> {
        self.recover().0.taken.into_iter().map(|taken| (taken.task.id, taken.worker)).collect()
    }

    fn worker(&self, name: &str) -> &WorkerRecord {
        self.manager.cluster().worker(&id(name)).expect("it is known")
    }
}

#[test]
fn what_is_not_in_the_store_is_counted_and_nothing_of_it_is_stopped() {
    let mut desk = Desk::with(&["a"]);
    let (one, two) = (running(), running());
    let effects = desk.lists_all("a", &[&one, &two, &found(State::Failed, 0, TaskSpec::default())]);
    assert_eq!(effects, [], "nothing is done to them");
    assert_eq!(desk.worker("a").unknown_tasks, 2, "what lives is counted");
    assert!(desk.worker("a").notice().is_some_and(|notice| notice.contains("cube-tui recover")));
    assert_eq!(desk.manager.cluster().task_db().len(), 0);
    let revision = desk.manager.cluster().revision();
    for _ in 0..100 {
        desk.give(Input::WorkerTask { worker: id("a"), task: one.clone() });
        desk.lists_all("a", &[&one, &two]);
    }
    assert_eq!(desk.manager.cluster().revision(), revision, "a repeat is no news");
    let mut ended = one.clone();
    ended.status.state = State::Failed;
    desk.give(Input::WorkerTask { worker: id("a"), task: ended });
    desk.wait(Duration::from_mins(1));
    desk.give(Input::Heartbeat { worker: id("a"), runtime_problem: String::new() });
    assert_eq!(desk.worker("a").unknown_tasks, 1, "what has ended no longer counts");
    desk.lists_all("a", &[]);
    assert_eq!(desk.worker("a").unknown_tasks, 0);
}

#[test]
fn another_managers_work_on_a_worker_does_not_fill_the_log() {
    let mut desk = Desk::with(&["a"]);
    let tasks: Vec<Task> = (0..100).map(|_| running()).collect();
    let before = desk.manager.cluster().revision();
    for seen in 1..=tasks.len() {
        desk.wait(Duration::from_millis(590));
        desk.lists_all("a", &tasks[..seen].iter().collect::<Vec<_>>());
    }
    let told = desk.manager.cluster().revision() - before;
    assert!((2..=4).contains(&told), "{told} Changes in a minute");
}

#[test]
fn recover_takes_over_what_lives_as_its_worker_has_it() {
    let mut desk = Desk::with(&["a", "b"]);
    let (on_a, on_b) = (running(), running());
    desk.lists_all("a", &[&on_a]);
    desk.lists_all("b", &[&on_b]);
    let (recovered, effects) = desk.recover();
    assert_eq!((recovered.taken.len(), recovered.silent.len()), (2, 0));
    assert!(starts(&effects).is_empty() && stops(&effects).is_empty(), "{effects:?}");
    for (task, worker) in [(&on_a, "a"), (&on_b, "b")] {
        let record = desk.task(task.id);
        assert_eq!((&record.task, record.desired), (task, State::Running));
        assert_eq!(desk.manager.cluster().worker_of(task.id), Some(&id(worker)));
        assert_eq!(desk.worker(worker).unknown_tasks, 0);
    }
    let revision = desk.manager.cluster().revision();
    assert_eq!(desk.taken(), [], "a second time there is nothing left");
    assert_eq!(desk.manager.cluster().revision(), revision);

    let effects = desk.stop(on_a.id);
    assert_eq!(stops(&effects), [("a", 3)], "it is stopped as the generation that runs");
}

#[test]
fn of_two_workers_with_the_same_task_the_newest_generation_wins_and_the_other_is_stopped() {
    for newer_is_heard_first in [true, false] {
        let mut desk = Desk::with(&["a", "b"]);
        let old = running();
        let mut new = old.clone();
        new.status.generation = 4;
        let lists =
            if newer_is_heard_first { [("b", &new), ("a", &old)] } else { [("a", &old), ("b", &new)] };
        for (worker, task) in lists {
            desk.lists_all(worker, &[task]);
        }
        let (recovered, effects) = desk.recover();
        assert_eq!(recovered.taken.len(), 1);
        assert_eq!(desk.manager.cluster().worker_of(old.id), Some(&id("b")));
        assert_eq!(stops(&effects), [("a", 3)]);
    }
}

#[test]
fn a_newer_generation_that_is_heard_of_after_a_recovery_takes_over_in_the_next() {
    let mut desk = Desk::with(&["a", "b"]);
    let old = running();
    let mut new = old.clone();
    new.status.generation = 4;
    desk.lists_all("a", &[&old]);
    assert_eq!(desk.taken(), [(old.id, id("a"))]);
    assert_eq!(desk.lists_all("b", &[&new]), [], "nothing is stopped for it yet");
    assert_eq!(desk.worker("b").unknown_tasks, 1);
    let (recovered, effects) = desk.recover();
    assert_eq!(recovered.taken[0].worker, id("b"));
    assert_eq!(stops(&effects), [("a", 3)]);
    assert_eq!(desk.manager.cluster().worker_of(old.id), Some(&id("b")));
}

#[test]
fn what_has_ended_is_taken_over_only_where_it_still_matters() {
    let policy = |restart_policy| TaskSpec { restart_policy, ..TaskSpec::default() };
    let mut stopped = found(State::Completed, 0, policy(RestartPolicy::Always));
    stopped.status.reason = crate::worker::STOPPED.to_owned();
    let mut desk = Desk::with(&["a", "b"]);
    let done = found(State::Completed, 0, TaskSpec::default());
    let crashed = found(State::Failed, 2, policy(RestartPolicy::Always));
    let moved_and_done = found(State::Completed, 5, TaskSpec::default());
    let mut left = moved_and_done.clone();
    (left.status.state, left.status.generation) = (State::Running, 4);
    desk.lists_all("a", &[&stopped, &done, &crashed, &moved_and_done]);
    desk.lists_all("b", &[&left]);
    let (recovered, effects) = desk.recover();
    let mut taken: Vec<_> = recovered.taken.iter().map(|taken| taken.task.id).collect();
    let mut expected = [crashed.id, moved_and_done.id];
    taken.sort_unstable();
    expected.sort_unstable();
    assert_eq!(taken, expected);
    assert_eq!(stops(&effects), [("b", 4)], "the end of the newer one counts");
    assert_eq!(desk.state(moved_and_done.id), State::Completed);
}

#[test]
fn what_has_ended_is_never_started_by_a_recovery_and_can_be_restarted_by_hand() {
    for (state, restart_policy) in [
        (State::Failed, RestartPolicy::Always),
        (State::Completed, RestartPolicy::Always),
        (State::Failed, RestartPolicy::OnFailure(None)),
        (State::Failed, RestartPolicy::UnlessStopped),
    ] {
        let mut desk = Desk::with(&["a"]);
        // An earlier run's: that of a later one is gone, and so is the store that knew that it was stopped.
        let crashed = found(state, 2, TaskSpec { restart_policy, ..TaskSpec::default() });
        desk.lists_all("a", &[&crashed]);
        let (recovered, effects) = desk.recover();
        assert_eq!(recovered.taken[0].task, crashed);
        assert!(starts(&effects).is_empty(), "{effects:?}");
        let mut later = desk.wait(Duration::from_mins(10));
        later.extend(desk.lists_all("a", &[&crashed]));
        assert!(starts(&later).is_empty(), "{later:?}");
        assert_eq!((desk.state(crashed.id), desk.task(crashed.id).status().generation), (state, 2));

        let tasks = vec![crashed.id];
        desk.give(Input::Heartbeat { worker: id("a"), runtime_problem: String::new() });
        desk.give(Input::Restart { request: 8, cause: Cause::Command, tasks });
        assert_eq!(desk.task(crashed.id).status().generation, 3, "it is started if somebody says so");
    }
}

#[test]
fn workers_that_have_not_said_what_they_have_are_named() {
    let mut desk = Desk::with(&["a", "b", "c"]);
    desk.lists_all("a", &[]);
    desk.lists_all("c", &[]);
    desk.give(Input::LinkDown { worker: id("c"), reason: "connection refused".to_owned() });
    let silent = desk.recover().0.silent;
    let silent: Vec<_> = silent.iter().map(|silent| (silent.worker.as_str(), &*silent.reason)).collect();
    assert_eq!(silent, [("b", "ready, and has not said what it runs"), ("c", "connection refused")]);
}

#[test]
fn an_unknown_task_that_was_submitted_again_meanwhile_is_not_taken_over() {
    let mut desk = Desk::with(&["a"]);
    let task = found(State::Running, 0, TaskSpec { image: "busy:1".into(), ..TaskSpec::default() });
    desk.lists_all("a", &[&task]);
    let event = crate::task::TaskEvent::start(task.clone(), jiff::Timestamp::UNIX_EPOCH);
    desk.give(Input::Submit { request: 1, cause: Cause::Command, events: vec![event] });
    let revision = desk.manager.cluster().revision();
    assert_eq!(desk.taken(), []);
    let news: Vec<_> = desk.manager.cluster().event_db().after(revision).unwrap().collect();
    assert!(news.iter().all(|change| matches!(change.what, What::Worker { .. })), "{news:?}");
}
