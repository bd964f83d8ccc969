//! From the end of a container to the frame that shows it (G5), with the real dashboard in a pseudo-terminal: the
//! engine's die event at rest, and a no-op engine at 1,000 ends a second. `cargo bench --bench die_event`
//!
//! For the burst this program starts itself once more, as a dashboard around that engine.

#![expect(clippy::unwrap_used, reason = "a bench that fails may panic")]

mod measure;
#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bollard::Docker;
use bollard::query_parameters::{EventsOptionsBuilder, InspectContainerOptions, KillContainerOptionsBuilder};
use cube_tui::client::{ManagerClient, ManagerHandle, http_client};
use cube_tui::cluster::Cause;
use cube_tui::task::{NetworkMode, State, TaskEvent, TaskSpec};
use cube_tui::tui::{self, Options};
use cube_tui::worker::{Limits, runtime::Fake};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use measure::{
    Goal, median, ms, percentile,
    product::{Product, Worker, tasks, until},
    pty::Pty,
    tell, tell_load,
};
use portable_pty::CommandBuilder;
use rustix::process::{Pid, Signal, kill_process};
use support::{Image, containers_with, wait_for};
use uuid::Uuid;

/// Containers that end one after the other.
const ENDS: usize = 150;
const BURST: usize = 5_000;
const BURST_EVERY: Duration = Duration::from_millis(1);
/// The argument that makes this program the dashboard of the burst; its log's path follows.
const DASHBOARD: &str = "--as-dashboard";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut arguments = std::env::args().skip_while(|argument| argument != DASHBOARD);
    if let (Some(_), Some(log)) = (arguments.next(), arguments.next()) {
        runtime.block_on(dashboard_with_a_burst(Path::new(&log)));
        return;
    }
    if !measure::is_bench() {
        return;
    }
    tell_load();
    runtime.block_on(at_rest());
    burst();
    tell_load();
}

/// The number behind a glyph in the header.
fn count(screen: &vt100::Screen, glyph: char) -> Option<usize> {
    let contents = screen.contents();
    // The title has such a glyph too, without a number.
    contents.lines().next()?.split(glyph).skip(1).find_map(|rest| {
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    })
}

/// The whole program on a real engine. Event and frame are both seen from here.
async fn at_rest() {
    let Some(docker) = support::engine().await else {
        println!("skipped: {}", support::NO_ENGINE);
        return;
    };
    let image = Image::build(&docker).await;
    let home = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_cube-tui"));
    let policy = home.path().join("policy.toml");
    std::fs::write(&policy, "host_network = true\n").unwrap();
    command.args(["--ephemeral", "--policy"]);
    command.arg(&policy);
    command.env("HOME", home.path());
    command.env("TERM", "xterm-256color");
    command.env("CUBE_PORT", "0");
    command.env("CUBE_MANAGER_PORT", port.to_string());
    let mut pty = Pty::start(command, 160, 40);
    pty.until_text("LIVE");
    let manager = ManagerClient::new(http_client(), &format!("http://localhost:{port}"));
    let label = format!("bench.die={}", Uuid::new_v4());
    let (key, value) = label.split_once('=').unwrap();
    let spec = TaskSpec {
        name: "bench".to_owned(),
        image: image.name.clone(),
        cmd: vec!["sleep".to_owned()],
        network_mode: NetworkMode::Host,
        labels: [(key.to_owned(), value.to_owned())].into(),
        ..TaskSpec::default()
    };
    let all: Vec<TaskEvent> =
        tasks(spec, ENDS).into_iter().map(|task| TaskEvent::start(task, Timestamp::now())).collect();
    manager.submit(&all, Cause::Command).await.unwrap();
    pty.until("all run", |screen| count(screen, '▸') == Some(ENDS));

    let filters = HashMap::from([("event", vec!["die".to_owned()]), ("label", vec![label.clone()])]);
    let mut events = Box::pin(docker.events(Some(EventsOptionsBuilder::default().filters(&filters).build())));
    let (mut by_itself, mut by_host, mut by_engine) = (Vec::new(), Vec::new(), Vec::new());
    let mut from_kill = Vec::new();
    let (mut answers, mut after_answer) = (Vec::new(), Vec::new());
    for (number, container) in containers_with(&docker, &label).await.into_iter().enumerate() {
        pty.listen(Duration::from_millis(150));
        let pid = pid_of(&docker, &container).await;
        let start = Instant::now();
        let killing = async {
            match number % 3 {
                // The program ends with a code of its own.
                0 => kill_process(pid, Signal::TERM).unwrap(),
                1 => kill_process(pid, Signal::KILL).unwrap(),
                // Then somebody may have removed it by force: the worker asks the engine.
                _ => {
                    let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
                    docker.kill_container(&container, Some(options)).await.unwrap();
                }
            }
        };
        let dying = async {
            events.next().await.unwrap().unwrap();
            let died = Instant::now();
            if number % 3 == 2 {
                // Asked at the same moment as the worker asks: how long the engine takes to say why.
                docker.inspect_container(&container, None::<InspectContainerOptions>).await.unwrap();
            }
            (died, died.elapsed())
        };
        let ((), (died, asking)) = tokio::join!(killing, dying);
        let shown = pty.until("it failed", |screen| count(screen, '✗') == Some(number + 1));
        let times = [&mut by_itself, &mut by_host, &mut by_engine].into_iter().nth(number % 3).unwrap();
        times.push(ms(shown.saturating_duration_since(died)));
        if number % 3 == 2 {
            answers.push(ms(asking));
            after_answer.push(ms(shown.saturating_duration_since(died + asking)));
        }
        from_kill.push(ms(shown - start));
    }
    let of = "die event to frame, engine, 160x40";
    for (name, times) in [
        ("ended by itself", &by_itself),
        ("killed on the host", &by_host),
        ("killed through the engine, cause asked for", &by_engine),
    ] {
        tell("", &format!("{of}, {name}, p50"), median(times), "ms", Goal::None);
        tell(
            "G5",
            &format!("{of}, {name}, worst of {}", times.len()),
            percentile(times, 99),
            "ms",
            Goal::AtMost(5.0),
        );
    }
    tell("", "an inspect by us at the same moment, p50", median(&answers), "ms", Goal::None);
    tell("", "such an answer to frame, worst", percentile(&after_answer, 99), "ms", Goal::AtMost(5.0));
    tell("", "kill to frame, p50", median(&from_kill), "ms", Goal::None);
    pty.quit();
    wait_for("no containers", Duration::from_mins(1), async || {
        containers_with(&docker, &label).await.is_empty().then_some(())
    })
    .await;
    image.remove(&docker).await;
}

async fn pid_of(docker: &Docker, container: &str) -> Pid {
    let answer = docker.inspect_container(container, None::<InspectContainerOptions>).await.unwrap();
    Pid::from_raw(answer.state.unwrap().pid.unwrap().try_into().unwrap()).unwrap()
}

fn burst() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
    command.arg(DASHBOARD);
    command.arg(&log);
    command.env("TERM", "xterm-256color");
    let mut pty = Pty::start(command, 160, 40);
    // When each count of ended tasks was first to be seen.
    let mut seen: Vec<(usize, SystemTime)> = Vec::new();
    let mut frames = 0;
    while seen.last().is_none_or(|(count, _)| *count < BURST) {
        let chunk = pty.chunks.recv_timeout(Duration::from_mins(1)).expect("the dashboard goes on");
        pty.screen.process(&chunk.bytes);
        if let Some(count) = count(pty.screen.screen(), '✓')
            && seen.last().is_none_or(|(last, _)| *last < count)
        {
            seen.push((count, chunk.wall));
            frames += 1;
        }
    }
    pty.quit();
    let text = std::fs::read_to_string(&log).unwrap();
    let ends: Vec<SystemTime> =
        text.lines().map(|nanos| UNIX_EPOCH + Duration::from_nanos(nanos.parse().unwrap())).collect();
    let times: Vec<f64> = ends
        .iter()
        .enumerate()
        .map(|(index, end)| {
            let (_, at) = seen.iter().find(|(count, _)| *count > index).unwrap();
            ms(at.duration_since(*end).unwrap_or_default())
        })
        .collect();
    let took = ends[BURST - 1].duration_since(ends[0]).unwrap();
    tell("", "burst: ends a second", measure::per_second(BURST, took), "/s", Goal::None);
    tell("", "burst: frames that showed news", f64::from(frames), "", Goal::None);
    tell("", "burst: end to frame, p50", median(&times), "ms", Goal::None);
    tell("G5", "burst: end to frame, p99", percentile(&times, 99), "ms", Goal::AtMost(33.0));
}

/// A dashboard on a manager, a store and a worker whose tasks all run, and then end one after the other.
async fn dashboard_with_a_burst(log: &Path) {
    let engine = Fake::default();
    let worker = Worker::start(engine.clone(), Uuid::new_v4(), Limits::default()).await;
    let product = Product::start(vec![worker]).await;
    let dashboard = tui::run(Options::new(ManagerHandle::Embedded(product.handle.clone())));
    let ending = async {
        let spec = TaskSpec { name: "bench".to_owned(), image: "none".to_owned(), ..TaskSpec::default() };
        let all = tasks(spec, BURST);
        let mut feed = product.feed().await;
        product.submit(all.clone()).await;
        until(&mut feed, State::Running, BURST).await;
        drop(feed);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut log = std::fs::File::create(log).unwrap();
        let (start, mut text) = (Instant::now(), Vec::new());
        for (number, task) in (0_u32..).zip(&all) {
            tokio::time::sleep_until((start + BURST_EVERY * number).into()).await;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            writeln!(text, "{}", now.as_nanos()).unwrap();
            engine.exit(task.id, 0);
        }
        log.write_all(&text).unwrap();
    };
    let (dashboard, ()) = tokio::join!(dashboard, ending);
    dashboard.unwrap();
    product.stop().await;
}
