//! A synthetic workload of the shape that the published analyses of large clusters' traces report, the same for the same
//! seed. No trace's data is in here, only the shape. Knows no scheduler.
//!
//! * "Borg: the Next Generation" (Tirmazi and others, 2020; Google's trace of 2019) and "Heterogeneity and Dynamicity of
//!   Clouds at Scale" (Reiss and others, 2012; that of 2011): machines of a few sizes; a few services that stay, which
//!   hold a large part of what is reserved, and very many short batch tasks; jobs of one task up to many alike; work that
//!   is heavy-tailed (a bounded Pareto distribution of durations here); tasks that use clearly less than they ask for.
//! * "Resource Central" (Cortez and others, 2017; Azure's trace): sizes from a short list, most of them small; CPU use far
//!   below what was asked for in most cases.
//!
//! Jobs arrive by a Poisson process; a job's tasks come at once, so tasks arrive in bursts. What differs from the traces:
//! the tail ends at two hours, since a run is three hours long; CPU and duration are independent of each other; no
//! task fails; and one batch job in ten names no CPU, as task files of small clusters often don't.

use std::sync::Arc;

use cube_tui::cluster::Capacity;
use cube_tui::task::TaskSpec;

/// The figures are of this span of virtual time, in seconds; before it the cluster fills.
pub const FROM_S: f64 = 3_600.0;
pub const UNTIL_S: f64 = 10_800.0;

/// Of the CPUs that are asked for, those by services.
const SERVICES: f64 = 0.4;

const SEED: u64 = 20_200_427;

/// CPUs, and how many in a hundred batch jobs ask for so much.
const CPUS: [(f64, u32); 7] = [(0.1, 20), (0.25, 24), (0.5, 22), (1.0, 20), (2.0, 9), (4.0, 4), (8.0, 1)];
const SERVICE_CPUS: [(f64, u32); 4] = [(0.5, 40), (1.0, 35), (2.0, 18), (4.0, 7)];
/// GiB for each CPU.
const GIB_A_CPU: [(f64, u32); 5] = [(0.5, 15), (1.0, 25), (2.0, 30), (4.0, 20), (8.0, 10)];
/// Seconds.
const SHORTEST: f64 = 20.0;
const LONGEST: f64 = 7_200.0;
const MOST_TASKS: f64 = 100.0;
const GIB: f64 = 1_073_741_824.0;

/// A task, and what nobody is told beforehand: how long it runs, and what it really uses.
#[derive(Clone, Debug)]
pub struct Traced {
    pub at_s: f64,
    pub spec: Arc<TaskSpec>,
    /// `None` of a service: it stays.
    pub duration_s: Option<f64>,
    pub uses_cpus: f64,
    pub uses_memory_bytes: f64,
}

impl Traced {
    /// One of the few that not every worker has room for at any time.
    pub fn is_big(&self) -> bool {
        self.spec.cpu >= 4.0
    }
}

/// Half of the workers are small, three in ten middling, two in ten large; the small ones with less memory for each CPU.
pub fn capacity(worker: usize) -> Capacity {
    let (cpus, gib) = match worker % 10 {
        0 | 2 | 4 | 6 | 8 => (8.0, 16),
        1 | 5 | 9 => (16.0, 64),
        _ => (32.0, 128),
    };
    Capacity { cpus, memory_bytes: gib << 30, disk_bytes: 1 << 40 }
}

/// By their time of arrival. `offered` of all CPUs are asked for, on average over the span that counts if no task has to
/// wait.
pub fn workload(workers: usize, offered: f64) -> Vec<Traced> {
    let mut draw = Draw(fastrand::Rng::with_seed(SEED));
    let cpus: f64 = (0..workers).map(|worker| capacity(worker).cpus).sum();
    let mut tasks = Vec::new();
    let mut reserved = 0.0;
    while reserved < SERVICES * offered * cpus {
        let cpu = draw.one_of(&SERVICE_CPUS);
        let at_s = draw.0.f64() * 60.0;
        let task = draw.task(at_s, cpu, None);
        reserved += cpu;
        tasks.push(task);
    }
    let batch = draw.batch(offered * cpus - reserved);
    tasks.extend(batch);
    tasks.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
    tasks
}

struct Draw(fastrand::Rng);

impl Draw {
    fn one_of(&mut self, choices: &[(f64, u32)]) -> f64 {
        let all: u32 = choices.iter().map(|(_, weight)| weight).sum();
        let mut left = self.0.u32(..all);
        for (value, weight) in choices {
            if left < *weight {
                return *value;
            }
            left -= weight;
        }
        unreachable!("less than the sum")
    }

    /// Bounded Pareto.
    fn pareto(&mut self, alpha: f64, least: f64, most: f64) -> f64 {
        let reach = 1.0 - (least / most).powf(alpha);
        least / (1.0 - self.0.f64() * reach).powf(1.0 / alpha)
    }

    fn exponential(&mut self) -> f64 {
        -(1.0 - self.0.f64()).ln()
    }

    /// Of median 1.
    fn lognormal(&mut self, sigma: f64) -> f64 {
        let angle = std::f64::consts::TAU * self.0.f64();
        ((2.0 * self.exponential()).sqrt() * angle.cos() * sigma).exp()
    }

    /// Asks for `cpu` and for memory in proportion; a `cpu` of 0 names none.
    fn task(&mut self, at_s: f64, cpu: f64, duration_s: Option<f64>) -> Traced {
        let sized = if cpu > 0.0 { cpu } else { 0.25 };
        // Of powers of two, so that there are some dozens of shapes, as where people choose the numbers.
        let gib = (sized.max(0.125) * self.one_of(&GIB_A_CPU)).log2().floor().exp2();
        let spec =
            TaskSpec { image: "traced:1".into(), cpu, memory_bytes: bytes(gib), ..TaskSpec::default() };
        self.used(at_s, &Arc::new(spec), duration_s)
    }

    /// CPU: 40 % of what was asked for at the median, with a long tail up to half as much again (CPU can be had beyond
    /// what is reserved, memory can't); without a number a twentieth of a CPU up to four.
    fn used(&mut self, at_s: f64, spec: &Arc<TaskSpec>, duration_s: Option<f64>) -> Traced {
        let uses_cpus = if spec.cpu > 0.0 {
            spec.cpu * (0.4 * self.lognormal(0.6)).clamp(0.02, 1.5)
        } else {
            self.pareto(1.1, 0.05, 4.0)
        };
        #[expect(clippy::cast_precision_loss, reason = "bytes of one task")]
        let uses_memory_bytes = spec.memory_bytes as f64 * (0.3 + 0.6 * self.0.f64());
        Traced { at_s, spec: Arc::clone(spec), duration_s, uses_cpus, uses_memory_bytes }
    }

    /// Jobs whose tasks would keep `cpus` busy on average over the span that counts.
    fn batch(&mut self, cpus: f64) -> Vec<Traced> {
        let mut tasks: Vec<Traced> = Vec::new();
        // In units of the mean time between two jobs, which is set when it is known how much they ask for.
        let (mut clock, mut work) = (0.0, 0.0);
        while work < 1.25 * cpus * UNTIL_S {
            clock += self.exponential();
            let cpu = if self.0.u8(..10) == 0 { 0.0 } else { self.one_of(&CPUS) };
            let first = self.task(clock, cpu, None);
            let duration = self.pareto(1.1, SHORTEST, LONGEST);
            // Truncated to a count.
            let count = self.pareto(1.0, 1.0, MOST_TASKS).floor();
            let mut number = 0.0;
            while number < count {
                number += 1.0;
                let duration = (duration * (0.8 + 0.4 * self.0.f64())).min(LONGEST);
                work += cpu * duration;
                tasks.push(self.used(clock, &first.spec, Some(duration)));
            }
        }
        // From all jobs within the run on: that is more than enough.
        let (mut least, mut most) = (UNTIL_S / clock, 10.0 * UNTIL_S / clock);
        for _ in 0..40 {
            let middle = f64::midpoint(least, most);
            if busy(&tasks, middle) > cpus {
                least = middle;
            } else {
                most = middle;
            }
        }
        for task in &mut tasks {
            task.at_s *= most;
        }
        tasks.retain(|task| task.at_s < UNTIL_S);
        tasks
    }
}

/// CPUs that are busy on average if jobs come so many seconds apart and none waits.
fn busy(tasks: &[Traced], apart_s: f64) -> f64 {
    let seconds = |task: &Traced| {
        let start = task.at_s * apart_s;
        let end = start + task.duration_s.unwrap_or(0.0);
        (end.min(UNTIL_S) - start.max(FROM_S)).max(0.0)
    };
    tasks.iter().map(|task| task.spec.cpu * seconds(task)).sum::<f64>() / (UNTIL_S - FROM_S)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes of the lists above")]
fn bytes(gib: f64) -> u64 {
    (gib * GIB) as u64
}
