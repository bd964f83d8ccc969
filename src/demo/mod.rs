//! `cube-tui demo`: a live cluster to look at on any Linux machine, without an image registry. Its tasks are this
//! very program, in an image made of it, or as plain processes where there is no engine.

mod image;
mod programs;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

pub use image::DemoImage;
pub use programs::{Program, run as run_program};

use crate::task::{RestartPolicy, Task, TaskEvent, TaskId, TaskSpec};

/// The hidden command under which this program is a task of the demo.
pub const COMMAND: &str = "demo-task";

/// The port that the hello service answers on in its container.
const PORT: &str = "8080/tcp";

/// What the demo submits: services that stay, a batch job that ends well, one that crashes and is started again.
pub fn tasks(image: &str, now: Timestamp) -> Vec<TaskEvent> {
    let event = |name: &str, program: Program, spec: TaskSpec| {
        let spec = TaskSpec {
            name: name.to_owned(),
            image: image.to_owned(),
            cmd: vec![COMMAND.to_owned(), program.word().to_owned()],
            stop_timeout_s: Some(2),
            ..spec
        };
        TaskEvent::start(Task { id: TaskId::random(), spec: Arc::new(spec), ..Task::default() }, now)
    };
    let service = || TaskSpec {
        exposed_ports: Some(vec![PORT.to_owned()]),
        // An empty host port: whichever is free.
        port_bindings: Some(BTreeMap::from([(PORT.to_owned(), String::new())])),
        env: vec!["GREETING=hello from cube-tui".to_owned()],
        memory_bytes: 64 << 20,
        cpu: 0.25,
        restart_policy: RestartPolicy::Always,
        ..TaskSpec::default()
    };
    vec![
        event("hello-1", Program::Hello, service()),
        event("hello-2", Program::Hello, service()),
        event("batch", Program::Batch, TaskSpec { memory_bytes: 64 << 20, ..TaskSpec::default() }),
        event(
            "crash",
            Program::Crash,
            TaskSpec { restart_policy: RestartPolicy::OnFailure(Some(3)), ..TaskSpec::default() },
        ),
    ]
}
