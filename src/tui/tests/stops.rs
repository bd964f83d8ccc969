//! What is asked before it is done: stops, restarts, cordons, and what is marked for them.

use super::*;

#[test]
fn a_stop_is_asked_named_and_waits_five_seconds() {
    let mut model = busy(80, 24);
    assert_eq!(press(&mut model, "S"), []);
    assert!(screen(&model).contains("stop 1 task?") && screen(&model).contains("api-1\u{a0}(worker-1:5555)"));
    assert_eq!(press(&mut model, "<Enter>"), [], "Cancel is the default");
    assert!(model.overlay.is_none() && model.countdown.is_none());
    assert_eq!(press(&mut model, "Sy"), []);
    assert!(screen(&model).contains("Stopping 1 task in 5s: api-1"));
    assert_eq!(seconds_later(&mut model, 4), []);
    assert!(screen(&model).contains("Stopping 1 task in 1s"));
    assert_eq!(seconds_later(&mut model, 1), [Action::Stop(vec![task_id(1)])]);
    assert_eq!(seconds_later(&mut model, 1), [], "once");
}

#[test]
fn a_stop_can_be_taken_back_sent_now_or_sent_by_quitting() {
    let stop = Action::Stop(vec![task_id(1)]);
    let cases = [
        ("Syu", vec![]),
        ("Sn", vec![]),
        ("S<Esc>", vec![]),
        ("Sy<Enter>", vec![stop.clone()]),
        ("S<Tab><Enter><Enter>", vec![stop.clone()]),
        ("Syq", vec![stop.clone(), Action::Quit]),
        ("Sy<C-c>", vec![stop, Action::Quit]),
    ];
    for (keys, expected) in cases {
        let mut model = busy(80, 24);
        assert_eq!(press(&mut model, keys), expected, "{keys}");
        assert_eq!(seconds_later(&mut model, 60), [], "{keys}");
    }
}

#[test]
fn cordon_and_drain_are_asked_about_the_worker_at_hand() {
    let mut model = busy(80, 24);
    assert_eq!(press(&mut model, "C"), []);
    assert!(screen(&model).contains("cordon and drain are for workers"));
    let wish = |wish| {
        let worker = crate::task::WorkerId::from("worker-1:5555");
        vec![Action::SetAvailability(WorkerWish { worker, wish })]
    };
    let cases = [
        ("1gCc", wish(AvailabilityWish::Cordon)),
        ("1gCd", wish(AvailabilityWish::Drain { within_s: None })),
        ("1gCu", wish(AvailabilityWish::Uncordon)),
        ("1gCn", vec![]),
        ("1gC<Esc>", vec![]),
    ];
    for (keys, expected) in cases {
        let mut model = busy(80, 24);
        press(&mut model, &keys[..3]);
        assert!(screen(&model).contains("d  drain: cordon, and move off"), "{}", screen(&model));
        assert_eq!(press(&mut model, &keys[3..]), expected, "{keys}");
        assert!(model.overlay.is_none());
    }
}

#[test]
fn a_second_stop_sends_the_first_which_was_confirmed() {
    let mut model = busy(80, 24);
    assert_eq!(press(&mut model, "SyjSy"), [Action::Stop(vec![task_id(1)])]);
    assert_eq!(press(&mut model, "<Enter>"), [Action::Stop(vec![task_id(2)])]);
}

#[test]
fn a_restart_of_what_runs_is_asked_about_and_one_of_what_ended_is_not() {
    let restart = |number| Action::Restart(vec![task_id(number)]);
    let mut model = busy(80, 24);
    assert_eq!(press(&mut model, "R"), []);
    let text = screen(&model);
    assert!(text.contains("restart 1 task?") && text.contains("[ Restart 1 ]"), "{text}");
    assert_eq!(press(&mut model, "<Enter>"), [], "Cancel is the default");
    assert_eq!(press(&mut model, "Ry"), [restart(1)]);
    assert_eq!(press(&mut model, "jjR"), [restart(3)], "cache-1 has completed");
    assert!(model.overlay.is_none());
    press(&mut model, "g  ");
    assert_eq!(press(&mut model, "R<Tab><Enter>"), [Action::Restart(vec![task_id(1), task_id(2)])]);
    assert!(model.marks.is_empty());
    let outcome = |is_new| Restarted { task: task_id(1), is_new, state: State::Running };
    let cases = [
        (Ok(vec![outcome(true)]), "restarting api-1"),
        (Ok(vec![outcome(false)]), "waits for a worker and for nothing else"),
        (Err(RequestError::UnknownTask(task_id(1))), "not restarted: no task"),
    ];
    for (result, expected) in cases {
        update(&mut model, Event::Restarted(result));
        assert!(screen(&model).contains(expected), "{expected}");
    }
}

#[test]
fn marks_are_stopped_together_without_those_that_ended() {
    let mut model = busy(80, 24);
    press(&mut model, "   "); // api-1, api-2, cache-1 (completed)
    assert_eq!(model.marks.len(), 3);
    press(&mut model, "GS");
    let text = screen(&model);
    assert!(text.contains("stop 2 tasks?") && text.contains("1 not asked"), "{text}");
    assert_eq!(press(&mut model, "y<Enter>"), [Action::Stop(vec![task_id(1), task_id(2)])]);
    assert!(model.marks.is_empty());
}

#[test]
fn what_has_ended_is_not_stopped() {
    let mut model = busy(80, 24);
    press(&mut model, "jjS");
    assert!(model.overlay.is_none());
    assert!(screen(&model).contains("nothing to stop: it has ended"));
}
