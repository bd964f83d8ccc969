//! When a live container is probed, and what follows from what the probes show. Knows no probe's way to the
//! container, and no clock: time is what was waited for and what the probes took.

use std::time::Duration;

use super::{
    core::{Effect, Entry, Phase, Wish, Worker},
    runtime::{Probed, Run},
};
use crate::task::{Health, HealthCheck, TaskId, Verdict};

/// Until the first probe passes they are this close, so that what is up is known to be up.
const WHILE_STARTING: Duration = Duration::from_secs(2);

/// The checks of one live container.
#[derive(Debug, Default)]
pub(super) struct Checks {
    container: String,
    /// Since the container was started or adopted.
    elapsed: Duration,
    /// Probes asked for, which spreads the waits between them.
    count: u64,
    has_passed: bool,
    /// In a row.
    failures: u32,
    last_failure: String,
    /// Why the container has to go.
    unhealthy: Option<String>,
}

impl Entry {
    /// Why its live container has to go; `None` while nobody knows anything bad of it.
    pub(super) fn unhealthy(&self) -> Option<&str> {
        self.checks.as_ref()?.unhealthy.as_deref()
    }

    /// What is checked in this container, if it still is. Checks go with a newer generation.
    fn checked(&mut self, container: &str) -> Option<(&mut Checks, HealthCheck)> {
        let is_live = matches!(&self.phase, Phase::Live { container: live, .. } if live == container);
        let is_wanted = self.wish == Wish::Run;
        let checks = self.checks.as_mut().filter(|checks| checks.container == container)?;
        let is_due = is_live && is_wanted && checks.unhealthy.is_none();
        is_due.then(|| Some((checks, self.task.spec.health_check.clone()?)))?
    }
}

impl Worker {
    /// A container runs that may have a check. It is part of the report that the caller makes of it.
    pub(super) fn begin_checks(&mut self, id: TaskId) {
        let Some(entry) = self.task_db.get_mut(&id) else { return };
        let (Phase::Live { container, .. }, Some(check)) = (&entry.phase, &entry.task.spec.health_check)
        else {
            return;
        };
        if entry.checks.as_ref().is_some_and(|checks| checks.container == *container) {
            return;
        }
        let run = Run::of(&entry.task);
        // Many that start together are not asked together.
        let after = WHILE_STARTING.min(check.interval()).mul_f64(fraction(id, 0));
        let container = container.clone();
        entry.checks = Some(Checks { container: container.clone(), elapsed: after, ..Checks::default() });
        entry.task.status.health = Some(Box::default());
        self.out.effects.push(Effect::ProbeLater { run, container, after });
    }

    pub(super) fn probe_due(&mut self, run: Run, container: String) {
        let Some(entry) = self.task_db.get_mut(&run.task) else { return };
        let Some((checks, check)) = entry.checked(&container) else { return };
        checks.count += 1;
        let timeout = check.timeout();
        if let Some(probe) = entry.task.spec.probe() {
            self.out.effects.push(Effect::Probe { run, container, probe, timeout });
        }
    }

    pub(super) fn probed(&mut self, run: Run, container: String, took: Duration, result: Probed) {
        let Some(entry) = self.task_db.get_mut(&run.task) else { return };
        let Some((checks, check)) = entry.checked(&container) else { return };
        checks.elapsed += took;
        match result {
            Probed::Passed => {
                checks.failures = 0;
                if !checks.has_passed {
                    checks.has_passed = true;
                    self.tell_verdict(run.task, Verdict::Healthy);
                }
            }
            Probed::Failed(failure) => {
                checks.last_failure = failure;
                if checks.has_passed || checks.elapsed >= check.start_period() {
                    checks.failures += 1;
                }
                if checks.failures >= check.retries {
                    self.unhealthy(run.task);
                    return;
                }
            }
            // No word on the task: neither a failure nor the end of a row of them.
            Probed::Unknown(_) => {}
        }
        self.probe_later(run, container, &check);
    }

    fn probe_later(&mut self, run: Run, container: String, check: &HealthCheck) {
        let Some(entry) = self.task_db.get_mut(&run.task) else { return };
        let Some(checks) = &mut entry.checks else { return };
        let interval = check.interval();
        let wait = if checks.has_passed { interval } else { interval.min(WHILE_STARTING) };
        // A tenth more or less: what once fell together does not stay together.
        let after = wait.mul_f64(0.9 + 0.2 * fraction(run.task, checks.count));
        checks.elapsed += after;
        self.out.effects.push(Effect::ProbeLater { run, container, after });
    }

    fn tell_verdict(&mut self, id: TaskId, verdict: Verdict) {
        let Some(entry) = self.task_db.get_mut(&id) else { return };
        let failure = entry.checks.as_ref().map_or_else(String::new, |checks| checks.last_failure.clone());
        entry.task.status.health = Some(Box::new(Health { verdict, failure }));
        self.report(id);
    }

    /// The container is stopped; its end will be told with this reason.
    fn unhealthy(&mut self, id: TaskId) {
        let Some(entry) = self.task_db.get_mut(&id) else { return };
        let (Some(checks), Some(probe)) = (&mut entry.checks, entry.task.spec.probe()) else { return };
        let times =
            if checks.failures == 1 { "once".to_owned() } else { format!("{} times", checks.failures) };
        let reason = format!("health check failed {times}: {probe}: {}", checks.last_failure);
        entry.task.status.reason = format!("{reason}; stopping");
        checks.unhealthy = Some(reason);
        self.tell_verdict(id, Verdict::Unhealthy);
        self.run_task(id);
    }
}

/// From 0 to 1, the same for the same task and number, and nothing alike for their neighbours (the finalizer of
/// splitmix64).
fn fraction(task: TaskId, number: u64) -> f64 {
    let (high, low) = task.0.as_u64_pair();
    let mut bits = high ^ low.rotate_left(32) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let upper = u32::try_from((bits ^ (bits >> 31)) >> 32).unwrap_or(u32::MAX);
    f64::from(upper) / f64::from(u32::MAX)
}
