//! A whole cluster in one thread on virtual time: the real manager and worker cores, a simulated network and
//! engine, and seeded faults. Opens no socket, starts no thread, reads no clock.
//!
//! `history` is left to chance; `scenarios` are rows of the table of faults, one by one (`CUBE_SIM_TOLD=1` tells
//! their story).
//!
//! `cargo test --test sim` runs 600 seeds; `CUBE_SIM_SEEDS=10000` that many; `CUBE_SIM_SEED=17` one, with
//! its story on the screen.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod crash_loop;
mod engine;
mod event;
mod faults;
mod invariants;
mod manager_host;
mod network;
mod scenarios;
mod users;
mod worker_host;
mod world;

use world::World;

/// Seeds in a plain `cargo test`.
const SEEDS: u64 = 600;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run(seed: u64, is_told: bool) {
    let guard = Failing(seed);
    World::history(seed, is_told);
    std::mem::forget(guard);
}

/// Says how to run a failed seed again.
struct Failing(u64);

impl Drop for Failing {
    fn drop(&mut self) {
        eprintln!("seed {0} failed; alone: CUBE_SIM_SEED={0} cargo test --test sim -- --nocapture", self.0);
    }
}

#[test]
fn a_cluster_under_seeded_faults_keeps_its_invariants_and_heals() {
    if let Some(seed) = number("CUBE_SIM_SEED") {
        run(seed, true);
        return;
    }
    for seed in 0..number("CUBE_SIM_SEEDS").unwrap_or(SEEDS) {
        run(seed, false);
    }
}
