//! What the tests that run containers share: a static program, an image of it, and an engine if there is one. No
//! image registry is needed.

#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses its part of this")]

pub mod engine_proxy;
pub mod process;
pub mod recording;
pub mod registry;
pub mod terminal;
pub mod worker;

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::{Duration, Instant},
};

use bollard::{
    Docker,
    query_parameters::{
        CreateImageOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
        RemoveImageOptions, RemoveVolumeOptions,
    },
};
use futures_util::StreamExt as _;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use uuid::Uuid;

/// Why a test did not run.
pub const NO_ENGINE: &str = "no Docker engine";

/// Where the tests' engine listens.
pub fn docker_host() -> String {
    env::var("DOCKER_HOST").unwrap_or_else(|_| cube_tui::worker::runtime::DEFAULT_DOCKER_HOST.to_owned())
}

/// The engine, if one answers. Without one this panics when `CUBE_REQUIRE_DOCKER=1`.
pub async fn engine() -> Option<Docker> {
    let docker = Docker::connect_with_host(&docker_host()).ok();
    if let Some(docker) = docker
        && tokio::time::timeout(Duration::from_secs(10), docker.ping()).await.is_ok_and(|pong| pong.is_ok())
    {
        return Some(docker);
    }
    let is_required = env::var("CUBE_REQUIRE_DOCKER").is_ok_and(|value| value == "1");
    assert!(!is_required, "CUBE_REQUIRE_DOCKER=1, and no engine answers at {}", docker_host());
    None
}

/// A test that needs an engine: told as ignored, with the reason, where there is none.
pub fn with_engine<F, R>(name: &'static str, test: F) -> Trial
where
    F: FnOnce(Docker) -> R + Send + 'static,
    R: Future<Output = ()>,
{
    Trial::ignorable_test(name, move || {
        block_on(async move {
            match engine().await {
                Some(docker) => {
                    test(docker).await;
                    Ok(Completion::Completed)
                }
                None => Ok(Completion::ignored_with(NO_ENGINE)),
            }
        })
    })
}

/// Each test has a runtime of its own, so that nothing of it outlives it.
pub fn block_on(test: impl Future<Output = Result<Completion, Failed>>) -> Result<Completion, Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(test)
}

/// Runs the tests of a `harness = false` binary and ends the process.
pub fn run(tests: Vec<Trial>) -> ! {
    let mut arguments = Arguments::from_args();
    // An engine on a small machine is slow enough without every test at once.
    arguments.test_threads = arguments.test_threads.or(Some(4));
    libtest_mimic::run(&arguments, tests).exit()
}

/// The program of tests/fixture, static, so that it runs in an empty image. Compiled once for all tests.
pub fn fixture() -> &'static Path {
    static FIXTURE: OnceLock<PathBuf> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixture/cube_fixture.rs");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(folder).expect("cargo's folder for tests");
        let program = folder.join("cube_fixture");
        let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        if changed(&program) > changed(&source) {
            return program;
        }
        // Aside and renamed: other test binaries do the same at the same time.
        let aside = folder.join(format!("cube_fixture.{}", Uuid::new_v4().simple()));
        let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
        let built = Command::new(&rustc)
            .args([
                "--edition=2024",
                "-C",
                "target-feature=+crt-static",
                "-C",
                "opt-level=s",
                "-C",
                "strip=symbols",
            ])
            .args(["--crate-name", "cube_fixture", "-o"])
            .arg(&aside)
            .arg(&source)
            .status()
            .expect("rustc runs");
        assert!(built.success(), "the fixture does not compile");
        fs::rename(&aside, &program).expect("a rename within a folder");
        program
    })
}

/// An image whose only program is the fixture. Call `remove` at the end.
#[derive(Debug)]
pub struct Image {
    pub name: String,
}

impl Image {
    pub async fn build(docker: &Docker) -> Self {
        let name = format!("cube-test-{}:1", Uuid::new_v4().simple());
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_path_with_name(fixture(), "fixture").expect("the fixture is there");
        let options = CreateImageOptionsBuilder::default()
            .from_src("-")
            // With its tag: Podman passes over one that stands beside it.
            .repo(&name)
            // One change alone, for the same reason.
            .changes(vec!["ENTRYPOINT [\"/fixture\"]".to_owned()])
            .build();
        let body = bollard::body_full(archive.into_inner().expect("memory").into());
        let mut news = Box::pin(docker.create_image(Some(options), Some(body), None));
        while let Some(news) = news.next().await {
            news.expect("the engine imports an image");
        }
        Self { name }
    }

    pub async fn remove(&self, docker: &Docker) {
        let _ = docker.remove_image(&self.name, None::<RemoveImageOptions>, None).await;
    }
}

/// Removes containers and image when dropped. Blocking, through the engine's own client: a panic is no place for
/// async.
#[derive(Debug)]
pub struct Sweep {
    pub label: String,
    pub image: String,
}

impl Drop for Sweep {
    fn drop(&mut self) {
        let (label, image) = (self.label.clone(), self.image.clone());
        let is_panic = std::thread::panicking();
        let sweep = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                let Some(docker) = engine().await else { return };
                // After a panic the worker may still be at a start.
                let rounds = if is_panic { 10 } else { 1 };
                for _ in 0..rounds {
                    remove_containers(&docker, &label).await;
                    if is_panic {
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                }
                Image { name: image }.remove(&docker).await;
            });
        });
        let _ = sweep.join();
    }
}

/// The ids of all containers with this label.
pub async fn containers_with(docker: &Docker, label: &str) -> Vec<String> {
    let filters = HashMap::from([("label", vec![label.to_owned()])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let all = docker.list_containers(Some(options)).await.expect("the engine lists");
    all.into_iter().filter_map(|container| container.id).collect()
}

/// Removes all containers with this label, whatever they do.
pub async fn remove_containers(docker: &Docker, label: &str) {
    for container in containers_with(docker, label).await {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let _ = docker.remove_container(&container, Some(options)).await;
    }
}

pub async fn remove_volume(docker: &Docker, name: &str) {
    let _ = docker.remove_volume(name, None::<RemoveVolumeOptions>).await;
}

/// Waits until `look` finds something; `what` is for the message when it does not within `deadline`.
pub async fn wait_for<T, F>(what: &str, deadline: Duration, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(start.elapsed() < deadline, "{what}: not within {deadline:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
