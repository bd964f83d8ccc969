//! Tasks that name secrets: they wait for them, and go where they may have them.

use super::{Desk, id, starts};
use crate::cluster::Peer;
use crate::manager::decide::*;
use crate::scheduler::Outcome;
use crate::task::{State, TaskSpec};

fn spec(secrets: &[&str]) -> TaskSpec {
    let secrets = secrets.iter().map(|used| used.parse().unwrap()).collect();
    TaskSpec { secrets, ..TaskSpec::default() }
}

fn set(desk: &mut Desk, names: &[&str]) -> Vec<Effect> {
    let names = names.iter().map(|name| name.parse().unwrap()).collect();
    desk.give(Input::Secrets { names }).effects
}

#[test]
fn a_task_waits_for_each_of_its_secrets_by_name_and_goes_when_all_are_set() {
    let mut desk = Desk::with(&["a"]);
    let (task, effects) = desk.submit(spec(&["A", "B:env"]));
    assert_eq!(starts(&effects), []);
    assert!(desk.reason(task).contains("`cube-tui secret set A`"), "{}", desk.reason(task));
    let explained = desk.manager.why(desk.now(), task, 9).unwrap().waits.unwrap().explanation;
    assert!(matches!(&explained.outcome, Outcome::Waiting { reason } if reason.contains("secret A")));
    // Others are not held up by it, not even those that are like it in all but the secrets.
    let (_, effects) = desk.submit(TaskSpec::default());
    assert_eq!(starts(&effects), [("a", 0)]);
    assert_eq!(starts(&set(&mut desk, &["A"])), []);
    assert!(desk.reason(task).contains("secret B is not set"), "{}", desk.reason(task));
    assert_eq!(starts(&set(&mut desk, &["A", "B"])), [("a", 0)]);
    assert_eq!(desk.state(task), State::Scheduled);
}

#[test]
fn one_that_was_removed_holds_up_the_next_start_and_nothing_that_runs() {
    let mut desk = Desk::with(&["a"]);
    set(&mut desk, &["A"]);
    let (task, _) = desk.submit(spec(&["A"]));
    desk.report("a", task, State::Running);
    assert_eq!(set(&mut desk, &[]), []);
    assert_eq!(desk.state(task), State::Running);
    desk.give(Input::Restart { request: 3, cause: Cause::Command, tasks: vec![task] });
    let ended = desk.report("a", task, State::Completed);
    assert_eq!(starts(&ended.effects), []);
    assert_eq!(desk.state(task), State::Pending);
    assert!(desk.reason(task).contains("secret A is not set"), "{}", desk.reason(task));
}

#[test]
fn a_secret_goes_to_no_worker_of_the_book_and_over_no_plain_wire() {
    let mut desk = Desk::with(&[]);
    let insecure = ConfiguredWorker { id: id("far"), insecure: true };
    let book = ConfiguredWorker { id: id("book"), insecure: false };
    desk.give(Input::Started { workers: vec![insecure, book] });
    desk.up("far");
    let Input::WorkerUp { worker, capacity, runtime_problem, facts, .. } = super::up("book") else {
        panic!()
    };
    desk.give(Input::WorkerUp { worker, peer: Peer::Book, capacity, runtime_problem, facts, allows: None });
    set(&mut desk, &["A"]);
    let (task, effects) = desk.submit(spec(&["A"]));
    assert_eq!(starts(&effects), []);
    let reason = desk.reason(task);
    assert!(reason.contains("far is given no secrets (it is reached without TLS)"), "{reason}");
    assert!(reason.contains("book is given no secrets (it is one of the book's)"), "{reason}");
}
