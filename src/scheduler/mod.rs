//! Where a task runs, or why nowhere. Pure: a snapshot of the workers in, a choice or the reasons out.

mod filter;
mod round_robin;

pub use filter::{NEVER_FITS, NoWorker, Rejection};
pub use round_robin::select_worker;

#[cfg(test)]
mod properties;
