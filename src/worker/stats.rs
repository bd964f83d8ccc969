//! What this host has and uses: the book's Stats, and our samples. Knows no task's state.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rustix::fs::statvfs;
use sysinfo::{MemoryRefreshKind, System};

use super::runtime::Runtime;
use crate::{
    cluster::{Capacity, Facts, Sample, TaskUse},
    task::{CpuStats, DiskStats, LoadStats, MemStats, Stats, TaskId},
};

/// What the host has in all.
pub(super) fn capacity() -> Capacity {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Capacity {
        cpus: f64::from(u32::try_from(cpus).unwrap_or(u32::MAX)),
        memory_bytes: memory_bytes(),
        disk_bytes: disk().map_or(0, |disk| disk.all),
    }
}

/// What there is to say of the host beside that; the words are those of images.
pub(super) fn facts(labels: &BTreeMap<String, String>) -> Facts {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    Facts {
        labels: labels.clone(),
        os: std::env::consts::OS.to_owned(),
        arch: arch.to_owned(),
        ..Facts::default()
    }
}

fn memory_bytes() -> u64 {
    System::new().map_or(0, |mut system| {
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        system.total_memory()
    })
}

/// The book's Stats, read from the kernel just now.
pub(super) fn collect_stats(task_count: usize) -> io::Result<Stats> {
    Ok(Stats {
        mem_stats: mem_stats(&fs::read_to_string("/proc/meminfo")?),
        disk_stats: disk()?,
        cpu_stats: cpu_stats(&fs::read_to_string("/proc/stat")?),
        load_stats: load_stats(&fs::read_to_string("/proc/loadavg")?),
        task_count: i64::try_from(task_count).unwrap_or(i64::MAX),
    })
}

/// The file system of `/`, as the book has it.
fn disk() -> io::Result<DiskStats> {
    let stat = statvfs("/")?;
    let all = stat.f_blocks * stat.f_frsize;
    let free = stat.f_bfree * stat.f_frsize;
    Ok(DiskStats { all, used: all.saturating_sub(free), free, free_inodes: stat.f_ffree })
}

/// Lines `Name:   NUMBER kB`.
fn mem_stats(text: &str) -> MemStats {
    let lines: HashMap<&str, u64> = text
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.split_once(':')?;
            Some((name, rest.split_whitespace().next()?.parse().ok()?))
        })
        .collect();
    let field = |name: &str| lines.get(name).copied().unwrap_or(0);
    MemStats {
        mem_total: field("MemTotal"),
        mem_free: field("MemFree"),
        mem_available: field("MemAvailable"),
        buffers: field("Buffers"),
        cached: field("Cached"),
        swap_cached: field("SwapCached"),
        active: field("Active"),
        inactive: field("Inactive"),
        active_anon: field("Active(anon)"),
        inactive_anon: field("Inactive(anon)"),
        active_file: field("Active(file)"),
        inactive_file: field("Inactive(file)"),
        unevictable: field("Unevictable"),
        mlocked: field("Mlocked"),
        swap_total: field("SwapTotal"),
        swap_free: field("SwapFree"),
        dirty: field("Dirty"),
        writeback: field("Writeback"),
        anon_pages: field("AnonPages"),
        mapped: field("Mapped"),
        shmem: field("Shmem"),
        slab: field("Slab"),
        s_reclaimable: field("SReclaimable"),
        s_unreclaimable: field("SUnreclaim"),
        kernel_stack: field("KernelStack"),
        page_tables: field("PageTables"),
        nfs_unstable: field("NFS_Unstable"),
        bounce: field("Bounce"),
        writeback_tmp: field("WritebackTmp"),
        commit_limit: field("CommitLimit"),
        committed_as: field("Committed_AS"),
        vmalloc_total: field("VmallocTotal"),
        vmalloc_used: field("VmallocUsed"),
        vmalloc_chunk: field("VmallocChunk"),
        hardware_corrupted: field("HardwareCorrupted"),
        anon_huge_pages: field("AnonHugePages"),
        huge_pages_total: field("HugePages_Total"),
        huge_pages_free: field("HugePages_Free"),
        huge_pages_rsvd: field("HugePages_Rsvd"),
        huge_pages_surp: field("HugePages_Surp"),
        huge_page_size: field("Hugepagesize"),
        direct_map_4k: field("DirectMap4k"),
        direct_map_2m: field("DirectMap2M"),
        direct_map_1g: field("DirectMap1G"),
    }
}

/// The line `cpu  USER NICE SYSTEM …`.
fn cpu_stats(text: &str) -> CpuStats {
    let line = text.lines().next().unwrap_or("");
    let mut numbers = line.split_whitespace().skip(1).map(|number| number.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    CpuStats {
        id: "cpu".to_owned(),
        user: next(),
        nice: next(),
        system: next(),
        idle: next(),
        iowait: next(),
        irq: next(),
        softirq: next(),
        steal: next(),
        guest: next(),
        guest_nice: next(),
    }
}

/// `1MIN 5MIN 15MIN RUNNING/ALL LAST_PID`.
fn load_stats(text: &str) -> LoadStats {
    let mut words = text.split_whitespace();
    let mut average = || words.next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
    let averages = [average(), average(), average()];
    let (running, all) = words.next().and_then(|word| word.split_once('/')).unwrap_or(("", ""));
    LoadStats {
        last_1_min: averages[0],
        last_5_min: averages[1],
        last_15_min: averages[2],
        process_running: running.parse().unwrap_or(0),
        process_total: all.parse().unwrap_or(0),
        last_pid: words.next().and_then(|word| word.parse().ok()).unwrap_or(0),
    }
}

/// Takes samples; remembers the last reading of each counter.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    last_cpu: Option<CpuStats>,
    last_use: HashMap<TaskId, (Instant, u64)>,
}

impl Sampler {
    /// Reads small files of the kernel: well below a millisecond, so it may run on any thread.
    pub(super) fn sample<R: Runtime>(
        &mut self,
        time: Timestamp,
        task_count: usize,
        live: &[(TaskId, String)],
        runtime: &R,
    ) -> Sample {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let memory = memory(&read("/proc/meminfo"));
        let cpu = cpu_stats(&read("/proc/stat"));
        let load = load_stats(&read("/proc/loadavg"));
        let disk = disk().unwrap_or_default();
        let cpu_percent = self.last_cpu.as_ref().and_then(|last| busy_percent(last, &cpu));
        self.last_cpu = Some(cpu);
        Sample {
            time,
            cpu_percent,
            memory_used_bytes: memory.0.saturating_sub(memory.1),
            memory_total_bytes: memory.0,
            disk_used_bytes: disk.used,
            disk_total_bytes: disk.all,
            load: [load.last_1_min, load.last_5_min, load.last_15_min],
            task_count: task_count as u64,
            tasks: self.task_uses(live, runtime),
        }
    }

    fn task_uses<R: Runtime>(&mut self, live: &[(TaskId, String)], runtime: &R) -> Vec<TaskUse> {
        let mut readings = HashMap::with_capacity(live.len());
        let mut uses = Vec::with_capacity(live.len());
        for (task, container) in live {
            let Some(usage) = runtime.usage(container) else { continue };
            let now = Instant::now();
            let cpu_percent = self.last_use.get(task).and_then(|(then, before)| {
                // A counter that went back is another container's.
                share_percent(usage.cpu_ns.checked_sub(*before)?, now.duration_since(*then))
            });
            readings.insert(*task, (now, usage.cpu_ns));
            uses.push(TaskUse { task: *task, cpu_percent, memory_bytes: usage.memory_bytes });
        }
        self.last_use = readings;
        uses
    }
}

/// Total and available, in bytes.
fn memory(meminfo: &str) -> (u64, u64) {
    let field = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    (field("MemTotal").unwrap_or(0) * 1024, field("MemAvailable").unwrap_or(0) * 1024)
}

#[expect(clippy::cast_precision_loss, reason = "a share needs three digits")]
fn share_percent(cpu_ns: u64, elapsed: Duration) -> Option<f64> {
    let elapsed_ns = elapsed.as_nanos();
    (elapsed_ns > 0).then(|| cpu_ns as f64 / elapsed_ns as f64 * 100.0)
}

#[expect(clippy::cast_precision_loss, reason = "a share needs three digits")]
fn busy_percent(before: &CpuStats, after: &CpuStats) -> Option<f64> {
    // guest is part of user already.
    let total = |cpu: &CpuStats| {
        cpu.user + cpu.nice + cpu.system + cpu.idle + cpu.iowait + cpu.irq + cpu.softirq + cpu.steal
    };
    let idle = |cpu: &CpuStats| cpu.idle + cpu.iowait;
    let elapsed = total(after).checked_sub(total(before)).filter(|elapsed| *elapsed > 0)?;
    let idle = idle(after).saturating_sub(idle(before)).min(elapsed);
    Some((elapsed - idle) as f64 / elapsed as f64 * 100.0)
}

#[cfg(test)]
mod tests {
    use super::{busy_percent, collect_stats, cpu_stats, load_stats, mem_stats, memory, share_percent};
    use std::time::Duration;

    const MEMINFO: &str = "MemTotal:       24684096 kB\nMemFree:        19865256 kB\nMemAvailable:   23926284 kB\n\
                           Active(anon):       1788 kB\nHugePages_Total:       0\nDirectMap2M:     2070528 kB\n";

    #[test]
    fn the_kernels_files_are_read_as_the_book_reads_them() {
        let stats = mem_stats(MEMINFO);
        assert_eq!((stats.mem_total, stats.active_anon, stats.direct_map_2m), (24_684_096, 1788, 2_070_528));
        assert_eq!(memory(MEMINFO), (24_684_096 * 1024, 23_926_284 * 1024));
        let cpu = cpu_stats("cpu  87929 1 23510 105093 842 0 591 2504 0 0\ncpu0 1 1 1\n");
        assert_eq!((cpu.user, cpu.nice, cpu.idle, cpu.steal), (87929, 1, 105_093, 2504));
        let load = load_stats("4.55 4.75 2.57 11/501 2547\n");
        assert_eq!((load.last_15_min, load.process_running, load.process_total), (2.57, 11, 501));
    }

    #[test]
    fn two_readings_tell_the_use_between() {
        let before = cpu_stats("cpu 100 0 100 800 0 0 0 0 0 0");
        let after = cpu_stats("cpu 130 0 120 850 0 0 0 0 0 0");
        assert_eq!(busy_percent(&before, &after), Some(50.0));
        assert_eq!(busy_percent(&after, &after), None);
        assert_eq!(busy_percent(&after, &before), None);
        assert_eq!(share_percent(500_000_000, Duration::from_secs(1)), Some(50.0));
    }

    #[test]
    fn this_host_has_memory_a_disk_and_time_spent() {
        let stats = collect_stats(3).unwrap();
        assert!(stats.mem_stats.mem_total > stats.mem_stats.mem_available);
        assert!(stats.disk_stats.all > 0 && stats.cpu_stats.idle > 0);
        assert_eq!(stats.task_count, 3);
    }
}
