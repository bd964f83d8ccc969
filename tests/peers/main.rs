//! The worker on engines that are not a Docker Engine behind a socket: Podman's service, and an engine over TCP. The
//! essentials of tests/worker_docker.rs, and what those two do in their own way.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

#[path = "../support/mod.rs"]
mod support;

mod essentials;
mod peer;
mod podman;

fn main() {
    support::run(essentials::tests());
}
