//! What both APIs have in common, at either end: serving, the door against browsers, refusals in the book's form,
//! bodies of JSON lines, the one client and why a request failed. Knows no routes.

mod body;
mod caller;
mod client;
mod cut;
mod door;
mod front;
mod json_lines;
mod patience;
mod read_array;
mod read_lines;
mod refusal;
mod routes;
mod serve;
mod tls;
mod together;

pub use body::LARGEST_BODY;
pub use caller::Caller;
pub use client::{
    CONNECT_WITHIN, ClientError, NOT_PLAIN, REFUSED, STRANGER, checked, http_client, https_client,
};
pub use json_lines::json_lines;
pub use read_array::read_array;
pub use read_lines::read_lines;
pub use refusal::Refusal;
pub use routes::{Access, Answered, Route, Routes};
pub use serve::serve;
pub use tls::{Guests, TlsDoor, serve_tls};
pub use together::together;
