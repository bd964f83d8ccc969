//! Health checks: when a container is probed, what the verdict is, and what becomes of an unhealthy one.

use std::time::Duration;

use super::*;
use crate::{
    task::{Health, HealthCheck, Probe, Verdict},
    worker::runtime::Probed,
};

/// A task with a check: no start period, every 10 s, 3 retries.
fn checked(change: impl FnOnce(&mut HealthCheck)) -> Task {
    let mut task = task(1);
    let mut check = HealthCheck::new("/health".parse().unwrap());
    check.start_period_s = 0;
    change(&mut check);
    let ports = Some(vec!["8080/tcp".to_owned()]);
    let spec = TaskSpec { health_check: Some(check), exposed_ports: ports, ..(*task.spec).clone() };
    task.spec = Arc::new(spec);
    task
}

fn failed() -> Probed {
    Probed::Failed("503".to_owned())
}

/// The wait that was asked for.
#[track_caller]
fn wait_in(output: &Output) -> Duration {
    let waits: Vec<Duration> = output
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::ProbeLater { after, .. } => Some(*after),
            _ => None,
        })
        .collect();
    assert_eq!(waits.len(), 1, "one at a time: {:?}", output.effects);
    waits[0]
}

impl Desk {
    /// Runs the task in container `c`; says how long it waits for its first probe.
    fn run_checked(&mut self, task: &Task) -> Duration {
        self.start(task);
        wait_in(&self.started(task, "c"))
    }

    fn due(&mut self, task: &Task) -> Output {
        self.give(Input::ProbeDue { run: Run::of(task), container: "c".into() })
    }

    fn probed(&mut self, task: &Task, took: Duration, result: Probed) -> Output {
        self.give(Input::Probed { run: Run::of(task), container: "c".into(), took, result })
    }

    /// The wait is over, the container is probed, and this is the result.
    #[track_caller]
    fn probe(&mut self, task: &Task, result: Probed) -> Output {
        let output = self.due(task);
        assert!(matches!(output.effects[..], [Effect::Probe { .. }]), "{:?}", output.effects);
        self.probed(task, Duration::ZERO, result)
    }

    fn health(&self, task: &Task) -> Option<(Verdict, &str)> {
        self.status(task).health.as_deref().map(|health| (health.verdict, &*health.failure))
    }
}

#[test]
fn a_probe_asks_what_the_task_says_on_its_first_port() {
    let mut desk = Desk::new();
    let task = checked(|check| check.timeout_s = 7);
    desk.start(&task);
    let output = desk.started(&task, "c");
    let [Report::Task(told)] = &output.reports[..] else { panic!("{:?}", output.reports) };
    assert_eq!(
        told.status.health,
        Some(Box::new(Health::default())),
        "its start and its health in one report"
    );
    let probe = Probe::Http { port: Some(8080), path: "/health".into() };
    let timeout = Duration::from_secs(7);
    let expected = Effect::Probe { run: Run::of(&task), container: "c".into(), probe, timeout };
    assert_eq!(desk.due(&task).effects, [expected]);
}

#[test]
fn a_task_without_a_check_is_never_probed() {
    let mut desk = Desk::new();
    let task = desk.running();
    assert_eq!(desk.health(&task), None);
    assert_eq!(desk.due(&task), Output::default());
}

#[test]
fn only_a_change_of_the_verdict_is_told() {
    let mut desk = Desk::new();
    let task = checked(|_| {});
    desk.run_checked(&task);
    assert_eq!(desk.health(&task), Some((Verdict::Starting, "")));
    assert_eq!(desk.probe(&task, failed()).reports, []);
    assert_eq!(desk.probe(&task, Probed::Passed).reports.len(), 1);
    assert_eq!(desk.health(&task), Some((Verdict::Healthy, "503")));
    for result in [Probed::Passed, failed(), failed(), Probed::Passed, Probed::Unknown("x".into())] {
        assert_eq!(desk.probe(&task, result).reports, []);
    }
    assert_eq!(desk.health(&task), Some((Verdict::Healthy, "503")));
}

#[test]
fn failures_in_a_row_make_it_unhealthy_and_it_fails_once_it_is_stopped() {
    let mut desk = Desk::new();
    let task = checked(|_| {});
    desk.run_checked(&task);
    desk.probe(&task, Probed::Passed);
    desk.probe(&task, failed());
    desk.probe(&task, failed());
    // One that passes starts the count anew; one that could not be carried out does not.
    desk.probe(&task, Probed::Passed);
    desk.probe(&task, failed());
    desk.probe(&task, Probed::Unknown("the engine hangs".into()));
    desk.probe(&task, failed());
    assert_eq!(desk.status(&task).state, State::Running);
    let output = desk.probe(&task, failed());
    let reason = "health check failed 3 times: GET /health on port 8080: 503";
    assert_eq!(output.effects, [stop_of(&task, "c")], "and no further probe");
    assert_eq!(output.reports.len(), 1);
    assert_eq!(desk.health(&task), Some((Verdict::Unhealthy, "503")));
    assert_eq!(desk.state_and_reason(&task), (State::Running, &*format!("{reason}; stopping")));

    desk.exited(&task, "c", 143);
    let output = desk.stopped(&task, "c", Ok(()));
    assert_eq!((output.reports.len(), output.effects), (1, vec![]));
    assert_eq!(desk.state_and_reason(&task), (State::Failed, reason));
    assert_eq!(desk.health(&task), Some((Verdict::Unhealthy, "503")));
    assert_eq!(desk.status(&task).exit_code, Some(143));

    // The next generation begins anew.
    let next = generation(&task, 1);
    desk.start(&next);
    wait_in(&desk.started(&next, "d"));
    assert_eq!(desk.health(&task), Some((Verdict::Starting, "")));
    assert_eq!(desk.due(&task), Output::default(), "the old container's clock runs out for nothing");
}

#[test]
fn one_retry_is_one_failure() {
    let mut desk = Desk::new();
    let task = checked(|check| check.retries = 1);
    desk.run_checked(&task);
    desk.probe(&task, failed());
    let reason = &desk.status(&task).reason;
    assert_eq!(reason, "health check failed once: GET /health on port 8080: 503; stopping");
}

#[test]
fn failures_in_the_start_period_do_not_count_until_a_probe_passes() {
    // Nothing passes: they count once the period is over, what the probes took included.
    let mut desk = Desk::new();
    let task = checked(|check| check.start_period_s = 30);
    let mut elapsed = desk.run_checked(&task);
    let took = Duration::from_secs(5);
    let mut counted = 0;
    while desk.status(&task).reason.is_empty() {
        desk.due(&task);
        elapsed += took;
        counted += u32::from(elapsed >= Duration::from_secs(30));
        let output = desk.probed(&task, took, failed());
        if desk.status(&task).reason.is_empty() {
            elapsed += wait_in(&output);
        }
        assert!(elapsed < Duration::from_mins(1), "{elapsed:?}");
    }
    assert_eq!(counted, 3);

    // One passes: from then on they count, however early it is.
    let mut desk = Desk::new();
    desk.run_checked(&task);
    for result in [failed(), failed(), failed(), failed(), Probed::Passed, failed(), failed()] {
        desk.probe(&task, result);
        assert_eq!(desk.status(&task).reason, "");
    }
    desk.probe(&task, failed());
    assert_eq!(desk.health(&task), Some((Verdict::Unhealthy, "503")));
}

#[test]
fn probes_are_spread_and_the_first_ones_come_quickly() {
    let mut first_waits = Vec::new();
    for number in 1..=50 {
        let mut desk = Desk::new();
        let mut task = checked(|_| {});
        task.id = super::task(number).id;
        first_waits.push(desk.run_checked(&task));
        let wait = wait_in(&desk.probe(&task, failed()));
        assert!((1.8..=2.2).contains(&wait.as_secs_f64()), "{wait:?}");
        desk.probe(&task, Probed::Passed);
        let waits = [(); 4].map(|()| wait_in(&desk.probe(&task, Probed::Passed)).as_secs_f64());
        assert!(waits.iter().all(|wait| (9.0..=11.0).contains(wait)), "{waits:?}");
        assert!(waits.windows(2).all(|pair| (pair[0] - pair[1]).abs() > 1e-6), "{waits:?}");
    }
    first_waits.sort_unstable();
    let (earliest, latest) = (first_waits[0], first_waits[49]);
    assert!(earliest < Duration::from_millis(300) && latest > Duration::from_millis(1700), "{first_waits:?}");
    assert!(latest <= Duration::from_secs(2));
    // A short interval is short from the beginning.
    let mut desk = Desk::new();
    let task = checked(|check| check.interval_s = 1);
    assert!(desk.run_checked(&task) <= Duration::from_secs(1));
}

#[test]
fn a_stop_of_the_users_wins() {
    let stopped = (State::Completed, "stopped");
    // While a probe is under way.
    let mut desk = Desk::new();
    let task = checked(|check| check.retries = 1);
    desk.run_checked(&task);
    desk.due(&task);
    desk.stop(&task);
    assert_eq!(desk.probed(&task, Duration::ZERO, failed()), Output::default());
    desk.stopped(&task, "c", Ok(()));
    assert_eq!(desk.state_and_reason(&task), stopped);
    assert_eq!(desk.health(&task), None);

    // While a probe is waited for.
    let mut desk = Desk::new();
    desk.run_checked(&task);
    desk.stop(&task);
    assert_eq!(desk.due(&task), Output::default());

    // While its stop has failed and is yet to be repeated.
    let mut desk = Desk::new();
    desk.run_checked(&task);
    desk.stop(&task);
    desk.stopped(&task, "c", Err(away()));
    assert_eq!(desk.due(&task), Output::default());

    // While it is being stopped for its health.
    let mut desk = Desk::new();
    desk.run_checked(&task);
    desk.probe(&task, failed());
    assert_eq!(desk.stop(&task).effects, [], "it is being stopped already");
    desk.stopped(&task, "c", Ok(()));
    assert_eq!(desk.state_and_reason(&task), stopped);
}

#[test]
fn an_end_ends_the_checks() {
    let mut desk = Desk::new();
    let task = checked(|check| check.retries = 1);
    desk.run_checked(&task);
    desk.probe(&task, Probed::Passed);
    desk.due(&task);
    desk.exited(&task, "c", 3);
    assert_eq!(desk.probed(&task, Duration::ZERO, failed()), Output::default());
    assert_eq!(desk.state_and_reason(&task), (State::Failed, "exit code 3"));
    assert_eq!(desk.health(&task), None, "nobody asks whether an ended task is healthy");
    assert_eq!(desk.due(&task), Output::default());
}

#[test]
fn an_unhealthy_container_that_does_not_stop_is_stopped_again() {
    let mut desk = Desk::new();
    let task = checked(|check| check.retries = 1);
    desk.run_checked(&task);
    desk.probe(&task, failed());
    let output = desk.stopped(&task, "c", Err(away()));
    assert!(matches!(output.effects[..], [Effect::Later { .. }]), "{:?}", output.effects);
    assert_eq!(desk.due(&task), Output::default(), "its verdict is known");
    assert_eq!(desk.give(Input::Wake(task.id)).effects, [stop_of(&task, "c")]);
    desk.stopped(&task, "c", Ok(()));
    let reason = "health check failed once: GET /health on port 8080: 503";
    assert_eq!(desk.state_and_reason(&task), (State::Failed, reason));
}

#[test]
fn a_newer_generation_is_not_blamed_for_the_older_one() {
    let mut desk = Desk::new();
    let task = checked(|check| check.retries = 1);
    desk.run_checked(&task);
    desk.probe(&task, failed());
    let next = generation(&task, 1);
    desk.start(&next);
    let output = desk.stopped(&task, "c", Ok(()));
    assert_eq!(starts(&output), [Run::of(&next)]);
    assert_eq!(desk.state_and_reason(&task), (State::Scheduled, ""));
}

#[test]
fn an_adopted_container_is_checked_from_the_start_period_on() {
    let mut desk = Desk { worker: Worker::new(Limits::default()), now: Timestamp::UNIX_EPOCH };
    let task = checked(|check| {
        check.start_period_s = 30;
        check.retries = 1;
    });
    let list = || Input::Listed(vec![found(&task, "c", FoundState::Running)]);
    wait_in(&desk.give(list()));
    assert_eq!(desk.health(&task), Some((Verdict::Starting, "")));
    desk.probe(&task, failed());
    assert_eq!(desk.health(&task), Some((Verdict::Starting, "")));
    desk.probe(&task, Probed::Passed);
    // Looked at again, it goes on as it was.
    assert_eq!(desk.give(list()).effects, []);
    assert_eq!(desk.health(&task), Some((Verdict::Healthy, "503")));
}

#[test]
fn an_engine_that_hangs_makes_nobody_unhealthy() {
    let mut desk = Desk::new();
    let task = checked(|check| check.retries = 1);
    desk.run_checked(&task);
    desk.probe(&task, Probed::Passed);
    for _ in 0..100 {
        let output = desk.probe(&task, Probed::Unknown("no answer".into()));
        assert_eq!(output.reports, []);
        assert!(wait_in(&output) >= Duration::from_secs(9), "and it is not asked more often");
    }
    assert_eq!(desk.health(&task), Some((Verdict::Healthy, "")));
}
