//! Faults on real processes and a real engine: a test for each row of the README's fault table that no other binary
//! has, with the row's number in its name. `cargo test --test faults f09` runs a row again.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../product/stage.rs"]
mod stage;

mod at_random;
mod cluster;
mod container;
mod create_answer;
mod engine;
mod manager;
mod recover;
mod refused;
mod second_engine;
mod worker;

fn main() {
    let tests = [
        manager::tests(),
        create_answer::tests(),
        worker::tests(),
        engine::tests(),
        recover::tests(),
        container::tests(),
        refused::tests(),
        at_random::tests(),
    ];
    support::run(tests.into_iter().flatten().collect());
}
