//! Exclusive tasks live by a lease: who is not heard of by a manager stops them.

use std::time::Duration;

use super::*;
use crate::worker::report::{LEASE, LEASE_GRACE};

const SECOND: Duration = Duration::from_secs(1);

/// A worker on a host that was booted an hour ago, and the host's clock.
struct Leased {
    desk: Desk,
    since_boot: Duration,
}

impl Leased {
    fn new() -> Self {
        Self { desk: Desk::new(), since_boot: Duration::from_hours(1) }
    }

    fn after(&mut self, time: Duration) -> &mut Desk {
        self.since_boot += time;
        self.desk.worker.at(self.since_boot);
        &mut self.desk
    }

    /// A manager heard the clock and says so.
    fn renewed(&mut self) {
        let reading = self.since_boot;
        let output = self.after(Duration::ZERO).give(Input::RenewLease(reading));
        assert_eq!(status_of(&output), 204);
    }

    fn running(&mut self) -> Task {
        self.renewed();
        let task = exclusive(1);
        let desk = self.after(Duration::ZERO);
        desk.start(&task);
        desk.started(&task, "c");
        assert_eq!(desk.status(&task).state, State::Running);
        task
    }
}

fn exclusive(number: u128) -> Task {
    let plain = task(number);
    let spec = TaskSpec { exclusive: true, ..(*plain.spec).clone() };
    Task { spec: Arc::new(spec), ..plain }
}

#[test]
fn without_a_lease_an_exclusive_task_is_not_taken() {
    let mut leased = Leased::new();
    assert_eq!(status_of(&leased.after(SECOND).start(&exclusive(1))), 503);
    assert_eq!(status_of(&leased.after(SECOND).start(&task(2))), 201, "others need none");
    leased.renewed();
    assert_eq!(status_of(&leased.after(SECOND).start(&exclusive(1))), 503, "what was refused stays refused");
    assert_eq!(status_of(&leased.after(SECOND).start(&generation(&exclusive(1), 1))), 201);
    assert_eq!(status_of(&leased.after(LEASE).start(&exclusive(3))), 503, "it has ended by then");
}

#[test]
fn a_lease_that_nobody_renews_stops_the_task_and_says_so() {
    let mut leased = Leased::new();
    let task = leased.running();
    assert_eq!(leased.desk.worker.lease_ends(), Some(leased.since_boot + LEASE));
    assert!(leased.after(LEASE.saturating_sub(SECOND)).give(Input::LeaseEnds).effects.is_empty());

    let output = leased.after(SECOND).give(Input::LeaseEnds);
    assert_eq!(
        output.effects,
        [Effect::Stop { task: task.id, container: "c".to_owned(), grace: LEASE_GRACE }]
    );
    leased.after(SECOND).exited(&task, "c", 143);
    leased.after(SECOND).stopped(&task, "c", Ok(()));
    let status = leased.desk.status(&task);
    assert_eq!((status.state, status.is_interrupted), (State::Failed, true));
    assert!(status.reason.contains("lease"), "{}", status.reason);
    assert_eq!(leased.desk.worker.lease_ends(), None);
}

#[test]
fn a_renewal_counts_from_when_the_clock_was_read_however_late_it_arrives() {
    let mut leased = Leased::new();
    leased.running();
    let read = leased.since_boot;
    let desk = leased.after(LEASE.saturating_sub(SECOND));
    desk.give(Input::RenewLease(read + SECOND));
    assert_eq!(desk.worker.lease_ends(), Some(read + SECOND + LEASE));
    // One that was overtaken takes nothing away.
    desk.give(Input::RenewLease(read));
    assert_eq!(desk.worker.lease_ends(), Some(read + SECOND + LEASE));

    let output = leased.after(SECOND * 2).give(Input::RenewLease(read + SECOND));
    assert_eq!(output.effects.len(), 1, "it ended before this renewal was looked at");
}

#[test]
fn a_reading_that_this_host_never_had_renews_nothing() {
    let mut leased = Leased::new();
    let later = leased.since_boot + Duration::from_hours(9);
    assert_eq!(status_of(&leased.after(SECOND).give(Input::RenewLease(later))), 409);
    assert_eq!(status_of(&leased.after(SECOND).start(&exclusive(1))), 503);
}

#[test]
fn a_start_under_way_when_the_lease_ends_is_stopped_once_it_is_there() {
    let mut leased = Leased::new();
    leased.renewed();
    let task = exclusive(1);
    leased.after(SECOND).start(&task);
    leased.after(LEASE).give(Input::LeaseEnds);
    let output = leased.after(SECOND).started(&task, "c");
    assert!(
        output.effects.contains(&Effect::Stop {
            task: task.id,
            container: "c".to_owned(),
            grace: LEASE_GRACE
        }),
        "{output:?}"
    );
}

#[test]
fn one_that_waits_for_its_image_when_the_lease_ends_is_given_back() {
    let mut leased = Leased::new();
    leased.renewed();
    let task = exclusive(1);
    leased.after(SECOND).start(&task);
    leased.after(SECOND).failed(&task, RuntimeError::ImageMissing("busy:1".to_owned()));
    let output = leased.after(LEASE).give(Input::LeaseEnds);
    assert_eq!(output.effects, [Effect::AbandonPull { image: "busy:1".to_owned() }]);
    let status = leased.desk.status(&task);
    assert_eq!((status.state, status.is_interrupted), (State::Failed, true));
}

#[test]
fn an_adopted_one_has_the_time_of_a_lease_to_be_heard_of() {
    let mut desk = Desk { worker: Worker::new(Limits::default()), now: Timestamp::UNIX_EPOCH };
    let (task, boot) = (exclusive(1), Duration::from_hours(1));
    desk.worker.at(boot);
    desk.give(Input::Listed(vec![found(&task, "c", FoundState::Running)]));
    assert_eq!(desk.status(&task).state, State::Running);
    assert_eq!(desk.worker.lease_ends(), Some(boot + LEASE));
    desk.worker.at(boot + LEASE);
    assert_eq!(desk.give(Input::LeaseEnds).effects.len(), 1);
}

#[test]
fn a_stop_that_is_under_way_when_the_lease_ends_has_no_longer_than_the_lease() {
    let mut leased = Leased::new();
    let task = leased.running();
    let replaced = leased.after(SECOND).start(&generation(&task, 1));
    assert!(
        matches!(replaced.effects[..], [Effect::Stop { grace, .. }] if grace > LEASE_GRACE),
        "{replaced:?}"
    );
    let output = leased.after(LEASE).give(Input::LeaseEnds);
    let stop = Effect::Stop { task: task.id, container: "c".to_owned(), grace: LEASE_GRACE };
    assert_eq!(output.effects, [stop]);
    leased.after(SECOND).stopped(&task, "c", Ok(()));
    assert!(leased.desk.status(&task).is_interrupted);
}

#[test]
fn one_that_somebody_wants_stopped_when_the_lease_ends_has_no_longer_either() {
    let mut leased = Leased::new();
    let task = leased.running();
    let asked = leased.after(SECOND).stop(&task);
    assert!(matches!(asked.effects[..], [Effect::Stop { grace, .. }] if grace > LEASE_GRACE), "{asked:?}");
    let output = leased.after(LEASE).give(Input::LeaseEnds);
    let stop = Effect::Stop { task: task.id, container: "c".to_owned(), grace: LEASE_GRACE };
    assert_eq!(output.effects, [stop]);
    leased.after(SECOND).stopped(&task, "c", Ok(()));
    assert_eq!(leased.desk.state_and_reason(&task), (State::Completed, "stopped"));
    assert_eq!(leased.desk.worker.lease_ends(), None);
}
