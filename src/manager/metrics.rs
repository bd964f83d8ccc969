//! What a manager counts of itself, and its figures as Prometheus reads them. Knows no route and no one who asks.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::decide::{Input, SendOutcome, Wish};
use super::process;
use crate::cluster::{Cluster, Sample, WorkerHealth};
use crate::task::{State, WorkerId};

/// From half a millisecond, which a fast disk needs for a commit, to the seconds of one that is full of work.
const COMMIT_SECONDS: [f64; 12] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

type Ratio = Gauge<f64, AtomicU64>;

/// Counted where it happens. Clones count together.
#[derive(Clone, Debug)]
pub(super) struct Metrics(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    submits: Counter,
    changes: Counter,
    commits: Histogram,
    failed_commits: Counter,
    sends: Family<SendLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
    cpu: Family<WorkerLabels, Ratio>,
    memory: Family<WorkerLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SendLabels {
    wish: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WorkerLabels {
    worker: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HealthLabels {
    health: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self(Arc::new(Counted {
            submits: Counter::default(),
            changes: Counter::default(),
            commits: Histogram::new(COMMIT_SECONDS),
            failed_commits: Counter::default(),
            sends: Family::default(),
            requests: Family::default(),
            cpu: Family::default(),
            memory: Family::default(),
        }))
    }
}

impl Metrics {
    /// Something reached the core.
    pub(super) fn input(&self, input: &Input) {
        match input {
            Input::Submit { events, .. } => _ = self.0.submits.inc_by(events.len() as u64),
            Input::Sent { wish, outcome, .. } => {
                let wish = match wish {
                    Wish::Start => "start",
                    Wish::Stop => "stop",
                };
                let outcome = match outcome {
                    SendOutcome::Accepted => "accepted",
                    SendOutcome::Refused { .. } => "refused",
                    SendOutcome::Failed { .. } => "failed",
                };
                self.0.sends.get_or_create(&SendLabels { wish, outcome }).inc();
            }
            _ => {}
        }
    }

    /// The store was asked to make `changes` durable.
    pub(super) fn committed(&self, changes: usize, took: Duration, is_done: bool) {
        if is_done {
            self.0.changes.inc_by(changes as u64);
            self.0.commits.observe(took.as_secs_f64());
        } else {
            self.0.failed_commits.inc();
        }
    }

    /// A request that found a route was answered. By the route, not by what was asked of it: that may be endless.
    pub(super) fn answered(&self, method: &'static str, route: &'static str, status: u16) {
        self.0.requests.get_or_create(&RequestLabels { method, route, status }).inc();
    }

    /// A worker told its load.
    pub(super) fn load(&self, worker: &WorkerId, sample: &Sample) {
        let labels = WorkerLabels { worker: worker.to_string() };
        if let Some(percent) = sample.cpu_percent {
            self.0.cpu.get_or_create(&labels).set(percent / 100.0);
        }
        self.0.memory.get_or_create(&labels).set(signed(sample.memory_used_bytes));
    }

    /// All of it, in Prometheus' text format.
    pub(super) fn text(&self, standing: &Standing) -> String {
        let mut registry = Registry::default();
        self.counted(registry.sub_registry_with_prefix("cube"));
        standing.register(registry.sub_registry_with_prefix("cube"));
        process::register(registry.sub_registry_with_prefix("process"));
        let mut text = String::new();
        // Into memory: it does not fail.
        if let Err(error) = text::encode(&mut text, &registry) {
            tracing::error!("the metrics can't be written: {error}");
        }
        classic(&text)
    }

    fn counted(&self, registry: &mut Registry) {
        let Counted { submits, changes, commits, failed_commits, sends, requests, cpu, memory } = &*self.0;
        registry.register("submitted_events", "Events that were submitted, taken or not", submits.clone());
        registry.register("changes", "Changes of the cluster that were made durable", changes.clone());
        registry.register("commit_duration_seconds", "Time that a commit of the store took", commits.clone());
        registry.register("commit_failures", "Commits that the store could not do", failed_commits.clone());
        registry.register("sends", "Starts and stops sent to workers, by what became of them", sends.clone());
        registry.register("http_requests", "Requests on the API, by route and status", requests.clone());
        registry.register("worker_cpu_ratio", "CPU in use on a worker's host, 0 to 1", cpu.clone());
        registry.register("worker_memory_used_bytes", "Memory in use on a worker's host", memory.clone());
    }
}

/// How the cluster stands: taken in the driver's turn, so counts that are kept and a look at each worker, no more.
#[derive(Debug)]
pub(super) struct Standing {
    tasks: [(State, usize); 5],
    pending: usize,
    ended: usize,
    revision: u64,
    workers: Vec<(WorkerId, WorkerHealth, bool, usize, u64)>,
}

impl From<&Cluster> for Standing {
    fn from(cluster: &Cluster) -> Self {
        let workers = cluster.workers().iter().map(|worker| {
            let tasks = cluster.tasks_of_len(&worker.id);
            (worker.id.clone(), worker.health, worker.takes_work(), tasks, worker.capacity.memory_bytes)
        });
        Self {
            tasks: State::ALL.map(|state| (state, cluster.count(state))),
            pending: cluster.pending_len(),
            ended: cluster.ended().len(),
            revision: cluster.revision(),
            workers: workers.collect(),
        }
    }
}

impl Standing {
    fn register(&self, registry: &mut Registry) {
        let tasks = Family::<StateLabels, Gauge>::default();
        for (state, count) in self.tasks {
            tasks.get_or_create(&StateLabels { state: state.name() }).set(signed(count as u64));
        }
        registry.register("tasks", "Tasks by state", tasks);
        registry.register("pending_tasks", "Tasks that wait for a worker", gauge(self.pending as u64));
        registry.register("ended_tasks", "Ended tasks that are kept", gauge(self.ended as u64));
        registry.register("revision", "The last Change of the cluster", gauge(self.revision));
        let healths = Family::<HealthLabels, Gauge>::default();
        for health in [WorkerHealth::Connecting, WorkerHealth::Ready, WorkerHealth::Stale, WorkerHealth::Lost]
        {
            let count = self.workers.iter().filter(|worker| worker.1 == health).count();
            healths.get_or_create(&HealthLabels { health: health.name() }).set(signed(count as u64));
        }
        registry.register("workers", "Workers by health", healths);
        let [takes_work, tasks, memory] = [(); 3].map(|()| Family::<WorkerLabels, Gauge>::default());
        for (worker, _, is_taking, count, bytes) in &self.workers {
            let labels = WorkerLabels { worker: worker.to_string() };
            takes_work.get_or_create(&labels).set(i64::from(*is_taking));
            tasks.get_or_create(&labels).set(signed(*count as u64));
            memory.get_or_create(&labels).set(signed(*bytes));
        }
        registry.register("worker_takes_work", "Whether new tasks may go to a worker", takes_work);
        registry.register(
            "worker_tasks",
            "Tasks that a worker was given, ended ones that are kept included",
            tasks,
        );
        registry.register("worker_memory_bytes", "Memory of a worker's host", memory);
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program", build);
    }
}

pub(super) fn gauge(value: u64) -> Gauge {
    let gauge: Gauge = Gauge::default();
    gauge.set(signed(value));
    gauge
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// OpenMetrics names a counter without the `_total` of its samples and has types that the text format, which every
/// scraper and checker reads, has not: the same figures in that.
fn classic(open_metrics: &str) -> String {
    let typed = |line: &str| {
        line.strip_prefix("# TYPE ")?.rsplit_once(' ').map(|(name, kind)| (name.to_owned(), kind.to_owned()))
    };
    let kinds: std::collections::HashMap<String, String> = open_metrics.lines().filter_map(typed).collect();
    let renamed = |name: &str| match kinds.get(name).map(String::as_str) {
        Some("counter") => format!("{name}_total"),
        Some("info") => format!("{name}_info"),
        _ => name.to_owned(),
    };
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        let written = match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), Some(help)) => {
                writeln!(text, "# HELP {} {}", renamed(name), help.trim_end_matches('.'))
            }
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let kind = if kind == "info" { "gauge" } else { kind };
                writeln!(text, "# TYPE {} {kind}", renamed(name))
            }
            (Some("#"), ..) => Ok(()),
            _ => writeln!(text, "{line}"),
        };
        debug_assert!(written.is_ok(), "memory takes all of it");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Every line is a HELP, a TYPE or a sample of the family that was named last.
    fn samples(text: &str) -> HashMap<String, f64> {
        let mut family = (String::new(), String::new());
        let mut samples = HashMap::new();
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                family = (help.split_once(' ').expect("a help").0.to_owned(), String::new());
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a type");
                assert_eq!(name, family.0, "{line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
                family.1 = kind.to_owned();
            } else {
                let (name, value) = line.rsplit_once(' ').expect("a value");
                let bare = name.split('{').next().expect("a name");
                let suffixes =
                    if family.1 == "histogram" { &["_bucket", "_sum", "_count"][..] } else { &[""] };
                assert!(
                    suffixes.iter().any(|suffix| bare == format!("{}{suffix}", family.0)),
                    "{line}: {family:?}"
                );
                assert!(
                    samples.insert(name.to_owned(), value.parse().expect("a number")).is_none(),
                    "twice: {line}"
                );
            }
        }
        samples
    }

    #[test]
    fn every_line_is_of_the_text_format_and_the_figures_are_what_was_counted() {
        let metrics = Metrics::default();
        metrics.committed(3, Duration::from_millis(3), true);
        metrics.committed(1, Duration::from_millis(3), false);
        metrics.answered("GET", "/v1/tasks/{id}", 404);
        let sample = Sample { cpu_percent: Some(50.0), memory_used_bytes: 7, ..Sample::default() };
        metrics.load(&WorkerId::from("a:1"), &sample);
        let text = metrics.text(&Standing::from(&Cluster::default()));
        let samples = samples(&text);
        for (name, value) in [
            ("cube_changes_total", 3.0),
            ("cube_commit_failures_total", 1.0),
            ("cube_commit_duration_seconds_count", 1.0),
            ("cube_commit_duration_seconds_bucket{le=\"0.002\"}", 0.0),
            ("cube_commit_duration_seconds_bucket{le=\"0.005\"}", 1.0),
            ("cube_http_requests_total{method=\"GET\",route=\"/v1/tasks/{id}\",status=\"404\"}", 1.0),
            ("cube_worker_cpu_ratio{worker=\"a:1\"}", 0.5),
            ("cube_tasks{state=\"Running\"}", 0.0),
            ("cube_workers{health=\"ready\"}", 0.0),
        ] {
            assert_eq!(samples.get(name), Some(&value), "{name} in {text}");
        }
        assert!(
            samples["process_resident_memory_bytes"] > 1e6 && samples["process_open_fds"] > 2.0,
            "{text}"
        );
        assert!(text.contains("cube_build_info{version="), "{text}");
    }
}
