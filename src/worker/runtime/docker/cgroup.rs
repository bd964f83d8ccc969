//! What a container uses, read from the kernel's files: the engine's own statistics cost it a second of work a
//! container. Knows no engine, only where engines put their cgroups.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::worker::runtime::Usage;

const ROOT: &str = "/sys/fs/cgroup";

/// Where containers' cgroups are; found once each.
#[derive(Debug, Default)]
pub(super) struct Cgroups {
    /// A lock for a moment's look: samples come from another thread than stops.
    places: Mutex<HashMap<String, Option<Place>>>,
}

/// The files of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    V1 { cpu: PathBuf, memory: PathBuf },
    V2 { directory: PathBuf },
}

impl Cgroups {
    pub(super) fn usage(&self, container: &str) -> Option<Usage> {
        let place = {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            places.entry(container.to_owned()).or_insert_with(|| find(Path::new(ROOT), container)).clone()
        };
        let usage = place?.usage();
        if usage.is_none() {
            self.forget(container);
        }
        usage
    }

    pub(super) fn forget(&self, container: &str) {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).remove(container);
    }
}

/// Docker and Podman, with the cgroupfs and the systemd driver.
fn find(root: &Path, container: &str) -> Option<Place> {
    let candidates = [
        format!("docker/{container}"),
        format!("system.slice/docker-{container}.scope"),
        format!("libpod_parent/libpod-{container}"),
        format!("machine.slice/libpod-{container}.scope"),
    ];
    candidates.into_iter().find_map(|path| {
        let v2 = root.join(&path);
        if v2.join("cpu.stat").is_file() && v2.join("memory.current").is_file() {
            return Some(Place::V2 { directory: v2 });
        }
        let memory = root.join("memory").join(&path);
        let cpu = root.join("cpuacct").join(&path);
        (memory.is_dir() && cpu.is_dir()).then_some(Place::V1 { cpu, memory })
    })
}

impl Place {
    /// Memory without the page cache that the kernel would give back first, as `docker stats` has it.
    fn usage(&self) -> Option<Usage> {
        match self {
            Self::V1 { cpu, memory } => {
                let cache = field(&memory.join("memory.stat"), "total_inactive_file").unwrap_or(0);
                Some(Usage {
                    cpu_ns: number(&cpu.join("cpuacct.usage"))?,
                    memory_bytes: number(&memory.join("memory.usage_in_bytes"))?.saturating_sub(cache),
                })
            }
            Self::V2 { directory } => {
                let cache = field(&directory.join("memory.stat"), "inactive_file").unwrap_or(0);
                Some(Usage {
                    cpu_ns: field(&directory.join("cpu.stat"), "usage_usec")? * 1000,
                    memory_bytes: number(&directory.join("memory.current"))?.saturating_sub(cache),
                })
            }
        }
    }
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A line `NAME NUMBER` of a file.
fn field(path: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::{Usage, find};

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn both_versions_of_the_kernels_files_are_read() {
        let expected = Some(Usage { cpu_ns: 5_000_000, memory_bytes: 900 });
        let v1 = tempfile::tempdir().unwrap();
        write(v1.path(), "cpuacct/docker/c/cpuacct.usage", "5000000\n");
        write(v1.path(), "memory/docker/c/memory.usage_in_bytes", "1000\n");
        write(v1.path(), "memory/docker/c/memory.stat", "cache 500\ntotal_inactive_file 100\n");
        assert_eq!(find(v1.path(), "c").unwrap().usage(), expected);

        let v2 = tempfile::tempdir().unwrap();
        write(v2.path(), "system.slice/docker-c.scope/cpu.stat", "usage_usec 5000\nuser_usec 1\n");
        write(v2.path(), "system.slice/docker-c.scope/memory.current", "1000\n");
        write(v2.path(), "system.slice/docker-c.scope/memory.stat", "inactive_file 100\n");
        assert_eq!(find(v2.path(), "c").unwrap().usage(), expected);
        assert_eq!(find(v2.path(), "other"), None);
    }
}
