//! `--no-ui --submit FILE --wait`, as a script uses it.

use cube_tui::task::State;
use libtest_mimic::Trial;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::stage::{Stage, trial};
use super::support::process::Ended;

pub fn tests() -> Vec<Trial> {
    vec![
        trial("each_tasks_last_line_tells_how_it_ended", three_tasks),
        trial("the_good_task_alone_exits_0", good_alone),
        trial("a_wait_that_times_out_exits_3_and_the_task_goes_on", times_out),
        trial("a_second_start_submits_through_the_first_and_waits", through_the_first),
        trial("a_task_that_turns_sick_is_restarted_as_its_policy_says", turns_sick),
        trial("run_with_wait_exits_with_the_tasks_own_code", run_waits),
    ]
}

const WAIT: &str = "--no-ui --data-dir data --submit tasks.json --wait --output json";

async fn three_tasks(stage: Stage) {
    // Nobody listens there, so that no registry is asked.
    let missing = "127.0.0.1:1/no/such-image:1";
    let mut missing_image = stage.task("missing", &[]);
    missing_image["Image"] = json!(missing);
    let good = stage.task("good", &["exit", "0"]);
    stage.home.write("tasks.json", &json!([good, stage.task("bad", &["exit", "3"]), missing_image]));
    let ended = stage.home.run(WAIT).expect(1, &[]);

    let told = |name| {
        let line = ended.last_line_of(name);
        assert_eq!((&line["v"], &line["type"]), (&json!(1), &json!("task")));
        (line["state"].clone(), line["exit_code"].clone(), line["reason"].clone())
    };
    assert_eq!(told("good"), (json!("Completed"), json!(0), Value::Null));
    assert_eq!(told("bad"), (json!("Failed"), json!(3), json!("exit code 3")));
    let (ended_as, code, reason) = told("missing");
    assert_eq!((ended_as, code), (json!("Failed"), Value::Null));
    assert!(reason.as_str().unwrap().contains("such-image"), "{reason}");
}

async fn turns_sick(stage: Stage) {
    let mut task = stage.task("sick", &["http", "8080", "2000"]);
    task["HealthCheck"] = json!("http:8080/health");
    task["HealthStartPeriod"] = json!(0);
    task["HealthInterval"] = json!(1);
    task["HealthRetries"] = json!(2);
    task["RestartPolicy"] = json!("on-failure:1");
    stage.home.write("tasks.json", &task);
    let ended = stage.home.run(WAIT).expect(1, &[]);
    let reason = "health check failed 2 times: GET /health on port 8080: 503";
    let last = ended.last_line_of("sick");
    assert_eq!((&last["state"], &last["reason"]), (&json!("Failed"), &json!(reason)));
    assert_eq!(last["task"]["RestartCount"], 1);
    let told: Vec<_> = ended.json().into_iter().filter(|line| line["type"] == "task").collect();
    let has = |field: &str, value: &str| {
        told.iter().any(|line| line[field] == value || line["task"][field] == value)
    };
    assert!(has("reason", &format!("restart 1 of 1 after: {reason}")), "{told:?}");
    for verdict in ["starting", "healthy", "unhealthy"] {
        assert!(has("Health", verdict), "{verdict}: {told:?}");
    }
    assert_eq!(stage.starts().await, 2);
}

async fn good_alone(stage: Stage) {
    stage.home.write("tasks.json", &stage.task("good", &["exit", "0"]));
    let ended = stage.home.run(WAIT).expect(0, &[]);
    let states: Vec<_> =
        ended.json().iter().filter(|line| line["type"] == "task").map(|line| line["state"].clone()).collect();
    assert_eq!(states.first(), Some(&json!("Pending")));
    assert_eq!(states.last(), Some(&json!("Completed")));
    assert_eq!(stage.containers().await.len(), 1, "kept for its logs");
}

async fn times_out(stage: Stage) {
    stage.home.write("tasks.json", &stage.sleeper("long"));
    stage.home.run(&format!("{WAIT} --timeout 3s")).expect(3, &["gave up waiting after 3s"]);
    // It may have been given up before it ran; the next start goes on with it.
    let mut node = stage.home.start("--no-ui --data-dir data --output json");
    let manager = node.manager().await;
    let task = manager.cluster().await.task_db().next().unwrap().task.id;
    manager.until_state(task, State::Running).await;
    assert_eq!(stage.starts().await, 1);
    assert_eq!(node.end(Signal::TERM).await.code(), Some(0));
    let containers = stage.containers().await;
    assert_eq!(containers.len(), 1);
    assert!(stage.is_running(&containers[0]).await, "containers outlive the program");
}

async fn through_the_first(stage: Stage) {
    let mut first = stage.home.start("--no-ui --data-dir data --output json");
    let manager = first.manager().await;
    stage.home.write("tasks.json", &stage.task("bad", &["exit", "3"]));
    let ended = stage.home.run(WAIT).expect(1, &["has this data folder"]);
    assert_eq!(ended.last_line_of("bad")["exit_code"], 3);
    assert_eq!(manager.cluster().await.count(State::Failed), 1);
    stage.home.write("tasks.json", &stage.task("good", &["exit", "0"]));
    stage.home.run(WAIT).expect(0, &[]);
    assert_eq!(manager.cluster().await.count(State::Completed), 1);
}

async fn run_waits(stage: Stage) {
    let mut node = stage.home.start("--no-ui --data-dir data --output json");
    let port = node.port_of("manager").await.to_string();
    let containers_before = stage.containers().await.len();
    for (code, line) in [(0, "exit 0"), (7, "exit 7")] {
        let label = stage.mark();
        let line = format!("run {} --wait --label {label} -- {line}", stage.image.name);
        let mut command = stage.home.command(&line);
        command.env("CUBE_MANAGER_PORT", &port);
        Ended::of(command).expect(code, &[]);
    }
    assert_eq!(stage.containers().await.len(), containers_before + 2);
}
