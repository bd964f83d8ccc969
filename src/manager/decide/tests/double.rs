//! One worker that is named twice.

use uuid::Uuid;

use super::*;
use crate::manager::decide::LOST_AFTER;
use crate::worker::report::LeaseClock;

fn up_as(worker: &str, identity: u128) -> Input {
    let Input::WorkerUp { worker, peer, capacity, runtime_problem, facts, allows } = up(worker) else {
        unreachable!("as `up` makes it");
    };
    let facts = Facts { identity: Some(Uuid::from_u128(identity)), ..*facts }.into();
    Input::WorkerUp { worker, peer, capacity, runtime_problem, facts, allows }
}

/// The name "a" was there first; "b" is the same worker.
fn desk() -> (Desk, TaskId) {
    let mut desk = Desk { manager: Manager::default(), since_start: Duration::ZERO, log: vec![] };
    desk.start(&["a"]);
    desk.give(up_as("a", 1));
    let task = desk.runs_on("a", TaskSpec::default());
    desk.manager = Manager::new(desk.manager.cluster().clone());
    desk.start(&["b", "a"]);
    (desk, task)
}

fn says_all(desk: &mut Desk, worker: &str, task: TaskId) -> Vec<Effect> {
    let report = desk.task(task).task.clone();
    let mut effects = desk.give(Input::WorkerTasks { worker: id(worker), tasks: vec![report] }).effects;
    let runtime_problem = String::new();
    effects.extend(desk.give(Input::Heartbeat { worker: id(worker), runtime_problem }).effects);
    effects
}

#[test]
fn under_a_second_name_a_worker_is_lost_and_nothing_of_it_is_stopped_whichever_is_heard_first() {
    for order in [["a", "b"], ["b", "a"]] {
        let (mut desk, task) = desk();
        for worker in order {
            assert_eq!(desk.give(up_as(worker, 1)).effects, []);
            assert_eq!(says_all(&mut desk, worker, task), [], "{worker}");
        }
        // Neither what changes there, nor its lease: that one's renewal must come from one name alone.
        let report = desk.task(task).task.clone();
        let clock = LeaseClock { since_boot_ms: 7, is_needed: true };
        for input in [
            Input::WorkerTask { worker: id("b"), task: report },
            Input::LeaseClock { worker: id("b"), clock },
        ] {
            assert_eq!(desk.give(input.clone()).effects, [], "{input:?}");
        }
        assert_eq!(desk.state(task), State::Running);
        assert_eq!((desk.health("a"), desk.health("b")), (WorkerHealth::Ready, WorkerHealth::Lost));
        let reason = &desk.manager.cluster().worker(&id("b")).unwrap().reason;
        assert_eq!(reason, "it is a, by a second address; start the manager with only one of them");
        desk.hears(&["a"], LOST_AFTER * 2);
        let (new, _) = desk.submit(TaskSpec::default());
        assert_eq!(desk.manager.cluster().worker_of(new), Some(&id("a")));
    }
}

#[test]
fn once_the_other_is_somebody_else_the_second_name_counts() {
    let (mut desk, _) = desk();
    desk.give(up_as("b", 1));
    assert_eq!(desk.health("b"), WorkerHealth::Lost);
    desk.give(up_as("a", 2));
    desk.give(Input::LinkDown { worker: id("b"), reason: "cut".into() });
    desk.give(up_as("b", 1));
    assert_eq!((desk.health("a"), desk.health("b")), (WorkerHealth::Ready, WorkerHealth::Ready));
}
