//! The HTTP clients of both APIs, and the one handle through which dashboard and commands use a manager.

mod handle;

pub use handle::{ManagerHandle, Watch};
