//! What every route of both our routers does with requests that are wrong, huge, slow, or merely odd.

use std::{net::SocketAddr, time::Duration};

use cube_tui::worker::runtime::Fake;
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use uuid::Uuid;

use crate::{
    http::{AT_ONCE, Message, exchange, go_request},
    our_manager::OurManager,
    support::worker::TestWorker,
};

const ID: &str = "6be4cb6b-61d1-40cb-bc7b-9cacefefa60c";

/// Path, and the methods it takes (HEAD goes with GET).
const WORKER: [(&str, &[&str]); 9] = [
    ("/tasks", &["GET", "POST"]),
    ("/tasks/", &["GET", "POST"]),
    ("/tasks/{id}", &["DELETE"]),
    ("/tasks/{id}/", &["DELETE"]),
    ("/stats", &["GET"]),
    ("/stats/", &["GET"]),
    ("/v1/events", &["POST"]),
    ("/v1/reports", &["GET"]),
    ("/healthz", &["GET"]),
];

const MANAGER: [(&str, &[&str]); 16] = [
    ("/tasks", &["GET", "POST"]),
    ("/tasks/", &["GET", "POST"]),
    ("/tasks/{id}", &["DELETE"]),
    ("/tasks/{id}/", &["DELETE"]),
    ("/nodes", &["GET"]),
    ("/nodes/", &["GET"]),
    ("/v1/snapshot", &["GET"]),
    ("/v1/changes", &["GET"]),
    ("/v1/workers", &["GET"]),
    ("/v1/tasks", &["GET", "POST"]),
    ("/v1/tasks/{id}", &["GET"]),
    ("/v1/events", &["GET"]),
    ("/metrics", &["GET"]),
    ("/openapi.json", &["GET"]),
    ("/v1/stop", &["POST"]),
    ("/healthz", &["GET"]),
];

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// A worker and a manager of ours, and all their routes.
struct Ours {
    worker: TestWorker,
    manager: OurManager,
}

type Route = (SocketAddr, String, &'static [&'static str]);

impl Ours {
    async fn start() -> Self {
        let worker = TestWorker::start(Fake::default(), Uuid::new_v4()).await;
        let manager = OurManager::start(&[worker.addr.to_string().as_str().into()]).await;
        manager.ready().await;
        Self { worker, manager }
    }

    fn routes(&self) -> Vec<Route> {
        let all = |addr, table: &[(&str, &'static [&'static str])]| -> Vec<Route> {
            table.iter().map(|(path, methods)| (addr, path.replace("{id}", ID), *methods)).collect()
        };
        [all(self.worker.addr, &WORKER), all(self.manager.addr, &MANAGER)].concat()
    }

    fn posts(&self) -> impl Iterator<Item = (SocketAddr, String)> {
        let posts = self.routes().into_iter().filter(|(_, _, methods)| methods.contains(&"POST"));
        posts.map(|(addr, path, _)| (addr, path))
    }

    async fn end(self) {
        self.manager.end().await;
        self.worker.end().await;
    }
}

fn event() -> String {
    json!({ "State": 2, "Task": { "State": 1, "ID": Uuid::new_v4(), "Image": "web" } }).to_string()
}

#[track_caller]
fn is_refusal(answer: &Message, status: u16, what: &str) {
    assert_eq!(answer.status(), status, "{what}: {answer:?}");
    let error = answer.json();
    assert_eq!(error["HTTPStatusCode"], status, "{what}");
    assert!(error["Message"].as_str().is_some_and(|message| !message.is_empty()), "{what}");
}

#[tokio::test]
async fn a_wrong_method_is_405_and_an_unknown_path_404() {
    let ours = Ours::start().await;
    for (addr, path, methods) in ours.routes() {
        for method in METHODS.iter().filter(|method| !methods.contains(method)) {
            is_refusal(&go_request(addr, method, &path, None).await, 405, &format!("{method} {path}"));
        }
    }
    for addr in [ours.worker.addr, ours.manager.addr] {
        for path in ["/", "/task", "/tasks/a/b", "/v1", "/v1/", "/v2/tasks", "//tasks", "/tasks%2f"] {
            is_refusal(&go_request(addr, "GET", path, None).await, 404, path);
        }
        for id in ["zzz", "%00", "%ff", "..%2f", "00000000"] {
            let answer = go_request(addr, "DELETE", &format!("/tasks/{id}"), None).await;
            is_refusal(&answer, 400, id);
        }
    }
    ours.end().await;
}

/// Also where there is no route: nothing is learnt by asking.
#[tokio::test]
async fn the_door_judges_every_request() {
    let ours = Ours::start().await;
    let mut routes = ours.routes();
    routes.push((ours.worker.addr, "/nowhere".to_owned(), &["GET"]));
    routes.push((ours.manager.addr, "/nowhere".to_owned(), &["GET"]));
    for (addr, path, _) in routes {
        for method in METHODS {
            for headers in [
                "Host: evil.example".to_owned(),
                format!("Host: {addr}\r\nOrigin: http://evil.example"),
                format!("Host: {addr}\r\nOrigin: null"),
            ] {
                let request = format!("{method} {path} HTTP/1.1\r\n{headers}\r\nContent-Length: 0\r\n\r\n");
                let answer = exchange(addr, &request).await;
                is_refusal(&answer, 403, &format!("{method} {path} {headers}"));
            }
        }
    }
    ours.end().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    let ours = Ours::start().await;
    let http = cube_tui::client::http_client();
    let huge = bytes::Bytes::from(vec![b' '; cube_tui::http::LARGEST_BODY + 1]);
    for (addr, path) in ours.posts() {
        let answer = http.post(format!("http://{addr}{path}")).body(huge.clone()).send().await.unwrap();
        let status = answer.status().as_u16();
        let error: serde_json::Value = answer.json().await.unwrap();
        assert_eq!((status, &error["HTTPStatusCode"]), (413, &json!(413)), "{path}");
    }
    ours.end().await;
}

#[tokio::test]
async fn deeply_nested_json_is_refused_and_harms_no_one() {
    const DEEP: usize = 100_000;
    let ours = Ours::start().await;
    let (open, close) = ("[".repeat(DEEP), "]".repeat(DEEP));
    let objects = format!("{}1{}", r#"{"Task":"#.repeat(DEEP), "}".repeat(DEEP));
    for (addr, path) in ours.posts() {
        for body in [format!("{open}{close}"), open.clone(), objects.clone(), format!("[{objects}]")] {
            let answer = go_request(addr, "POST", &path, Some(&body)).await;
            assert_eq!(answer.status(), 400, "{path}: {answer:?}");
        }
        // Unknown fields are passed over, but not followed without an end.
        let inside = format!(r#"{{"State":2,"Task":{{"Image":"i","Foo":{open}{close}}}}}"#);
        assert_eq!(go_request(addr, "POST", &path, Some(&inside)).await.status(), 400, "{path}");
    }
    for addr in [ours.worker.addr, ours.manager.addr] {
        assert_eq!(go_request(addr, "GET", "/tasks", None).await.body, "[]");
    }
    ours.end().await;
}

#[tokio::test]
async fn half_open_connections_block_no_one() {
    let ours = Ours::start().await;
    let mut held = Vec::new();
    for addr in [ours.worker.addr, ours.manager.addr] {
        for number in 0..100 {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            let part = match number % 3 {
                0 => "",
                1 => "POST /tasks HTTP/1.1\r\nHost: loc",
                _ => "POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{\"State\":",
            };
            stream.write_all(part.as_bytes()).await.unwrap();
            held.push(stream);
        }
        let post = async { go_request(addr, "POST", "/tasks", Some(&event())).await.status() };
        let posted = tokio::time::timeout(AT_ONCE, post).await;
        assert_eq!(posted.expect("the others do not hold it up"), 201);
    }
    // Nor the end.
    let ended = tokio::time::timeout(AT_ONCE, ours.end()).await;
    ended.expect("it ends with connections open");
}

#[tokio::test]
async fn odd_but_right_requests_are_taken() {
    let ours = Ours::start().await;
    for addr in [ours.worker.addr, ours.manager.addr] {
        for path in ["/tasks", "/tasks/"] {
            // HEAD is a GET without a body.
            let head = format!("HEAD {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
            let mut stream = TcpStream::connect(addr).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = String::new();
            tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer}");

            for kind in ["", "Content-Type: text/plain\r\n", "Content-Type: x/y; charset=latin1\r\n"] {
                let body = event();
                let (one, two) = body.split_at(9);
                let chunked = format!(
                    "POST {path} HTTP/1.1\r\nHost: {addr}\r\n{kind}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{one}\r\n{:x};a=b\r\n{two}\r\n0\r\n\r\n",
                    one.len(),
                    two.len()
                );
                assert_eq!(exchange(addr, &chunked).await.status(), 201, "{path} {kind}");
            }
            // Go's client may ask first whether it shall send the body; Nagle or not, it comes in pieces.
            let body = event();
            let mut stream = TcpStream::connect(addr).await.unwrap();
            let head =
                format!("POST {path} HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {}\r\n\r\n", body.len());
            for piece in [&head[..7], &head[7..], &body[..1], &body[1..]] {
                stream.write_all(piece.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
            let answer = tokio::time::timeout(Duration::from_secs(10), Message::read(&mut stream)).await;
            assert_eq!(answer.unwrap().unwrap().status(), 201);
        }
        // HTTP/1.0, which needs no Host.
        let old = exchange(addr, "GET /tasks HTTP/1.0\r\n\r\n").await;
        assert_eq!((old.status(), old.json().as_array().map(Vec::len)), (200, Some(8)));
    }
    ours.end().await;
}
