//! What the engine shows: at start, after a gap, and when an answer got lost.

use super::*;

#[test]
fn containers_are_adopted_as_they_are() {
    let tasks: Vec<Task> = (1..=4).map(task).collect();
    let mut desk = Desk { worker: Worker::new(Limits::default()), now: Timestamp::UNIX_EPOCH };
    let output = desk.give(Input::Listed(vec![
        found(&tasks[0], "runs", FoundState::Running),
        found(&tasks[1], "good", FoundState::Exited(exit(0))),
        found(&tasks[2], "bad", FoundState::Exited(exit(3))),
        found(&tasks[3], "made", FoundState::Created),
    ]));
    let states: Vec<State> = tasks.iter().map(|task| desk.status(task).state).collect();
    assert_eq!(states, [State::Running, State::Completed, State::Failed, State::Scheduled]);
    assert_eq!(desk.status(&tasks[0]).container_id, "runs");
    assert_eq!(desk.status(&tasks[0]).start_time, Some(Timestamp::UNIX_EPOCH));
    assert_eq!(starts(&output), [Run::of(&tasks[3])], "made and never started: started now");
    assert!(matches!(output.reports.last(), Some(Report::Tasks(all)) if all.len() == 4));
    // What a manager that did not see the restart sends again changes nothing.
    for task in &tasks {
        assert_eq!(desk.start(task).effects, []);
    }
}

#[test]
fn of_two_containers_for_a_task_the_newer_running_one_stays() {
    let old = task(1);
    let new = generation(&old, 1);
    for list in [
        vec![found(&old, "c", FoundState::Running), found(&new, "d", FoundState::Running)],
        vec![found(&new, "d", FoundState::Running), found(&old, "c", FoundState::Running)],
    ] {
        let mut desk = Desk { worker: Worker::new(Limits::default()), now: Timestamp::UNIX_EPOCH };
        let output = desk.give(Input::Listed(list));
        assert_eq!(output.effects, [stop_of(&old, "c")]);
        assert_eq!(desk.status(&new).container_id, "d");
    }
    let mut desk = Desk { worker: Worker::new(Limits::default()), now: Timestamp::UNIX_EPOCH };
    let output = desk.give(Input::Listed(vec![
        found(&old, "made", FoundState::Created),
        found(&old, "runs", FoundState::Running),
    ]));
    assert_eq!(output.effects, [remove_of("made")]);
}

#[test]
fn a_list_finds_the_ends_that_were_missed() {
    let mut desk = Desk::new();
    let task = desk.running();
    desk.give(Input::Listed(vec![found(&task, "c", FoundState::Exited(exit(7)))]));
    assert_eq!(desk.state_and_reason(&task), (State::Failed, "exit code 7"));

    // Missing in a list that may be older than the container: asked for by name.
    let mut desk = Desk::new();
    let task = desk.running();
    let output = desk.give(Input::Listed(Vec::new()));
    assert_eq!(output.effects, [Effect::Inspect { run: Run::of(&task), container: "c".into() }]);
    assert_eq!(desk.status(&task).state, State::Running);
}

#[test]
fn a_start_whose_answer_was_lost_is_not_repeated() {
    for (state, expected) in
        [(FoundState::Running, State::Running), (FoundState::Exited(exit(0)), State::Completed)]
    {
        let mut desk = Desk::new();
        let task = task(1);
        desk.start(&task);
        desk.failed(&task, away());
        let output = desk.give(Input::Listed(vec![found(&task, "c", state)]));
        assert_eq!((starts(&output), desk.status(&task).state), (vec![], expected));
        assert_eq!(starts(&desk.give(Input::Wake(task.id))), []);
    }
    // Its name was taken by itself: how it stands is looked at.
    let mut desk = Desk::new();
    let task = task(1);
    desk.start(&task);
    let started = Started { container: "c".into(), was_there: true };
    let output = desk.give(Input::Started { run: Run::of(&task), started });
    assert_eq!(output.effects, [Effect::Inspect { run: Run::of(&task), container: "c".into() }]);
}

#[test]
fn an_ended_container_that_someone_starts_again_is_stopped() {
    let mut desk = Desk::new();
    let task = desk.running();
    desk.exited(&task, "c", 0);
    let run = Run::of(&task);
    let output = desk.give(Input::Up { run, container: "c".into() });
    assert_eq!(output.effects, [Effect::Inspect { run, container: "c".into() }]);
    let output = desk.give(Input::Found(found(&task, "c", FoundState::Running)));
    assert_eq!(output.effects, [stop_of(&task, "c")]);
    assert_eq!(desk.status(&task).state, State::Completed, "an end is an end");
}

#[test]
fn a_start_that_was_given_up_and_comes_late_is_stopped() {
    let mut desk = Desk::new();
    let task = task(1);
    desk.start(&task);
    let run = Run::of(&task);
    let up = || Input::Up { run, container: "c".into() };
    assert_eq!(desk.give(up()).effects, [], "its own start needs no look");
    desk.stop(&task);
    desk.failed(&task, away());
    assert_eq!(desk.status(&task).state, State::Completed);
    assert_eq!(desk.give(up()).effects, [Effect::Inspect { run, container: "c".into() }]);
    let output = desk.give(Input::Found(found(&task, "c", FoundState::Running)));
    assert_eq!(output.effects, [stop_of(&task, "c")]);
}

#[test]
fn a_container_of_an_earlier_generation_that_comes_up_while_a_newer_one_starts_is_stopped() {
    // A killed worker asked for it; its engine carried that out only now.
    let mut desk = Desk::new();
    let (old, new) = (task(1), generation(&task(1), 2));
    desk.start(&new);
    let up = |task| Input::Up { run: Run::of(task), container: "old".into() };
    let look = Effect::Inspect { run: Run::of(&old), container: "old".into() };
    assert_eq!(desk.give(up(&old)).effects, [look]);
    let output = desk.give(Input::Found(found(&old, "old", FoundState::Running)));
    assert_eq!(output.effects, [stop_of(&old, "old")]);
    desk.started(&new, "new");
    assert_eq!(desk.status(&new).container_id, "new");
}

#[test]
fn the_stop_of_a_stray_container_is_tried_again_until_it_is_gone() {
    let mut desk = Desk::new();
    let task = desk.running();
    desk.exited(&task, "c", 0);
    let stop = stop_of(&task, "c");
    assert_eq!(
        desk.give(Input::Found(found(&task, "c", FoundState::Running))).effects,
        std::slice::from_ref(&stop)
    );
    for seconds in [1, 2, 4] {
        let later = Effect::Later { task: task.id, after: std::time::Duration::from_secs(seconds) };
        assert_eq!(desk.stopped(&task, "c", Err(away())).effects, [later]);
        assert_eq!(desk.give(Input::Wake(task.id)).effects, std::slice::from_ref(&stop));
    }
    assert_eq!(desk.stopped(&task, "c", Ok(())).effects, []);
    assert_eq!(desk.give(Input::Wake(task.id)).effects, []);
}
