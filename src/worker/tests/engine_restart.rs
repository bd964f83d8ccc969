//! Containers that ended because their engine went down.

use super::*;

impl Desk {
    fn killed(&mut self, task: &Task, container: &str) {
        let output = self.give(Input::Killed { run: Run::of(task), container: container.to_owned() });
        assert_eq!(output, Output::default());
    }

    /// The engine is away, and back with this container.
    fn engine_restarts(&mut self, found: Found) -> Output {
        self.give(Input::RuntimeHealth("the engine closed the connection".to_owned()));
        let listed = self.give(Input::Listed(vec![found]));
        assert_eq!(listed.effects, [], "nothing is started before the engine is well");
        self.give(Input::RuntimeHealth(String::new()))
    }
}

fn inspect_of(task: &Task) -> Effect {
    Effect::Inspect { run: Run::of(task), container: "c".to_owned() }
}

#[test]
fn what_its_engine_ended_as_it_went_down_is_started_again_and_did_not_fail() {
    // Told to end, the engine shows kill and end before it is away; killed, it shows the kill when it is back.
    for end_is_seen in [true, false] {
        let mut desk = Desk::new();
        let task = desk.running();
        desk.killed(&task, "c");
        if end_is_seen {
            assert_eq!(desk.exited(&task, "c", 143).effects, [inspect_of(&task)]);
        }
        let output = desk.engine_restarts(found(&task, "c", FoundState::Exited(exit(143))));
        let [Effect::Start { task: again }] = &output.effects[..] else { panic!("{output:?}") };
        assert_eq!(again.status.container_id, "c", "the same one");
        let (state, reason) = desk.state_and_reason(&task);
        assert_eq!(state, State::Running, "not an end");
        assert!(reason.contains("engine was restarted"), "{reason}");

        // The end before, told once more while the start is under way, is looked at anew.
        desk.exited(&task, "c", 143);
        let output = desk.started(&task, "c");
        assert_eq!(output.effects, [inspect_of(&task)]);
        assert_eq!(desk.state_and_reason(&task), (State::Running, ""));
        assert_eq!(desk.status(&task).start_time, Some(desk.now));
        desk.give(Input::Found(found(&task, "c", FoundState::Running)));
        desk.exited(&task, "c", 3);
        assert_eq!(desk.state_and_reason(&task), (State::Failed, "exit code 3"), "a later end is one");
    }
}

#[test]
fn what_somebody_killed_on_an_engine_that_is_well_has_failed() {
    let mut desk = Desk::new();
    let task = desk.running();
    desk.killed(&task, "c");
    assert_eq!(desk.exited(&task, "c", 143).effects, [inspect_of(&task)]);
    desk.give(Input::Found(found(&task, "c", FoundState::Exited(exit(143)))));
    assert_eq!(desk.state_and_reason(&task), (State::Failed, "exit code 143"));
}

#[test]
fn what_ended_by_itself_while_its_engine_was_away_has_ended() {
    let mut desk = Desk::new();
    let task = desk.running();
    desk.killed(&task, "other");
    desk.engine_restarts(found(&task, "c", FoundState::Exited(exit(0))));
    assert_eq!(desk.state_and_reason(&task), (State::Completed, ""));

    // A signal that it took well, long before.
    let mut desk = Desk::new();
    let task = desk.running();
    desk.killed(&task, "c");
    for _ in 0..100 {
        desk.give(Input::Wake(task.id));
    }
    desk.engine_restarts(found(&task, "c", FoundState::Exited(exit(5))));
    assert_eq!(desk.state_and_reason(&task), (State::Failed, "exit code 5"));
}

#[test]
fn an_engine_that_goes_down_again_at_once_ends_nothing() {
    let mut desk = Desk::new();
    let task = desk.running();
    desk.killed(&task, "c");
    let ended = found(&task, "c", FoundState::Exited(exit(143)));
    desk.give(Input::RuntimeHealth("away".to_owned()));
    desk.give(Input::Listed(vec![ended.clone()]));
    desk.give(Input::RuntimeHealth("away again".to_owned()));
    desk.give(Input::Listed(vec![ended]));
    assert_eq!(desk.status(&task).state, State::Running);
    assert_eq!(starts(&desk.give(Input::RuntimeHealth(String::new()))), [Run::of(&task)]);
}

#[test]
fn a_stop_comes_before_the_second_start_and_takes_the_container_with_it() {
    let mut desk = Desk::new();
    let task = desk.running();
    desk.killed(&task, "c");
    desk.give(Input::RuntimeHealth("away".to_owned()));
    desk.give(Input::Listed(vec![found(&task, "c", FoundState::Exited(exit(143)))]));
    let output = desk.stop(&task);
    assert_eq!(output.effects, [remove_of("c")]);
    assert_eq!(desk.state_and_reason(&task), (State::Completed, "stopped"));
    assert_eq!(starts(&desk.give(Input::RuntimeHealth(String::new()))), []);
}

#[test]
fn one_that_its_engine_no_longer_starts_has_failed_with_that_reason() {
    let mut desk = Desk::new();
    let task = desk.running();
    desk.killed(&task, "c");
    desk.engine_restarts(found(&task, "c", FoundState::Exited(exit(143))));
    desk.failed(&task, RuntimeError::Refused("port is taken".to_owned()));
    assert_eq!(desk.state_and_reason(&task), (State::Failed, "start failed: port is taken"));
}
