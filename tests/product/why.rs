//! Why and plan over real processes: what they say, that a plan is what then happens, and what odd questions are answered.

use axum::{Json, Router, http::StatusCode, routing::get};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::alone::{ALONE, trial};
use super::support::{
    process::{Ended, Home, Manager},
    wait_for,
    worker::PATIENCE,
};

pub fn tests() -> Vec<Trial> {
    vec![
        trial("a_plan_changes_nothing_and_is_what_then_happens_and_why_says_it", plan_then_why),
        trial("odd_questions_of_why_and_plan_are_refused_not_failed", odd_questions),
    ]
}

/// A worker of the book that takes every task.
async fn takes_all() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let take = |Json(event): Json<Value>| async move { (StatusCode::CREATED, Json(event["Task"].clone())) };
    let router = Router::new().route("/tasks", get(|| async { Json(json!([])) }).post(take));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

fn on(home: &Home, manager: &Manager, line: &str) -> Ended {
    let mut command = home.command(line);
    command.env("CUBE_MANAGER_PORT", manager.port.to_string());
    Ended::of(command)
}

async fn plan_then_why() {
    let home = Home::without_engine();
    let (first, second) = (takes_all().await, takes_all().await);
    let mut node = home.start(&format!("{ALONE} --worker {first} --worker {second}"));
    let manager = node.manager().await;
    wait_for("both are ready", PATIENCE, || async {
        let workers = manager.cluster().await;
        (workers.workers().iter().filter(|worker| worker.takes_work()).count() == 2).then_some(())
    })
    .await;
    let task = |name: &str| json!({"ID": uuid::Uuid::new_v4(), "Name": name, "Image": "alpine"});
    home.write("tasks.json", &json!([task("one"), task("two")]));

    let before = manager.cluster().await.revision();
    let planned = on(&home, &manager, "plan tasks.json --output json").expect(0, &[]).json();
    assert_eq!(manager.cluster().await.revision(), before, "nothing changed");
    let places: Vec<_> = planned.iter().filter(|line| line["type"] == "plan").collect();
    let loads = planned.iter().filter(|line| line["type"] == "planned_load").count();
    assert_eq!((places.len(), loads), (2, 2), "{planned:?}");
    on(&home, &manager, "submit tasks.json").expect(0, &[]);
    let cluster = manager.cluster().await;
    for place in places {
        let task = place["task"].as_str().unwrap().parse().unwrap();
        assert_eq!(place["worker"].as_str(), cluster.worker_of(task).map(cube_tui::task::WorkerId::as_str));
    }
    let again = on(&home, &manager, "plan tasks.json").expect(0, &[]);
    assert_eq!(again.stdout.matches("nothing would happen").count(), 2, "{}", again.stdout);

    let why = on(&home, &manager, "why two").expect(0, &[]).stdout;
    for part in ["two (", "why here", "by roundrobin: next in turn; 2 workers could take it"] {
        assert!(why.contains(part), "{part} in {why}");
    }
    let mut never = task("never");
    never["Constraints"] = json!(["zone=nowhere"]);
    home.write("never.json", &never);
    let planned = on(&home, &manager, "plan never.json tasks.json").expect(1, &[]).stdout;
    assert!(planned.contains("never fits: ") && planned.contains("nearest: label "), "{planned}");
    on(&home, &manager, "submit never.json").expect(0, &[]);
    let why = on(&home, &manager, "why never").expect(0, &[]).stdout;
    for part in ["LABELS", "no zone", "verdict", "never fits: ", "nearest", "kept away", "2 by constraints"] {
        assert!(why.contains(part), "{part} in {why}");
    }
    let json = on(&home, &manager, "why never --output json").expect(0, &[]).json();
    assert_eq!(json[0]["waits"]["explanation"]["outcome"], "never_fits", "{json:?}");
    let few = on(&home, &manager, "why never --workers 1").expect(0, &[]).stdout;
    assert!(few.contains("1 worker beside those above; 0 of all"), "{few}");
}

async fn odd_questions() {
    let home = Home::without_engine();
    let mut node = home.start(ALONE);
    let manager = node.manager().await;
    for name in ["web", "web", "a/b c?d#e%2F"] {
        manager.submit(&json!({"Name": name, "Image": "alpine"})).await;
    }
    for (id, code, part) in [
        ("nobody", 2, "no task is called"),
        ("web", 2, "give more of the id"),
        (".", 2, "no task is called"),
        ("..", 2, "no task is called"),
        ("../../healthz", 2, "no task is called"),
    ] {
        on(&home, &manager, &format!("why {id}")).expect(code, &[part]);
    }
    let mut command = home.command("why");
    command.arg("a/b c?d#e%2F").env("CUBE_MANAGER_PORT", manager.port.to_string());
    let told = Ended::of(command).expect(0, &[]).stdout;
    assert!(told.contains("no worker yet") && told.contains("add a worker with --worker"), "{told}");
    std::fs::write(home.path("broken.json"), "{\"Name\": ").unwrap();
    on(&home, &manager, "plan broken.json").expect(2, &["broken.json, line 1"]);
    let mut nobody = home.command("plan task.json");
    home.write("task.json", &json!({"Name": "x", "Image": "alpine"}));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    nobody.env("CUBE_MANAGER_PORT", free.to_string());
    Ended::of(nobody).expect(4, &["try `cube-tui --no-ui`"]);
    on(&home, &manager, "plan task.json").expect(1, &[]);

    let get = async |path: &str| manager.http.get(manager.url(path)).send().await.unwrap().status().as_u16();
    for (path, status) in [
        ("/v1/tasks/nobody/why", 404),
        ("/v1/tasks/web/why", 409),
        ("/v1/tasks/web/why?workers=1001", 400),
        ("/v1/tasks/web/why?workers=-1", 400),
        ("/v1/tasks/web/why?workers=x", 400),
        ("/v1/tasks/%ff/why", 400),
        ("/v1/tasks/%00/why", 404),
        ("/v1/plan", 405),
    ] {
        assert_eq!(get(path).await, status, "{path}");
    }
    let post = async |body: Vec<u8>| {
        manager.http.post(manager.url("/v1/plan")).body(body).send().await.unwrap().status().as_u16()
    };
    let known = manager.cluster().await.task_db().next().unwrap().task.id;
    let deep = "[".repeat(5_000);
    let many = format!("[{}]", vec![r#"{"State":2,"Task":{"Image":"i"}}"#; 20_001].join(","));
    let other = json!({"State": 2, "Task": {"ID": known, "Image": "other"}}).to_string();
    let unknown = json!({"State": 3, "Task": {"ID": uuid::Uuid::new_v4()}}).to_string();
    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("[1]", 400),
        ("null", 400),
        (&*deep, 400),
        ("[]", 200),
        (r#"{"State":2,"Task":{"Image":""}}"#, 400),
        (r#"{"State":2,"Task":{"Image":"i","Cpu":-1}}"#, 400),
        (r#"{"State":2,"Task":{"Image":"i","Cpu":1e300,"Memory":9007199254740991}}"#, 200),
        (&*many, 413),
        (&*other, 409),
        (&*unknown, 404),
    ] {
        let answered = post(body.as_bytes().to_vec()).await;
        let shown = &body[..body.len().min(80)];
        assert!(answered < 500, "{answered}: {shown}");
        assert!(answered == status || status == 200 && answered == 400, "{answered}, not {status}: {shown}");
    }
    assert!(post(b"\xff\xfe".to_vec()).await < 500);
}
