//! What an engine tells of itself when a connection is made. Knows no container.

use bollard::models::SystemInfo;

use crate::cluster::Capacity;

/// Its version, and what it has to share out; `None` where it does not say.
#[derive(Debug, Default)]
pub(super) struct Engine {
    pub(super) version: String,
    cpus: Option<u32>,
    memory_bytes: Option<u64>,
}

impl Engine {
    pub(super) fn new(version: Option<String>, info: &SystemInfo) -> Self {
        let told = |number: Option<i64>| number.filter(|number| *number > 0);
        Self {
            version: version.unwrap_or_default(),
            cpus: told(info.ncpu).and_then(|cpus| cpus.try_into().ok()),
            memory_bytes: told(info.mem_total).map(i64::cast_unsigned),
        }
    }

    /// The smaller of what the host has and what the engine has: it refuses what goes beyond.
    pub(super) fn share_of(&self, host: Capacity) -> Capacity {
        Capacity {
            cpus: self.cpus.map_or(host.cpus, |cpus| host.cpus.min(cpus.into())),
            memory_bytes: self.memory_bytes.map_or(host.memory_bytes, |bytes| host.memory_bytes.min(bytes)),
            ..host
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_of_host_and_engine_counts_where_the_engine_tells() {
        let host = Capacity { cpus: 8.0, memory_bytes: 16 << 30, disk_bytes: 1 << 40 };
        let share = |ncpu, mem_total| {
            let info = SystemInfo { ncpu, mem_total, ..SystemInfo::default() };
            let share = Engine::new(None, &info).share_of(host);
            assert_eq!(share.disk_bytes, host.disk_bytes);
            (share.cpus, share.memory_bytes)
        };
        assert_eq!(share(Some(2), Some(4 << 30)), (2.0, 4 << 30));
        assert_eq!(share(Some(64), Some(1 << 40)), (8.0, 16 << 30));
        assert_eq!(share(None, None), (8.0, 16 << 30));
        assert_eq!(share(Some(0), Some(-1)), (8.0, 16 << 30), "an engine that does not know");
    }
}
