//! The book's peers against ours: its managers drive our worker, our manager drives its workers, its CLI talks to
//! our manager, and every recorded request gets the answer that `tests/wire` documents.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod http;
mod our_manager;
mod recorded;
mod routers;
mod stand_in;
#[path = "../support/mod.rs"]
mod support;
mod their_cli;
mod their_managers;
