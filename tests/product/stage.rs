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
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::task::JoinSet;
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
    /// All so far, as they are told: the engine remembers no more than 256 events of everybody's.
    starts: Arc<Mutex<BTreeSet<Start>>>,
    /// It listens for as long as this lives.
    listening: JoinSet<()>,
}

/// A container and when it was started.
type Start = (String, i64);

fn start(event: EventMessage) -> Start {
    (event.actor.unwrap().id.unwrap(), event.time_nano.unwrap())
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The starts of containers with this label.
fn events(mark: &str, began: u64) -> EventsOptionsBuilder {
    let filters = HashMap::from([
        ("label", vec![mark.to_owned()]),
        ("type", vec!["container".to_owned()]),
        ("event", vec!["start".to_owned()]),
    ]);
    EventsOptionsBuilder::default().since(&began.to_string()).filters(&filters)
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
        let mut stage = Self {
            docker,
            image,
            home: Home::new(host),
            mark: Uuid::new_v4().simple().to_string(),
            began: seconds_now(),
            starts: Arc::default(),
            listening: JoinSet::new(),
        };
        let (docker, starts) = (stage.docker.clone(), Arc::clone(&stage.starts));
        let options = events(&stage.mark(), stage.began).build();
        stage.listening.spawn(async move {
            loop {
                let mut told = Box::pin(docker.events(Some(options.clone())));
                while let Some(Ok(event)) = told.next().await {
                    starts.lock().unwrap().insert(start(event));
                }
                // Some tests restart their engine.
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        stage
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
        // Those that are not told yet are among the last, which the engine still remembers.
        let until = seconds_now() + 1;
        let rest = events(&self.mark(), self.began).until(&until.to_string()).build();
        let rest: Vec<_> = self.docker.events(Some(rest)).map(|event| start(event.unwrap())).collect().await;
        let mut starts = self.starts.lock().unwrap();
        starts.extend(rest);
        starts.len()
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
