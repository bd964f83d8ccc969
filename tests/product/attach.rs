//! Attaching to what is there, a start on the folder of a process that was just killed, the end of a manager from
//! elsewhere, and a store that is deleted under a manager.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
    time::Duration,
};

use libtest_mimic::Trial;
use rustix::process::Signal;
use serde_json::json;

use super::alone::{ALONE, trial};
use super::support::{process::Home, wait_for, worker::PATIENCE};

pub fn tests() -> Vec<Trial> {
    vec![
        trial("attaching_to_what_is_no_manager_says_what_it_is", no_manager),
        trial("a_start_right_after_kill_9_never_attaches_to_the_dead", after_a_kill),
        trial("shutdown_ends_the_manager_of_the_folder_and_no_other", shutdown),
        trial("a_store_deleted_under_its_manager_is_put_back_whole", deleted_store),
        trial("a_store_that_was_copied_without_its_workers_id_is_refused", copied_store),
    ]
}

async fn no_manager() {
    let home = Home::without_engine();
    for (url, said) in [
        ("ftp://localhost:5556", "ftp:// is not understood"),
        ("http://localhost:5556/tasks", "/tasks is too much"),
        ("localhost", "the port is missing"),
        ("http://localhost:0", "port 0"),
        ("localhost:http", "expected HOST:PORT"),
    ] {
        let mut command = home.command("--no-ui --attach");
        command.arg(url);
        super::support::process::Ended::of(command).expect(2, &[said]);
    }
    home.run("--no-ui --attach https://localhost:5556")
        .expect(5, &["no membership is kept", "cube-tui join LINE"]);

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    home.run(&format!("--no-ui --attach {free}")).expect(4, &[&free.to_string(), "connection refused"]);

    let mut worker = home.start("worker --listen localhost:0 --data-dir w --output json");
    let port = worker.port_of("worker").await;
    home.run(&format!("--no-ui --attach localhost:{port}"))
        .expect(4, &["is no manager", "a worker answers there"]);

    home.run("--no-ui --data-dir w").expect(4, &["a worker (process", "--data-dir DIR"]);

    for (answer, said) in [
        ("SSH-2.0-OpenSSH_9.2\r\n", "speaks no HTTP"),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            "another program answers there",
        ),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        home.run(&format!("--no-ui --attach {address}")).expect(4, &["is no manager", said]);
    }
}

async fn after_a_kill() {
    let home = Home::without_engine();
    for round in 0..10 {
        let mut node = home.start(ALONE);
        // It has said where it answers, so that a start could attach to it.
        node.port_of("manager").await;
        assert!(!node.stderr().contains("attached to it"), "round {round}: {}", node.stderr());
        // Not waited for: the next start comes while it dies.
        node.signal(Signal::KILL);
    }
}

async fn shutdown() {
    let home = Home::without_engine();
    let mut node = home.start(ALONE);
    let mut other = home.start("--no-ui --output json --data-dir other --no-local-worker");
    node.port_of("manager").await;
    let port = other.port_of("manager").await;
    let ended = home.run("shutdown --data-dir data --output json").expect(0, &[]);
    assert_eq!((&ended.json()[0]["type"], &ended.json()[0]["state"]), (&json!("manager"), &json!("ended")));
    assert_eq!(node.ended().await.code(), Some(0));
    home.run("shutdown --data-dir nowhere").expect(0, &["no manager runs on nowhere"]);
    assert!(!home.path("nowhere").exists());
    assert_eq!(super::support::process::Manager::at(port).cluster().await.task_db().len(), 0);
}

async fn deleted_store() {
    let home = Home::without_engine();
    let mut node = home.start(ALONE);
    let manager = node.manager().await;
    let task = |name: &str| json!({"Name": name, "Image": "alpine"});
    manager.submit(&task("before")).await;
    for file in ["changes.redb", "changes.last"] {
        fs::remove_file(home.path("data").join(file)).unwrap();
    }
    manager.submit(&task("after")).await;
    wait_for("it is told", PATIENCE, async || node.stderr().contains("it is put back").then_some(())).await;
    node.end(Signal::KILL).await;
    let mut node = home.start(ALONE);
    let manager = node.manager().await;
    assert_eq!(manager.cluster().await.task_db().len(), 2);

    // Also without any Change, before an end in order.
    fs::remove_file(home.path("data/changes.redb")).unwrap();
    node.end(Signal::TERM).await;
    let mut node = home.start(ALONE);
    let manager = node.manager().await;
    assert_eq!(manager.cluster().await.task_db().len(), 2);

    // Where it cannot be put back, nothing is promised, and every command says why.
    fs::rename(home.path("data"), home.path("away")).unwrap();
    let event = json!({"State": 2, "Task": task("refused")});
    let answer = manager.http.post(manager.url("/tasks")).json(&event).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    let said = answer.text().await.unwrap();
    assert!(said.contains("it was deleted, and cannot be put back"), "{said}");
    for line in ["ps", "stop before"] {
        let mut command = home.command(line);
        command.env("CUBE_MANAGER_PORT", manager.port.to_string());
        super::support::process::Ended::of(command)
            .expect(4, &["manager is out of order", "cannot be put back"]);
    }
    fs::rename(home.path("away"), home.path("data")).unwrap();
    let heals = async || manager.client.snapshot().await.ok();
    let cluster = wait_for("it heals by itself", Duration::from_secs(20), heals).await;
    assert_eq!(cluster.task_db().len(), 2, "what was refused is not there");
}

async fn copied_store() {
    let home = Home::without_engine();
    let mut node = home.start("--no-ui --data-dir data --output json");
    let manager = node.manager().await;
    manager.submit(&json!({"Name": "kept", "Image": "alpine"})).await;
    node.end(Signal::TERM).await;
    fs::create_dir(home.path("copy")).unwrap();
    for file in ["changes.redb", "changes.last"] {
        fs::copy(home.path("data").join(file), home.path("copy").join(file)).unwrap();
    }
    home.run("--no-ui --data-dir copy")
        .expect(4, &["copy has a store", "worker-id", "Copy the whole data folder"]);
    fs::copy(home.path("data/worker-id"), home.path("copy/worker-id")).unwrap();
    let mut node = home.start("--no-ui --data-dir copy --output json");
    assert_eq!(node.manager().await.cluster().await.task_db().len(), 1);
}
