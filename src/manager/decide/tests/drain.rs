//! Cordon and drain: what moves, in which order, and what is said of the rest.

use super::placing::{desk_with, up_with};
use super::*;
use crate::cluster::Availability;
use crate::manager::request::AvailabilityWish;

const DRAIN: AvailabilityWish = AvailabilityWish::Drain { within_s: None };

impl Desk {
    pub(super) fn wish(&mut self, worker: &str, wish: AvailabilityWish) -> Decision {
        self.give(Input::SetAvailability { request: 5, cause: Cause::Command, worker: id(worker), wish })
    }

    fn availability(&self, worker: &str) -> Availability {
        self.manager.cluster().worker(&id(worker)).unwrap().availability
    }

    pub(super) fn runs(&mut self, worker: &str, spec: TaskSpec) -> TaskId {
        let (task, effects) = self.submit(spec);
        assert_eq!(starts(&effects).first().map(|start| start.0), Some(worker));
        self.is_running(worker, task);
        task
    }

    fn is_running(&mut self, worker: &str, task: TaskId) -> Vec<Effect> {
        let mut effects = self.sent(worker, task, SendOutcome::Accepted);
        effects.extend(self.report(worker, task, State::Running).effects);
        effects
    }

    fn pass(&mut self, workers: &[&str], seconds: u64) -> Vec<Effect> {
        let mut effects = vec![];
        for _ in 0..seconds {
            for worker in workers {
                effects.extend(
                    self.give(Input::Heartbeat { worker: id(worker), runtime_problem: String::new() })
                        .effects,
                );
            }
            effects.extend(self.wait(Duration::from_secs(1)));
        }
        effects
    }
}

#[test]
fn a_cordoned_worker_keeps_what_it_has_and_gets_nothing_new() {
    let mut desk = desk_with(&[("a", 2.0)]);
    let stays = desk.runs("a", TaskSpec::default());
    desk.wish("a", AvailabilityWish::Cordon);
    let (waits, _) = desk.submit(TaskSpec::default());
    assert_eq!(desk.reason(waits), "waiting: a is cordoned");
    assert_eq!(desk.state(stays), State::Running);
    let effects = desk.wish("a", AvailabilityWish::Uncordon).effects;
    assert_eq!(starts(&effects), [("a", 0)]);
    let unknown = desk.wish("nobody", DRAIN).effects;
    assert!(matches!(&unknown[0], Effect::Answer { answer: Err(RequestError::UnknownWorker(_)), .. }));
}

#[test]
fn a_drain_starts_elsewhere_first_and_stops_here_when_that_runs() {
    let mut desk = desk_with(&[("a", 2.0)]);
    let task = desk.runs("a", TaskSpec::default());
    desk.give(Input::Started {
        workers: ["a", "b"].map(|worker| ConfiguredWorker { id: id(worker), insecure: false }).into(),
    });
    desk.give(up_with("a", 2.0));
    desk.give(up_with("b", 2.0));
    let effects = desk.wish("a", DRAIN).effects;
    assert_eq!((starts(&effects), stops(&effects)), (vec![("b", 1)], vec![]));
    let mut old = desk.task(task).task.clone();
    old.status.generation = 0;
    let effects = desk.give(Input::WorkerTask { worker: id("a"), task: old }).effects;
    assert!(stops(&effects).is_empty(), "it serves until the new one does");
    assert_eq!(stops(&desk.is_running("b", task)), [("a", 0)]);
    desk.pass(&["a", "b"], 2);
    assert_eq!(desk.availability("a"), Availability::Drained);
    assert_eq!(desk.manager.cluster().worker_of(task), Some(&id("b")));
}

#[test]
fn an_exclusive_task_stops_here_before_it_starts_elsewhere_also_over_a_restart() {
    for restarts in [false, true] {
        let mut desk = desk_with(&[("a", 2.0), ("b", 2.0)]);
        let task = desk.runs("a", TaskSpec { exclusive: true, ..TaskSpec::default() });
        let effects = desk.wish("a", DRAIN).effects;
        assert_eq!((starts(&effects), stops(&effects)), (vec![], vec![("a", 0)]));
        if restarts {
            desk.manager = Manager::new(desk.manager.cluster().clone());
            desk.start(&["a", "b"]);
            desk.give(up_with("a", 2.0));
            desk.give(up_with("b", 2.0));
        }
        let effects = desk
            .report_with("a", task, |task| {
                task.status.state = State::Completed;
                task.status.reason = "stopped".into();
            })
            .effects;
        assert_eq!(starts(&effects), [("b", 1)], "{restarts}");
        desk.is_running("b", task);
        desk.pass(&["a", "b"], 2);
        assert_eq!((desk.availability("a"), desk.state(task)), (Availability::Drained, State::Running));
    }
}

#[test]
fn what_was_stopped_for_a_drain_that_nobody_remembers_is_wanted_as_before() {
    let mut desk = desk_with(&[("a", 2.0)]);
    let task = desk.runs("a", TaskSpec { exclusive: true, ..TaskSpec::default() });
    desk.start(&["a", "b"]);
    desk.give(up_with("a", 2.0));
    desk.give(up_with("b", 2.0));
    assert_eq!(stops(&desk.wish("a", DRAIN).effects), [("a", 0)]);
    desk.wish("a", AvailabilityWish::Uncordon);
    desk.manager = Manager::new(desk.manager.cluster().clone());
    desk.start(&["a", "b"]);
    desk.give(up_with("a", 2.0));
    desk.give(up_with("b", 2.0));
    desk.report_with("a", task, |task| {
        task.status.state = State::Completed;
        task.status.reason = "stopped".into();
    });
    assert_eq!((desk.state(task), desk.task(task).status().restart_count), (State::Scheduled, 0));
}

#[test]
fn a_drain_moves_a_few_at_a_time_until_all_are_off() {
    let mut desk = desk_with(&[("a", 8.0)]);
    let tasks: Vec<_> = (0..10).map(|_| desk.runs("a", TaskSpec::default())).collect();
    desk.start(&["a", "b"]);
    desk.give(up_with("a", 8.0));
    desk.give(up_with("b", 8.0));
    let mut moving = starts(&desk.wish("a", DRAIN).effects).len();
    assert_eq!(moving, 4);
    for _ in 0..20 {
        let at_b: Vec<_> = tasks
            .iter()
            .copied()
            .filter(|task| {
                desk.manager.cluster().worker_of(*task) == Some(&id("b"))
                    && desk.state(*task) == State::Scheduled
            })
            .collect();
        assert!(at_b.len() <= 4);
        let Some(task) = at_b.first() else { break };
        moving += starts(&desk.is_running("b", *task)).len();
        moving += starts(&desk.pass(&["a", "b"], 1)).len();
    }
    assert_eq!(moving, 10);
    assert_eq!(desk.availability("a"), Availability::Drained);
}

#[test]
fn a_drain_that_can_not_move_everything_says_why_and_gives_up_at_its_deadline() {
    let mut desk = desk_with(&[("a", 4.0), ("b", 1.0)]);
    let task = desk.runs("a", TaskSpec { cpu: 2.0, ..TaskSpec::default() });
    desk.wish("a", AvailabilityWish::Drain { within_s: Some(30) });
    desk.pass(&["a", "b"], 5);
    assert_eq!(desk.reason(task), "stays on a, which is drained: b has 1 CPU, 2 wanted");
    assert!(matches!(desk.availability("a"), Availability::Draining { .. }));
    let before = desk.log.len();
    desk.pass(&["a", "b"], 20);
    assert_eq!(desk.log.len(), before, "said once");
    desk.pass(&["a", "b"], 6);
    assert_eq!((desk.availability("a"), desk.state(task)), (Availability::DrainGaveUp, State::Running));
    desk.wish("a", AvailabilityWish::Uncordon);
    assert_eq!(desk.reason(task), "");
}

#[test]
fn a_deadline_after_the_end_of_the_calendar_is_none() {
    let mut desk = desk_with(&[("a", 4.0), ("b", 1.0)]);
    desk.runs("a", TaskSpec { cpu: 2.0, ..TaskSpec::default() });
    for seconds in [u64::MAX, 400_000_000_000] {
        desk.wish("a", AvailabilityWish::Drain { within_s: Some(seconds) });
        assert_eq!(desk.availability("a"), Availability::Draining { until: None });
    }
}

#[test]
fn a_drained_task_that_nobody_else_can_start_is_served_by_its_old_run() {
    let mut desk = desk_with(&[("a", 4.0), ("b", 4.0)]);
    let task = desk.runs("a", TaskSpec::default());
    let effects = desk.wish("a", DRAIN).effects;
    assert_eq!(starts(&effects), [("b", 1)]);
    let effects = desk.sent("b", task, refused(400, "no such image"));
    assert!(stops(&effects).is_empty());
    let effects = desk.pass(&["a", "b"], 5);
    assert!(stops(&effects).is_empty(), "{effects:?}");
    assert_eq!(desk.state(task), State::Pending);
    let effects = desk.wish("a", AvailabilityWish::Uncordon).effects;
    let effects = [effects, desk.pass(&["a", "b"], 2)].concat();
    assert_eq!(starts(&effects), [("a", 2)]);
    let effects = desk.is_running("a", task);
    assert_eq!(stops(&effects), [], "a worker stops an older run before it starts a newer one");
}

#[test]
fn nothing_is_waited_for_once_the_old_run_of_a_drained_task_is_gone_too() {
    for how in ["ended", "not listed", "lost"] {
        let mut desk = desk_with(&[("a", 4.0), ("b", 4.0)]);
        let task = desk.runs("a", TaskSpec::default());
        desk.wish("a", DRAIN);
        desk.sent("b", task, refused(400, "no such image"));
        assert_eq!(desk.state(task), State::Pending);
        if how == "ended" {
            let mut old = desk.task(task).task.clone();
            (old.status.generation, old.status.state) = (0, State::Failed);
            desk.give(Input::WorkerTask { worker: id("a"), task: old });
        } else if how == "not listed" {
            desk.give(Input::WorkerTasks { worker: id("a"), tasks: vec![] });
        } else {
            desk.pass(&["b"], 10);
        }
        desk.pass(if how == "lost" { &["b"] } else { &["a", "b"] }, 2);
        assert_eq!(desk.state(task), State::Failed, "{how}: {}", desk.reason(task));
    }
}
