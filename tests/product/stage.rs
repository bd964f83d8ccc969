//! What a test on the engine has: an image, a home, a mark on all its containers; all of it is gone afterwards.

use bollard::{
    Docker,
    models::{ContainerInspectResponse, EventMessage},
    query_parameters::{
        EventsOptionsBuilder, InspectContainerOptions, KillContainerOptionsBuilder,
        RemoveContainerOptionsBuilder,
    },
};
use futures_util::StreamExt as _;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use std::collections::HashMap;
use uuid::Uuid;

use super::support::{self, Image, Sweep, containers_with, process::Home, with_engine};

/// The label of every container that these tests have made.
const MARK: &str = "cube-test";

pub struct Stage {
    pub docker: Docker,
    pub image: Image,
    pub home: Home,
    mark: String,
    began: u64,
}

pub fn trial<F, R>(name: &'static str, test: F) -> Trial
where
    F: FnOnce(Stage) -> R + Send + 'static,
    R: Future<Output = ()>,
{
    with_engine(name, async |docker| {
        let image = Image::build(&docker).await;
        let stage = Stage::on(docker, &support::docker_host(), image);
        // Also when the test panics; after the processes of the test are dead.
        let _sweep = Sweep { label: stage.mark(), image: stage.image.name.clone() };
        test(stage).await;
    })
}

impl Stage {
    /// On the engine at `host`.
    pub fn on(docker: Docker, host: &str, image: Image) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let began = now.unwrap().as_secs();
        Self { docker, image, home: Home::new(host), mark: Uuid::new_v4().simple().to_string(), began }
    }

    /// A task as a file has it.
    pub fn task(&self, name: &str, cmd: &[&str]) -> Value {
        json!({
            "Name": name,
            "Image": self.image.name,
            "Cmd": cmd,
            "Labels": {MARK: self.mark},
            "StopTimeout": 2,
        })
    }

    pub fn sleeper(&self, name: &str) -> Value {
        self.task(name, &["sleep"])
    }

    /// The label of this test's containers, as `KEY=VALUE`.
    pub fn mark(&self) -> String {
        format!("{MARK}={}", self.mark)
    }

    /// The ids of this test's containers, in order.
    pub async fn containers(&self) -> Vec<String> {
        let mut ids = containers_with(&self.docker, &self.mark()).await;
        ids.sort_unstable();
        ids
    }

    /// How often the engine has started a container of this test.
    pub async fn starts(&self) -> usize {
        let filters = HashMap::from([
            ("label", vec![self.mark()]),
            ("type", vec!["container".to_owned()]),
            ("event", vec!["start".to_owned()]),
        ]);
        let until = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 1;
        let options = EventsOptionsBuilder::default()
            .since(&self.began.to_string())
            .until(&until.to_string())
            .filters(&filters)
            .build();
        let events: Vec<Result<EventMessage, _>> = self.docker.events(Some(options)).collect().await;
        events.into_iter().map(Result::unwrap).count()
    }

    pub async fn inspect(&self, container: &str) -> ContainerInspectResponse {
        self.docker.inspect_container(container, None::<InspectContainerOptions>).await.unwrap()
    }

    pub async fn is_running(&self, container: &str) -> bool {
        self.inspect(container).await.state.unwrap().running.unwrap()
    }

    pub async fn kill(&self, container: &str, signal: &str) {
        let kill = KillContainerOptionsBuilder::default().signal(signal).build();
        self.docker.kill_container(container, Some(kill)).await.unwrap();
    }

    pub async fn remove(&self, container: &str) {
        let force = RemoveContainerOptionsBuilder::default().force(true).build();
        self.docker.remove_container(container, Some(force)).await.unwrap();
    }
}
