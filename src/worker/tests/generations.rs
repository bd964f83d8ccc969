//! Generations and restarts: the newer one replaces, the older one is passed over.

use super::*;

#[test]
fn a_newer_generation_replaces_and_an_older_one_is_passed_over() {
    let mut desk = Desk::new();
    let old = desk.running();
    let new = generation(&old, 1);
    let output = desk.start(&new);
    assert_eq!((starts(&output), &output.effects[..]), (vec![], &[stop_of(&old, "c")][..]));
    assert_eq!(desk.status(&new).state, State::Scheduled);
    let output = desk.stopped(&old, "c", Ok(()));
    assert_eq!(starts(&output), [Run::of(&new)], "never two at once");
    desk.started(&new, "d");
    assert_eq!(desk.status(&new).state, State::Running);

    for output in [desk.start(&old), desk.stop(&old), desk.exited(&old, "c", 1)] {
        assert_eq!((output.reports, output.effects), (vec![], vec![]));
    }
    assert_eq!(desk.state_and_reason(&new), (State::Running, ""));
}

#[test]
fn a_newer_generation_in_the_middle_of_a_start_waits_for_it() {
    let mut desk = Desk::new();
    let old = task(1);
    let new = generation(&old, 1);
    desk.start(&old);
    assert_eq!(desk.start(&new).effects, []);
    let output = desk.started(&old, "c");
    assert_eq!((output.effects, output.reports), (vec![stop_of(&old, "c")], vec![]));
    assert_eq!(starts(&desk.stopped(&old, "c", Ok(()))), [Run::of(&new)]);

    // A start that failed has nothing to stop.
    let mut desk = Desk::new();
    desk.start(&old);
    desk.start(&new);
    assert_eq!(starts(&desk.failed(&old, RuntimeError::Refused("no".into()))), [Run::of(&new)]);
}

#[test]
fn a_newer_generation_starts_an_ended_task_again() {
    let mut desk = Desk::new();
    let old = desk.running();
    desk.exited(&old, "c", 3);
    let new = generation(&old, 1);
    assert_eq!(starts(&desk.start(&new)), [Run::of(&new)]);
    desk.started(&new, "d");
    let status = desk.status(&new);
    assert_eq!((status.state, status.exit_code, status.finish_time), (State::Running, None, None));
}

#[test]
fn a_restart_as_the_book_asks_for_it_replaces_the_container_once() {
    let restart = |task: &Task| {
        let mut task = task.clone();
        task.status.container_id = "c".to_owned();
        task.status.restart_count = 1;
        task
    };
    // Of a running one.
    let mut desk = Desk::new();
    let task = desk.running();
    let again = restart(&task);
    assert_eq!(desk.start(&again).effects, [stop_of(&task, "c")]);
    let second = generation(&task, 1);
    assert_eq!(starts(&desk.stopped(&task, "c", Ok(()))), [Run::of(&second)]);
    desk.started(&second, "d");
    assert_eq!(desk.start(&again).effects, [], "a repeat is no second restart");
    assert_eq!(desk.status(&task).restart_count, 1);

    // Of an ended one: its container goes.
    let mut desk = Desk::new();
    let task = desk.running();
    desk.exited(&task, "c", 1);
    let output = desk.start(&restart(&task));
    assert!(output.effects.contains(&remove_of("c")), "{:?}", output.effects);
    assert_eq!(starts(&output), [Run::of(&second)]);
}
