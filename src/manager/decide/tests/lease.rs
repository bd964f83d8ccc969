//! Exclusive tasks: renewed while their worker is heard, replaced only when it must have stopped them.

use super::*;
use crate::manager::decide::{LEASE_IS_OVER_AFTER, LOST_AFTER};
use crate::worker::report::{HEARTBEAT, LeaseClock};

const MOMENT: Duration = Duration::from_millis(1);

fn exclusive() -> TaskSpec {
    TaskSpec { exclusive: true, ..TaskSpec::default() }
}

impl Desk {
    fn clock(&mut self, worker: &str, is_needed: bool) -> Vec<Effect> {
        let since_boot_ms = u64::try_from(self.since_start.as_millis()).unwrap();
        self.give(Input::LeaseClock { worker: id(worker), clock: LeaseClock { since_boot_ms, is_needed } })
            .effects
    }

    /// Time passes in which only `worker` is heard, as often as it speaks.
    fn only_hears(&mut self, worker: &str, time: Duration) -> Vec<Effect> {
        let end = self.since_start + time;
        let mut effects = vec![];
        while self.since_start < end {
            effects.extend(self.clock(worker, false));
            let heartbeat = Input::Heartbeat { worker: id(worker), runtime_problem: String::new() };
            effects.extend(self.give(heartbeat).effects);
            effects.extend(self.wait(HEARTBEAT.min(end.saturating_sub(self.since_start))));
        }
        effects
    }

    fn exclusive_on_a(&mut self) -> TaskId {
        self.clock("a", false);
        let (task, effects) = self.submit(exclusive());
        let renewal = effects.iter().position(|effect| matches!(effect, Effect::RenewLease { .. }));
        let start = effects.iter().position(|effect| matches!(effect, Effect::Send { .. }));
        assert!(renewal.is_some() && renewal < start, "the lease goes first: {effects:?}");
        self.sent("a", task, SendOutcome::Accepted);
        self.report("a", task, State::Running);
        task
    }
}

fn starts(effects: &[Effect]) -> Vec<&WorkerId> {
    let starts = effects.iter().filter_map(|effect| match effect {
        Effect::Send { worker, wish: Wish::Start, .. } => Some(worker),
        _ => None,
    });
    starts.collect()
}

#[test]
fn a_lease_is_renewed_by_each_reading_of_a_worker_that_needs_it() {
    let mut desk = Desk::with(&["a"]);
    assert_eq!(desk.clock("a", false), []);
    let renewed = Effect::RenewLease { worker: id("a"), since_boot_ms: 0 };
    assert_eq!(desk.clock("a", true), [renewed]);
}

#[test]
fn a_lost_workers_exclusive_task_is_replaced_once_the_worker_must_have_stopped_it() {
    let mut desk = Desk::with(&["a", "b"]);
    let task = desk.exclusive_on_a();
    desk.only_hears("b", LOST_AFTER + Duration::from_secs(1));
    assert_eq!(desk.health("a"), WorkerHealth::Lost);
    let early = desk.only_hears("b", LEASE_IS_OVER_AFTER.saturating_sub(desk.since_start + MOMENT));
    assert!(starts(&early).is_empty(), "{early:?}");
    let effects = desk.only_hears("b", HEARTBEAT);
    assert_eq!(starts(&effects), [&id("b")]);
    assert_eq!(desk.task(task).task.status.generation, 1);
    assert!(desk.since_start <= Duration::from_secs(15), "{:?}", desk.since_start);
}

#[test]
fn one_whose_worker_process_is_gone_from_a_living_host_is_not_replaced() {
    let mut desk = Desk::with(&["a", "b"]);
    let task = desk.exclusive_on_a();
    desk.give(Input::HostIsThere { worker: id("a") });
    let effects = desk.only_hears("b", Duration::from_mins(10));
    assert!(starts(&effects).is_empty(), "{effects:?}");
    assert!(desk.reason(task).contains("start that worker again"), "{}", desk.reason(task));

    // Its next word ends the doubt; then its silence counts.
    desk.clock("a", true);
    desk.give(up("a"));
    let effects = desk.only_hears("b", LEASE_IS_OVER_AFTER + HEARTBEAT);
    assert_eq!(starts(&effects), [&id("b")]);
}

#[test]
fn one_on_a_worker_that_is_not_named_any_more_is_not_replaced() {
    let mut desk = Desk::with(&["a", "b"]);
    let task = desk.exclusive_on_a();
    let manager = Manager::new(desk.manager.cluster().clone());
    let mut desk = Desk { manager, since_start: Duration::ZERO, log: desk.log };
    desk.start(&["b"]);
    desk.give(up("b"));
    let effects = desk.only_hears("b", Duration::from_mins(10));
    assert!(starts(&effects).is_empty(), "{effects:?}");
    assert!(desk.reason(task).contains("add it with --worker"), "{}", desk.reason(task));
}

#[test]
fn after_a_restart_of_the_manager_the_lease_of_the_run_before_counts_from_the_start() {
    let mut desk = Desk::with(&["a", "b"]);
    let task = desk.exclusive_on_a();
    let manager = Manager::new(desk.manager.cluster().clone());
    let mut desk = Desk { manager, since_start: Duration::ZERO, log: desk.log };
    desk.start(&["a", "b"]);
    desk.give(up("b"));
    let early = desk.only_hears("b", LEASE_IS_OVER_AFTER.saturating_sub(MOMENT));
    assert!(starts(&early).is_empty(), "{early:?}");
    assert_eq!(starts(&desk.only_hears("b", HEARTBEAT)), [&id("b")]);
    assert_eq!(desk.task(task).task.status.generation, 1);
}

#[test]
fn a_start_without_an_answer_goes_nowhere_else() {
    let mut desk = Desk::with(&["a", "b"]);
    desk.clock("a", false);
    let (task, _) = desk.submit(exclusive());
    let outcome = SendOutcome::Failed { reason: "no answer in time".into(), may_have_arrived: true };
    let mut effects = desk.sent("a", task, outcome);
    effects.extend(desk.wait(Duration::from_secs(4)));
    assert_eq!(starts(&effects), [&id("a")]);
    assert_eq!(desk.state(task), State::Scheduled);

    // What never left goes wherever there is room.
    let outcome = SendOutcome::Failed { reason: "connection refused".into(), may_have_arrived: false };
    let mut effects = desk.sent("a", task, outcome);
    effects.extend(desk.wait(Duration::from_secs(1)));
    assert_eq!(starts(&effects), [&id("b")]);
}

#[test]
fn one_that_its_worker_stopped_for_the_lease_starts_again_uncounted_whatever_its_policy() {
    let mut desk = Desk::with(&["a"]);
    let task = desk.exclusive_on_a();
    let decision = desk.report_with("a", task, |task| {
        task.status.state = State::Failed;
        task.status.is_interrupted = true;
        task.status.reason = "its lease ended".into();
    });
    assert_eq!(starts(&decision.effects), [&id("a")]);
    let status = &desk.task(task).task.status;
    assert_eq!((status.state, status.generation, status.restart_count), (State::Scheduled, 1, 0));
}

#[test]
fn a_worker_of_the_book_gets_no_exclusive_task() {
    let mut desk = Desk::with(&["a"]);
    desk.give(Input::WorkerUp {
        allows: None,
        worker: id("a"),
        peer: Peer::Book,
        capacity: Capacity::default(),
        runtime_problem: String::new(),
        facts: Box::default(),
    });
    let (task, effects) = desk.submit(exclusive());
    assert!(starts(&effects).is_empty());
    assert!(desk.reason(task).contains("never fits: a is one of the book's"), "{}", desk.reason(task));
}
