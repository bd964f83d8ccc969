//! From nothing to a task on a second host in three commands, over a link that is cut and heals; and what a task can
//! reach from inside its container. Real processes and a real engine; the hosts are network namespaces, which takes root.

use std::path::Path;
use std::process::Command;

use cube_tui::task::State;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    self, Image, NO_ENGINE, Sweep, containers_with,
    process::{Ended, Home, PROGRAM, Running},
    wait_for,
    worker::PATIENCE,
};

/// `ip` of iproute2, if network namespaces can be made here.
fn ip() -> Option<&'static str> {
    let ip = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"].into_iter().find(|ip| Path::new(ip).exists())?;
    rustix::process::geteuid().is_root().then_some(ip)
}

/// Two hosts with a link between them. Gone when dropped.
struct Hosts {
    ip: &'static str,
    mark: String,
}

impl Hosts {
    fn make(ip: &'static str) -> Self {
        let hosts = Self { ip, mark: Uuid::new_v4().simple().to_string()[..8].to_owned() };
        let (a, b) = (hosts.name("a"), hosts.name("b"));
        for host in [&a, &b] {
            hosts.run(&["netns", "add", host]);
            hosts.run(&["-n", host, "link", "set", "lo", "up"]);
        }
        hosts.run(&["link", "add", &a, "netns", &a, "type", "veth", "peer", "name", &b, "netns", &b]);
        for (host, own, other) in [(&a, "10.77.0.1", "10.77.0.2"), (&b, "10.77.0.2", "10.77.0.1")] {
            hosts.run(&["-n", host, "addr", "add", &format!("{own}/24"), "dev", host]);
            hosts.run(&["-n", host, "link", "set", host, "up"]);
            hosts.run(&["-n", host, "route", "add", "default", "via", other]);
        }
        hosts
    }

    fn name(&self, host: &str) -> String {
        format!("cube{}{host}", self.mark)
    }

    fn run(&self, words: &[&str]) {
        let status = Command::new(self.ip).args(words).status().unwrap();
        assert!(status.success(), "ip {words:?}");
    }

    fn link(&self, state: &str) {
        let a = self.name("a");
        self.run(&["-n", &a, "link", "set", &a, state]);
    }

    /// `cube-tui` with the words of `line` on a host.
    fn cube_tui(&self, host: &str, home: &Home, line: &str, more: &[(&str, String)]) -> Command {
        let mut command = Command::new(self.ip);
        command.args(["netns", "exec", &self.name(host), PROGRAM]).args(line.split_whitespace());
        command.current_dir(home.dir.path()).env_clear().envs(home.variables());
        command.envs(more.iter().map(|(name, value)| (*name, value.as_str())));
        command
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in ["a", "b"] {
            let _ = Command::new(self.ip).args(["netns", "del", &self.name(host)]).status();
        }
    }
}

fn is_worker_in(line: &Value, state: &str) -> bool {
    line["type"] == "worker" && line["worker"] == "second" && line["state"] == state
}

#[tokio::test]
async fn three_commands_lead_to_a_task_on_a_second_host_and_a_cut_link_heals() {
    let (Some(docker), Some(ip)) = (support::engine().await, ip()) else {
        return eprintln!("skipped: it takes root, iproute2 and a Docker engine");
    };
    let hosts = Hosts::make(ip);
    let image = Image::build(&docker).await;
    let label = format!("cube-test={}", hosts.mark);
    let _sweep = Sweep { label: label.clone(), image: image.name.clone() };
    let (home_a, home_b) = (Home::new(&support::docker_host()), Home::new(&support::docker_host()));

    let line = "--no-ui --no-local-worker --output json";
    let mut node = Running::start(hosts.cube_tui("a", &home_a, line, &[]));
    let port = [("CUBE_MANAGER_PORT", node.port_of("manager").await.to_string())];
    let on_a = |line: &str| Ended::of(hosts.cube_tui("a", &home_a, line, &port));
    let invited = on_a("invite").expect(0, &["cube-tui worker --join cube-join:10.77.0.1:5557/"]);
    let line = format!("worker --name second --join {}", invited.stdout.trim());
    let mut worker = Running::start(hosts.cube_tui("b", &home_b, &line, &[]));
    node.line("the second host is ready", |line| is_worker_in(line, "ready")).await;

    home_a.write(
        "task.json",
        &json!({"Name": "web", "Image": image.name, "Cmd": ["sleep"], "StopTimeout": 1,
                "Labels": {"cube-test": hosts.mark}}),
    );
    on_a("submit task.json").expect(0, &[]);
    let is_running = |line: &Value| line["task"]["Name"] == "web" && line["state"] == "Running";
    let running = node.line("it runs", is_running).await;
    assert_eq!(running["worker"], "second");
    let before = containers_with(&docker, &label).await;
    assert_eq!(before.len(), 1);

    hosts.link("down");
    node.line("it is lost", |line| is_worker_in(line, "lost")).await;
    let known = node.json().len();
    hosts.link("up");
    wait_for("it is back", PATIENCE, async || {
        node.json().iter().skip(known).any(|line| is_worker_in(line, "ready")).then_some(())
    })
    .await;
    assert_eq!(containers_with(&docker, &label).await, before, "the same one, once");

    // A later start needs no line, and the manager finds it again.
    worker.end(rustix::process::Signal::TERM).await;
    let known = node.json().len();
    worker = Running::start(hosts.cube_tui("b", &home_b, "worker", &[]));
    wait_for("it is back", PATIENCE, async || {
        node.json().iter().skip(known).any(|line| is_worker_in(line, "ready")).then_some(())
    })
    .await;
    on_a("stop web --wait").expect(0, &[]);
    assert_eq!(containers_with(&docker, &label).await.len(), 0);
    on_a("token revoke second").expect(0, &[]);
    node.line("it is let go", |line| {
        is_worker_in(line, "lost") && line["reason"].as_str().is_some_and(|reason| reason.contains("revoked"))
    })
    .await;
    drop(worker);
}

/// The worker there has no other listener than one with TLS: what gets through at all went over that.
#[tokio::test]
async fn a_secret_logs_and_a_command_go_over_tls_to_a_task_on_a_second_host() {
    let (Some(docker), Some(ip)) = (support::engine().await, ip()) else {
        return eprintln!("skipped: it takes root, iproute2 and a Docker engine");
    };
    let hosts = Hosts::make(ip);
    let image = Image::build(&docker).await;
    let _sweep = Sweep { label: format!("cube-test={}", hosts.mark), image: image.name.clone() };
    let (home_a, home_b) = (Home::new(&support::docker_host()), Home::new(&support::docker_host()));
    let line = "--no-ui --no-local-worker --output json";
    let mut node = Running::start(hosts.cube_tui("a", &home_a, line, &[]));
    let port = [("CUBE_MANAGER_PORT", node.port_of("manager").await.to_string())];
    let on_a = |line: &str| hosts.cube_tui("a", &home_a, line, &port);
    let invited = Ended::of(on_a("invite")).expect(0, &[]);
    let join = format!("worker --name second --join {}", invited.stdout.trim());
    let _worker = Running::start(hosts.cube_tui("b", &home_b, &join, &[]));
    node.line("the second host is ready", |line| is_worker_in(line, "ready")).await;

    std::fs::write(home_a.path("value"), "s3cret-of-the-test").unwrap();
    Ended::of(on_a("secret set DB --file value")).expect(0, &[]);
    let task = |name: &str, cmd: &[&str]| {
        json!({"Name": name, "Image": image.name, "Cmd": cmd, "StopTimeout": 1, "Secrets": ["DB", "DB:env:COPY"],
               "Labels": {"cube-test": hosts.mark}})
    };
    home_a.write(
        "tasks.json",
        &json!([task("same", &["same", "/run/secrets/DB", "COPY"]), task("talks", &["say", "2", "0"])]),
    );
    Ended::of(on_a("submit tasks.json")).expect(0, &[]);
    for (name, state) in [("same", "Running"), ("talks", "Completed")] {
        let is_there = |line: &Value| line["task"]["Name"] == name && line["state"] == state;
        assert_eq!(node.line("it is so far", is_there).await["worker"], "second");
    }
    let second = Ended::of(on_a("workers --output json")).expect(0, &[]).json();
    assert_eq!((&second[0]["worker"], second.len()), (&json!("second"), 1), "{second:?}");
    let said = Ended::of(on_a("logs talks --follow")).expect(0, &[]);
    assert_eq!(said.stdout, "out 0\nout 1\n");
    Ended::of(on_a("exec same -- /fixture read /run/secrets/DB s3cret-of-the-test")).expect(0, &[]);
    Ended::of(on_a("exec same -- /fixture exit 7")).expect(7, &[]);

    // Nothing of the secret stays in that host's memory.
    Ended::of(on_a("stop same talks --wait --timeout 60s")).expect(0, &[]);
    let folder = format!("/dev/shm/cube-tui-{}", home_b.read(".local/state/cube-tui/worker/worker-id"));
    let is_gone = || async { (!Path::new(&folder).exists()).then_some(()) };
    support::wait_for("it is gone", PATIENCE, is_gone).await;
}

#[tokio::test]
async fn from_inside_a_tasks_container_no_listener_answers() {
    let Some(docker) = support::engine().await else { return eprintln!("skipped: {NO_ENGINE}") };
    let image = Image::build(&docker).await;
    let mark = Uuid::new_v4().simple().to_string();
    let _sweep = Sweep { label: format!("cube-test={mark}"), image: image.name.clone() };
    let home = Home::new(&support::docker_host());
    let mut node = home.start("--no-ui --output json --data-dir data");
    let (manager, worker) = (node.manager().await, node.port_of("worker").await);
    let mut invite = home.command("invite --listen 0.0.0.0:0 --output json");
    invite.env("CUBE_MANAGER_PORT", manager.port.to_string());
    let invited = Ended::of(invite).expect(0, &[]).json();
    let tls = invited[0]["address"].as_str().unwrap().rsplit_once(':').unwrap().1.to_owned();
    // That it would hear one that answers: nobody has to be told.
    let open = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let open_port = open.local_addr().unwrap().port();
    let answering =
        tokio::spawn(axum::serve(open, axum::Router::new().fallback(async || "hello")).into_future());
    for (ports, is_open) in
        [(format!("{},{worker},{tls}", manager.port), false), (open_port.to_string(), true)]
    {
        let task = json!({"Name": "knock", "Image": image.name, "Cmd": ["knock", ports],
                          "Labels": {"cube-test": mark}});
        let task = manager.submit(&task).await;
        let ended = manager.until("it ends", PATIENCE, task, |record| record.state().has_ended()).await;
        let expected = if is_open { State::Failed } else { State::Completed };
        assert_eq!(ended.state(), expected, "{ports}: {}", ended.status().reason);
    }
    // The host's own network would lift this: the worker's policy has to allow it.
    let mut task = json!({"Name": "on-host", "Image": image.name, "Cmd": ["knock", worker.to_string()],
                          "Labels": {"cube-test": mark}});
    task["NetworkMode"] = json!("host");
    let task = manager.submit(&task).await;
    let waits =
        |record: &cube_tui::cluster::TaskRecord| record.status().reason.contains("host_network = true");
    let record = manager.until("it says what would allow it", PATIENCE, task, waits).await;
    assert_eq!(record.state(), State::Pending);
    answering.abort();
}
