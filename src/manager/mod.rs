//! The manager: decides what runs where. A pure core (`decide`), a driver around it, the committer and its store,
//! a link to each worker, and the API.

pub mod api;
mod commit;
pub mod decide;
mod driver;
mod failure;
mod feed;
mod handle;
mod link;
pub mod logs;
mod message;
mod metrics;
mod pack;
pub mod plan;
mod process;
pub mod request;
pub mod secrets;
pub mod store;
pub mod trust;
pub mod why;
mod workers;

pub use driver::{Started, start};
pub use handle::Handle;
pub use workers::{WorkerAddress, Workers};
