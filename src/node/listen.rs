//! Opening a port on loopback, or saying why not.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, lookup_host};

/// Why an API can't listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(
        "the {what} cannot listen at {address}: that is beyond loopback, where it would take anybody's word over plain \
         HTTP. Leave it on localhost: `cube-tui invite`, while the manager runs, opens a second listener with TLS and \
         prints the one line with which another host joins (`cube-tui worker --join LINE`, `cube-tui join LINE`)"
    )]
    BeyondLoopback { what: &'static str, address: String },
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
    let found = look_up(address).await?;
    if found.iter().any(|found| !found.ip().is_loopback()) {
        return Err(ListenError::BeyondLoopback { what: address.what, address: shown(address) });
    }
    bind(address, &found).await
}

/// Listens at `address`, wherever that is: for a listener that asks everyone for a certificate.
pub async fn listen_anywhere(address: &Address) -> Result<TcpListener, ListenError> {
    let found = look_up(address).await?;
    bind(address, &found).await
}

fn shown(Address { host, port, .. }: &Address) -> String {
    format!("{host}:{port}")
}

fn other(address: &Address, error: io::Error) -> ListenError {
    ListenError::Other { what: address.what, address: shown(address), variable: address.variable, error }
}

async fn look_up(address: &Address) -> Result<Vec<SocketAddr>, ListenError> {
    let found = lookup_host((address.host.as_str(), address.port)).await;
    let mut found: Vec<SocketAddr> = found.map_err(|error| other(address, error))?.collect();
    // IPv4 first: that is where the book's peers look for localhost.
    found.sort_by_key(SocketAddr::is_ipv6);
    Ok(found)
}

async fn bind(address: &Address, found: &[SocketAddr]) -> Result<TcpListener, ListenError> {
    let first = found.first().ok_or_else(|| other(address, io::Error::other("no such host")))?;
    TcpListener::bind(first).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            ListenError::InUse { what: address.what, address: shown(address), variable: address.variable }
        }
        _ => other(address, error),
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
