//! A pull that takes its time, from a real registry: how far it is can be seen on the way.

use std::collections::BTreeSet;

use bollard::{Docker, query_parameters::BuildImageOptionsBuilder};
use cube_tui::cluster::FeedItem;
use cube_tui::task::State;
use futures_util::StreamExt as _;
use libtest_mimic::{Completion, Trial};
use portable_pty::CommandBuilder;
use uuid::Uuid;

use super::stage::Stage;
use super::support::{
    self, Image, Sweep, fixture,
    process::PROGRAM,
    registry::{NO_REGISTRY, Registry},
    terminal::Terminal,
    worker::PATIENCE,
};

/// Of each of the layers: they come at some three megabytes a second.
const LAYER_BYTES: usize = 4 << 20;

pub fn tests() -> Vec<Trial> {
    let test = || {
        support::block_on(async {
            let Some(docker) = support::engine().await else {
                return Ok(Completion::ignored_with(support::NO_ENGINE));
            };
            let Some(registry) = Registry::start().await else {
                return Ok(Completion::ignored_with(NO_REGISTRY));
            };
            tells_how_far(docker, registry).await;
            Ok(Completion::Completed)
        })
    };
    vec![Trial::ignorable_test("a_pull_tells_how_far_it_is_and_then_the_task_runs", test)]
}

/// Layers that nothing makes smaller, and the fixture.
async fn big_image(docker: &Docker) -> Image {
    let name = format!("cube-test-{}:1", Uuid::new_v4().simple());
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_path_with_name(fixture(), "fixture").unwrap();
    let recipe =
        "FROM scratch\nCOPY one /one\nCOPY two /two\nCOPY fixture /fixture\nENTRYPOINT [\"/fixture\"]\n";
    let mut random = vec![0; LAYER_BYTES];
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes).unwrap();
    };
    add("Dockerfile", recipe.as_bytes());
    for layer in ["one", "two"] {
        fastrand::fill(&mut random);
        add(layer, &random);
    }
    let options = BuildImageOptionsBuilder::default().t(&name).rm(true).build();
    let body = bollard::body_full(archive.into_inner().unwrap().into());
    let mut news = Box::pin(docker.build_image(options, None, Some(body)));
    while let Some(news) = news.next().await {
        news.expect("the engine builds an image");
    }
    Image { name }
}

/// The number in `pulling 37 %`.
fn percent(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("pulling ")?;
    rest.split_once(" %")?.0.parse().ok()
}

async fn tells_how_far(docker: Docker, registry: Registry) {
    let local = big_image(&docker).await;
    let repository = format!("big-{}", Uuid::new_v4().simple());
    let pushed = registry.push(&docker, &local, &repository).await;
    local.remove(&docker).await;
    let way = registry.slow_way().await;
    let image = Image { name: pushed.replace(&registry.address, &way.address) };
    let name = image.name.clone();
    let stage = Stage::on(docker, &support::docker_host(), image);
    let _sweep = Sweep { label: stage.mark(), image: name.clone() };
    let mut node = stage.home.start("--no-ui --data-dir data --output json");
    let manager = node.manager().await;
    let mut feed = manager.client.watch().await.unwrap().items;

    let mut run = CommandBuilder::new("/bin/sh");
    let (port, label) = (manager.port, stage.mark());
    run.args([
        "-c",
        &format!(
            "CUBE_MANAGER_PORT={port} exec {PROGRAM} run {name} --name big --wait --label {label} -- exit 7"
        ),
    ]);
    let mut terminal = Terminal::run(&stage.home, run, (100, 24));
    let on_the_way = |text: &str| percent(text).is_some_and(|percent| (1..100).contains(&percent));
    terminal.until("the share that is here already", |screen| on_the_way(&screen.contents()));
    assert!(terminal.contents().contains(&format!("({name})")), "{}", terminal.contents());

    let told = async {
        let mut told = BTreeSet::new();
        loop {
            match feed.next().await.expect("it goes on").unwrap() {
                FeedItem::Progress(progress) if progress.text.is_empty() => return told,
                FeedItem::Progress(progress) => told.extend(percent(&progress.text)),
                FeedItem::Change(_) | FeedItem::Sample(_) => {}
            }
        }
    };
    let told = tokio::time::timeout(PATIENCE, told).await.expect("the pull ends");
    assert!(told.iter().filter(|percent| (1..100).contains(*percent)).count() > 2, "{told:?}");
    assert_eq!(terminal.ended(), 7, "{}", terminal.contents());
    assert!(!terminal.contents().contains("pulling"), "{}", terminal.contents());
    let cluster = manager.cluster().await;
    let task = cluster.task_db().next().unwrap();
    assert_eq!((task.state(), task.status().exit_code), (State::Failed, Some(7)));
}
