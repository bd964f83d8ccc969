//! The worker's API over HTTP, on the fake runtime: the book's routes, ours, the door, and the stream of reports.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod support;

use std::time::Duration;

use cube_tui::{
    cluster::Capacity,
    task::{ErrorBody, State, Stats, Task},
    worker::{
        Config, Limits,
        report::{EventAnswer, LEASE, LEASE_GRACE, Report},
        runtime::{Fake, Script},
    },
};
use futures_util::StreamExt as _;
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use support::worker::{PATIENCE, TestWorker, task};
use uuid::Uuid;

async fn worker() -> (TestWorker, Fake) {
    let runtime = Fake::default();
    (TestWorker::start(runtime.clone(), Uuid::new_v4()).await, runtime)
}

/// Status and body.
async fn ask(worker: &TestWorker, method: Method, path: &str, body: &str) -> (u16, String) {
    let answer = worker.http.request(method, worker.url(path)).body(body.to_owned()).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// The status, after a look at whether a refusal has the book's form.
async fn refusal(worker: &TestWorker, method: Method, path: &str, body: &str) -> (u16, String) {
    let (status, body) = ask(worker, method, path, body).await;
    let error: ErrorBody = serde_json::from_str(&body).unwrap();
    assert_eq!(error.http_status_code, status);
    (status, error.message)
}

#[tokio::test]
async fn a_worker_with_a_fault_of_its_own_ends_and_says_so_instead_of_answering_errors() {
    let (worker, runtime) = worker().await;
    let (http, url) = (worker.http.clone(), worker.url("/healthz"));
    let mut reports = Box::pin(worker.client.reports().await.unwrap());
    runtime.break_off();
    let error = worker.ended().await.unwrap_err().to_string();
    assert!(error.contains("a fault on purpose") && error.contains("please report this"), "{error}");
    while reports.next().await.is_some_and(|report| report.is_ok()) {}
    assert!(http.get(url).send().await.unwrap_err().is_connect());
}

#[tokio::test]
async fn a_fault_in_watching_the_engine_costs_a_moment_and_no_end_of_a_task() {
    let (worker, runtime) = worker().await;
    let task = task("web", "busy:1", &[]);
    worker.run(&task).await;
    worker.until_state(task.id, State::Running).await;
    runtime.blind();
    runtime.exit(task.id, 3);
    let ended = worker.until_state(task.id, State::Failed).await;
    assert_eq!(ended.status.exit_code, Some(3));
    worker.end().await;
}

#[tokio::test]
async fn a_book_manager_can_drive_this_worker() {
    let (worker, _) = worker().await;
    let id = Uuid::new_v4();
    // What a book manager posts; both spellings of the route.
    let event = json!({
        "ID": Uuid::new_v4(), "State": 2, "Timestamp": "2026-11-24T08:00:00.123456789+02:00",
        "Task": {
            "ID": id, "ContainerID": "", "Name": "web", "State": 1, "Image": "busy:1", "Cpu": 0.5,
            "Memory": 0, "Disk": 0, "ExposedPorts": null, "HostPorts": null,
            "PortBindings": {"80/tcp": "8080"}, "RestartPolicy": "", "StartTime": "0001-01-01T00:00:00Z",
            "FinishTime": "0001-01-01T00:00:00Z", "HealthCheck": "/health", "RestartCount": 0
        }
    });
    for path in ["/tasks", "/tasks/"] {
        let (status, body) = ask(&worker, Method::POST, path, &event.to_string()).await;
        assert_eq!(status, 201, "{body}");
        let task: Task = serde_json::from_str(&body).unwrap();
        assert_eq!((task.id.0, task.spec.name.as_str()), (id, "web"));
    }
    worker.until_state(cube_tui::task::TaskId(id), State::Running).await;
    for path in ["/tasks", "/tasks/"] {
        let (status, body) = ask(&worker, Method::GET, path, "").await;
        let tasks: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, tasks[0]["State"].as_u64()), (200, Some(2)));
        assert_eq!(tasks[0]["HealthCheck"], "/health");
        assert_eq!(tasks[0]["HostPorts"]["80/tcp"][0]["HostPort"], "8080");
    }
    let (status, body) = ask(&worker, Method::GET, "/stats", "").await;
    let book: Stats = serde_json::from_str(&body).unwrap();
    assert_eq!((status, book.task_count), (200, 1));
    assert!(book.cpu_stats.idle > 0);
    let (status, body) = ask(&worker, Method::DELETE, &format!("/tasks/{id}"), "").await;
    assert_eq!((status, body.as_str()), (204, ""));
    worker.until_state(cube_tui::task::TaskId(id), State::Completed).await;
    // The stop of chapter 8 is a POST.
    let again = json!({ "ID": Uuid::new_v4(), "State": 3, "Task": { "ID": id, "State": 3 } });
    assert_eq!(ask(&worker, Method::POST, "/tasks", &again.to_string()).await.0, 201);
    worker.end().await;
}

#[tokio::test]
async fn an_empty_worker_sends_an_empty_array() {
    let (worker, _) = worker().await;
    assert_eq!(ask(&worker, Method::GET, "/tasks", "").await, (200, "[]".to_owned()));
    assert_eq!(ask(&worker, Method::GET, "/healthz", "").await.0, 200);
    worker.end().await;
}

#[tokio::test]
async fn what_can_not_be_done_is_refused_in_the_books_form() {
    let (worker, runtime) = worker().await;
    let unknown = format!("/tasks/{}", Uuid::new_v4());
    let cases = [
        (Method::POST, "/tasks", "{", 400),
        (Method::POST, "/tasks", r#"{"ID":"zzz"}"#, 400),
        (Method::POST, "/tasks", r#"{"State":9,"Task":{"Image":"a"}}"#, 400),
        (Method::POST, "/tasks", r#"{"State":2,"Task":{"State":1}}"#, 400),
        (Method::POST, "/tasks", r#"{"State":4,"Task":{"State":1,"Image":"a"}}"#, 400),
        (Method::POST, "/v1/events", "{}", 400),
        (Method::DELETE, &unknown, "", 404),
        (Method::DELETE, "/tasks/zzz", "", 400),
        (Method::GET, "/nowhere", "", 404),
        (Method::PUT, "/tasks", "", 405),
        (Method::POST, "/stats", "", 405),
        (Method::GET, "/v1/events", "", 405),
    ];
    for (method, path, body, expected) in cases {
        let (status, message) = refusal(&worker, method.clone(), path, body).await;
        assert_eq!(status, expected, "{method} {path} {body}: {message}");
    }
    let huge = "x".repeat(17 << 20);
    assert_eq!(refusal(&worker, Method::POST, "/tasks", &huge).await.0, 413);
    assert_eq!(worker.client.tasks().await.unwrap(), []);
    assert_eq!(runtime.starts(), 0);
    worker.end().await;
}

#[tokio::test]
async fn a_batch_answers_each_event_in_order() {
    let (worker, runtime) = worker().await;
    let start =
        |image: &str| json!({ "State": 2, "Task": { "ID": Uuid::new_v4(), "State": 1, "Image": image } });
    let events = json!([start("a"), { "State": "two" }, start(""), start("b")]);
    let (status, body) = ask(&worker, Method::POST, "/v1/events", &events.to_string()).await;
    let answers: Vec<EventAnswer> = serde_json::from_str(&body).unwrap();
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!((status, statuses), (200, vec![201, 400, 400, 201]), "{body}");
    let good = json!([start("a"), start("b")]);
    assert_eq!(
        ask(&worker, Method::POST, "/v1/events", &good.to_string()).await.1,
        r#"[{"status":201},{"status":201}]"#
    );
    support::wait_for("four starts", PATIENCE, async || (runtime.starts() == 4).then_some(())).await;
    worker.end().await;
}

#[tokio::test]
async fn browsers_stay_outside_on_every_route() {
    let (worker, runtime) = worker().await;
    let event = json!({ "State": 2, "Task": { "State": 1, "Image": "a" } }).to_string();
    for (name, value) in [(header::HOST, "evil.example"), (header::ORIGIN, "http://evil.example")] {
        for (method, path) in [
            (Method::POST, "/tasks"),
            (Method::GET, "/tasks"),
            (Method::DELETE, "/tasks/6be4cb6b-61d1-40cb-bc7b-9cacefefa60c"),
            (Method::GET, "/stats"),
            (Method::POST, "/v1/events"),
            (Method::GET, "/v1/reports"),
            (Method::GET, "/healthz"),
        ] {
            let request = worker.http.request(method, worker.url(path)).header(&name, value);
            let answer = request.body(event.clone()).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path} {name}");
        }
    }
    assert_eq!(runtime.starts(), 0);
    worker.end().await;
}

/// The next report that does not come by the clock.
macro_rules! next {
    ($reports:expr) => {
        loop {
            let next = tokio::time::timeout(PATIENCE, $reports.next()).await.expect("a report in time");
            match next.expect("the stream goes on").unwrap() {
                Report::Sample(_) | Report::LeaseClock(_) | Report::Heartbeat { .. } => {}
                report => break report,
            }
        }
    };
}

#[tokio::test]
async fn reports_begin_with_who_and_what_and_go_on_with_what_happens() {
    let runtime = Fake::default();
    runtime.script("pulled", Script { must_pull: true, ..Script::default() });
    let identity = Uuid::new_v4();
    let worker = TestWorker::start(runtime.clone(), identity).await;
    let first = task("first", "any", &[]);
    worker.run(&first).await;
    let first = worker.until_state(first.id, State::Running).await;

    let mut reports = Box::pin(worker.client.reports().await.unwrap());
    let Report::Hello(hello) = next!(reports) else { panic!("Hello comes first") };
    assert_eq!(hello.identity, identity);
    assert!(hello.capacity.cpus >= 1.0 && hello.capacity.memory_bytes > 0);
    assert_eq!(next!(reports), Report::Tasks(vec![first.clone()]));

    let second = task("second", "pulled", &[]);
    worker.run(&second).await;
    let mut words = Vec::new();
    let running = loop {
        match next!(reports) {
            Report::Progress(progress) => words.push(progress.text),
            Report::Task(task) => break task,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((running.id, running.status.state), (second.id, State::Running));
    assert!(
        words.contains(&"pulling 37 %".to_owned()) && words.last().is_some_and(String::is_empty),
        "{words:?}"
    );
    runtime.exit(first.id, 3);
    let Report::Task(failed) = next!(reports) else { panic!("the end is told") };
    assert_eq!((failed.id, failed.status.exit_code), (first.id, Some(3)));

    // It ends with the worker, at once.
    let end = tokio::spawn(worker.end());
    let rest =
        tokio::time::timeout(Duration::from_secs(2), async { while reports.next().await.is_some() {} });
    rest.await.expect("the stream ends promptly");
    end.await.unwrap();
}

#[tokio::test]
async fn heartbeats_tell_the_engines_problem_as_it_comes_and_goes() {
    let (worker, runtime) = worker().await;
    let mut reports = Box::pin(worker.client.reports().await.unwrap());
    let mut until = async |expected: &str| {
        while let Some(report) = reports.next().await {
            if matches!(report.unwrap(), Report::Heartbeat { runtime_problem } if runtime_problem == expected)
            {
                return;
            }
        }
        panic!("the stream ended");
    };
    tokio::time::timeout(PATIENCE, until("")).await.unwrap();
    runtime.set_problem("no engine");
    tokio::time::timeout(PATIENCE, until("no engine")).await.unwrap();
    worker.event(&task("t", "any", &[]), State::Running, 503).await;
    runtime.set_problem("");
    tokio::time::timeout(PATIENCE, until("")).await.unwrap();
    worker.run(&task("t", "any", &[])).await;
    worker.end().await;
}

#[tokio::test]
async fn an_engine_that_has_less_than_the_host_is_what_counts_also_when_it_shrinks_later() {
    let runtime = Fake::default();
    let small = Capacity { cpus: 0.5, memory_bytes: 64 << 20, disk_bytes: 1 << 30 };
    runtime.set_capacity(small);
    let worker = TestWorker::start(runtime.clone(), Uuid::new_v4()).await;
    let mut reports = Box::pin(worker.client.reports().await.unwrap());
    let Report::Hello(hello) = next!(reports) else { panic!("Hello comes first") };
    assert_eq!(hello.capacity, small);
    assert_eq!(next!(reports), Report::Tasks(Vec::new()));
    let smaller = Capacity { cpus: 0.25, ..small };
    runtime.set_capacity(smaller);
    let Report::Hello(hello) = next!(reports) else { panic!("Hello comes again") };
    assert_eq!(hello.capacity, smaller);
    assert_eq!(next!(reports), Report::Tasks(Vec::new()));
    worker.end().await;
}

#[tokio::test]
async fn before_the_engine_was_seen_no_list_says_that_there_is_nothing() {
    let runtime = Fake::default();
    runtime.set_problem("no engine");
    let worker = TestWorker::start(runtime.clone(), Uuid::new_v4()).await;
    let mut reports = Box::pin(worker.client.reports().await.unwrap());
    assert!(matches!(next!(reports), Report::Hello(_)));
    runtime.set_problem("");
    assert_eq!(next!(reports), Report::Tasks(Vec::new()));
    worker.end().await;
}

#[tokio::test]
async fn a_hung_start_holds_up_nothing_but_its_slot() {
    let runtime = Fake::default();
    let limits = Limits { start_concurrency: 1, ..Limits::default() };
    let worker = TestWorker::with(runtime.clone(), Config { limits, ..Config::new(Uuid::new_v4()) }).await;
    let running = task("running", "any", &[]);
    worker.run(&running).await;
    worker.until_state(running.id, State::Running).await;
    runtime.hang(true);
    let hung = task("hung", "any", &[]);
    worker.run(&hung).await;
    worker.stop_task(&running).await;
    worker.until_state(running.id, State::Completed).await;
    assert_eq!(worker.task(hung.id).await.unwrap().status.state, State::Scheduled);
    runtime.hang(false);
    worker.until_state(hung.id, State::Running).await;
    worker.end().await;
}

#[tokio::test]
async fn an_exclusive_task_runs_while_a_manager_is_heard_and_no_longer() {
    let (worker, _) = worker().await;
    let id = Uuid::new_v4();
    let mut task = json!({ "ID": id, "State": 1, "Image": "busy:1", "Exclusive": true });
    let event = |task: &Value| json!({ "ID": Uuid::new_v4(), "State": 2, "Task": task }).to_string();
    let (status, message) = refusal(&worker, Method::POST, "/tasks", &event(&task)).await;
    assert_eq!(status, 503, "{message}");
    // What was refused stays refused: this is the next dispatch.
    task["Generation"] = json!(1);
    let event = event(&task);

    let mut reports = Box::pin(worker.client.reports().await.unwrap());
    let Report::LeaseClock(clock) = reports.next().await.unwrap().unwrap() else {
        panic!("the clock comes before any work can");
    };
    worker.client.renew_lease(clock.since_boot_ms).await.unwrap();
    let start = std::time::Instant::now();
    assert_eq!(ask(&worker, Method::POST, "/tasks", &event).await.0, 201);
    let id = cube_tui::task::TaskId(id);
    worker.until_state(id, State::Running).await;
    let ended = worker.until_state(id, State::Failed).await;
    assert!(ended.status.is_interrupted && ended.status.reason.contains("lease"), "{:?}", ended.status);
    assert!(start.elapsed() <= LEASE + LEASE_GRACE, "{:?}", start.elapsed());

    let never = clock.since_boot_ms + 3_600_000;
    let refused = worker.client.renew_lease(never).await.unwrap_err().to_string();
    assert!(refused.contains("clock never said so"), "{refused}");
    worker.end().await;
}
