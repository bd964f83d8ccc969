//! The typed API over real sockets: streams that are cut anywhere, views, and the figures as Prometheus' own tool reads
//! them.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use cube_tui::client::{ManagerClient, Resume, http_client};
use cube_tui::cluster::{Cluster, FeedItem};
use cube_tui::manager::api::route_list;
use futures_util::StreamExt as _;
use libtest_mimic::{Completion, Trial};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use super::support::{
    block_on,
    process::{Home, Manager},
    wait_for,
    worker::PATIENCE,
};

pub fn tests() -> Vec<Trial> {
    vec![
        trial("changes_resume_after_cuts_anywhere_without_loss_or_repeat", cuts),
        trial("an_event_stream_has_revisions_for_ids_and_resumes_after_the_last", event_stream),
        trial("a_history_that_is_another_one_is_not_resumed", another_history),
        trial("views_page_filter_and_find", views),
        trial("a_mistyped_field_is_refused_by_name_but_on_the_books_routes", mistyped_fields),
        promtool_trial(),
    ]
}

fn trial<F, R>(name: &'static str, test: F) -> Trial
where
    F: FnOnce() -> R + Send + 'static,
    R: Future<Output = ()>,
{
    Trial::test(name, move || {
        let run = block_on(async {
            test().await;
            Ok(Completion::Completed)
        });
        run.map(|_| ())
    })
}

const ALONE: &str = "--no-ui --output json --data-dir data --no-local-worker";

fn waiting_task(name: &str) -> Value {
    json!({"State": 2, "Task": {"Name": name, "Image": "i"}})
}

/// A way to the manager that is cut after some bytes, every time others.
async fn cutting_proxy(manager: u16, seed: u64) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut random = fastrand::Rng::with_seed(seed);
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", manager)).await.unwrap();
            // What passes is compressed: a few changes each time.
            let bytes = random.u64(1..4_000);
            tokio::spawn(async move {
                let (mut from_client, mut to_client) = client.into_split();
                let (from_server, mut to_server) = server.into_split();
                let asked =
                    tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
                let _ = tokio::io::copy(&mut from_server.take(bytes), &mut to_client).await;
                let _ = to_client.shutdown().await;
                asked.abort();
            });
        }
    });
    port
}

async fn cuts() {
    let home = Home::without_engine();
    let mut process = home.start(ALONE);
    let manager = process.manager().await;
    let seed = fastrand::u64(..);
    let port = cutting_proxy(manager.port, seed).await;
    let client = ManagerClient::new(http_client(), &format!("http://127.0.0.1:{port}"));
    let mut mirror = manager.cluster().await;
    let begin = mirror.revision();
    let direct = Manager::at(manager.port);
    let submitting = tokio::spawn(async move {
        for number in 0..300 {
            direct.submit(&waiting_task(&format!("t{number}"))["Task"]).await;
        }
    });
    let (mut told, mut cuts) = (Vec::new(), 0);
    'all: loop {
        let Ok(resumed) = client.resume(mirror.mark()).await else {
            cuts += 1;
            continue;
        };
        let Resume::Items(mut items) = resumed else { panic!("seed {seed}: it began anew") };
        loop {
            match tokio::time::timeout(Duration::from_millis(200), items.next()).await {
                Ok(Some(Ok(FeedItem::Change(change)))) => {
                    told.push(change.revision);
                    mirror.apply(&change);
                }
                Ok(Some(Err(_)) | None) => {
                    cuts += 1;
                    break;
                }
                // Nothing comes any more.
                Err(_)
                    if submitting.is_finished()
                        && manager.cluster().await.revision() == mirror.revision() =>
                {
                    break 'all;
                }
                Ok(Some(Ok(_))) | Err(_) => {}
            }
        }
    }
    assert_eq!(told, (begin + 1..=mirror.revision()).collect::<Vec<_>>(), "seed {seed}");
    assert!(told.len() >= 600 && cuts >= 10, "seed {seed}: {} changes, {cuts} cuts", told.len());
    same(&mirror, &manager.cluster().await);
}

fn same(mirror: &Cluster, cluster: &Cluster) {
    assert_eq!(mirror.task_db().len(), cluster.task_db().len());
    for record in cluster.task_db() {
        assert_eq!(mirror.task(record.task.id), Some(record));
    }
}

/// The ids of an event stream, until there are `count`.
async fn ids(manager: &Manager, last: Option<&str>, count: usize) -> Vec<u64> {
    let mut request = manager.http.get(manager.url("/v1/changes")).header("Accept", "text/event-stream");
    if let Some(last) = last {
        request = request.header("Last-Event-ID", last);
    }
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut bytes = answer.bytes_stream();
    let mut text = String::new();
    loop {
        let ids: Vec<u64> = text
            .split("\n\n")
            .filter_map(|event| event.lines().find_map(|line| line.strip_prefix("id: ")))
            .map(|id| id.parse().unwrap())
            .collect();
        if ids.len() >= count && text.ends_with("\n\n") {
            return ids;
        }
        let piece = tokio::time::timeout(PATIENCE, bytes.next()).await.expect("in time");
        text.push_str(std::str::from_utf8(&piece.unwrap().unwrap()).unwrap());
    }
}

async fn event_stream() {
    let home = Home::without_engine();
    let mut process = home.start(ALONE);
    let manager = process.manager().await;
    for name in ["a", "b", "c"] {
        manager.submit(&waiting_task(name)["Task"]).await;
    }
    let last = manager.cluster().await.revision();
    let all = ids(&manager, None, 3).await;
    assert_eq!(all[..3], [1, 2, 3]);
    assert_eq!(ids(&manager, Some("2"), 1).await[0], 3);
    manager.submit(&waiting_task("d")["Task"]).await;
    assert_eq!(ids(&manager, Some(&last.to_string()), 1).await[0], last + 1);
    let request = manager.http.get(manager.url("/v1/changes")).header("Accept", "text/event-stream");
    let wrong = request.header("Last-Event-ID", "x").send().await.unwrap();
    assert_eq!(wrong.status(), 400);
}

async fn another_history() {
    let home = Home::without_engine();
    let mut process = home.start("--no-ui --output json --ephemeral --no-local-worker");
    let manager = process.manager().await;
    manager.submit(&waiting_task("a")["Task"]).await;
    let old = manager.cluster().await;
    let mut other = home.start("--no-ui --output json --ephemeral --no-local-worker");
    let other = other.manager().await;
    for name in ["x", "y", "z"] {
        other.submit(&waiting_task(name)["Task"]).await;
    }
    let Resume::Anew(watch) = other.client.resume(old.mark()).await.unwrap() else {
        panic!("it went on with a history of another cluster");
    };
    assert_eq!(watch.cluster.task_db().len(), 3);
    let too_far =
        manager.http.get(manager.url("/v1/changes?since=18446744073709551615")).send().await.unwrap();
    assert_eq!(too_far.status(), 410);
}

async fn views() {
    let home = Home::without_engine();
    let mut process = home.start(ALONE);
    let manager = process.manager().await;
    let get = async |path: &str| {
        let answer = manager.http.get(manager.url(path)).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.unwrap())
    };
    let events: Vec<Value> = ["web", "web", "api"].into_iter().map(waiting_task).collect();
    let answer = manager.http.post(manager.url("/v1/tasks")).json(&events[..2]).send().await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap().as_array().unwrap().len(), 2);
    let one = manager.http.post(manager.url("/v1/tasks")).json(&events[2]).send().await.unwrap();
    let one: Value = one.json().await.unwrap();
    let id = one[0]["task"].as_str().unwrap().to_owned();
    assert_eq!(one[0]["is_new"], true);

    let (_, first) = get("/v1/tasks?limit=2").await;
    assert_eq!(first["tasks"].as_array().unwrap().len(), 2);
    let (_, second) = get(&format!("/v1/tasks?limit=2&after={}", first["next"])).await;
    assert_eq!(second["tasks"][0]["task"]["ID"], id.as_str());
    assert_eq!(second["next"], Value::Null);
    assert_eq!(get("/v1/tasks?name=web&state=0").await.1["tasks"].as_array().unwrap().len(), 2);
    assert_eq!(get("/v1/tasks?state=2").await.1["tasks"].as_array().unwrap().len(), 0);
    for pending in ["0", "Pending", "pending"] {
        let (status, page) = get(&format!("/v1/tasks?state={pending}")).await;
        assert_eq!((status, page["tasks"].as_array().map(Vec::len)), (200, Some(3)), "{pending}");
    }
    let (_, wrong) = get("/v1/tasks?state=gone").await;
    let names = "state: expected one of Pending (0), Scheduled (1), Running (2)";
    assert!(wrong["Message"].as_str().unwrap().starts_with(names), "{wrong}");
    for wrong in ["state=7", "state=", "state=gone", "limit=0", "limit=1001", "limit=x", "after=-1"] {
        assert_eq!(get(&format!("/v1/tasks?{wrong}")).await.0, 400, "{wrong}");
    }

    for text in [id.as_str(), &id[..13], "api"] {
        let (status, row) = get(&format!("/v1/tasks/{text}")).await;
        assert_eq!((status, row["task"]["ID"].as_str()), (200, Some(id.as_str())), "{text}");
    }
    assert_eq!(get("/v1/tasks/nope").await.0, 404);
    let (status, several) = get("/v1/tasks/web").await;
    assert_eq!(status, 409);
    assert!(several["Message"].as_str().unwrap().contains("give more of the id"), "{several}");

    let (_, history) = get(&format!("/v1/events?task={id}")).await;
    assert_eq!(history["events"][0]["type"], "submitted");
    let (_, newest) = get("/v1/events?limit=1").await;
    assert_eq!((&newest["events"][0]["revision"], &newest["has_more"]), (&newest["revision"], &json!(true)));
    assert_eq!(get("/v1/workers").await.1["workers"], json!([]));
    for (path, words) in [
        ("tasks?bogus=1", "bogus: unknown field, expected one of `state`, `name`"),
        ("tasks?after=zzz", "after: expected a whole number, 0 or more"),
        ("tasks?limit=", "limit: expected a number, found nothing"),
        ("tasks/api/why?workers=-1", "workers: expected a whole number, 0 or more"),
        ("tasks/api/why?worker=1", "worker: unknown field"),
        ("workers?bogus=1", "bogus: unknown field; it takes none"),
        ("tasks/api?bogus=1", "bogus: unknown field; it takes none"),
        ("events?limit=99999999999", "limit: that number is too large"),
        ("events?sinec=1", "sinec: unknown field"),
        ("changes?sinec=1", "sinec: unknown field"),
    ] {
        let (status, refused) = get(&format!("/v1/{path}")).await;
        let message = refused["Message"].as_str().unwrap_or_default();
        assert!(status == 400 && message.starts_with(words), "{path}: {status} {message}");
    }
    // The book's routes pass over it, and so do those that probes and scrapers ask.
    let looks = route_list().into_iter().filter(|route| route.method == "GET");
    for route in looks.filter(|route| route.path.starts_with("/v1/") || route.path == "/openapi.json") {
        let (status, refused) = get(&format!("{}?bogus=1", route.path.replace("{id}", "api"))).await;
        let message = refused["Message"].as_str().unwrap_or_default();
        let is_named = message.starts_with("bogus: ") && message.matches("bogus").count() == 1;
        assert!(status == 400 && is_named, "{}: {status} {message}", route.path);
    }
    // And those by which members of other versions join and renew.
    let lenient = ["/v1/join", "/v1/renew", "/v1/announce"];
    let changes = route_list().into_iter().filter(|route| route.method == "POST");
    for route in changes.filter(|route| route.path.starts_with("/v1/") && !lenient.contains(&route.path)) {
        let url = manager.url(&format!("{}?bogus=1", route.path.replace("{id}", "api")));
        let answer = manager.http.post(url).json(&json!({})).send().await.unwrap();
        let (status, refused) = (answer.status(), answer.text().await.unwrap());
        assert!(status == 400 && refused.contains("bogus: unknown field"), "{}: {refused}", route.path);
    }
}

async fn mistyped_fields() {
    let home = Home::without_engine();
    let mut process = home.start(ALONE);
    let manager = process.manager().await;
    let post = async |path: &str, body: &Value| {
        let answer = manager.http.post(manager.url(path)).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let event = json!({"State": 2, "Task": {"Image": "i", "Memry": 1}});
    for (path, body) in [
        ("/v1/availability", json!({"worker": "a", "wish": "drain", "withn_s": 5})),
        ("/v1/scheduler", json!({"sheduler": "epvm"})),
        ("/v1/rebalance", json!({"pln": true})),
        ("/v1/invites", json!({"role": "worker", "ttl_s": 60, "lisen": "0.0.0.0:1"})),
        ("/v1/listen", json!({"lisen": "0.0.0.0:1"})),
        ("/v1/tokens/revoke", json!({"who": "x", "whom": "y"})),
        ("/v1/secrets", json!({"name": "A", "value": "YQ==", "vlaue": ""})),
        ("/v1/secrets/remove", json!({"name": "A", "froce": true})),
        ("/v1/tasks", event.clone()),
        ("/v1/tasks", json!([{"Stat": 2, "Task": {"Image": "i"}}])),
        ("/v1/plan", json!([event])),
    ] {
        let (status, text) = post(path, &body).await;
        assert_eq!(status, 400, "{path}: {text}");
        let names = ["withn_s", "sheduler", "pln", "lisen", "whom", "vlaue", "froce", "Memry", "Stat"];
        assert!(names.iter().any(|name| text.contains(name)), "{path}: {text}");
    }
    let (_, text) = post("/v1/plan", &event).await;
    assert!(text.contains("Task.Memry: unknown field; did you mean Memory?"), "{text}");
    let good = json!({"State": 2, "Task": {"Image": "i"}});
    for (bad, said) in [
        (
            json!({"Task": {"Image": "i", "HealthInterval": u64::MAX}}),
            "Task.HealthInterval: expected a whole",
        ),
        (json!({"ID": "x"}), "ID: expected a UUID"),
        (json!(1), "expected"),
    ] {
        let (status, text) = post("/v1/tasks", &json!([good, bad])).await;
        assert!(status == 400 && text.contains(said) && text.contains("event 1"), "{text}");
        let (status, text) = post("/v1/plan", &bad).await;
        assert!(status == 400 && text.contains(said) && !text.contains("Flat"), "{text}");
    }
    let (status, text) =
        post("/v1/availability", &json!({"worker": "a", "wish": "cordon", "within_s": 1})).await;
    assert!(status == 400 && text.contains("only a drain has it"), "{text}");
    for (path, body, said) in [
        (
            "/v1/availability",
            json!({"worker": "a", "wish": "drain", "within_s": -5}),
            "within_s: invalid value",
        ),
        ("/v1/invites", json!({"role": "worker", "ttl_s": "long"}), "ttl_s: invalid type"),
        ("/v1/rebalance", json!({"plan": 1}), "plan: invalid type"),
        ("/v1/stop", json!(["x"]), "[0]: "),
        ("/v1/restart", json!([Uuid::nil(), 7]), "[1]: invalid type"),
        ("/v1/forget", json!({}), "invalid type: map"),
    ] {
        let (status, text) = post(path, &body).await;
        let message = serde_json::from_str::<Value>(&text).unwrap()["Message"].clone();
        assert!(status == 400 && message.as_str().unwrap().starts_with(said), "{path}: {text}");
    }
    // A peer of the book may know more than this program.
    assert_eq!(post("/tasks", &event).await.0, 201);
}

/// With Prometheus' own checker, where it is installed.
fn promtool_trial() -> Trial {
    let is_there =
        Command::new("promtool").arg("--version").output().is_ok_and(|output| output.status.success());
    let trial = trial("promtool_finds_nothing_wrong_with_the_metrics", metrics);
    if !is_there {
        eprintln!("promtool is not installed (Debian: prometheus): the metrics are not checked with it");
    }
    trial.with_ignored_flag(!is_there)
}

async fn metrics() {
    let home = Home::without_engine();
    let mut process = home.start("--no-ui --output json --data-dir data");
    let manager = process.manager().await;
    manager.submit(&waiting_task("a")["Task"]).await;
    let text = wait_for("a sample of the worker's load", PATIENCE, async || {
        let answer = manager.http.get(manager.url("/metrics")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.unwrap();
        text.contains("cube_worker_memory_used_bytes{").then_some(text)
    })
    .await;
    let has = |line: &str| assert!(text.lines().any(|found| found == line), "{line} in {text}");
    has("cube_tasks{state=\"Pending\"} 1");
    has("cube_http_requests_total{method=\"POST\",route=\"/tasks\",status=\"201\"} 1");
    let mut tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let told = tool.wait_with_output().unwrap();
    let words = [told.stdout, told.stderr].concat();
    assert!(told.status.success() && words.is_empty(), "{}", String::from_utf8_lossy(&words));
}
