//! What peers say and what they are told, as text.

use serde_json::json;

use super::super::fields::Fields;
use super::super::flat::TASK_FIELDS;
use super::super::{State, Task, TaskEvent};
use super::{parse_task_event, parse_tasks};

const ID: &str = "21b23589-5d2d-4731-b5c9-a97e9832d021";

/// An event that starts `web`, with more fields in its Task.
fn start(more: &str) -> String {
    format!(r#"{{"State":2,"Task":{{"ID":"{ID}","Name":"web","Image":"i"{more}}}}}"#)
}

#[track_caller]
fn event(body: &str) -> TaskEvent {
    parse_task_event(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"))
}

#[track_caller]
fn refused(body: &str, part: &str) {
    let error = parse_task_event(body.as_bytes()).expect_err(body).to_string();
    assert!(error.contains(part), "{body}: {error}");
}

#[test]
fn an_event_on_a_route_of_ours_has_known_fields_only() {
    let own = |text: &str| serde_json::from_str::<super::OwnTaskEvent>(text).map(|own| own.0);
    for (text, expected) in [
        (r#"{"Task":{"Image":"i","Memry":1}}"#, "Task.Memry: unknown field; did you mean Memory?"),
        (r#"{"Task":{"image":"i"}}"#, "Task.image: unknown field; its name is Image"),
        (r#"{"Stat":2,"Task":{}}"#, "Stat: unknown field; did you mean State?"),
        (r#"{"Image":"i"}"#, "Image: belongs inside Task"),
    ] {
        let error = own(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
        assert!(serde_json::from_str::<TaskEvent>(text).is_ok(), "the book's peers may say more");
    }
    let event = TaskEvent::start(full_task(), jiff::Timestamp::UNIX_EPOCH);
    assert_eq!(own(&serde_json::to_string(&event).unwrap()).unwrap(), event, "all that we write is known");
}

#[test]
fn ids_are_read_in_every_spelling() {
    for id in [
        ID.to_owned(),
        ID.to_uppercase(),
        ID.replace('-', ""),
        format!("{{{ID}}}"),
        format!("urn:uuid:{ID}"),
        format!("URN:UUID:{ID}"),
    ] {
        let event = event(&format!(r#"{{"Task":{{"ID":"{id}","Image":"i"}}}}"#));
        assert_eq!(event.task.id.to_string(), ID, "{id}");
    }
    for id in ["", "nope", "21b23589", "{}", "urn:uuid:"] {
        refused(&format!(r#"{{"Task":{{"ID":"{id}","Image":"i"}}}}"#), "Task.ID: expected a UUID");
    }
}

#[test]
fn keys_are_read_in_any_case_and_the_last_one_counts() {
    let event = event(r#"{"state":2,"TASK":{"nAME":"a","image":"x","Image":"i","Name":"b"}}"#);
    assert_eq!((event.state, &*event.task.spec.name, &*event.task.spec.image), (State::Running, "b", "i"));
}

#[test]
fn repeated_objects_merge() {
    let event = event(
        r#"{"Task":{"Image":"i","Name":"a","PortBindings":{"1/tcp":"1"}},
            "Task":{"Name":"b","PortBindings":{"2/tcp":"2"},"ExposedPorts":{"80":{}},"ExposedPorts":{"81":null}}}"#,
    );
    let spec = &event.task.spec;
    assert_eq!((&*spec.image, &*spec.name), ("i", "b"));
    assert_eq!(spec.port_bindings.as_ref().unwrap().len(), 2);
    assert_eq!(spec.exposed_ports.as_deref().unwrap(), ["80/tcp", "81/tcp"]);
}

#[test]
fn null_is_accepted_for_any_field() {
    for field in TASK_FIELDS {
        let event = event(&start(&format!(r#","{field}":null"#)));
        assert_eq!(event.task.spec.image, "i", "{field}");
    }
    for field in ["ID", "State", "Timestamp"] {
        event(&format!(r#"{{"{field}":null,"Task":{{"Image":"i"}}}}"#));
    }
}

#[test]
fn unknown_fields_newlines_and_odd_ports_are_passed_over() {
    let body = start(
        r#","Foo":{"a":[1]},"HostPorts":{"1/tcp":null,"2/tcp":[],"3/tcp":[{"hostip":"h","HostPort":"9","x":1}]}"#,
    );
    let task = event(&format!("{body}\n\n")).task;
    assert_eq!(task.status.host_ports.len(), 1);
    assert_eq!(task.status.host_ports["3/tcp"][0].host_ip, "h");
}

#[test]
fn times_keep_their_instant_and_zero_is_none() {
    let body =
        start(r#","StartTime":"2026-11-24T08:00:00.123456789+02:00","FinishTime":"0001-01-01T00:00:00Z""#);
    let status = event(&body).task.status;
    assert_eq!(status.start_time.unwrap().to_string(), "2026-11-24T06:00:00.123456789Z");
    assert_eq!(status.finish_time, None);
}

#[test]
fn what_is_malformed_is_named() {
    refused("{bad", "not JSON");
    refused("", "not JSON");
    refused("[]", "expected an object");
    refused("{}", "Task.Image: missing");
    refused("null", "Task.Image: missing");
    refused(r#"{"Task":{"Cpu":1}}"#, "Task.Image: missing");
    refused(r#"{"State":5,"Task":{"Image":"i"}}"#, "State: expected a state: 0 Pending");
    refused(&start(r#","State":99"#), "Task.State: expected a state");
    refused(&start(r#","State":-1"#), "Task.State: expected a state");
    refused(
        &start(r#","Memory":"12m""#),
        r#"Task.Memory: expected a whole number of bytes, 0 or more (64 MiB is 67108864), found "12m""#,
    );
    refused(&start(r#","Memory":-1"#), "Task.Memory");
    refused(&start(r#","Memory":1.5"#), "Task.Memory");
    refused(&start(r#","Disk":1e30"#), "Task.Disk");
    refused(&start(r#","Cpu":-0.5"#), "Task.Cpu");
    refused(&start(r#","Cpu":1e999"#), "Task.Cpu: expected a number of CPUs");
    refused(&start(r#","StartTime":"""#), "Task.StartTime: expected a time");
    refused(&start(r#","RestartPolicy":"sometimes""#), "Task.RestartPolicy: expected");
    refused(&start(r#","ExposedPorts":["80"]"#), "Task.ExposedPorts: expected an object of ports");
    refused(&start(r#","Env":["A"]"#), "Task.Env: expected KEY=VALUE");
    refused(&start(r#","Cmd":"sh -c x""#), "Task.Cmd: expected an array of strings");
    refused(r#"{"Task":[]}"#, "Task: expected an object");
    refused(&format!("{} x", start("")), "not JSON");
}

#[test]
fn a_stop_needs_no_image() {
    let event = event(&format!(r#"{{"State":3,"Task":{{"ID":"{ID}","State":3,"ContainerID":"c1"}}}}"#));
    assert!(event.is_stop());
    assert_eq!(event.task.status.container_id, "c1");
}

#[test]
fn a_peers_answer_may_be_null_or_hold_words_we_do_not_know() {
    assert_eq!(parse_tasks(b"null").unwrap(), []);
    assert_eq!(parse_tasks(b"[]\n").unwrap(), []);
    let tasks = parse_tasks(br#"[{"Name":"a","RestartPolicy":"sometimes"},{"name":"b"}]"#).unwrap();
    assert_eq!(tasks.iter().map(|task| &*task.spec.name).collect::<Vec<_>>(), ["a", "b"]);
    let error = parse_tasks(br#"[{},{"State":7}]"#).unwrap_err().to_string();
    assert!(error.starts_with("[1].State: expected a state"), "{error}");
    assert!(parse_tasks(br#"{"ID":1}"#).is_err());
}

/// A task in which every field is set.
fn full_task() -> Task {
    let mut task = json!({
        "ID": ID, "ContainerID": "c", "Name": "n", "State": 4, "Image": "i", "Cpu": 1.5, "Memory": 1,
        "Disk": 2, "ExposedPorts": {"80/tcp": {}}, "HostPorts": {"80/tcp": [{"HostIp": "::", "HostPort": "1"}]},
        "PortBindings": {"80/tcp": "1"}, "RestartPolicy": "always", "StartTime": "2026-11-24T08:00:00Z",
        "FinishTime": "2026-11-24T08:00:01.5Z", "HealthCheck": "/h", "RestartCount": 3, "Cmd": ["a"],
        "Entrypoint": ["b"], "Env": ["A=1"], "PullPolicy": "never", "NetworkMode": "host",
        "Mounts": ["data:/d"], "Secrets": ["S:env"], "Labels": {"a": "b"}, "StopTimeout": 1, "HealthStartPeriod": 1, "HealthInterval": 2,
        "HealthTimeout": 3, "HealthRetries": 4, "Exclusive": true, "Constraints": ["c"], "Priority": 1,
        "Preempt": true, "Generation": 1, "ExitCode": 3, "Reason": "r", "Interrupted": true, "NeverRan": true,
        "Health": "unhealthy", "HealthFailure": "f",
    });
    task["Privileged"] = json!(true);
    task["CapAdd"] = json!(["NET_ADMIN"]);
    task["Devices"] = json!(["/dev/fuse:r"]);
    task["PidMode"] = json!("host");
    task["IpcMode"] = json!("host");
    serde_json::from_value(task).unwrap()
}

fn keys(text: &str) -> Vec<String> {
    let fields: Fields<'_> = serde_json::from_str(text).unwrap();
    fields.0.into_iter().map(|(key, _)| key).collect()
}

#[test]
fn fields_are_written_in_the_peers_order() {
    let text = serde_json::to_string(&full_task()).unwrap();
    let but_the_other_check: Vec<_> = TASK_FIELDS.into_iter().filter(|field| *field != "HealthCmd").collect();
    assert_eq!(keys(&text), but_the_other_check);
    assert_eq!(serde_json::from_str::<Task>(&text).unwrap(), full_task());
    let empty = r#"{"ID":"00000000-0000-0000-0000-000000000000","ContainerID":"","Name":"","State":0,"Image":"","Cpu":0,"Memory":0,"Disk":0,"ExposedPorts":null,"HostPorts":null,"PortBindings":null,"RestartPolicy":"","StartTime":"0001-01-01T00:00:00Z","FinishTime":"0001-01-01T00:00:00Z","HealthCheck":"","RestartCount":0}"#;
    assert_eq!(serde_json::to_string(&Task::default()).unwrap(), empty);
}

#[test]
fn a_request_to_a_book_peer_says_state_1_and_nothing_it_may_refuse() {
    let mut event = event(&start(""));
    event.task.status = full_task().status;
    event.task.status.host_ports.clear();
    event.task.status.restart_count = 0;
    let text = serde_json::to_string(&event.for_book_peer()).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["State"], 2);
    assert_eq!(value["Task"]["State"], 1);
    let chapters_5_to_8: Vec<_> = TASK_FIELDS[..14].iter().filter(|field| **field != "HostPorts").collect();
    assert_eq!(keys(&value["Task"].to_string()).len(), chapters_5_to_8.len(), "{text}");
    assert!(chapters_5_to_8.iter().all(|field| value["Task"].get(field).is_some()), "{text}");

    event.state = State::Completed;
    event.task = full_task();
    let stop = serde_json::to_value(event.for_book_peer()).unwrap();
    assert_eq!((&stop["State"], &stop["Task"]["State"]), (&json!(3), &json!(3)));
    assert_eq!(stop["Task"]["RestartPolicy"], "");
    assert_eq!(stop["Task"]["HealthCheck"], "/h");
    for field in [
        "Generation",
        "ExitCode",
        "Reason",
        "Interrupted",
        "NeverRan",
        "Health",
        "HealthFailure",
        "HealthInterval",
    ] {
        assert_eq!(stop["Task"].get(field), None, "{field}");
    }
}

#[test]
fn health_checks_come_back_as_they_went() {
    for (text, check) in [
        (r#","HealthCheck":"/h""#, r#""HealthCheck":"/h""#),
        (r#","HealthCheck":"http:80/h","HealthRetries":3"#, r#""HealthCheck":"http:80/h""#),
        (r#","HealthCheck":"tcp","HealthTimeout":9"#, r#""HealthTimeout":9"#),
        (r#","HealthCmd":["a","b"],"HealthStartPeriod":0"#, r#""HealthCmd":["a","b"],"HealthStartPeriod":0"#),
    ] {
        let task = event(&start(text)).task;
        let written = serde_json::to_string(&task).unwrap();
        assert!(written.contains(check), "{written}");
        assert!(!written.contains("HealthRetries"), "a default is not written: {written}");
        assert_eq!(serde_json::from_str::<Task>(&written).unwrap(), task, "{text}");
    }
    assert_eq!(event(&start(r#","HealthCheck":"","HealthCmd":null"#)).task.spec.health_check, None);
    refused(&start(r#","HealthCheck":"health""#), "Task.HealthCheck: expected a path such as /health");
    refused(&start(r#","HealthInterval":5"#), "Task.HealthInterval: there is no check");
    refused(&start(r#","HealthCheck":"/","HealthCmd":["a"]"#), "Task.HealthCmd: expected HealthCheck or");
    refused(&start(r#","HealthCmd":"a b""#), "Task.HealthCmd: expected an array of strings");
    let tasks = parse_tasks(br#"[{"HealthCheck":"health","Health":"fine"}]"#).unwrap();
    assert_eq!(tasks[0].spec.health_check, None, "what a peer says of its own task spoils no list");
}

#[test]
fn newer_fields_do_not_stop_the_typed_api() {
    let task: Task = serde_json::from_str(r#"{"Name":"a","FromTheFuture":[1]}"#).unwrap();
    assert_eq!(task.spec.name, "a");
}
