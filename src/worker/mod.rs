//! The worker: runs tasks on a container engine. A pure core, a driver around it, its API, its runtimes.

pub mod report;
