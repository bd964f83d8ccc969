//! What is let go of and when: beyond a number, after a time, those that ended first, and nothing that lives.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::{Desk, id, starts};
use crate::manager::decide::collect::Kept;
use crate::manager::decide::*;
use crate::scheduler::properties::cases;
use crate::task::{State, Task, TaskEvent, TaskSpec};

fn desk(kept: Kept) -> Desk {
    let mut desk = Desk::with(&["a"]);
    desk.manager.kept = kept;
    desk
}

fn wait(desk: &mut Desk, wait: Duration) {
    desk.wait(wait);
    // It was lost meanwhile, and is back.
    desk.give(Input::Heartbeat { worker: id("a"), runtime_problem: String::new() });
}

fn done(desk: &mut Desk) -> TaskId {
    let (task, _) = desk.submit(TaskSpec::default());
    desk.report("a", task, State::Running);
    desk.report("a", task, State::Completed);
    wait(desk, Duration::from_secs(1));
    task
}

fn ids(desk: &Desk) -> Vec<TaskId> {
    desk.manager.cluster().ended().map(|(_, task)| task).collect()
}

#[test]
fn beyond_the_number_a_batch_of_those_that_ended_first_goes_and_what_lives_stays() {
    let mut desk = desk(Kept { tasks: 5, batch: 2, ..Kept::default() });
    let (running, _) = desk.submit(TaskSpec::default());
    desk.report("a", running, State::Running);
    let tasks: Vec<TaskId> = (0..5).map(|_| done(&mut desk)).collect();
    assert_eq!(ids(&desk), tasks);
    let sixth = done(&mut desk);
    assert_eq!(ids(&desk), [&tasks[2..], &[sixth]].concat());
    let seventh = done(&mut desk);
    assert_eq!(ids(&desk).len(), 5, "no Change for each: the next batch is two ends away");
    assert_eq!(desk.state(running), State::Running);
    assert!(desk.manager.cluster().worker_of(tasks[0]).is_none());
    assert!(ids(&desk).contains(&seventh));
}

#[test]
fn many_that_end_at_once_go_batch_by_batch_at_once() {
    let mut desk = desk(Kept { tasks: usize::MAX, batch: 3, ..Kept::default() });
    (0..20).for_each(|_| _ = done(&mut desk));
    desk.manager.kept.tasks = 4;
    let decision = desk.give(Input::Tick);
    assert!(matches!(&decision.changes[..], [change] if change.what.collected().len() == 3));
    assert_eq!(desk.manager.next_wake(), Some(desk.since_start), "and the next one right away");
    desk.wait(Duration::ZERO);
    assert_eq!(ids(&desk).len(), 2, "20 without six batches of 3");
}

#[test]
fn after_the_time_they_go_by_themselves_without_anything_else_happening() {
    let mut desk = desk(Kept::default());
    let first = done(&mut desk);
    let day = Duration::from_hours(24);
    wait(&mut desk, 3 * day);
    let second = done(&mut desk);
    wait(&mut desk, (4 * day).saturating_sub(Duration::from_secs(10)));
    assert_eq!(ids(&desk), [first, second]);
    wait(&mut desk, Duration::from_secs(20));
    assert_eq!(ids(&desk), [second]);
    wait(&mut desk, 3 * day);
    assert!(ids(&desk).is_empty());
}

#[test]
fn a_worker_that_still_has_a_collected_task_does_not_bring_it_back_and_is_asked_for_nothing() {
    let mut desk = desk(Kept { tasks: 0, ..Kept::default() });
    let (task, _) = desk.submit(TaskSpec::default());
    desk.report("a", task, State::Running);
    let mut report = desk.task(task).task.clone();
    desk.report("a", task, State::Completed);
    assert!(desk.manager.cluster().task(task).is_none());
    for state in State::ALL {
        report.status.state = state;
        let list = Input::WorkerTasks { worker: id("a"), tasks: vec![report.clone()] };
        for input in [Input::WorkerTask { worker: id("a"), task: report.clone() }, list] {
            let Decision { changes, effects } = desk.give(input);
            assert_eq!(effects, [], "{state}");
            // One that lives would be counted as not in the store; nothing else.
            let is_count = |change: &Arc<Change>| matches!(change.what, What::Worker { .. });
            assert!(changes.iter().all(is_count), "{changes:?}");
        }
    }
}

#[test]
fn a_collected_task_that_is_submitted_again_is_a_new_one_also_to_a_worker_that_remembers_it() {
    let mut desk = desk(Kept { tasks: 0, ..Kept::default() });
    let (task, _) = desk.submit(TaskSpec::default());
    desk.report("a", task, State::Running);
    let mut old = desk.task(task).task.clone();
    let spec = old.spec.clone();
    desk.report("a", task, State::Failed);
    old.status.state = State::Failed;

    let again = Task { id: task, spec, ..Task::default() };
    let events = vec![TaskEvent::start(again, Timestamp::UNIX_EPOCH)];
    let decision = desk.give(Input::Submit { request: 9, cause: Cause::Command, events });
    assert_eq!(starts(&decision.effects), [("a", 1)], "above every generation that a worker may know");
    desk.give(Input::WorkerTask { worker: id("a"), task: old });
    assert_eq!(desk.state(task), State::Scheduled, "how it ended before is not how it ends now");
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn whatever_happens_no_live_task_is_let_go_and_no_more_than_the_limit_are_kept(
        steps in proptest::collection::vec((0..6_u8, any::<proptest::sample::Index>()), 1..60)
    ) {
        let mut desk = desk(Kept { tasks: 3, no_longer_than: Duration::from_secs(40), batch: 2 });
        let mut tasks: Vec<TaskId> = Vec::new();
        for (step, index) in steps {
            let task = (!tasks.is_empty()).then(|| *index.get(&tasks));
            let known = task.filter(|task| desk.manager.cluster().task(*task).is_some());
            match (step, known) {
                (0 | 1, _) | (_, None) => tasks.push(desk.submit(TaskSpec::default()).0),
                (2, Some(task)) => _ = desk.report("a", task, State::Running),
                (3, Some(task)) => _ = desk.report("a", task, State::Completed),
                (4, Some(task)) => _ = desk.stop(task),
                (_, Some(_)) => wait(&mut desk, Duration::from_secs(15)),
            }
            desk.wait(Duration::ZERO);
            prop_assert!(desk.manager.cluster().ended().len() <= 3);
            let now = Timestamp::UNIX_EPOCH + desk.since_start;
            let oldest = desk.manager.cluster().ended().next();
            prop_assert!(oldest.is_none_or(|(ended, _)| now.duration_since(ended).as_secs() <= 40));
        }
        let mut cluster = Cluster::default();
        for change in &desk.log {
            for task in change.what.collected() {
                let has_ended = cluster.task(*task).is_some_and(|record| record.state().has_ended());
                prop_assert!(has_ended, "{task} is let go and has not ended");
            }
            cluster.apply(change);
        }
    }
}
