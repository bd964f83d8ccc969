//! The book's Stats and Node, with the exact keys of its peers. Knows no one who measures.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use super::wire::GoFloat;

/// The answer of a worker's GET /stats. In reading, a part that is missing or `null` is all zeros.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase", default)]
pub struct Stats {
    #[serde(deserialize_with = "null_is_default")]
    pub mem_stats: MemStats,
    #[serde(deserialize_with = "null_is_default")]
    pub disk_stats: DiskStats,
    #[serde(deserialize_with = "null_is_default")]
    pub cpu_stats: CpuStats,
    #[serde(deserialize_with = "null_is_default")]
    pub load_stats: LoadStats,
    #[serde(deserialize_with = "null_is_default")]
    pub task_count: i64,
}

/// One line of a manager's GET /nodes.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase", default)]
pub struct Node {
    /// The worker's `host:port`.
    pub name: String,
    pub ip: String,
    /// The URL of its API.
    pub api: String,
    /// KiB.
    pub memory: i64,
    pub memory_allocated: i64,
    /// Bytes.
    pub disk: i64,
    pub disk_allocated: i64,
    #[serde(deserialize_with = "null_is_default")]
    pub stats: Stats,
    pub role: String,
    pub task_count: i64,
}

/// /proc/meminfo in KiB.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct MemStats {
    pub mem_total: u64,
    pub mem_free: u64,
    pub mem_available: u64,
    pub buffers: u64,
    pub cached: u64,
    pub swap_cached: u64,
    pub active: u64,
    pub inactive: u64,
    pub active_anon: u64,
    pub inactive_anon: u64,
    pub active_file: u64,
    pub inactive_file: u64,
    pub unevictable: u64,
    pub mlocked: u64,
    pub swap_total: u64,
    pub swap_free: u64,
    pub dirty: u64,
    #[serde(rename = "write_back")]
    pub writeback: u64,
    pub anon_pages: u64,
    pub mapped: u64,
    pub shmem: u64,
    pub slab: u64,
    pub s_reclaimable: u64,
    #[serde(rename = "s_unclaim")]
    pub s_unreclaimable: u64,
    pub kernel_stack: u64,
    pub page_tables: u64,
    pub nfs_unstable: u64,
    pub bounce: u64,
    pub writeback_tmp: u64,
    pub commit_limit: u64,
    pub committed_as: u64,
    pub vmalloc_total: u64,
    pub vmalloc_used: u64,
    pub vmalloc_chunk: u64,
    pub hardware_corrupted: u64,
    pub anon_huge_pages: u64,
    pub huge_pages_total: u64,
    pub huge_pages_free: u64,
    pub huge_pages_rsvd: u64,
    pub huge_pages_surp: u64,
    #[serde(rename = "hugepagesize")]
    pub huge_page_size: u64,
    pub direct_map_4k: u64,
    #[serde(rename = "direct_map_2M")]
    pub direct_map_2m: u64,
    #[serde(rename = "direct_map_1G")]
    pub direct_map_1g: u64,
}

/// The file system of `/`, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct DiskStats {
    pub all: u64,
    pub used: u64,
    pub free: u64,
    #[serde(rename = "freeInodes")]
    pub free_inodes: u64,
}

/// The `cpu` line of /proc/stat, in jiffies since boot: two of them tell the use between.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CpuStats {
    pub id: String,
    pub user: u64,
    pub nice: u64,
    pub system: u64,
    pub idle: u64,
    pub iowait: u64,
    pub irq: u64,
    pub softirq: u64,
    pub steal: u64,
    pub guest: u64,
    pub guest_nice: u64,
}

impl Default for CpuStats {
    fn default() -> Self {
        Self {
            id: "cpu".to_owned(),
            user: 0,
            nice: 0,
            system: 0,
            idle: 0,
            iowait: 0,
            irq: 0,
            softirq: 0,
            steal: 0,
            guest: 0,
            guest_nice: 0,
        }
    }
}

/// /proc/loadavg.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct LoadStats {
    #[serde(rename = "last1min", serialize_with = "go_float")]
    pub last_1_min: f64,
    #[serde(rename = "last5min", serialize_with = "go_float")]
    pub last_5_min: f64,
    #[serde(rename = "last15min", serialize_with = "go_float")]
    pub last_15_min: f64,
    pub process_running: u64,
    pub process_total: u64,
    pub last_pid: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn go_float<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    GoFloat(*number).serialize(serializer)
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::Stats;

    #[test]
    fn parts_that_are_missing_or_null_are_zeros() {
        for text in ["{}", r#"{"MemStats":null,"CpuStats":null,"TaskCount":null}"#] {
            let stats: Stats = serde_json::from_str(text).unwrap();
            assert_eq!(stats, Stats::default(), "{text}");
        }
        let stats: Stats = serde_json::from_str(r#"{"CpuStats":{"user":5},"New":1}"#).unwrap();
        assert_eq!((stats.cpu_stats.user, stats.cpu_stats.idle), (5, 0));
    }

    #[test]
    fn every_part_is_sent() {
        let text = serde_json::to_string(&Stats::default()).unwrap();
        for part in
            ["\"MemStats\":{", "\"DiskStats\":{", "\"CpuStats\":{", "\"LoadStats\":{", "\"TaskCount\":0"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
