//! A worker that can't start a task: the others are tried, each once a run, and no reason gets lost.

use super::*;
use crate::cluster::TaskRecord;

impl Desk {
    /// `worker` reports that it could not start it.
    fn refuses(&mut self, worker: &str, task: TaskId, why: &str) -> Decision {
        self.report_with(worker, task, |task| {
            task.status.state = State::Failed;
            task.status.never_ran = true;
            task.status.reason = why.to_owned();
        })
    }

    fn submit_with(&mut self, policy: RestartPolicy) -> TaskId {
        let (task, _) = self.submit(TaskSpec { restart_policy: policy, ..TaskSpec::default() });
        task
    }

    fn generation(&self, task: TaskId) -> u32 {
        self.task(task).task.status.generation
    }

    fn sick(&mut self, worker: &str) {
        self.give(Input::Heartbeat { worker: id(worker), runtime_problem: "no engine".into() });
    }
}

#[test]
fn a_task_that_a_worker_could_not_start_is_tried_on_the_next_at_once_and_told_in_one_change() {
    let mut desk = Desk::with(&["a", "b"]);
    let task = desk.submit_with(RestartPolicy::No);
    let Decision { changes, effects } = desk.refuses("a", task, "image x:1 could not be pulled: no");
    assert_eq!(starts(&effects), [("b", 1)]);
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(desk.reason(task), "a could not start it: image x:1 could not be pulled: no; tried on b");
    assert_eq!(desk.state(task), State::Scheduled);
    desk.report("b", task, State::Running);
    let record = desk.task(task);
    assert_eq!((record.status().restart_count, record.crashes.in_a_row), (0, 0), "no crash: it found a home");
    assert!(record.refusals.is_empty(), "it runs, so the next run may try anywhere");
}

#[test]
fn it_has_failed_once_each_worker_refused_it_and_all_reasons_are_told() {
    let mut desk = Desk::with(&["a", "b", "c", "d"]);
    let task = desk.submit_with(RestartPolicy::No);
    let mut tried = vec!["a".to_owned()];
    for turn in 0..4 {
        let worker = tried[turn].clone();
        let effects = desk.refuses(&worker, task, &format!("no {worker}")).effects;
        tried.extend(starts(&effects).into_iter().map(|(worker, _)| worker.to_owned()));
    }
    assert_eq!(tried, ["a", "b", "c", "d"]);
    assert_eq!((desk.state(task), desk.generation(task)), (State::Failed, 3));
    let reason = desk.reason(task);
    assert!(reason.starts_with("tried on every worker that can take it: "), "{reason}");
    assert!(reason.contains("a could not start it (no a)") && reason.ends_with("and 1 more"), "{reason}");
}

#[test]
fn with_one_worker_it_has_failed_at_once_in_that_workers_words() {
    let mut desk = Desk::with(&["a"]);
    let task = desk.submit_with(RestartPolicy::No);
    assert!(starts(&desk.refuses("a", task, "no space").effects).is_empty());
    assert_eq!((desk.state(task), desk.reason(task)), (State::Failed, "no space"));
}

/// What is so when `a` has refused, and whether the task has failed by then or waits.
#[test]
fn a_worker_that_is_away_or_sick_is_not_waited_for_but_one_that_is_late_is() {
    type Trouble = fn(&mut Desk);
    let cases: [(&str, Trouble, State); 4] = [
        ("sick", |desk| desk.sick("b"), State::Failed),
        ("lost", |desk| desk.only_a_is_heard_for(LOST), State::Failed),
        ("late", |desk| desk.only_a_is_heard_for(LATE), State::Pending),
        ("cut off just now", |desk| _ = desk.give(down_link("b")), State::Pending),
    ];
    for (name, trouble, expected) in cases {
        let mut desk = Desk::with(&["a", "b"]);
        trouble(&mut desk);
        let task = desk.submit_with(RestartPolicy::No);
        let changes = desk.refuses("a", task, "no space").changes;
        assert_eq!(desk.state(task), expected, "{name}");
        assert_eq!(changes.len(), 1, "{name}: {changes:?}");
        assert!(desk.reason(task).contains("a could not start it (no space); b "), "{}", desk.reason(task));
    }
}

const LATE: Duration = Duration::from_secs(6);
const LOST: Duration = Duration::from_secs(12);

fn down_link(worker: &str) -> Input {
    Input::LinkDown { worker: id(worker), reason: "connection refused".into() }
}

impl Desk {
    fn only_a_is_heard_for(&mut self, time: Duration) {
        for _ in 0..time.as_secs() {
            self.give(Input::Heartbeat { worker: id("a"), runtime_problem: String::new() });
            self.wait(Duration::from_secs(1));
        }
    }
}

#[test]
fn a_waiting_task_goes_to_the_late_worker_when_it_is_back_and_has_failed_when_that_is_lost() {
    for is_back in [true, false] {
        let mut desk = Desk::with(&["a", "b"]);
        desk.give(down_link("b"));
        let task = desk.submit_with(RestartPolicy::No);
        desk.refuses("a", task, "no space");
        let before = desk.log.len();
        if is_back {
            desk.up("b");
            assert_eq!(starts(&desk.wait(Duration::from_secs(2))), [("b", 1)]);
        } else {
            desk.only_a_is_heard_for(LOST);
            assert_eq!(desk.state(task), State::Failed);
            let told = desk.log[before..].iter().filter(|change| change.what.task_id() == Some(task));
            assert!(told.count() <= 3, "looking again is no news");
        }
    }
}

#[test]
fn a_4xx_is_a_refusal_and_a_restart_forgets_all_of_them() {
    let mut desk = Desk::with(&["a", "b"]);
    let task = desk.submit_with(RestartPolicy::OnFailure(Some(1)));
    assert_eq!(starts(&desk.sent("a", task, refused(400, "Cmd: too long"))), [("b", 1)]);
    assert_eq!(desk.reason(task), "a could not start it: Cmd: too long; tried on b");
    desk.refuses("b", task, "no space");
    let record = desk.task(task);
    assert_eq!(
        (record.state(), record.status().restart_count),
        (State::Pending, 1),
        "now its policy decides"
    );
    assert!(record.crashes.last.contains("Cmd: too long") && record.crashes.last.contains("no space"));
    let again = desk.wait(Duration::from_secs(2));
    assert_eq!(starts(&again).len(), 1);
    assert_eq!(desk.generation(task), 2);
    assert_eq!(desk.task(task).refusals, []);
}

#[test]
fn a_report_of_the_refused_run_that_comes_again_changes_nothing() {
    let mut desk = Desk::with(&["a", "b"]);
    desk.give(down_link("b"));
    let task = desk.submit_with(RestartPolicy::No);
    let mut old = desk.task(task).task.clone();
    old.status.state = State::Failed;
    old.status.never_ran = true;
    desk.refuses("a", task, "no space");
    let again = desk.give(Input::WorkerTasks { worker: id("a"), tasks: vec![old.clone()] });
    assert_eq!(again, Decision::default(), "while it waits");
    desk.up("b");
    desk.wait(Duration::from_secs(2));
    let again = desk.give(Input::WorkerTasks { worker: id("a"), tasks: vec![old] });
    assert_eq!(again, Decision::default(), "when it is on b");
}

#[test]
fn a_stop_meanwhile_wins() {
    let mut desk = Desk::with(&["a", "b"]);
    let by_report = desk.submit_with(RestartPolicy::Always);
    desk.stop(by_report);
    assert!(starts(&desk.refuses("a", by_report, "no space").effects).is_empty());
    assert_eq!(
        (desk.state(by_report), desk.reason(by_report)),
        (State::Completed, "stopped before it started")
    );

    let by_answer = desk.submit_with(RestartPolicy::Always);
    let worker = desk.manager.cluster().worker_of(by_answer).unwrap().as_str().to_owned();
    desk.stop(by_answer);
    assert!(starts(&desk.sent(&worker, by_answer, refused(400, "no"))).is_empty());
    assert_eq!(desk.state(by_answer), State::Completed);
}

#[test]
fn what_ran_or_may_have_run_is_tried_nowhere_else() {
    let mut desk = Desk::with(&["a", "b"]);
    let task = desk.submit_with(RestartPolicy::No);
    let failed = desk.report("a", task, State::Failed);
    assert!(starts(&failed.effects).is_empty());
    assert_eq!(desk.state(task), State::Failed);
}

#[test]
fn the_only_other_worker_being_busy_holds_up_no_other_task() {
    let mut desk = Desk::with(&["a", "b"]);
    let task = desk.submit_with(RestartPolicy::No);
    let hung = desk.submit_with(RestartPolicy::No);
    assert_eq!(desk.manager.cluster().worker_of(hung), Some(&id("b")));
    desk.sent("a", task, SendOutcome::Accepted);
    desk.wait(Duration::from_millis(600));
    desk.refuses("a", task, "no space");
    assert_eq!(desk.state(task), State::Pending);
    let (_, effects) = desk.submit(TaskSpec::default());
    assert_eq!(starts(&effects), [("a", 0)]);
    desk.sent("b", hung, SendOutcome::Accepted);
    assert_eq!(starts(&desk.wait(Duration::from_secs(1))), [("b", 1)]);
}

#[test]
fn a_workers_of_the_book_says_so_by_a_failure_without_a_container() {
    for (container_id, expected) in [("", State::Scheduled), ("c0ffee", State::Failed)] {
        let mut desk = Desk::with(&["a", "b"]);
        desk.give(Input::WorkerUp {
            allows: None,
            worker: id("a"),
            peer: Peer::Book,
            capacity: Capacity::default(),
            runtime_problem: String::new(),
            facts: Box::default(),
        });
        let task = desk.submit_with(RestartPolicy::No);
        desk.report_with("a", task, |task| {
            task.status.state = State::Failed;
            task.status.container_id = container_id.to_owned();
        });
        assert_eq!(desk.state(task), expected, "{container_id:?}");
    }
}

#[test]
fn a_record_of_before_refusals_were_noted_is_read() {
    let mut desk = Desk::with(&["a", "b"]);
    let task = desk.submit_with(RestartPolicy::No);
    desk.refuses("a", task, "no space");
    let record = desk.task(task).clone();
    let mut row = serde_json::to_value(&record).unwrap();
    assert_eq!(serde_json::from_value::<TaskRecord>(row.clone()).unwrap(), record);
    row.as_object_mut().unwrap().remove("refusals").unwrap();
    assert!(serde_json::from_value::<TaskRecord>(row).unwrap().refusals.is_empty());
}
