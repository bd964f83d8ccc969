//! Workers that join and are let go at run time.

use uuid::Uuid;

use super::*;
use crate::cluster::{Availability, Joined};
use crate::manager::request::AvailabilityWish;

fn place(address: &str) -> Joined {
    Joined { address: address.to_owned(), member: Uuid::nil() }
}

fn join(desk: &mut Desk, worker: &str, address: &str) -> Decision {
    desk.give(Input::WorkerJoined {
        request: 1,
        cause: Cause::WorkerLink,
        worker: id(worker),
        joined: place(address),
    })
}

fn let_go(desk: &mut Desk, worker: &str) -> Decision {
    desk.give(Input::WorkerLeft { request: 2, cause: Cause::Command, worker: id(worker) })
}

fn is_done(decision: &Decision) -> bool {
    decision.effects.iter().any(|effect| matches!(effect, Effect::Answer { answer: Ok(Answer::Done), .. }))
}

#[test]
fn a_worker_that_joins_is_talked_to_once_and_where_it_is_is_told_only_as_news() {
    let mut desk = Desk::with(&["a"]);
    let link = |address| Effect::Link { worker: id("box"), joined: place(address) };
    let joined = join(&mut desk, "box", "10.0.0.2:5555");
    assert!(is_done(&joined) && joined.effects.contains(&link("10.0.0.2:5555")), "{joined:?}");
    desk.up("box");
    assert!(desk.manager.cluster().worker(&id("box")).unwrap().takes_work());
    let again = join(&mut desk, "box", "10.0.0.2:5555");
    assert!(is_done(&again) && again.changes.is_empty() && again.effects.len() == 1, "{again:?}");
    let elsewhere = join(&mut desk, "box", "10.0.0.3:5555");
    assert!(elsewhere.effects.contains(&link("10.0.0.3:5555")), "{elsewhere:?}");
}

#[test]
fn a_worker_that_joined_and_is_never_reached_says_where_it_was_sought_and_what_to_do() {
    let mut desk = Desk::with(&["a"]);
    join(&mut desk, "box", "10.0.0.2:5555");
    let down = || Input::LinkDown { worker: id("box"), reason: "connection refused".into() };
    let reason = |desk: &Desk| desk.manager.cluster().worker(&id("box")).unwrap().reason.clone();
    desk.give(down());
    let told = reason(&desk);
    assert!(told.starts_with("joined, but not reached at 10.0.0.2:5555 (connection refused); "), "{told}");
    assert!(told.contains("--listen HOST:PORT that this manager reaches"), "{told}");
    desk.wait(crate::manager::decide::LOST_AFTER);
    assert_eq!((desk.health("box"), reason(&desk)), (WorkerHealth::Lost, told));
    // One that was reached once is only away.
    desk.up("box");
    desk.give(down());
    assert_eq!(reason(&desk), "connection refused");
}

#[test]
fn a_worker_cannot_take_the_name_of_one_that_was_named_at_the_start() {
    let mut desk = Desk::with(&["local"]);
    let refused = join(&mut desk, "local", "10.0.0.2:5555");
    assert!(refused.changes.is_empty());
    assert!(matches!(&*refused.effects, [Effect::Answer { answer: Err(RequestError::Invalid(_)), .. }]));
}

#[test]
fn after_a_restart_who_has_joined_is_waited_for_and_who_was_let_go_is_not() {
    let mut desk = Desk::with(&["a"]);
    join(&mut desk, "box", "10.0.0.2:5555");
    join(&mut desk, "gone", "10.0.0.3:5555");
    let_go(&mut desk, "gone");
    let mut desk = Desk { manager: Manager::new(desk.manager.cluster().clone()), ..desk };
    desk.start(&["a"]);
    let cluster = desk.manager.cluster();
    let health = |worker| cluster.worker(&id(worker)).unwrap().health;
    assert_eq!(health("box"), WorkerHealth::Connecting);
    assert_eq!(cluster.worker(&id("box")).unwrap().joined, Some(place("10.0.0.2:5555")));
    assert_eq!(health("gone"), WorkerHealth::Lost);
}

#[test]
fn who_was_let_go_says_how_to_forget_it_or_take_it_back_also_after_a_restart() {
    let mut desk = Desk::with(&["a"]);
    join(&mut desk, "box", "10.0.0.2:5555");
    let_go(&mut desk, "box");
    let reason = |desk: &Desk| desk.manager.cluster().worker(&id("box")).unwrap().reason.clone();
    let expected =
        "its membership was revoked; `cube-tui forget box` lets go of it, a new invite takes it back";
    assert_eq!(reason(&desk), expected);
    let mut desk = Desk { manager: Manager::new(desk.manager.cluster().clone()), ..desk };
    desk.start(&["a"]);
    assert_eq!(reason(&desk), expected);
}

#[test]
fn a_new_membership_takes_work_though_the_old_one_was_drained_and_a_new_address_of_the_same_does_not() {
    let mut desk = Desk::default_with_joined();
    let wish = AvailabilityWish::Drain { within_s: None };
    desk.give(Input::SetAvailability { request: 4, cause: Cause::Command, worker: id("box"), wish });
    let availability = |desk: &Desk| desk.manager.cluster().worker(&id("box")).unwrap().availability;
    join(&mut desk, "box", "10.0.0.3:5555");
    assert_eq!(availability(&desk), Availability::Drained);
    let_go(&mut desk, "box");
    join(&mut desk, "box", "10.0.0.3:5555");
    assert_eq!(availability(&desk), Availability::Active);
}

#[test]
fn the_tasks_of_a_worker_that_is_let_go_move_at_once() {
    let mut desk = Desk::default_with_joined();
    let submitted = event(TaskSpec::default());
    let task = submitted.task.id;
    desk.give(Input::Submit { request: 3, cause: Cause::Api, events: vec![submitted] });
    assert_eq!(desk.manager.cluster().worker_of(task), Some(&id("box")));
    desk.up("a");
    let left = let_go(&mut desk, "box");
    assert!(left.effects.contains(&Effect::Unlink { worker: id("box") }), "{left:?}");
    assert_eq!(desk.manager.cluster().worker_of(task), Some(&id("a")));
    assert_eq!(desk.manager.cluster().task(task).unwrap().status().generation, 1);
    assert!(let_go(&mut desk, "box").changes.is_empty(), "once");
}

#[test]
fn an_exclusive_task_of_a_worker_that_is_let_go_says_so_at_once_and_is_replaced_once_it_is_forgotten() {
    let mut desk = Desk::default_with_joined();
    let clock = || Input::LeaseClock {
        worker: id("box"),
        clock: crate::worker::report::LeaseClock { since_boot_ms: 1, is_needed: true },
    };
    desk.give(clock());
    let (task, _) = desk.submit(TaskSpec { exclusive: true, ..TaskSpec::default() });
    desk.report("box", task, State::Running);
    desk.up("a");
    let_go(&mut desk, "box");
    let told = |desk: &Desk| {
        let reason = desk.reason(task);
        assert!(reason.contains("its worker box was revoked"), "{reason}");
        assert!(reason.contains("ends there within 8 s by its lease"), "{reason}");
        assert!(reason.contains("`cube-tui forget box` starts it elsewhere"), "{reason}");
    };
    told(&desk);
    // What was on its way does not bring it back.
    desk.give(clock());
    desk.give(Input::Heartbeat { worker: id("box"), runtime_problem: String::new() });
    desk.up("box");
    assert_eq!(desk.health("box"), WorkerHealth::Lost);
    // Whether its process is there to stop the task, nobody can say.
    let hears_a = |desk: &mut Desk| {
        for _ in 0..30 {
            desk.give(Input::Heartbeat { worker: id("a"), runtime_problem: String::new() });
            desk.wait(Duration::from_secs(2));
        }
    };
    hears_a(&mut desk);
    assert_eq!(desk.manager.cluster().worker_of(task), Some(&id("box")));
    told(&desk);
    let mut desk = Desk { manager: Manager::new(desk.manager.cluster().clone()), ..desk };
    desk.start(&["a"]);
    desk.up("a");
    hears_a(&mut desk);
    told(&desk);
    let forgotten = desk.give(Input::Forget { request: 4, cause: Cause::Command, worker: id("box") });
    assert_eq!(starts(&forgotten.effects), [("a", 1)]);
}

impl Desk {
    /// One worker that was named and is not up yet, and one that has joined and is.
    fn default_with_joined() -> Self {
        let mut desk = Self { manager: Manager::default(), since_start: Duration::ZERO, log: vec![] };
        desk.start(&["a"]);
        join(&mut desk, "box", "10.0.0.2:5555");
        desk.up("box");
        desk
    }
}
