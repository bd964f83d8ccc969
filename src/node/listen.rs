//! Opening a port on loopback, or saying why not.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, lookup_host};

/// Why an API can't listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(
        "the {what} cannot listen at {address}: that is beyond loopback, and this version has neither TLS nor \
         logins to keep strangers out. Listen on localhost, and reach it from elsewhere through an SSH tunnel: \
         ssh -L {port}:localhost:{port} THIS_HOST"
    )]
    BeyondLoopback { what: &'static str, address: String, port: u16 },
    #[error(
        "the {what} cannot listen at {address}: another program is using it. Stop that program, or choose another \
         port with {variable}=PORT (0 takes a free one)"
    )]
    InUse { what: &'static str, address: String, variable: &'static str },
    #[error("the {what} cannot listen at {address}: {error}; set {variable} to a port that is free")]
    Other { what: &'static str, address: String, variable: &'static str, error: io::Error },
}

/// Where an API is to listen, and what it is called in messages.
#[derive(Clone, Debug)]
pub struct Address {
    pub what: &'static str,
    pub host: String,
    pub port: u16,
    /// The environment variable that sets the port.
    pub variable: &'static str,
}

/// Listens at `address`, which must be this host's loopback.
pub async fn listen(address: &Address) -> Result<TcpListener, ListenError> {
    let Address { what, host, port, variable } = address.clone();
    let shown = format!("{host}:{port}");
    let other = |error| ListenError::Other { what, address: shown.clone(), variable, error };
    let mut found: Vec<SocketAddr> = lookup_host((host.as_str(), port)).await.map_err(other)?.collect();
    // IPv4 first: that is where the book's peers look for localhost.
    found.sort_by_key(SocketAddr::is_ipv6);
    if found.iter().any(|found| !found.ip().is_loopback()) {
        return Err(ListenError::BeyondLoopback { what, address: shown, port });
    }
    let first = *found.first().ok_or_else(|| other(io::Error::other("no such host")))?;
    TcpListener::bind(first).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { what, address: shown.clone(), variable },
        _ => other(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, port: u16) -> Address {
        Address { what: "manager", host: host.into(), port, variable: "CUBE_MANAGER_PORT" }
    }

    #[tokio::test]
    async fn port_0_takes_a_free_one_and_a_taken_one_names_the_address() {
        let listener = listen(&at("localhost", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = listen(&at("localhost", port)).await.unwrap_err();
        assert!(matches!(error, ListenError::InUse { .. }));
        assert!(error.to_string().contains(&format!("localhost:{port}")), "{error}");
    }

    #[tokio::test]
    async fn beyond_loopback_is_refused() {
        for host in ["0.0.0.0", "::", "192.0.2.1"] {
            let error = listen(&at(host, 0)).await.unwrap_err();
            assert!(matches!(error, ListenError::BeyondLoopback { .. }), "{error}");
        }
    }
}
