//! stub

mod address;
mod args;
mod environment;
mod exit;
#[cfg(test)]
mod fixture;
mod line;
mod resolve;
mod run;
