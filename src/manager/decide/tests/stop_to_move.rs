//! What a drain stops before it starts it elsewhere, when the drain is taken back meanwhile.

use super::placing::{desk_with, up_with};
use super::*;
use crate::manager::decide::MOST_IN_FLIGHT;
use crate::manager::request::AvailabilityWish;

const DRAIN: AvailabilityWish = AvailabilityWish::Drain { within_s: None };

fn with_host_port() -> TaskSpec {
    TaskSpec { port_bindings: Some([("80/tcp".into(), "8080".into())].into()), ..TaskSpec::default() }
}

/// Workers a and b, and what runs on a with a port of the host.
fn desk() -> (Desk, TaskId) {
    let mut desk = desk_with(&[("a", 8.0)]);
    let (task, _) = desk.submit(with_host_port());
    desk.sent("a", task, SendOutcome::Accepted);
    desk.report("a", task, State::Running);
    restart(&mut desk);
    (desk, task)
}

fn restart(desk: &mut Desk) {
    desk.manager = Manager::new(desk.manager.cluster().clone());
    desk.start(&["a", "b"]);
    desk.give(up_with("a", 8.0));
    desk.give(up_with("b", 8.0));
}

impl Desk {
    fn avail(&mut self, wish: AvailabilityWish) -> Vec<Effect> {
        self.give(Input::SetAvailability { request: 5, cause: Cause::Command, worker: id("a"), wish }).effects
    }

    fn stop_sent(&mut self, task: TaskId, outcome: SendOutcome) -> Vec<Effect> {
        self.give(Input::Sent { worker: id("a"), task, generation: 0, wish: Wish::Stop, outcome }).effects
    }

    fn was_stopped(&mut self, task: TaskId) -> Vec<Effect> {
        let stopped = |task: &mut Task| {
            task.status.state = State::Completed;
            task.status.reason = "stopped".into();
        };
        self.report_with("a", task, stopped).effects
    }

    fn heard_from(&mut self, worker: &str) -> Vec<Effect> {
        self.give(Input::Heartbeat { worker: id(worker), runtime_problem: String::new() }).effects
    }

    fn for_a_while(&mut self) -> Vec<Effect> {
        let mut effects = vec![];
        for _ in 0..5 {
            for worker in ["a", "b"] {
                let runtime_problem = String::new();
                effects.extend(self.give(Input::Heartbeat { worker: id(worker), runtime_problem }).effects);
            }
            effects.extend(self.wait(Duration::from_secs(1)));
        }
        effects
    }
}

#[test]
fn what_was_stopped_for_a_drain_that_was_taken_back_says_so_and_where_it_was_started_again() {
    for restarts in [false, true] {
        let (mut desk, task) = desk();
        assert_eq!(stops(&desk.avail(DRAIN)), [("a", 0)]);
        assert_eq!(desk.reason(task), "stopped for the drain of a");
        desk.stop_sent(task, SendOutcome::Accepted);
        desk.report_with("a", task, |task| task.status.reason = "stopping".into());
        assert_eq!(desk.reason(task), "stopped for the drain of a");
        assert_eq!(stops(&desk.avail(AvailabilityWish::Uncordon)), []);
        let told = "stopped for the drain of a, which was taken back meanwhile";
        assert_eq!(desk.reason(task), told);
        if restarts {
            restart(&mut desk);
        }
        let effects = desk.was_stopped(task);
        let [(worker, 1)] = starts(&effects)[..] else { panic!("{effects:?}") };
        let why = desk.manager.why(desk.now(), task, 10).unwrap();
        assert_eq!((why.ends[0].reason.as_str(), why.restarts), (told, 0));
        assert_eq!(why.ends[0].worker, Some(id("a")));
        assert_eq!(why.placed.unwrap().worker, id(worker));
        assert_eq!(desk.reason(task), "");
    }
}

#[test]
fn what_a_drain_stopped_and_started_elsewhere_says_for_which_drain() {
    let (mut desk, task) = desk();
    desk.avail(DRAIN);
    desk.stop_sent(task, SendOutcome::Accepted);
    assert_eq!(starts(&desk.was_stopped(task)), [("b", 1)]);
    let why = desk.manager.why(desk.now(), task, 10).unwrap();
    assert_eq!(why.ends[0].reason, "stopped for the drain of a");
}

#[test]
fn a_stop_for_a_drain_that_did_not_arrive_is_sent_again_unless_the_drain_is_taken_back() {
    for is_taken_back in [false, true] {
        for outcome in [down(), lost(), refused(400, "no")] {
            let (mut desk, task) = desk();
            desk.avail(DRAIN);
            desk.stop_sent(task, outcome.clone());
            if is_taken_back {
                desk.avail(AvailabilityWish::Uncordon);
            }
            let again = desk.for_a_while();
            assert_eq!(stops(&again).is_empty(), is_taken_back, "{outcome:?}: {again:?}");
            assert_eq!(desk.state(task), State::Running);
            let may_be_stopped = !is_taken_back || outcome == lost();
            assert_eq!(desk.reason(task).is_empty(), !may_be_stopped, "{outcome:?}");
        }
    }
}

#[test]
fn a_drain_that_is_taken_back_before_its_stop_is_known_not_to_have_arrived_leaves_the_task_alone() {
    let (mut desk, task) = desk();
    desk.avail(DRAIN);
    desk.avail(AvailabilityWish::Uncordon);
    desk.stop_sent(task, down());
    assert_eq!(stops(&desk.for_a_while()), []);
    assert_eq!((desk.state(task), desk.reason(task)), (State::Running, ""));
}

#[test]
fn a_stop_for_a_drain_is_sent_again_when_its_worker_is_back() {
    for restarts in [false, true] {
        let (mut desk, task) = desk();
        desk.avail(DRAIN);
        desk.stop_sent(task, SendOutcome::Accepted);
        if restarts {
            desk.manager = Manager::new(desk.manager.cluster().clone());
            desk.start(&["a", "b"]);
        }
        assert_eq!(stops(&desk.give(up_with("a", 8.0)).effects), [("a", 0)], "{restarts}");
        desk.avail(AvailabilityWish::Uncordon);
        assert_eq!(stops(&desk.give(up_with("a", 8.0)).effects), []);
        assert_eq!(desk.state(task), State::Running);
    }
}

#[test]
fn a_stop_that_waits_for_its_turn_goes_with_its_drain() {
    for wish in [AvailabilityWish::Uncordon, AvailabilityWish::Cordon] {
        let (mut desk, task) = desk();
        desk.give(Input::SetAvailability {
            request: 5,
            cause: Cause::Command,
            worker: id("b"),
            wish: AvailabilityWish::Cordon,
        });
        let events: Vec<_> = (0..MOST_IN_FLIGHT).map(|_| event(TaskSpec::default())).collect();
        let others: Vec<_> = events.iter().map(|event| event.task.id).collect();
        desk.give(Input::Submit { request: 1, cause: Cause::Command, events });
        let stopped = desk.give(Input::Stop { request: 2, cause: Cause::Command, tasks: others.clone() });
        assert_eq!(stops(&stopped.effects).len(), MOST_IN_FLIGHT);
        desk.give(Input::SetAvailability {
            request: 5,
            cause: Cause::Command,
            worker: id("b"),
            wish: AvailabilityWish::Uncordon,
        });
        let mut effects = desk.avail(DRAIN);
        for _ in 0..20 {
            // So many a turn.
            effects.extend(desk.heard_from("a"));
        }
        assert_eq!(stops(&effects), []);
        assert_eq!(desk.reason(task), "stopped for the drain of a");
        desk.avail(wish);
        assert_eq!(desk.reason(task), "");
        assert_eq!(stops(&desk.stop_sent(others[0], SendOutcome::Accepted)), []);
        assert_eq!(desk.state(task), State::Running);
    }
}

#[test]
fn what_has_something_mounted_does_not_run_twice_on_it() {
    let mut desk = desk_with(&[("a", 8.0)]);
    let spec = TaskSpec { mounts: vec!["data:/d".into()], ..TaskSpec::default() };
    let (task, _) = desk.submit(spec);
    desk.sent("a", task, SendOutcome::Accepted);
    desk.report("a", task, State::Running);
    restart(&mut desk);
    let effects = desk.avail(DRAIN);
    assert_eq!((starts(&effects), stops(&effects)), (vec![], vec![("a", 0)]));
}
