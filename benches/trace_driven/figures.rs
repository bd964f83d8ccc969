//! What is counted of a run, and the table's rows. Knows no scheduler's rule.

use std::time::Duration;

use cube_tui::cluster::{Capacity, Cluster, SchedulerName};
use cube_tui::task::WorkerId;

use super::workload::{FROM_S, Traced, UNTIL_S};

/// A big task, for the question on how many workers there would be room for one.
const BIG_CPUS: f64 = 4.0;
const BIG_MEMORY_BYTES: u64 = 8 << 30;

/// A worker as it really is.
#[derive(Debug)]
pub struct Worker {
    pub id: WorkerId,
    pub capacity: Capacity,
    /// In use, beyond all there are if tasks want more.
    pub cpus: f64,
    pub memory_bytes: f64,
}

#[derive(Debug)]
pub struct Figures {
    pub scheduler: SchedulerName,
    /// Shares of all there is that were reserved, at each look.
    cpu: Vec<f64>,
    memory: Vec<f64>,
    /// The most loaded worker's CPUs wanted, as a share of what it has, at each look.
    worst: Vec<f64>,
    /// Of the free CPUs those on workers without room for a big task, at each look.
    stranded: Vec<f64>,
    /// (wait + duration) / duration.
    small: Vec<f64>,
    big: Vec<f64>,
    never_placed: usize,
}

impl Figures {
    pub fn new(scheduler: SchedulerName) -> Self {
        Self {
            scheduler,
            cpu: vec![],
            memory: vec![],
            worst: vec![],
            stranded: vec![],
            small: vec![],
            big: vec![],
            never_placed: 0,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "shares")]
    pub fn look(&mut self, cluster: &Cluster, workers: &[Worker]) {
        let (mut cpus, mut cpus_taken, mut free, mut stranded) = (0.0, 0.0, 0.0, 0.0);
        let (mut memory, mut memory_taken) = (0.0, 0.0);
        let mut worst: f64 = 0.0;
        for (place, worker) in workers.iter().enumerate() {
            let taken = cluster.reserved_at(place).map(|reserved| reserved.resources).unwrap_or_default();
            let has = worker.capacity;
            let free_cpus = has.cpus - taken.cpu_nanos as f64 / 1e9;
            let free_memory = has.memory_bytes.saturating_sub(taken.memory_bytes);
            cpus += has.cpus;
            cpus_taken += has.cpus - free_cpus;
            memory += has.memory_bytes as f64;
            memory_taken += taken.memory_bytes as f64;
            free += free_cpus;
            if free_cpus < BIG_CPUS || free_memory < BIG_MEMORY_BYTES {
                stranded += free_cpus;
            }
            worst = worst.max(worker.cpus / has.cpus);
        }
        self.cpu.push(cpus_taken / cpus);
        self.memory.push(memory_taken / memory);
        self.worst.push(worst);
        self.stranded.push(if free > 0.0 { stranded / free } else { 1.0 });
    }

    /// Of those that came within the span that counts, how much longer they took for having to wait.
    pub fn started(&mut self, task: &Traced, now: Duration) {
        let Some(duration_s) = task.duration_s.filter(|_| (FROM_S..UNTIL_S).contains(&task.at_s)) else {
            return;
        };
        let slow_down = (now.as_secs_f64() - task.at_s + duration_s) / duration_s;
        let list = if task.is_big() { &mut self.big } else { &mut self.small };
        list.push(slow_down);
    }

    pub fn never_placed(&mut self, tasks: usize) {
        self.never_placed = tasks;
    }

    pub fn head() {
        println!(
            "| workers, CPUs asked for | scheduler | CPU, memory reserved | busiest worker's CPUs wanted, p99 | slow-down: mean, p95, p99 \
             | of big tasks: mean, p95, p99 | never placed | free CPU out of a big task's reach |"
        );
        println!("|---|---|---|---|---|---|---|---|");
    }

    /// A row of the table.
    pub fn tell(mut self, workers: usize, offered: f64) {
        let (small, big) = (spread(&mut self.small), spread(&mut self.big));
        println!(
            "| {workers}, {:.0} % | `{}` | {:.1}, {:.1} % | {:.0} % | {small} | {big} | {} | {:.0} % |",
            offered * 100.0,
            self.scheduler,
            mean(&self.cpu) * 100.0,
            mean(&self.memory) * 100.0,
            percentile(&mut self.worst, 99) * 100.0,
            self.never_placed,
            mean(&self.stranded) * 100.0,
        );
    }
}

fn spread(numbers: &mut [f64]) -> String {
    let (p95, p99) = (percentile(numbers, 95), percentile(numbers, 99));
    format!("{:.2}, {p95:.2}, {p99:.2}", mean(numbers))
}

#[expect(clippy::cast_precision_loss, reason = "a count of tasks")]
pub fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len().max(1) as f64
}

pub fn percentile(numbers: &mut [f64], percent: usize) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.get((numbers.len() * percent / 100).min(numbers.len().saturating_sub(1))).copied().unwrap_or(0.0)
}
