//! What an engine's failure means, in words for people. Knows no container.

use std::time::Duration;

use bollard::errors::Error;

use super::Docker;
use crate::worker::runtime::RuntimeError;

/// How a call with a deadline failed.
#[derive(Debug)]
pub(super) enum Call {
    Failed(Error),
    NoAnswer(Duration),
}

/// The HTTP status of an engine's refusal.
pub(super) fn status_of(error: &Call) -> Option<u16> {
    match error {
        Call::Failed(Error::DockerResponseServerError { status_code, .. }) => Some(*status_code),
        Call::Failed(_) | Call::NoAnswer(_) => None,
    }
}

impl Docker {
    pub(super) fn call_failed(&self, error: Call) -> RuntimeError {
        match error {
            Call::Failed(error) => self.failed(error),
            Call::NoAnswer(deadline) => RuntimeError::Unreachable(format!(
                "the container engine at {} did not answer within {} s; look at it with `systemctl status docker`",
                self.host,
                deadline.as_secs()
            )),
        }
    }

    pub(super) fn failed(&self, error: Error) -> RuntimeError {
        failed(&self.host, error)
    }
}

/// The same where only the engine's address is at hand.
pub(super) fn failed(host: &str, error: Error) -> RuntimeError {
    match error {
        Error::DockerResponseServerError { message, .. } | Error::DockerStreamError { error: message } => {
            RuntimeError::Refused(message.trim().to_owned())
        }
        Error::UnsupportedURISchemeError { uri } => RuntimeError::Unreachable(format!(
            "DOCKER_HOST {uri} is of a kind that is not supported here; use unix:///path or tcp://host:port"
        )),
        other => RuntimeError::Unreachable(unreachable(host, &other)),
    }
}

fn unreachable(host: &str, error: &Error) -> String {
    let kind = io_kind(error);
    let (why, what_to_do) = match (error, kind) {
        (Error::SocketNotFoundError(_), _) | (_, Some(std::io::ErrorKind::NotFound)) => {
            ("there is no such socket".to_owned(), "is Docker installed and running?")
        }
        (_, Some(std::io::ErrorKind::PermissionDenied)) => {
            ("permission denied".to_owned(), "is this user in the group `docker`?")
        }
        (_, Some(std::io::ErrorKind::ConnectionRefused)) => {
            ("connection refused".to_owned(), "is Docker running? try `systemctl start docker`")
        }
        (Error::RequestTimeoutError, _) => {
            ("no answer in time".to_owned(), "look at it with `systemctl status docker`")
        }
        _ => (innermost(error), "is Docker running?"),
    };
    format!("cannot reach the container engine at {host} ({why}); {what_to_do}")
}

/// Transport errors wrap the one that tells.
fn io_kind(error: &Error) -> Option<std::io::ErrorKind> {
    let mut error: &dyn std::error::Error = error;
    loop {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        error = error.source()?;
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
