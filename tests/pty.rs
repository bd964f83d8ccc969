//! The dashboard in a real pseudo-terminal: keys in, screen out, and the terminal as it was before, however it ends.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

#[path = "pty/left_running.rs"]
mod left_running;
mod support;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use bollard::{Docker, models::ContainerInspectResponse, query_parameters::InspectContainerOptions};
use libtest_mimic::Trial;
use portable_pty::CommandBuilder;
use rustix::process::Signal;
use serde_json::json;
use support::{
    Image, Sweep, containers_with,
    engine_proxy::{EngineProxy, Mode},
    process::{Home, PROGRAM},
    terminal::{Size, Terminal},
    wait_for, with_engine,
    worker::PATIENCE,
};
use uuid::Uuid;

fn main() {
    let mut tests = vec![
        plain("every_way_out_gives_the_terminal_back", ways_out),
        plain("a_quit_before_the_first_frame_gives_the_terminal_back", quit_at_once),
        plain("a_start_that_fails_gives_the_terminal_back_and_says_why", fails_to_start),
        plain("a_shell_has_its_terminal_while_the_dashboard_is_suspended", suspend),
        plain("a_closed_terminal_ends_the_dashboard", closed),
        plain("tiny_sizes_and_resize_storms_do_no_harm", sizes),
        plain("keys_of_all_kinds_do_no_harm", keys),
        plain("actions_are_on_the_keys_of_the_config_file_and_a_clash_is_named", own_keys),
        plain("what_is_drawn_anew_is_left_by_q_escape_and_control_c", drawn_anew),
        plain("a_demo_without_an_engine_shows_its_tasks_and_leaves_no_process", demo_of_processes),
        plain("the_form_says_what_is_wrong_and_submits_a_file", form_and_file),
        plain("w_tells_why_and_the_form_where_a_task_would_go", why_and_preview),
        plain("without_a_terminal_the_dashboard_says_what_else_there_is", no_terminal),
        with_engine("a_task_from_the_form_runs_is_shown_and_is_stopped", submit_and_stop),
        with_engine("logs_are_shown_and_a_command_gets_the_terminal_and_its_size", logs_and_exec),
        with_engine("containers_outlive_the_dashboard_and_the_next_one_shows_them", outlive),
        with_engine("a_dashboard_can_be_left_while_the_engine_is_away_or_hangs", engine_away),
        with_engine("a_demo_on_an_engine_that_is_left_at_once_leaves_no_image", demo_left_at_once),
    ];
    tests.extend(left_running::tests());
    support::run(tests);
}

fn plain(name: &'static str, test: fn()) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}

const USUAL: Size = (160, 40);

/// A dashboard on a manager without a worker: it needs no engine.
const ALONE: &str = "--data-dir data --no-local-worker";

/// A way to end a dashboard.
type Leave = fn(&mut Terminal);

fn ways_out() {
    let ways: [(&str, Leave); 6] = [
        ("q, Enter", |terminal| terminal.keys("q\r")),
        ("q, q", |terminal| terminal.keys("qq")),
        ("Ctrl-C", |terminal| terminal.keys("\x03")),
        ("Ctrl-C in the form", |terminal| {
            terminal.keys("n");
            terminal.shows(&["new task"]);
            terminal.keys("abc\x03");
        }),
        ("SIGTERM", |terminal| terminal.signal(Signal::TERM)),
        ("SIGHUP", |terminal| terminal.signal(Signal::HUP)),
    ];
    let home = Home::without_engine();
    for (name, leave) in ways {
        let mut terminal = Terminal::start(&home, ALONE, USUAL);
        terminal.is_taken();
        terminal.shows(&["LIVE"]);
        leave(&mut terminal);
        assert_eq!(terminal.ended(), 0, "{name}");
        terminal.is_given_back();
        // The store is free again.
        assert!(!terminal.contents().contains("panicked"), "{}", terminal.contents());
    }
}

fn own_keys() {
    let home = Home::without_engine();
    fs::create_dir_all(home.path(".config/cube-tui")).unwrap();
    let keys = "[keys]\nquit = [\"Q\", \"^q\"]\nhelp = \"F1\"\nstop = \"Q\"\nwhy = \"Q\"\n";
    fs::write(home.path(".config/cube-tui/config.toml"), keys).unwrap();
    let mut terminal = Terminal::start(&home, ALONE, (80, 24));
    terminal.shows(&[
        "! config.toml, line 4: `Q` is `quit` already; `stop` stays on S; 1 more",
        "F1 help",
        "LIVE",
    ]);
    terminal.keys("?q\x1bOP");
    terminal.shows(&["F1 help ─ Esc back", "Q ^q"]);
    // It closes an overlay, and quits from there on.
    terminal.keys("\x11");
    terminal.until("the help is closed", |screen| !screen.contents().contains("Esc back"));
    terminal.keys("\x11\r");
    assert_eq!(terminal.ended(), 0);
    terminal.is_given_back();
}

fn drawn_anew() {
    let home = Home::without_engine();
    let mut node = home.start("--no-ui --data-dir data --worker localhost:1 --no-local-worker --output json");
    let port = tokio::runtime::Runtime::new().unwrap().block_on(node.port_of("manager")).to_string();
    for line in ["top", "ps --watch", "workers --watch"] {
        for keys in ["q", "\x1b", "\x03"] {
            let mut command = CommandBuilder::new("env");
            command.args([&*format!("CUBE_MANAGER_PORT={port}"), PROGRAM]);
            command.args(line.split_whitespace());
            let mut terminal = Terminal::run(&home, command, (80, 24));
            terminal.shows(&["NAME"]);
            terminal.keys("zzz\x1b[B");
            terminal.keys(keys);
            assert_eq!(terminal.ended(), 0, "{keys:?} at {line}");
            terminal.is_given_back();
            assert!(!terminal.contents().contains("zzz"), "{}", terminal.contents());
        }
    }
}

fn quit_at_once() {
    let home = Home::without_engine();
    for line in [ALONE, "demo"] {
        let mut terminal = Terminal::start(&home, line, USUAL);
        // They wait in the line discipline until somebody reads.
        terminal.keys("q");
        // Before raw mode a key is a line that is not over; then it counts.
        terminal.until("a frame, or the end", |screen| screen.alternate_screen() || !screen.hide_cursor());
        terminal.keys("q");
        assert_eq!(terminal.ended(), 0, "{line}");
        terminal.is_given_back();
    }
}

fn fails_to_start() {
    let home = Home::without_engine();
    fs::create_dir_all(home.path("data")).unwrap();
    fs::write(home.path("data/worker-id"), "scribble").unwrap();
    let mut terminal = Terminal::start(&home, ALONE, USUAL);
    assert_eq!(terminal.ended(), 4);
    terminal.shows(&["worker-id", "holds no id"]);
    terminal.is_given_back();
}

fn suspend() {
    let home = Home::without_engine();
    let mut shell = CommandBuilder::new("sh");
    shell.arg("-i");
    let mut terminal = Terminal::run(&home, shell, USUAL);
    terminal.shows(&["shell> "]);
    terminal.keys(&format!("{PROGRAM} {ALONE}\n"));
    for round in 0..2 {
        terminal.is_taken();
        terminal.shows(&["LIVE", "q quit"]);
        terminal.keys("\x1a");
        terminal.until("the shell's screen", |screen| !screen.alternate_screen() && !screen.hide_cursor());
        let marker = format!("shell-{round}");
        terminal.keys(&format!("stty -a; echo shell-$(({round}))\n"));
        terminal.shows(&[&marker, "isig icanon"]);
        assert!(!terminal.contents().contains("-icanon"), "{}", terminal.contents());
        terminal.keys("fg\n");
    }
    terminal.is_taken();
    terminal.shows(&["LIVE", "q quit"]);
    terminal.keys("q\r");
    terminal.until("the shell's screen", |screen| !screen.alternate_screen() && !screen.hide_cursor());
    terminal.keys("echo code-$?; exit\n");
    terminal.shows(&["code-0"]);
    terminal.ended();
}

fn closed() {
    let home = Home::without_engine();
    let mut terminal = Terminal::start(&home, ALONE, USUAL);
    terminal.shows(&["LIVE"]);
    terminal.close();
    let start = Instant::now();
    while !terminal.has_ended() {
        assert!(start.elapsed() < PATIENCE, "it goes on without a terminal");
        std::thread::sleep(Duration::from_millis(5));
    }
    // Nothing of it holds the folder.
    let mut next = Terminal::start(&home, ALONE, USUAL);
    next.shows(&["LIVE"]);
    next.keys("q\r");
    assert_eq!(next.ended(), 0);
}

fn sizes() {
    let home = Home::without_engine();
    home.write("task.json", &json!({"Name": "waits-for-ever", "Image": "alpine"}));
    let mut terminal = Terminal::start(&home, &format!("{ALONE} --submit task.json"), (20, 5));
    terminal.is_taken();
    for size in [(1, 1), (2, 2), (20, 5), (1, 60), (300, 1), (40, 12)] {
        terminal.resize(size);
        // With an overlay open, too.
        for keys in ["?", "\x1b", "n", "\x1b", "\r", "\x1b", "S", "\x1b", "/w\r", "12345"] {
            terminal.keys(keys);
        }
    }
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..300 {
        terminal.resize((random.u16(1..200), random.u16(1..60)));
        if random.u8(..) < 40 {
            terminal.keys(["n", "\x1b", "?", "\t", "z", "j"][random.usize(..6)]);
        }
    }
    terminal.keys("\x1b\x1b");
    terminal.resize(USUAL);
    terminal.keys("\x1b");
    terminal.until("the whole screen again", |screen| {
        let contents = screen.contents();
        screen.size().0.get() == USUAL.1 && contents.contains("cube") && contents.contains("LIVE")
    });
    terminal.keys("\x03");
    assert_eq!(terminal.ended(), 0);
    terminal.is_given_back();

    // As small as it gets from the start.
    let mut terminal = Terminal::start(&home, ALONE, (1, 1));
    terminal.is_taken();
    terminal.keys("q");
    assert_eq!(terminal.ended(), 0);
    terminal.is_given_back();
}

/// Bytes as they come from a cat on the keyboard, pastes and foreign terminals.
fn keys() {
    let home = Home::without_engine();
    let mut terminal = Terminal::start(&home, ALONE, USUAL);
    terminal.shows(&["LIVE"]);
    let mut random = fastrand::Rng::with_seed(11);
    let odd = [
        "\x1b[200~pasted\n\u{7}日本語\x1b[201~",
        "\x1b[I",
        "\x1b[O",
        "\x1b[<0;5;5M",
        "\x1bOP",
        "\x1b[99;99u",
        "é",
    ];
    for _ in 0..400 {
        match random.u8(..8) {
            0 => terminal.keys(odd[random.usize(..odd.len())]),
            // Neither ^C, ^Z nor q: they have tests of their own.
            _ => terminal.keys(
                ["n", "\x1b", "?", "\t", "S", "y", "/", "x", "\r", "u", "G", "*", " ", "z", "w"]
                    [random.usize(..15)],
            ),
        }
    }
    assert!(!terminal.has_ended(), "{}", terminal.contents());
    terminal.keys("\x03");
    assert_eq!(terminal.ended(), 0);
    terminal.is_given_back();
}

fn demo_of_processes() {
    let home = Home::without_engine();
    let mut terminal = Terminal::start(&home, "demo", USUAL);
    let line = terminal.line(&["hello-1", "Running", "→8080"]);
    terminal.shows(&["plain processes instead of containers"]);
    let port = port_in(&line);
    assert_eq!(page_at(port), "hello from cube-tui");
    terminal.line(&["batch", "Completed"]);
    terminal.keys("q");
    assert_eq!(terminal.ended(), 0);
    terminal.is_given_back();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the service is still there");
    assert!(!home.path(".local").exists(), "no store is left");
}

fn form_and_file() {
    let home = Home::without_engine();
    home.write("task.json", &json!([{"Name": "from-a-file", "Image": "alpine"}]));
    let mut terminal = Terminal::start(&home, ALONE, USUAL);
    terminal.shows(&["LIVE", "no tasks yet"]);
    terminal.keys("n");
    terminal.shows(&["new task"]);
    terminal.keys("\x13");
    terminal.shows(&["needed: what to run"]);
    // The file's field is the last.
    terminal.keys("\x1b[Zmissing.json\x13");
    terminal.shows(&["cannot read missing.json"]);
    terminal.keys(&"\x7f".repeat("missing.json".len()));
    terminal.keys("task.json\x13");
    terminal.line(&["from-a-file", "Pending", "no worker"]);
    terminal.keys("Sy\r");
    terminal.line(&["from-a-file", "Completed"]);
    terminal.keys("q\r");
    assert_eq!(terminal.ended(), 0);
    terminal.is_given_back();
}

fn why_and_preview() {
    let home = Home::without_engine();
    home.write("task.json", &json!([{"Name": "waits", "Image": "alpine"}]));
    let mut terminal = Terminal::start(&home, &format!("{ALONE} --submit task.json"), USUAL);
    terminal.line(&["waits", "Pending"]);
    terminal.keys("w");
    terminal.shows(&["why is waits pending?", "no worker yet", "add a worker with --worker"]);
    terminal.keys("\x1b");
    terminal.until("the overlay is gone", |screen| !screen.contents().contains("why is waits"));
    terminal.keys("n");
    terminal.shows(&["new task", "as soon as there is an image"]);
    terminal.keys("alpine");
    terminal.line(&["preview", "no worker yet"]);
    terminal.keys("\x1b");
    terminal.shows(&["draft kept"]);
    terminal.keys("q\r");
    assert_eq!(terminal.ended(), 0);
    terminal.is_given_back();
}

fn no_terminal() {
    let home = Home::without_engine();
    home.run(ALONE).expect(4, &["needs a terminal", "--no-ui"]);
}

/// The host port in a row of the tasks pane: `32768→8080`.
fn port_in(line: &str) -> u16 {
    let before = line.split('→').next().unwrap();
    before.split_whitespace().next_back().unwrap().parse().unwrap()
}

/// What an HTTP service on this machine says.
fn page_at(port: u16) -> String {
    let start = Instant::now();
    loop {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
            if let Some(last) = BufReader::new(stream).lines().map_while(Result::ok).last() {
                return last;
            }
        }
        assert!(start.elapsed() < PATIENCE, "nobody answers on port {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A home whose worker is known beforehand, so that its containers can be found.
struct Stage {
    home: Home,
    image: Image,
    label: String,
    _sweep: Sweep,
}

impl Stage {
    async fn new(docker: &Docker, docker_host: &str) -> Self {
        let home = Home::new(docker_host);
        let image = Image::build(docker).await;
        let identity = Uuid::new_v4();
        fs::create_dir_all(home.path("data")).unwrap();
        fs::write(home.path("data/worker-id"), identity.to_string()).unwrap();
        let label = format!("cube.worker={identity}");
        let sweep = Sweep { label: label.clone(), image: image.name.clone() };
        Self { home, image, label, _sweep: sweep }
    }

    fn start(&self) -> Terminal {
        Terminal::start(&self.home, "--data-dir data", USUAL)
    }

    /// Fills the form in and submits it.
    fn submit(&self, terminal: &mut Terminal, name: &str, command: &str, ports: &str) {
        terminal.keys("n");
        terminal.shows(&["new task"]);
        terminal.keys(&format!("{}\t{name}\t{command}\t\t{ports}\x13", self.image.name));
        // While it is under way, the form has the keys.
        terminal.until("it is accepted", |screen| !screen.contents().contains("new task"));
    }

    async fn container(&self, docker: &Docker) -> ContainerInspectResponse {
        let all = containers_with(docker, &self.label).await;
        assert_eq!(all.len(), 1, "{all:?}");
        docker.inspect_container(&all[0], None::<InspectContainerOptions>).await.unwrap()
    }
}

async fn submit_and_stop(docker: Docker) {
    let stage = Stage::new(&docker, &support::docker_host()).await;
    let mut terminal = stage.start();
    terminal.shows(&["LIVE", "1/1 ready"]);
    stage.submit(&mut terminal, "web", "http 7777", "7777");
    let line = terminal.line(&["web", "Running", "→7777"]);
    let container = stage.container(&docker).await;
    let name = container.name.unwrap();
    let id = name.split('-').nth(2).unwrap();
    assert!(line.contains(id), "{id} in {line}");
    assert_eq!(container.state.unwrap().running, Some(true));
    let ports = container.network_settings.unwrap().ports.unwrap();
    let published = ports["7777/tcp"].as_ref().unwrap()[0].host_port.clone().unwrap();
    let port = port_in(&line);
    assert_eq!(published, port.to_string());
    assert_eq!(page_at(port), "hello");
    terminal.keys("\r");
    terminal.shows(&["detail", "container", &container.id.unwrap()[..12], "history"]);
    terminal.keys("\x1b");

    terminal.until("the detail is closed", |screen| !screen.contents().contains("history"));
    terminal.keys("S");
    terminal.shows(&["stop 1 task?", "web\u{a0}(local)"]);
    terminal.keys("y");
    terminal.shows(&["u undo"]);
    terminal.keys("\r");
    terminal.line(&["web", "Completed"]);
    assert_eq!(containers_with(&docker, &stage.label).await, [""; 0]);
    terminal.keys("q\r");
    assert_eq!(terminal.ended(), 0);
    terminal.is_given_back();
}

async fn logs_and_exec(docker: Docker) {
    let stage = Stage::new(&docker, &support::docker_host()).await;
    let mut terminal = stage.start();
    terminal.shows(&["LIVE", "1/1 ready"]);
    stage.submit(&mut terminal, "talks", "say 100000 100", "");
    terminal.line(&["talks", "Running"]);
    terminal.keys("l");
    terminal.shows(&["logs talks", "FOLLOW", "out 3", "err 3"]);
    terminal.keys("/err 2\r");
    terminal.shows(&["SCROLLED", "1 of 1"]);
    terminal.keys("\x1b");
    terminal.until("the logs are closed", |screen| !screen.contents().contains("SCROLLED"));
    // The image has no shell: the terminal comes back, and it is said.
    terminal.keys("x");
    terminal.shows(&["LIVE", "no /bin/sh"]);
    terminal.is_taken();

    let holder: serde_json::Value = serde_json::from_str(&stage.home.read("data/manager.lock")).unwrap();
    let port = holder["api"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    let mut exec = CommandBuilder::new("/bin/sh");
    let line = format!("CUBE_MANAGER_PORT={port} exec {PROGRAM} exec -it talks -- /fixture size");
    exec.args(["-c", &line]);
    let mut other = Terminal::run(&stage.home, exec, (90, 30));
    other.shows(&["size 90x30"]);
    other.resize((70, 20));
    other.shows(&["size 70x20"]);
    // ^C is a key of the command's.
    other.keys("\x03");
    assert_eq!(other.ended(), 130);
    other.is_given_back();
    // It runs on: the dashboard asks.
    terminal.keys("q");
    terminal.shows(&["quit?"]);
    terminal.keys("\r");
    assert_eq!(terminal.ended(), 0);
    terminal.is_given_back();
}

async fn outlive(docker: Docker) {
    let stage = Stage::new(&docker, &support::docker_host()).await;
    let mut terminal = stage.start();
    terminal.shows(&["LIVE", "1/1 ready"]);
    stage.submit(&mut terminal, "stays", "sleep", "");
    let line = terminal.line(&["stays", "Running"]);
    let id =
        line.split_whitespace().find(|word| word.len() == 8 && word.chars().all(|c| c.is_ascii_hexdigit()));
    let id = id.unwrap().to_owned();
    let before = stage.container(&docker).await;
    terminal.keys("q\r");
    assert_eq!(terminal.ended(), 0);
    let container = stage.container(&docker).await;
    assert_eq!((container.id, container.state.unwrap().running), (before.id.clone(), Some(true)));

    let mut next = stage.start();
    next.line(&[&id, "stays", "Running"]);
    next.shows(&["1/1 ready"]);
    // A second one beside it is attached: both show it.
    let mut second = stage.start();
    second.line(&[&id, "stays", "Running"]);
    second.keys("q");
    assert_eq!(second.ended(), 0);
    assert_eq!(stage.container(&docker).await.id, before.id);
    next.keys("Sy\r");
    next.line(&["stays", "Completed"]);
    next.keys("q\r");
    assert_eq!(next.ended(), 0);
    assert_eq!(containers_with(&docker, &stage.label).await, [""; 0]);
}

async fn engine_away(docker: Docker) {
    let proxy = EngineProxy::start();
    let stage = Stage::new(&docker, &proxy.host()).await;
    for mode in [Mode::Gone, Mode::Hung] {
        let mut terminal = stage.start();
        terminal.shows(&["LIVE", "1/1 ready"]);
        proxy.set(mode);
        stage.submit(&mut terminal, "late", "sleep", "");
        if mode == Mode::Gone {
            terminal.shows(&["no engine"]);
        }
        let start = Instant::now();
        terminal.keys("q\r");
        assert_eq!(terminal.ended(), 0, "{mode:?}");
        assert!(start.elapsed() < Duration::from_secs(20), "{mode:?}: {:?}", start.elapsed());
        terminal.is_given_back();
        proxy.set(Mode::Open);
    }
    // Both were accepted, so both run once the engine is back.
    let mut terminal = stage.start();
    terminal.shows(&["▸2"]);
    let both = async || (containers_with(&docker, &stage.label).await.len() == 2).then_some(());
    wait_for("both run", PATIENCE, both).await;
    terminal.keys("q\r");
    assert_eq!(terminal.ended(), 0);
}

async fn demo_left_at_once(docker: Docker) {
    let home = Home::new(&support::docker_host());
    let mut terminal = Terminal::start(&home, "demo", USUAL);
    terminal.is_taken();
    terminal.keys("q");
    assert_eq!(terminal.ended(), 0);
    terminal.is_given_back();
    let name = format!("cube-tui-demo:{}-*", terminal.pid.as_raw_nonzero());
    let filters = std::collections::HashMap::from([("reference", vec![name])]);
    let options = bollard::query_parameters::ListImagesOptionsBuilder::default().filters(&filters).build();
    assert_eq!(docker.list_images(Some(options)).await.unwrap().len(), 0, "its image is left");
    assert!(!Path::new(&home.path(".local")).exists());
}
