//! Room, priority and fairness as the manager keeps them, and how the scheduler is switched.

use super::*;
use crate::cluster::{Overcommit, SchedulerName};

pub(super) fn up_with(worker: &str, cpus: f64) -> Input {
    let capacity = Capacity { cpus, memory_bytes: 8 << 30, disk_bytes: 100 << 30 };
    Input::WorkerUp {
        worker: id(worker),
        peer: Peer::Cube,
        capacity,
        runtime_problem: String::new(),
        facts: Box::default(),
        allows: None,
    }
}

pub(super) fn desk_with(workers: &[(&str, f64)]) -> Desk {
    let mut desk = Desk { manager: Manager::default(), since_start: Duration::ZERO, log: vec![] };
    desk.start(&workers.iter().map(|(worker, _)| *worker).collect::<Vec<_>>());
    for (worker, cpus) in workers {
        desk.give(up_with(worker, *cpus));
    }
    desk
}

fn cpus(cpu: f64) -> TaskSpec {
    TaskSpec { cpu, ..TaskSpec::default() }
}

impl Desk {
    fn beat(&mut self, workers: &[&str], seconds: u64) {
        for _ in 0..seconds {
            for worker in workers {
                self.give(Input::Heartbeat { worker: id(worker), runtime_problem: String::new() });
            }
            self.wait(Duration::from_secs(1));
        }
    }

    fn run(&mut self, worker: &str, spec: TaskSpec) -> TaskId {
        let (task, effects) = self.submit(spec);
        assert_eq!(starts(&effects).first().map(|start| start.0), Some(worker));
        self.sent(worker, task, SendOutcome::Accepted);
        self.report(worker, task, State::Running);
        task
    }
}

#[test]
fn a_full_worker_gets_nothing_more_until_a_task_ends_and_says_what_is_free() {
    let mut desk = desk_with(&[("a", 2.0)]);
    let first = desk.run("a", cpus(1.5));
    let (second, effects) = desk.submit(cpus(1.0));
    assert!(starts(&effects).is_empty());
    assert_eq!(desk.reason(second), "waiting: a has 0.5 of 2 CPUs free, 1 wanted");
    let effects = desk.report("a", first, State::Completed).effects;
    assert_eq!(starts(&effects), [("a", 0)]);
    let (never, _) = desk.submit(cpus(3.0));
    assert_eq!(desk.reason(never), "never fits: a has 2 CPUs, 3 wanted");
}

#[test]
fn overcommit_makes_room_at_once_and_is_kept() {
    let mut desk = desk_with(&[("a", 2.0)]);
    desk.run("a", cpus(2.0));
    let (waits, _) = desk.submit(cpus(2.0));
    assert_eq!(desk.state(waits), State::Pending);
    let overcommit = Overcommit { cpu: 2.0, ..Overcommit::default() };
    let scheduling = |overcommit, scheduler| Input::SetScheduling {
        request: Some(9),
        cause: Cause::Command,
        scheduler,
        overcommit,
    };
    desk.give(scheduling(Some(overcommit), Some(SchedulerName::Binpack)));
    assert_eq!(desk.state(waits), State::Scheduled);
    desk.give(scheduling(None, Some(SchedulerName::Epvm)));
    let settings = desk.manager.cluster().settings();
    assert_eq!((settings.scheduler, settings.overcommit), (SchedulerName::Epvm, overcommit));
    assert!(desk.give(scheduling(None, None)).changes.is_empty(), "nothing new");
}

#[test]
fn the_higher_priority_goes_first_and_small_tasks_pass_one_that_does_not_fit() {
    let mut desk = desk_with(&[("a", 2.0)]);
    let running = desk.run("a", cpus(2.0));
    let (low, _) = desk.submit(cpus(2.0));
    let (high, _) = desk.submit(TaskSpec { priority: 10, ..cpus(2.0) });
    desk.report("a", running, State::Completed);
    assert_eq!((desk.state(low), desk.state(high)), (State::Pending, State::Scheduled));
    let (none, _) = desk.submit(TaskSpec::default());
    assert_eq!(desk.state(none), State::Scheduled, "no head of line");
}

#[test]
fn a_big_task_is_not_starved_by_small_ones_for_ever() {
    let mut desk = desk_with(&[("a", 2.0)]);
    let mut running = vec![desk.run("a", cpus(1.0)), desk.run("a", cpus(1.0))];
    let (big, _) = desk.submit(cpus(2.0));
    let mut passed = 0;
    for second in 0..600 {
        desk.beat(&["a"], 1);
        let (small, _) = desk.submit(cpus(1.0));
        if second % 3 == 0 && !running.is_empty() {
            desk.report("a", running.remove(0), State::Completed);
        }
        let waiting: Vec<_> = desk.manager.cluster().task_db().map(|record| record.task.id).collect();
        for task in waiting {
            if task != big && desk.state(task) == State::Scheduled {
                desk.sent("a", task, SendOutcome::Accepted);
                desk.report("a", task, State::Running);
                running.push(task);
                passed += 1;
            }
        }
        if desk.state(big) == State::Scheduled {
            assert!(passed > 2, "others passed it at first");
            assert!((29..60).contains(&second), "after {second} s");
            return;
        }
        let _ = small;
    }
    panic!("it waits still: {}", desk.reason(big));
}

#[test]
fn what_would_be_freed_for_nobody_is_not_told_again_and_again() {
    let mut desk = desk_with(&[("a", 4.0)]);
    let small: Vec<_> = (0..4).map(|_| desk.run("a", cpus(1.0))).collect();
    let (big, _) = desk.submit(cpus(4.0));
    let before = desk.log.len();
    for task in &small[..3] {
        desk.report("a", *task, State::Completed);
    }
    assert_eq!(desk.log.len() - before, 3, "three ends, and no word of the one that waits");
    desk.report("a", small[3], State::Completed);
    assert_eq!(desk.state(big), State::Scheduled);
}

#[test]
fn a_placement_with_a_choice_is_kept_with_its_change() {
    let mut desk = desk_with(&[("a", 2.0), ("b", 4.0), ("c", 1.0)]);
    desk.give(Input::SetScheduling {
        request: None,
        cause: Cause::Command,
        scheduler: Some(SchedulerName::Binpack),
        overcommit: None,
    });
    desk.submit(cpus(2.0));
    let placement = desk.log.iter().rev().find_map(|change| match &change.what {
        What::Scheduled { worker, placement, .. } => Some((worker.clone(), placement.clone().unwrap())),
        _ => None,
    });
    let (worker, placement) = placement.unwrap();
    assert_eq!((worker.as_str(), placement.scheduler), ("a", SchedulerName::Binpack));
    assert_eq!(placement.feasible, 2);
    assert_eq!(placement.runners_up.iter().map(|up| up.worker.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!((placement.rejected[0].filter.as_str(), placement.rejected[0].workers), ("cpu", 1));
    let bytes = serde_json::to_string(&placement).unwrap().len();
    assert!(bytes < 250, "{bytes} bytes in the log of every task");
}
