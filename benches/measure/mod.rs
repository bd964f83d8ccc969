//! What the benches share: medians, PASS and MISS lines, CPU time, a product put together, a pty. Knows no goal.

#![allow(dead_code, clippy::allow_attributes, reason = "each bench uses its part of this")]

pub mod product;
pub mod pty;

use std::{fs, time::Duration};

/// A bound that a goal sets.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// Told for its own sake.
    None,
}

/// One line: the goal's name, what was measured, the figure, and whether it is reached.
pub fn tell(name: &str, what: &str, figure: f64, unit: &str, goal: Goal) {
    let (verdict, bound) = match goal {
        Goal::AtLeast(bound) => (if figure >= bound { "PASS" } else { "MISS" }, format!("at least {bound}")),
        Goal::AtMost(bound) => (if figure <= bound { "PASS" } else { "MISS" }, format!("at most {bound}")),
        Goal::None => ("    ", String::new()),
    };
    println!("{verdict} {name:<4} {what:<72} {figure:>10.3} {unit:<6} {bound}");
}

pub fn median(numbers: &[f64]) -> f64 {
    percentile(numbers, 50)
}

pub fn percentile(numbers: &[f64], percent: usize) -> f64 {
    let mut numbers = numbers.to_vec();
    numbers.sort_by(f64::total_cmp);
    numbers[(numbers.len() * percent / 100).min(numbers.len() - 1)]
}

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bench are small")]
pub fn per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// `cargo test --benches` starts benches too: that they compile is the test.
pub fn is_bench() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// What else the machine does right now: read every figure beside it.
pub fn tell_load() {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    println!("load average {} on {cpus} CPUs", load.split(' ').take(3).collect::<Vec<_>>().join(" "));
}

/// User and system time of a process with all its threads. Counted in hundredths of a second.
pub fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process lives");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name in brackets").1.split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}

/// A number of `/proc/PID/status`, such as `VmRSS` (kB).
pub fn status_of(path: &str, field: &str) -> u64 {
    let status = fs::read_to_string(path).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.trim_matches([':', ' ', '\t'])
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or(0)
}

/// How often the threads of a process gave up the CPU by themselves: each is a wake-up to come.
pub fn wake_ups(pid: u32) -> u64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    let status = |task: std::io::Result<fs::DirEntry>| {
        let path = task.ok()?.path().join("status");
        Some(status_of(path.to_str()?, "voluntary_ctxt_switches"))
    };
    tasks.filter_map(status).sum()
}
