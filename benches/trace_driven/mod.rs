//! The trace-driven benchmark's parts: what is asked for, a run of it under one scheduler, and the figures of a run.

pub mod figures;
pub mod run;
pub mod workload;
