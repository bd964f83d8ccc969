//! The doors: who gets in where, on real listeners. The list of routes is the router's own.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

#[path = "../support/mod.rs"]
mod support;

mod cluster;
mod hosts;
mod join;
mod membership;
mod policy;
mod revoke;
mod routes;
