//! The worker: runs tasks on a container engine. A pure core, a driver around it, its API, its runtimes.

mod add_task;
mod api;
mod client;
mod containers;
mod core;
mod driver;
mod effects;
mod engine_restart;
mod exec;
mod health;
mod host_paths;
mod kept;
mod lease;
mod logs;
mod observe;
mod policy;
pub mod report;
mod report_stream;
mod run_task;
pub mod runtime;
mod secrets;
mod start;
mod stats;
#[cfg(test)]
mod tests;

pub use api::route_list;
pub use client::{WorkerClient, upgraded};
pub use containers::NewestContainer;
pub use core::{Effect, Input, Limits, Output, STOPPED, STOPPING, Worker};
pub use exec::{EXEC_PROTOCOL, Frame, FrameReader, FrameWriter, Upgrade, frames, switching};
pub use logs::WorkerLog;
pub use policy::{POLICY, PolicyError, read_policy};
pub use start::{Config, Started, WorkerError, start};
