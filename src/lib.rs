//! cube-tui: a container orchestrator for one to fifty machines, in one binary with four faces: a dashboard that
//! embeds the manager, a headless manager, a worker, and a client.
//!
//! # One idea: decide, then fold
//!
//! ```text
//! input ──▶ manager decides ──▶ Change(s) ──▶ store (durable) ──▶ everyone folds the same Change
//!           (pure, sync)          │                                · the manager's own Cluster
//!                                 └─▶ Effect(s): POST, answer …    · each dashboard's mirror
//!                                     the result is an input again · `--no-ui`, `submit --wait`
//! ```
//!
//! [`cluster::Cluster`] is what the book calls the manager's state: `pending`, `task_db`, `event_db`, `workers`,
//! `worker_task_map`, `task_worker_map`, `last_worker`. Only [`cluster::Cluster::apply`] changes it, wherever it
//! runs. The manager ([`manager::decide`]) and the worker ([`worker::Worker`]) are state machines without IO, each
//! in a thin driver; that is what lets `tests/sim` run a whole cluster in one thread on virtual time.
//!
//! # The rooms (each uses only those below it)
//!
//! | room | what it is for |
//! |---|---|
//! | [`cli`] | arguments, environment, exit codes; one file a command |
//! | [`tui`] | the dashboard: `update(&mut Model, Event) -> Vec<Action>`, `draw(&Model)` |
//! | [`demo`] | an image made of this very program, and the demo's tasks |
//! | [`node`] | one process's share of a cluster: data folder, listeners, manager, local worker |
//! | [`client`] | a manager wherever it runs: embedded, or behind its API |
//! | [`manager`] | decide (pure) · driver · committer and store · a link to each worker · API |
//! | [`worker`] | core (pure) · driver · API and its client · stats · runtimes: Docker, process, fake |
//! | [`http`] | what both APIs share, at either end: serving, bounds, the door against browsers, refusals, the one client |
//! | [`tls`] | certificates of the cluster's own authority: who is there, and how that is proved |
//! | [`scheduler`] | where a task runs, or every worker's reason why not there (pure) |
//! | [`cluster`] | Cluster, Change, the fold (pure) |
//! | [`task`] | Task, TaskEvent, State, task files, the JSON of the book's peers (pure) |
//!
//! The client's types of the wire ([`manager::request`], [`worker::report`]) belong to the side that answers.
//!
//! # One task, from key to pane
//!
//! 1. `n` in the dashboard, `cube-tui run`, or `POST /tasks`: parsed once, at the edge, into a `TaskEvent`.
//! 2. `Input::Submit` → `Change::Submitted`; in the same turn `send_work` takes it off `pending`, `select_worker`
//!    returns a worker or the reasons why none fits, → `Change::Scheduled` and an `Effect::Send`.
//! 3. The committer makes both durable in one commit. Only then the submit is answered, every mirror folds them
//!    (the panes show it), and the effect goes out through the worker's link: a POST, many events at once.
//! 4. The worker queues it; `run_task` drives the runtime: pull if the image is missing, create, start.
//! 5. It reports Running, with container, ports and time, on the stream that the link follows (a worker of the book
//!    is polled) → `update_tasks` → `Change::Observed` → store, mirrors, one frame.
//!
//! # Invariants (looked at after every step of every simulated seed)
//!
//! 1. An acknowledged submit is in the store.
//! 2. At most one live container for a (task, generation); of several generations the newest survives
//!    (`src/manager/decide/moves.rs` has the rule).
//! 3. State moves only along the transition table; an older generation's report changes nothing.
//! 4. Every Change has a cause; nothing changes without a Change.
//! 5. `worker_task_map` and `task_worker_map` name the same pairs; what is Pending is in `pending`.
//! 6. After the last fault the cluster reaches what is wanted by itself.
//! 7. Containers of an Exclusive task never overlap (`src/manager/decide/lease.rs` says how, the README what it can't help).
//! 8. What is reserved on a worker is never more than may be promised there.

pub mod cli;
pub mod client;
pub mod cluster;
pub mod demo;
pub mod http;
pub mod manager;
pub mod node;
pub mod scheduler;
pub mod task;
pub mod tls;
pub mod tui;
pub mod worker;
