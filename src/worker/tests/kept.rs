//! What is kept after its end, and for how long: never more than the limits, never a container that lives.

use std::time::Duration;

use super::*;

/// The `number`-th start of a task runs in a container of its own, and crashes.
fn crash(desk: &mut Desk, task: &Task, number: u32) -> Vec<Effect> {
    let (task, container) = (generation(task, number), format!("t{}-{number}", task.spec.name));
    let mut effects = desk.start(&task).effects;
    effects.extend(desk.started(&task, &container).effects);
    effects.extend(desk.exited(&task, &container, 3).effects);
    effects.retain(|effect| !matches!(effect, Effect::Start { .. }));
    effects
}

fn kept(desk: &Desk) -> Vec<&str> {
    desk.worker.containers().map(|(_, container)| container).collect()
}

#[test]
fn of_a_task_that_crashes_again_and_again_only_the_last_container_is_kept() {
    let mut desk = Desk::new();
    let other = task(2);
    crash(&mut desk, &other, 0);
    let task = task(1);
    assert_eq!(crash(&mut desk, &task, 0), []);
    for number in 1..=100 {
        assert_eq!(crash(&mut desk, &task, number), [remove_of(&format!("tt1-{}", number - 1))]);
    }
    assert_eq!(kept(&desk), ["tt2-0", "tt1-100"], "another task's last one is not pushed out");
    assert_eq!(desk.worker.task_count(), 2);
}

#[test]
fn the_last_ended_container_stays_while_the_task_runs_again() {
    let mut desk = Desk::new();
    let task = task(1);
    crash(&mut desk, &task, 0);
    desk.start(&generation(&task, 1));
    assert_eq!(desk.started(&generation(&task, 1), "d").effects, []);
    assert_eq!(kept(&desk), ["d", "tt1-0"]);
    // And somebody starts it again: then it is no ended one, and goes as any live one that nobody asked for.
    let output = desk.give(Input::Found(found(&task, "tt1-0", FoundState::Running)));
    assert_eq!(output.effects, [stop_of(&task, "tt1-0")]);
    assert_eq!(kept(&desk), ["d"]);
}

#[test]
fn what_was_kept_for_long_enough_goes_with_time_alone_and_what_lives_stays() {
    let limits = Limits {
        containers_kept_for: Duration::from_mins(1),
        tasks_kept_for: Duration::from_mins(2),
        ..Limits::default()
    };
    let mut desk = Desk::with(limits);
    let running = desk.running();
    let (first, second) = (task(2), task(3));
    crash(&mut desk, &first, 0);
    desk.now += SignedDuration::from_secs(30);
    crash(&mut desk, &second, 0);
    desk.now += SignedDuration::from_secs(29);
    assert_eq!(desk.give(Input::Tick).effects, [remove_of("tt2-0")]);
    desk.now += SignedDuration::from_secs(40);
    assert_eq!(desk.give(Input::Tick).effects, [remove_of("tt3-0")]);
    assert_eq!((kept(&desk), desk.worker.task_count()), (vec!["c"], 3));
    desk.now += SignedDuration::from_secs(30);
    desk.give(Input::Tick);
    assert!(desk.worker.task(first.id).is_none() && desk.worker.task(second.id).is_some());
    desk.now += SignedDuration::from_hours(24 * 365);
    assert_eq!(desk.give(Input::Tick).effects, []);
    assert_eq!(desk.status(&running).state, State::Running);
    assert_eq!(desk.worker.task_count(), 1);
}

#[test]
fn at_a_start_the_limits_hold_in_whatever_order_the_engine_lists() {
    let ended = |task: &Task, container: &str, second| {
        let at = Some(Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second));
        found(task, container, FoundState::Exited(Exit { code: 3, out_of_memory: false, at }))
    };
    let (one, two, three) = (task(1), task(2), task(3));
    let mut list = vec![
        ended(&one, "one-old", 1),
        ended(&generation(&one, 1), "one", 50),
        ended(&two, "two", 10),
        ended(&three, "three", 20),
        ended(&generation(&three, 1), "three-new", 60),
        found(&generation(&three, 2), "three-runs", FoundState::Running),
    ];
    for _ in 0..list.len() {
        list.rotate_left(1);
        let limits = Limits { kept_containers: 2, ..Limits::default() };
        let mut desk = Desk { worker: Worker::new(limits), now: Timestamp::UNIX_EPOCH };
        let mut gone = desk.give(Input::Listed(list.clone())).effects;
        gone.sort_by_key(|effect| format!("{effect:?}"));
        let expected = ["one-old", "three", "two"].map(remove_of);
        assert_eq!(gone, expected, "the last of each task, and of those the two that ended last");
        assert_eq!(kept(&desk), ["three-runs", "one", "three-new"]);
    }
}
