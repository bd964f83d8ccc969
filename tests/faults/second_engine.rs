//! A Docker Engine of a test's own, to be ended, killed or stopped without harm to anybody else's containers.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use bollard::Docker;
use libtest_mimic::{Completion, Trial};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::stage::Stage;
use super::support::{self, Image, wait_for, worker::PATIENCE};

const PROGRAM: &str = "dockerd";

pub struct SecondEngine {
    dir: TempDir,
    daemon: Child,
    has_live_restore: bool,
}

/// A test on an engine of its own: told as ignored, with the reason, where there can be none.
pub fn trial<F, R>(name: &'static str, has_live_restore: bool, test: F) -> Trial
where
    F: FnOnce(Stage, SecondEngine) -> R + Send + 'static,
    R: Future<Output = SecondEngine>,
{
    Trial::ignorable_test(name, move || {
        support::block_on(async move {
            if support::engine().await.is_none() {
                return Ok(Completion::ignored_with(support::NO_ENGINE));
            }
            let engine = match SecondEngine::start(has_live_restore).await {
                Ok(engine) => engine,
                Err(why) => {
                    let is_required = std::env::var("CUBE_REQUIRE_DOCKER").is_ok_and(|value| value == "1");
                    assert!(!is_required, "CUBE_REQUIRE_DOCKER=1, and {why}");
                    return Ok(Completion::ignored_with(why));
                }
            };
            let docker = engine.docker();
            let image = Image::build(&docker).await;
            let stage = Stage::on(docker, &engine.host(), image);
            drop(test(stage, engine).await);
            Ok(Completion::Completed)
        })
    })
}

impl SecondEngine {
    async fn start(has_live_restore: bool) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("a second dockerd needs root".to_owned());
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), "{}").unwrap();
        let daemon = spawn(dir.path(), has_live_restore)
            .map_err(|error| format!("a second {PROGRAM} can't be started: {error}"))?;
        let mut engine = Self { dir, daemon, has_live_restore };
        if engine.answers_in_time().await { Ok(engine) } else { Err(engine.log()) }
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.dir.path().join("engine.sock").display())
    }

    pub fn docker(&self) -> Docker {
        Docker::connect_with_host(&self.host()).expect("its socket is there")
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.daemon), signal).expect("it is there");
    }

    /// Ends it with `signal` and starts it again.
    pub async fn restart(&mut self, signal: Signal) {
        self.signal(signal);
        let daemon = &mut self.daemon;
        let look = || std::future::ready(daemon.try_wait().unwrap());
        wait_for("the engine has ended", PATIENCE, look).await;
        // Its containerd goes with it, a little later; a daemon that starts meanwhile waits for it in vain.
        let pid = std::fs::read_to_string(self.dir.path().join("exec/containerd/containerd.pid"));
        if let Ok(pid) = pid {
            let process = Path::new("/proc").join(pid.trim());
            let look = || std::future::ready((!process.exists()).then_some(()));
            wait_for("its containerd has ended", PATIENCE, look).await;
        }
        self.daemon = spawn(self.dir.path(), self.has_live_restore).expect("it started before");
        assert!(self.answers_in_time().await, "{}", self.log());
    }

    async fn answers_in_time(&mut self) -> bool {
        for _ in 0..300 {
            if self.daemon.try_wait().is_ok_and(|ended| ended.is_some()) {
                return false;
            }
            if let Ok(docker) = Docker::connect_with_host(&self.host())
                && docker.ping().await.is_ok()
            {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    }

    /// Why it did not start, in its own last words.
    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        let last: Vec<_> = log.lines().rev().take(3).collect();
        format!("a second {PROGRAM} did not start: {}", last.join(" | "))
    }

    /// Removes its containers and ends it, whatever state it is in.
    fn end(&mut self) {
        let _ = kill_process(Pid::from_child(&self.daemon), Signal::CONT);
        if self.daemon.try_wait().is_ok_and(|ended| ended.is_some()) {
            // A panic came between its end and its start; its containers may live on.
            let Ok(daemon) = spawn(self.dir.path(), self.has_live_restore) else { return };
            self.daemon = daemon;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            runtime.block_on(async {
                if self.answers_in_time().await {
                    support::remove_containers(&self.docker(), "cube.worker").await;
                }
            });
        }
        let _ = kill_process(Pid::from_child(&self.daemon), Signal::TERM);
        for _ in 0..200 {
            if self.daemon.try_wait().is_ok_and(|ended| ended.is_some()) {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        // After a kill -9 it has left this mount.
        let _ = Command::new("umount").arg(self.dir.path().join("data")).stderr(Stdio::null()).status();
    }
}

impl Drop for SecondEngine {
    /// Blocking, on a thread that no runtime has.
    fn drop(&mut self) {
        std::thread::scope(|scope| _ = scope.spawn(|| self.end()).join());
    }
}

/// In a network namespace of its own, since a daemon without a bridge takes the machine's away, and with the storage
/// driver that works everywhere.
fn spawn(dir: &Path, has_live_restore: bool) -> std::io::Result<Child> {
    let path = |name: &str| dir.join(name).display().to_string();
    let log = File::options().create(true).append(true).open(dir.join("log"))?;
    let mut command = Command::new("unshare");
    command
        .args(["--net", PROGRAM])
        .args(["--data-root", &path("data"), "--exec-root", &path("exec"), "--pidfile", &path("pid")])
        .args(["--host", &format!("unix://{}", path("engine.sock")), "--config-file", &path("config.json")])
        .args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"])
        .args(["--storage-driver=vfs", &format!("--live-restore={has_live_restore}")])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    command.spawn()
}
