//! What follows when a task ended by itself: nothing, or another generation after a backoff.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::{Manager, Turn};
use crate::cluster::{Cause, Crashes, TaskRecord, What};
use crate::task::{RestartPolicy, State, TaskId, TaskStatus};

/// No task waits longer than this because of a failure.
pub(super) const LONGEST_BACKOFF: Duration = Duration::from_mins(5);

/// A run of this length was healthy: what comes after it is a new failure, not one more in a row. Twice the longest
/// backoff, as kubelets have it; a shorter one would take a task that is only slow to crash for a healthy one.
const HEALTHY_AFTER: Duration = Duration::from_mins(10);

/// How long a task waits before its next start after the `count`-th end in a row: a second, doubled each time, at
/// most five minutes.
fn restart_backoff(count: u32) -> Duration {
    const FIRST: Duration = Duration::from_secs(1);
    FIRST.saturating_mul(1 << count.saturating_sub(1).min(10)).min(LONGEST_BACKOFF)
}

/// Up to a quarter shorter, so that tasks that went down together don't come back in one wave. Shorter, since the
/// longest backoff is a promise. The core has no random: task and generation give the same share in every run.
fn jittered(backoff: Duration, task: TaskId, generation: u32) -> Duration {
    let mut hasher = DefaultHasher::new();
    (task, generation).hash(&mut hasher);
    let share = u32::try_from(hasher.finish() % 1_000).unwrap_or(0);
    backoff.saturating_sub(backoff / 4 * share / 1_000)
}

/// Whether the run that ended had lasted a healthy while, by its worker's clock alone. What never ran had not.
fn was_healthy(status: &TaskStatus) -> bool {
    let (Some(start), Some(finish)) = (status.start_time, status.finish_time) else { return false };
    Duration::try_from(finish.duration_since(start)).is_ok_and(|ran| ran >= HEALTHY_AFTER)
}

/// The count with this end in it.
fn crashes_with_this_end(record: &TaskRecord) -> Crashes {
    let status = record.status();
    let before = if was_healthy(status) { 0 } else { record.crashes.in_a_row };
    let last = match status.exit_code {
        _ if !status.reason.is_empty() => status.reason.clone(),
        Some(code) => format!("exit code {code}"),
        None => status.state.name().to_owned(),
    };
    Crashes { in_a_row: before.saturating_add(1), failed: status.state == State::Failed, last }
}

/// Why it waits: the restart's number at first, the crash loop once it is one.
fn why(count: u32, policy: RestartPolicy, crashes: &Crashes) -> String {
    let of = match policy {
        RestartPolicy::OnFailure(Some(limit)) => format!(" of {limit}"),
        RestartPolicy::No
        | RestartPolicy::OnFailure(None)
        | RestartPolicy::Always
        | RestartPolicy::UnlessStopped => String::new(),
    };
    if crashes.is_loop() {
        let restart = if of.is_empty() { String::new() } else { format!(" (restart {count}{of})") };
        format!("crash loop: {}{restart}", crashes.words())
    } else {
        format!("restart {count}{of} after: {}", crashes.last)
    }
}

impl Manager {
    /// Wanted as before: it starts again at once as a new generation, and no restart is counted.
    fn start_over(&mut self, turn: &mut Turn, task: TaskId) {
        let Some(record) = self.cluster.task(task) else { return };
        let status = record.status();
        let what = What::Restarting {
            task,
            generation: status.generation + 1,
            restart_count: status.restart_count,
            crashes: record.crashes.clone(),
            reason: status.reason.clone(),
            retry_at: turn.now.wall,
            by_hand: false,
        };
        self.change(turn, Cause::Manager, what);
        self.queue(turn, task);
    }

    /// To be called once a task's end was folded in.
    pub(super) fn after_end(&mut self, turn: &mut Turn, task: TaskId) {
        let Some(record) = self.cluster.task(task) else { return };
        let status = record.status();
        if !status.state.has_ended() {
            return;
        }
        if let Some(cause) = record.restart {
            self.start_by_hand(turn, cause, task);
            return;
        }
        if record.desired != State::Running {
            return;
        }
        if status.is_interrupted {
            self.start_over(turn, task);
            return;
        }
        let failed = status.state == State::Failed;
        let policy = record.task.spec.restart_policy;
        if !record.policy_restarts(failed) {
            return;
        }
        let (count, generation) = (status.restart_count.saturating_add(1), status.generation + 1);
        let crashes = crashes_with_this_end(&record);
        let wait = jittered(restart_backoff(crashes.in_a_row), task, generation);
        let what = What::Restarting {
            task,
            generation,
            restart_count: count,
            reason: why(count.saturating_sub(record.forgiven_restarts), policy, &crashes),
            crashes,
            retry_at: turn.now.wall + wait,
            by_hand: false,
        };
        self.change(turn, Cause::RestartPolicy, what);
        self.queue(turn, task);
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;

    #[test]
    fn the_backoff_doubles_up_to_five_minutes() {
        let waits = (1..=11).map(|count| restart_backoff(count).as_secs());
        assert_eq!(waits.collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(restart_backoff(u32::MAX), LONGEST_BACKOFF);
    }

    #[test]
    fn the_jitter_is_within_a_quarter_spreads_and_is_the_same_every_time() {
        let backoff = LONGEST_BACKOFF;
        let tasks: Vec<_> = (0..100).map(|number| TaskId(uuid::Uuid::from_u128(number))).collect();
        let waits: Vec<_> = tasks.iter().map(|task| jittered(backoff, *task, 7)).collect();
        assert!(waits.iter().all(|wait| (225..=300).contains(&wait.as_secs())), "{waits:?}");
        let in_each_quarter = [225, 244, 263, 282]
            .map(|from| waits.iter().filter(|wait| (from..from + 19).contains(&wait.as_secs())).count());
        assert!(in_each_quarter.iter().all(|count| *count >= 10), "no wave: {in_each_quarter:?}");
        assert_eq!(waits[5], jittered(backoff, tasks[5], 7));
        assert_ne!(waits[5], jittered(backoff, tasks[5], 8));
    }

    #[test]
    fn a_run_is_healthy_from_ten_minutes_on_by_its_workers_clock() {
        let at = |seconds| Some(Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds));
        let cases = [
            (at(0), at(599), false),
            (at(0), at(600), true),
            (at(600), at(0), false),
            (None, at(9_999), false),
            (at(0), None, false),
        ];
        for (start_time, finish_time, expected) in cases {
            let status = TaskStatus { start_time, finish_time, ..TaskStatus::default() };
            assert_eq!(was_healthy(&status), expected, "{start_time:?} {finish_time:?}");
        }
    }

    #[test]
    fn the_reason_says_which_restart_and_from_the_third_on_that_it_is_a_loop() {
        let crashes = |in_a_row| Crashes { in_a_row, failed: true, last: "exit code 3".into() };
        let cases = [
            (1, RestartPolicy::Always, 1, "restart 1 after: exit code 3"),
            (2, RestartPolicy::OnFailure(Some(5)), 2, "restart 2 of 5 after: exit code 3"),
            (9, RestartPolicy::Always, 4, "crash loop: failed 4 times in a row, last: exit code 3"),
            (
                3,
                RestartPolicy::OnFailure(Some(5)),
                3,
                "crash loop: failed 3 times in a row, last: exit code 3 (restart 3 of 5)",
            ),
        ];
        for (count, policy, in_a_row, expected) in cases {
            assert_eq!(why(count, policy, &crashes(in_a_row)), expected);
        }
    }
}
