//! How the schedulers do on a workload of the shape of large clusters' traces (`trace_driven/workload.rs` tells which, and
//! what is simulated): a Markdown table, the same for the same seed. `cargo bench --bench trace`

#![expect(clippy::unwrap_used, reason = "a bench that fails may panic")]

mod measure;
mod trace_driven;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use cube_tui::cluster::SchedulerName;
use trace_driven::figures::{Figures, percentile};
use trace_driven::run::run;
use trace_driven::workload::{Traced, workload};

/// Workers, and the share of their CPUs that is asked for.
const CLUSTERS: [(usize, f64); 3] = [(50, 0.6), (50, 0.92), (500, 0.92)];

fn main() {
    if !measure::is_bench() {
        return;
    }
    measure::tell_load();
    let start = Instant::now();
    for (workers, offered) in CLUSTERS {
        let tasks = workload(workers, offered);
        tell_shape(workers, offered, &tasks);
        let next = AtomicUsize::new(0);
        let runs = |_: usize| {
            let mut runs = Vec::new();
            while let Some(scheduler) = SchedulerName::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                runs.push(run(workers, &tasks, *scheduler));
            }
            runs
        };
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        let mut figures: Vec<Figures> = thread::scope(|scope| {
            let threads: Vec<_> = (0..cpus).map(|number| scope.spawn(move || runs(number))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        figures.sort_by_key(|figures| SchedulerName::ALL.iter().position(|name| *name == figures.scheduler));
        Figures::head();
        for figures in figures {
            figures.tell(workers, offered);
        }
    }
    println!("{:.0} s", start.elapsed().as_secs_f64());
    measure::tell_load();
}

/// So that nobody has to believe that the workload has the shape that it is said to have.
#[expect(clippy::cast_precision_loss, reason = "counts of a bench")]
fn tell_shape(workers: usize, offered: f64, tasks: &[Traced]) {
    let work = |task: &Traced| task.spec.cpu * task.duration_s.unwrap_or(0.0);
    let batch = || tasks.iter().filter(|task| task.duration_s.is_some());
    let mut durations: Vec<f64> = batch().filter_map(|task| task.duration_s).collect();
    let mut jobs: Vec<f64> = batch()
        .collect::<Vec<_>>()
        .chunk_by(|a, b| a.at_s.total_cmp(&b.at_s).is_eq())
        .map(|job| job.iter().map(|task| work(task)).sum())
        .collect();
    jobs.sort_unstable_by(|a, b| b.total_cmp(a));
    let all: f64 = jobs.iter().sum();
    let largest: f64 = jobs[..jobs.len() / 100].iter().sum();
    println!(
        "\n{workers} workers, {:.0} % of all CPUs asked for: {} services; {} batch tasks in {} jobs, of which 1 % do {:.0} % \
         of the work; durations {:.0} s at the median, {:.0} s at p99; {:.1} % of batch tasks are big\n",
        offered * 100.0,
        tasks.len() - durations.len(),
        durations.len(),
        jobs.len(),
        largest / all * 100.0,
        percentile(&mut durations, 50),
        percentile(&mut durations, 99),
        batch().filter(|task| task.is_big()).count() as f64 / durations.len() as f64 * 100.0,
    );
}
