//! The recorded traffic of the book's peers: what they send is understood, and what we send is what they do.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

#[path = "support/recording.rs"]
mod recording;

use std::collections::BTreeMap;

use cube_tui::task::{
    ErrorBody, Health, HealthCheck, Node, Probe, RestartPolicy, Stats, Task, TaskEvent, TaskId, TaskSpec,
    TaskStatus, Verdict, parse_task_event, parse_tasks, port_list,
};
use jiff::Timestamp;
use proptest::{collection, option, prelude::*, sample};
use recording::{Recording, as_ours, recording, recordings};
use serde_json::{Value, json};

#[test]
fn every_recorded_request_is_read_or_refused_as_documented() {
    let accepted = [
        "ch12_manager_post_lowercase_keys",
        "ch12_manager_post_tasks",
        "ch12_worker_post_duplicate_keys",
        "ch12_worker_post_unknown_field",
        "ch7_worker_post_tasks",
    ];
    let refused = [
        ("ch12_manager_post_bad_json", "not JSON"),
        ("ch7_worker_post_bad_json", "not JSON"),
        ("ch12_manager_post_bad_uuid", "ID: expected a UUID"),
        ("ch12_manager_post_unknown_field", "Task.Image: missing"),
        ("ch12_worker_post_state_99", "Task.State: expected a state"),
        ("ch12_worker_post_empty_maps", "Task.Image: missing"),
        ("ch12_worker_post_hostports", "Task.Image: missing"),
        ("ch12_worker_post_html_escape", "expected printable characters"),
        ("ch12_worker_post_nulls", "Task.Image: missing"),
        ("ch12_worker_post_times", "Task.Image: missing"),
    ];
    let mut posts = 0;
    for name in recordings() {
        let Recording { request, request_body, .. } = recording(&name);
        if !request.starts_with("POST") {
            continue;
        }
        posts += 1;
        let stem = name.trim_end_matches(".http");
        let read = parse_task_event(request_body.as_bytes());
        if let Some((_, reason)) = refused.iter().find(|(name, _)| *name == stem) {
            let error = read.expect_err(&name).to_string();
            assert!(error.contains(reason), "{name}: {error}");
        } else {
            assert!(accepted.contains(&stem), "{name} is in no list");
            read.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
    assert_eq!(posts, accepted.len() + refused.len());
}

/// Their answer to a POST is the Task as they understood it: ours must be the same. Requests that we refuse
/// for want of an image are asked again as tasks of a list, which need none.
#[test]
fn what_we_understand_is_what_they_understood() {
    let mut compared = 0;
    for name in recordings() {
        let Recording { request, request_body, status, response_body, .. } = recording(&name);
        if !request.starts_with("POST") || status != 201 || name.contains("state_99") {
            continue;
        }
        let task = if let Ok(event) = parse_task_event(request_body.as_bytes()) {
            event.task
        } else {
            let (_, task) = request_body.split_once("\"Task\":").unwrap();
            let task = task.strip_suffix('}').unwrap();
            parse_tasks(format!("[{task}]").as_bytes()).unwrap().remove(0)
        };
        let mut ours = serde_json::to_value(&task).unwrap();
        let theirs = as_ours(serde_json::from_str(&response_body).unwrap());
        if name.starts_with("ch7") {
            // Chapter 7 does not know these two, so its answer does not repeat them.
            ours["HealthCheck"] = json!("");
            ours["RestartCount"] = json!(0);
        }
        if name.contains("unknown_field") {
            assert_eq!(ours.as_object_mut().unwrap().remove("Cmd"), Some(json!(["x"])));
        }
        assert_eq!(ours, theirs, "{name}");
        compared += 1;
    }
    assert_eq!(compared, 10);
}

#[test]
fn every_recorded_list_of_tasks_is_read_and_written_alike() {
    let mut tasks = 0;
    for name in recordings().iter().filter(|name| name.contains("get_tasks")) {
        let body = recording(name).response_body;
        let ours = parse_tasks(body.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let theirs: Option<Vec<Value>> = serde_json::from_str(&body).unwrap();
        let theirs: Vec<_> = theirs.unwrap_or_default().into_iter().map(as_ours).collect();
        assert_eq!(serde_json::to_value(&ours).unwrap(), Value::Array(theirs), "{name}");
        tasks += ours.len();
    }
    assert_eq!(tasks, 10);
}

#[test]
fn stats_and_nodes_are_read_and_written_alike() {
    let body = recording("ch12_worker_get_stats.http").response_body;
    let stats: Stats = serde_json::from_str(&body).unwrap();
    assert_eq!(stats.mem_stats.mem_total, 24_684_096);
    assert_eq!(serde_json::to_string(&stats).unwrap(), body.trim_end(), "the same order, too");

    let body = recording("ch12_manager_get_nodes.http").response_body;
    let nodes: Vec<Node> = serde_json::from_str(&body).unwrap();
    assert_eq!(nodes[0].stats, stats);
    assert_eq!(serde_json::to_string(&nodes).unwrap(), body.trim_end());
}

#[test]
fn error_bodies_are_read_and_written_alike() {
    let mut errors = 0;
    for name in recordings() {
        let Recording { status, response_body, .. } = recording(&name);
        if status == 400 {
            let error: ErrorBody = serde_json::from_str(&response_body).unwrap();
            assert_eq!(error.http_status_code, 400);
            assert_eq!(serde_json::to_string(&error).unwrap(), response_body.trim_end());
            errors += 1;
        }
    }
    assert_eq!(errors, 4);
}

fn time() -> impl Strategy<Value = Option<Timestamp>> {
    option::of((0i64..4_000_000_000, 0i32..1_000_000_000).prop_map(|(s, ns)| Timestamp::new(s, ns).unwrap()))
}

fn probe() -> impl Strategy<Value = Probe> {
    let port = || option::of(1..=u16::MAX);
    prop_oneof![
        (port(), "/[a-z:?/ü]{0,9}").prop_map(|(port, path)| Probe::Http { port, path }),
        port().prop_map(|port| Probe::Tcp { port }),
        collection::vec(".*", 1..3).prop_map(Probe::Command),
    ]
}

fn health() -> impl Strategy<Value = Health> {
    let verdicts = vec![Verdict::Starting, Verdict::Healthy, Verdict::Unhealthy];
    (sample::select(verdicts), ".*").prop_map(|(verdict, failure)| Health { verdict, failure })
}

prop_compose! {
    fn check()(
        probe in probe(), start_period_s in any::<u32>(), interval_s in any::<u32>(), timeout_s in 0..9_u32,
        retries in 0..9_u32,
    ) -> HealthCheck {
        HealthCheck { probe, start_period_s, interval_s, timeout_s, retries }
    }
}

prop_compose! {
    fn spec()(
        (name, image, cmd, env) in ("\\PC{0,20}", "[a-z]{1,9}", collection::vec(".*", 0..3), collection::vec("[A-Z]=\\PC*", 0..3)),
        (cpu, memory_bytes, disk_bytes) in (0.0..64.0, any::<u64>(), any::<u64>()),
        exposed in option::of(collection::vec("[1-9][0-9]{0,3}/(tcp|udp)", 0..4)),
        port_bindings in option::of(collection::btree_map("[1-9][0-9]{0,3}/tcp", "[0-9]{1,4}", 0..4)),
        restarts in option::of(option::of(any::<u32>())),
        labels in collection::btree_map("\\PC{1,9}", ".*", 0..3),
        stop_timeout_s in option::of(any::<u32>()),
        (exclusive, priority, preempt) in (any::<bool>(), any::<i32>(), any::<bool>()),
        health_check in option::of(check()),
    ) -> TaskSpec {
        TaskSpec {
            name, image, cmd, env, cpu, memory_bytes, disk_bytes, port_bindings, labels, stop_timeout_s,
            exclusive, priority, preempt, health_check,
            exposed_ports: exposed.map(port_list),
            restart_policy: restarts.map_or(RestartPolicy::Always, RestartPolicy::OnFailure),
            ..TaskSpec::default()
        }
    }
}

prop_compose! {
    fn task()(
        id in any::<u128>(), spec in spec(), state in 0u64..5, generation in any::<u32>(),
        container_id in "[0-9a-f]{0,64}", start_time in time(), finish_time in time(),
        exit_code in option::of(any::<i64>()), reason in ".*", health in option::of(health()),
    ) -> Task {
        let status = TaskStatus {
            state: cube_tui::task::State::from_number(state).unwrap(),
            generation, container_id, start_time, finish_time, exit_code, reason,
            restart_count: generation / 2,
            is_interrupted: generation % 2 == 1,
            never_ran: generation % 3 == 1,
            host_ports: BTreeMap::new(),
            health: health.map(Box::new),
        };
        Task { id: TaskId(uuid::Uuid::from_u128(id)), spec: spec.into(), status }
    }
}

/// The same JSON with its keys in lower case and something unknown in it, so that it takes the slow way.
fn in_lower_case(task: &Task) -> Value {
    let Value::Object(fields) = serde_json::to_value(task).unwrap() else { unreachable!() };
    let mut fields: serde_json::Map<_, _> =
        fields.into_iter().map(|(key, value)| (key.to_lowercase(), value)).collect();
    fields.insert("unheard of".to_owned(), json!([{}]));
    Value::Object(fields)
}

proptest! {
    #[test]
    fn a_task_comes_back_as_it_went(task in task()) {
        let text = serde_json::to_string(&[&task]).unwrap();
        prop_assert_eq!(&parse_tasks(text.as_bytes()).unwrap()[0], &task);
        prop_assert_eq!(&serde_json::from_str::<Vec<Task>>(&text).unwrap()[0], &task);
    }

    #[test]
    fn both_ways_of_reading_read_the_same(task in task()) {
        let text = json!([in_lower_case(&task)]).to_string();
        prop_assert_eq!(&parse_tasks(text.as_bytes()).unwrap()[0], &task);
    }

    #[test]
    fn an_event_comes_back_as_it_went(task in task()) {
        let event = TaskEvent::start(task, Timestamp::UNIX_EPOCH);
        let text = serde_json::to_string(&event).unwrap();
        prop_assert_eq!(serde_json::from_str::<TaskEvent>(&text).unwrap(), event);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in collection::vec(any::<u8>(), 0..200), text in "[{}\\[\\]\":,a-zA-Z0-9]{0,60}") {
        let _ = (parse_task_event(&bytes), parse_tasks(&bytes));
        let _ = (parse_task_event(text.as_bytes()), parse_tasks(text.as_bytes()));
        let _ = cube_tui::task::parse_task_file("f", &text, Timestamp::UNIX_EPOCH);
    }
}
