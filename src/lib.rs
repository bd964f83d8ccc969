//! cube-tui: a container orchestrator for one to fifty machines, in one binary.

pub mod cli;
pub mod client;
pub mod cluster;
pub mod demo;
pub mod http;
pub mod manager;
pub mod node;
pub mod scheduler;
pub mod task;
pub mod tui;
pub mod worker;
