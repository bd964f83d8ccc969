//! How many tasks may wait for their start.

use super::super::MOST_WAITING;
use super::*;

fn submit(desk: &mut Desk, events: Vec<TaskEvent>) -> Decision {
    desk.give(Input::Submit { request: 1, cause: Cause::Command, events })
}

fn events(count: usize) -> Vec<TaskEvent> {
    (0..count).map(|_| event(TaskSpec::default())).collect()
}

#[test]
fn past_the_bound_a_request_is_refused_whole_until_fewer_wait() {
    let mut desk = Desk::with(&[]);
    let mut first = submit(&mut desk, events(MOST_WAITING - 1)).changes;
    let refused = |decision: &Decision| {
        assert_eq!(decision.changes, [], "nothing is half done");
        assert!(
            matches!(
                &decision.effects[..],
                [Effect::Answer { answer: Err(RequestError::TooManyWaiting(_)), .. }]
            ),
            "{:?}",
            decision.effects
        );
    };
    refused(&submit(&mut desk, events(2)));
    let last = events(1);
    assert!(!submit(&mut desk, last.clone()).changes.is_empty());
    refused(&submit(&mut desk, events(1)));
    // Nothing new in it: the same again is no flood.
    assert!(matches!(&submit(&mut desk, last).effects[..], [Effect::Answer { answer: Ok(_), .. }]));
    let task = first.remove(0).what.task_id().unwrap();
    desk.give(Input::Stop { request: 2, cause: Cause::Command, tasks: vec![task] });
    assert!(!submit(&mut desk, events(1)).changes.is_empty(), "one was stopped before it started");
}
