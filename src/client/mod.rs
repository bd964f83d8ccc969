//! The HTTP clients of both APIs, and the one handle through which dashboard and commands use a manager.

mod error;
mod handle;
mod lines;
mod manager;
mod worker;

pub use error::{ClientError, http_client};
pub use handle::{ManagerHandle, Watch};
pub use manager::ManagerClient;
pub use worker::WorkerClient;
