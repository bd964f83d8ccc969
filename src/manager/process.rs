//! What this process uses, under the names that Prometheus has for it. Knows nothing of a cluster.

use std::fs;
use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::metrics::gauge;

/// Where the system doesn't tell, a figure is left out.
pub(super) fn register(registry: &mut Registry) {
    if let Some(stat) = Stat::read() {
        let cpu = Counter::<f64, AtomicU64>::default();
        cpu.inc_by(stat.cpu_seconds);
        registry.register("cpu_seconds", "User and system CPU time in seconds", cpu);
        registry.register("resident_memory_bytes", "Resident memory in bytes", gauge(stat.resident_bytes));
        registry.register("virtual_memory_bytes", "Virtual memory in bytes", gauge(stat.virtual_bytes));
        registry.register("threads", "Threads", gauge(stat.threads));
        if let Some(boot) = boot_seconds() {
            let start = Gauge::<f64, AtomicU64>::default();
            start.set(boot + stat.started_after_boot);
            registry.register(
                "start_time_seconds",
                "Start of the process since the Unix epoch in seconds",
                start,
            );
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        registry.register("open_fds", "Open file descriptors", gauge(open.count() as u64));
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        registry.register("max_fds", "Most open file descriptors", gauge(most));
    }
}

struct Stat {
    cpu_seconds: f64,
    started_after_boot: f64,
    threads: u64,
    virtual_bytes: u64,
    resident_bytes: u64,
}

impl Stat {
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        // The name in brackets may hold anything.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
        #[expect(clippy::cast_precision_loss, reason = "ticks of years are exact")]
        let seconds = |ticks: u64| ticks as f64 / clock_ticks_per_second() as f64;
        Some(Self {
            cpu_seconds: seconds(number(11)? + number(12)?),
            started_after_boot: seconds(number(19)?),
            threads: number(17)?,
            virtual_bytes: number(20)?,
            resident_bytes: number(21)? * page_size() as u64,
        })
    }
}

fn boot_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}
