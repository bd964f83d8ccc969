//! How many tasks may wait for their start, and that what they are told of why stays true.

use super::super::MOST_WAITING;
use super::placing::{desk_with, up_with};
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

fn beats(desk: &mut Desk, workers: &[&str], seconds: u64) {
    for _ in 0..seconds {
        for worker in workers {
            desk.give(Input::Heartbeat { worker: id(worker), runtime_problem: String::new() });
        }
        desk.wait(Duration::from_secs(1));
    }
}

fn verdict(desk: &Desk, task: TaskId) -> String {
    let why = desk.manager.why(desk.now(), task, 0).unwrap();
    match why.waits.unwrap().explanation.outcome {
        crate::scheduler::Outcome::Waiting { reason } | crate::scheduler::Outcome::NeverFits { reason } => {
            reason
        }
        crate::scheduler::Outcome::Placed { worker } => panic!("{worker} can take it"),
    }
}

fn cpus(cpu: f64) -> TaskSpec {
    TaskSpec { cpu, ..TaskSpec::default() }
}

#[test]
fn a_reason_follows_what_becomes_of_the_workers_also_where_that_places_nobody() {
    let mut desk = desk_with(&[("a", 4.0), ("b", 2.0)]);
    let small = desk.submit(cpus(1.0)).0;
    let on = desk.manager.cluster().worker_of(small).unwrap().to_string();
    desk.report(&on, small, State::Running);
    for cpu in [1.5, 3.0] {
        let (task, effects) = desk.submit(cpus(cpu));
        let on = starts(&effects)[0].0;
        desk.report(on, task, State::Running);
    }
    // Lines of more shapes than are told at once when a worker gets better or worse.
    let waiting: Vec<TaskId> = (20..30).map(|tenths| desk.submit(cpus(f64::from(tenths) / 10.0)).0).collect();
    let follow = |desk: &Desk, what: &str| {
        for task in &waiting {
            assert_eq!(desk.reason(*task), verdict(desk, *task), "{what}");
        }
    };
    follow(&desk, "at first");
    desk.report(&on, small, State::Completed);
    beats(&mut desk, &["a", "b"], 20);
    follow(&desk, "something has ended");
    beats(&mut desk, &["a"], 20);
    assert_eq!(desk.health("b"), WorkerHealth::Lost);
    beats(&mut desk, &["a"], 20);
    follow(&desk, "b is lost");
    desk.give(up_with("b", 2.0));
    beats(&mut desk, &["a", "b"], 20);
    follow(&desk, "b is back");
    let before = desk.log.len();
    beats(&mut desk, &["a", "b"], 600);
    assert_eq!(desk.log.len(), before, "nothing happens, nothing is told");
}

#[test]
fn what_waits_is_told_no_more_than_twice_a_second_however_much_happens() {
    let mut desk = desk_with(&[("a", 4.0)]);
    let (task, _) = desk.submit(cpus(1.0));
    desk.report("a", task, State::Running);
    for tenths in 35..45 {
        let spec = cpus(f64::from(tenths) / 10.0);
        let events = (0..30).map(|_| event(spec.clone())).collect();
        submit(&mut desk, events);
    }
    let mut small = task;
    let before = desk.log.len();
    for round in 0..60 {
        desk.report("a", small, State::Completed);
        let (task, _) = desk.submit(cpus(1.0 + f64::from(round % 7) / 10.0));
        desk.report("a", task, State::Running);
        small = task;
        beats(&mut desk, &["a"], 1);
    }
    let told = desk.log[before..].iter().filter(|change| matches!(change.what, What::Waiting { .. })).count();
    assert!((60..=60 * 2 + 64).contains(&told), "{told}");
}
