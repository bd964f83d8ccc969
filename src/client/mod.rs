//! The client of a manager's API, and the one handle through which dashboard and commands use a manager wherever it
//! runs. (The client of a worker's API lies in the worker's room, since the manager uses it too.)

mod handle;
mod manager;
mod members;
mod names;
mod probe;
mod secrets;
mod watchdog;
mod why;

pub use handle::{ExecConnection, ManagerHandle, Resume, Watch};
pub use manager::ManagerClient;
pub use members::join;
pub use names::TaskName;

pub use crate::http::{ClientError, http_client};
pub use crate::worker::WorkerClient;
