//! Why a task waits, is where it is, or was started again: as the manager tells it.

use super::placing::desk_with;
use super::*;
use crate::cluster::EventDb;
use crate::manager::request::AvailabilityWish;
use crate::manager::why::{How, Why};
use crate::scheduler::Outcome;

impl Desk {
    fn why(&self, task: TaskId) -> Why {
        let why = self.manager.why(self.now(), task, 10).unwrap();
        // What travels says the same.
        assert_eq!(serde_json::from_str::<Why>(&serde_json::to_string(&why).unwrap()).unwrap(), why);
        why
    }

    fn told(&self, task: TaskId) -> String {
        let lines = self.why(task).lines(self.now().wall, |seconds| format!("{seconds}s"));
        let lines: Vec<_> = lines.iter().map(|(label, text)| format!("{label}: {text}\n")).collect();
        lines.concat()
    }

    fn set(&mut self, worker: &str, wish: AvailabilityWish) {
        let worker = id(worker);
        self.give(Input::SetAvailability { request: 5, cause: Cause::Command, worker, wish });
    }
}

fn cpus(cpu: f64) -> TaskSpec {
    TaskSpec { cpu, ..TaskSpec::default() }
}

#[test]
fn what_waits_is_told_with_every_worker_and_the_nearest_change() {
    let mut desk = desk_with(&[("a", 2.0), ("b", 4.0)]);
    for spec in [cpus(1.5), cpus(3.5)] {
        desk.submit(spec);
    }
    let (task, _) = desk.submit(cpus(1.0));
    let told = desk.told(task);
    assert!(told.starts_with("state: Pending for 0s\nverdict: waiting: "), "{told}");
    assert!(told.contains("nearest: free 0.5 CPUs on b (or ask for 0.5 at most)"), "{told}");
    assert!(told.contains("kept away: 2 by cpu"), "{told}");
    let waits = desk.why(task).waits.unwrap();
    assert_eq!((waits.explanation.workers.len(), waits.explanation.more), (2, 0));
    let few = desk.manager.why(desk.now(), task, 1).unwrap().waits.unwrap().explanation;
    assert_eq!((few.workers.len(), few.more, few.nearest_change), (1, 1, waits.explanation.nearest_change));
}

#[test]
fn what_never_fits_is_told_so_although_a_worker_is_drained() {
    let mut desk = desk_with(&[("a", 2.0)]);
    desk.set("a", AvailabilityWish::Drain { within_s: None });
    let (huge, _) = desk.submit(cpus(9.0));
    let (small, _) = desk.submit(cpus(1.0));
    assert_eq!(desk.reason(huge), "never fits: a has 2 CPUs, 9 wanted");
    let explanation = desk.why(huge).waits.unwrap().explanation;
    assert!(matches!(explanation.outcome, Outcome::NeverFits { .. }));
    let nearest = explanation.nearest_change.unwrap();
    assert!(nearest.contains("uncordon a, and ask for at most 2 CPUs"), "{nearest}");
    assert!(desk.told(small).contains("verdict: waiting: a is drained"), "{}", desk.told(small));
}

#[test]
fn what_runs_is_told_with_what_spoke_for_its_worker_then() {
    let mut desk = desk_with(&[("a", 2.0), ("b", 4.0), ("c", 1.0)]);
    desk.give(Input::SetScheduling {
        request: None,
        cause: Cause::Command,
        scheduler: Some(crate::cluster::SchedulerName::Binpack),
        overcommit: None,
    });
    let (task, _) = desk.submit(cpus(2.0));
    desk.sent("a", task, SendOutcome::Accepted);
    desk.report("a", task, State::Running);
    let told = desk.told(task);
    assert!(told.contains("why here: scheduled to a 0s ago by binpack: score "), "{told}");
    assert!(told.contains("2 workers could take it") && told.contains("next best: b "), "{told}");
    assert!(told.contains("kept away: 1 by cpu"), "{told}");
    assert!(desk.why(task).waits.is_none(), "it looks for no other");
    let only = desk_with(&[("a", 2.0)]).submit(cpus(1.0)).0;
    assert!(desk.manager.why(desk.now(), only, 1).is_none());
}

#[test]
fn a_crash_loop_is_told_with_its_last_ends_and_the_next_start() {
    let mut desk = desk_with(&[("a", 2.0), ("b", 2.0)]);
    let policy = RestartPolicy::Always;
    let (task, _) = desk.submit(TaskSpec { restart_policy: policy, ..TaskSpec::default() });
    for _ in 0..7 {
        let worker = desk.manager.cluster().worker_of(task).unwrap().to_string();
        desk.sent(&worker, task, SendOutcome::Accepted);
        desk.report(&worker, task, State::Running);
        desk.report_with(&worker, task, |task| {
            task.status.state = State::Failed;
            task.status.exit_code = Some(3);
            task.status.reason = "exit code 3".into();
        });
        if desk.why(task).restarts < 7 {
            for _ in 0..70 {
                for worker in ["a", "b"] {
                    desk.give(Input::Heartbeat { worker: id(worker), runtime_problem: String::new() });
                }
                desk.wait(Duration::from_secs(1));
            }
        }
    }
    let why = desk.why(task);
    assert_eq!((why.restarts, why.crashes.in_a_row, why.ends.len()), (7, 7, 5));
    assert!(why.ends.iter().all(|end| end.exit_code == Some(3) && !end.restarted.is_empty()), "{why:?}");
    assert!(why.ends.iter().any(|end| end.worker == Some(id("a"))));
    let told = desk.told(task);
    assert!(
        told.contains("next start: in ") && told.contains("crash loop: failed 7 times in a row"),
        "{told}"
    );
    assert!(told.contains("restarts: 7"), "{told}");
}

#[test]
fn a_preemption_that_is_under_way_is_told_of_both_sides() {
    let mut desk = desk_with(&[("a", 2.0)]);
    let (low, _) = desk.submit(TaskSpec { name: "batch".into(), priority: -3, ..cpus(2.0) });
    desk.sent("a", low, SendOutcome::Accepted);
    desk.report("a", low, State::Running);
    let (high, _) = desk.submit(TaskSpec { name: "web".into(), priority: 5, preempt: true, ..cpus(2.0) });
    let (asks, makes_room) = (desk.told(high), desk.told(low));
    let victim =
        format!("room: kept for it on a, where batch ({}, priority -3) is being stopped", low.short());
    assert!(asks.contains(&victim) && !asks.contains("nearest"), "{asks}");
    let by = format!("web ({}, priority 5)", high.short());
    let told = format!("makes room: it is being stopped for {by}, and waits for a worker again then");
    assert!(makes_room.starts_with("state: Stopping on a\n") && makes_room.contains(&told), "{makes_room}");
    // What the worker reports meanwhile has a reason of its own, and changes nothing of that.
    desk.report_with("a", low, |task| task.status.reason.clear());
    assert!(desk.told(low).contains(&told), "{}", desk.told(low));
    desk.report_with("a", low, |task| {
        task.status.state = State::Completed;
        task.status.reason = "stopped".into();
    });
    let (asks, makes_room) = (desk.told(high), desk.told(low));
    assert!(!asks.contains("room"), "{asks}");
    assert!(
        makes_room.contains(&format!("ended: Completed on a, 0s ago: made room for web ({})", high.short())),
        "{makes_room}"
    );
}

#[test]
fn what_a_worker_could_not_start_is_told_with_its_words() {
    let mut desk = desk_with(&[("a", 2.0), ("b", 2.0)]);
    let (task, _) = desk.submit(TaskSpec::default());
    let worker = desk.manager.cluster().worker_of(task).unwrap().to_string();
    desk.report_with(&worker, task, |task| {
        task.status.state = State::Failed;
        task.status.never_ran = true;
        task.status.reason = "image x:1 could not be pulled".into();
    });
    let why = desk.why(task);
    assert_eq!(why.placed.as_ref().map(|placed| placed.how), Some(How::Refused), "{why:?}");
    let told = desk.told(task);
    assert!(told.contains(&format!("refused by: {worker}: image x:1 could not be pulled")), "{told}");
}

#[test]
fn what_is_no_longer_kept_is_said_not_made_up() {
    let mut desk = desk_with(&[("a", 2.0), ("b", 2.0)]);
    let (task, _) = desk.submit(TaskSpec::default());
    let worker = desk.manager.cluster().worker_of(task).unwrap().to_string();
    desk.report(&worker, task, State::Running);
    assert!(!desk.why(task).is_cut);
    let mut cluster = desk.manager.cluster().clone();
    let event = crate::task::EventId::default();
    for number in 0..EventDb::KEPT as u64 {
        let task = Task { id: TaskId(uuid::Uuid::from_u128(u128::from(number) + 1)), ..Task::default() };
        let revision = cluster.revision() + 1;
        let what = What::Submitted { event, task };
        let change = crate::cluster::Change { revision, time: desk.now().wall, cause: Cause::Api, what };
        cluster.apply(&Arc::new(change));
    }
    let why = Manager::new(cluster).why(desk.now(), task, 1).unwrap();
    assert!(why.is_cut && why.placed.is_none());
    let lines = why.lines(desk.now().wall, |seconds| seconds.to_string());
    assert!(lines.iter().any(|(_, text)| text.starts_with("no longer kept")), "{lines:?}");
}
