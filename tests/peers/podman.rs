//! Podman's service with storage of its own and in a network of its own, where `podman` is installed. It needs root, and no
//! systemd.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use bollard::Docker;
use tempfile::TempDir;

use super::support::{wait_for, worker::PATIENCE};

const PROGRAM: &str = "podman";

/// What a test may change of how this Podman runs containers: no more files and processes than this test itself may have,
/// which Podman would ask for.
const CONFIG: &str = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n";

/// Ends with this, and its containers and images too.
pub struct Podman {
    dir: TempDir,
    service: Child,
}

impl Podman {
    /// The error says why there is none.
    pub async fn start() -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("a Podman of its own needs root".to_owned());
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("containers.conf"), CONFIG).unwrap();
        let service = spawn(dir.path()).map_err(|error| format!("no `{PROGRAM}` program: {error}"))?;
        let podman = Self { dir, service };
        if podman.answers_in_time().await { Ok(podman) } else { Err(podman.log()) }
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.dir.path().join("podman.sock").display())
    }

    /// Ends the service: containers run on, each with a keeper of its own.
    pub fn kill(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
        let _ = std::fs::remove_file(self.dir.path().join("podman.sock"));
    }

    pub async fn again(&mut self) {
        self.service = spawn(self.dir.path()).unwrap();
        wait_for("Podman answers again", PATIENCE, async || self.answers_in_time().await.then_some(())).await;
    }

    async fn answers_in_time(&self) -> bool {
        for _ in 0..100 {
            if let Ok(docker) = Docker::connect_with_host(&self.host())
                && docker.ping().await.is_ok()
            {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    }

    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        format!("{PROGRAM} did not start: {}", log.lines().last().unwrap_or("it says nothing"))
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        for all in [&["rm", "--all", "--force", "--time", "0"][..], &["rmi", "--all", "--force"]] {
            let _ = podman(self.dir.path()).args(all).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}

/// `crun` can't do with every mix of control groups; `runc`, where it is installed, can.
fn podman(dir: &Path) -> Command {
    let path = |name: &str| dir.join(name).display().to_string();
    let mut command = Command::new(PROGRAM);
    command
        .env("CONTAINERS_CONF", dir.join("containers.conf"))
        .args(["--root", &path("root"), "--runroot", &path("run"), "--tmpdir", &path("tmp")])
        .args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file"])
        .stdin(Stdio::null());
    if Command::new("runc").arg("--version").stdout(Stdio::null()).status().is_ok() {
        command.args(["--runtime", "runc"]);
    }
    command
}

fn spawn(dir: &Path) -> std::io::Result<Child> {
    // Not found out by its exit code only: whoever has no program shall hear so.
    Command::new(PROGRAM).arg("--version").stdout(Stdio::null()).status()?;
    let log = File::options().create(true).append(true).open(dir.join("log"))?;
    let socket = format!("unix://{}", dir.join("podman.sock").display());
    podman(dir)
        .args(["system", "service", "--time", "0", &socket])
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// Whether a test that finds none may go on without: not where everything has to be there.
pub fn is_required() -> bool {
    std::env::var("CUBE_REQUIRE_PODMAN").is_ok_and(|value| value == "1")
}
