//! The manager: decides what runs where. A pure core (`Manager::handle`), a driver around it, its API and its
//! store.

pub mod decide;
pub mod request;
