//! Why a request over HTTP failed, in words for people. Knows no route.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde::Deserialize;

/// Connecting to a living host takes milliseconds, even far away.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// A connection is kept for the next request for this long: shorter than any of our listeners keeps it, so that no
/// request meets one that is just being closed.
const IDLE_FOR: Duration = Duration::from_secs(10);

/// The one HTTP client of a process.
///
/// # Panics
/// Never in practice: with a provider of cryptography and without proxies there is nothing to fail.
pub fn http_client() -> reqwest::Client {
    // Fails where it was done before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // It speaks plain HTTP, and so trusts nobody: reading all that the system trusts would take some 10 ms of every start.
    builder().tls_certs_only([]).build().expect("a client of fixed parts has nothing that can fail")
}

/// A client of whoever proves itself by `config` at one of `hosts`: the host name in a URL says who is meant, and its port
/// where it listens there.
///
/// # Panics
/// Never in practice, as the other.
pub fn https_client(config: rustls::ClientConfig, hosts: Vec<String>) -> reqwest::Client {
    builder()
        .https_only(true)
        .tls_backend_preconfigured(config)
        .dns_resolver(Arc::new(At(hosts)))
        .build()
        .expect("a client of fixed parts has nothing that can fail")
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_WITHIN)
        .pool_idle_timeout(IDLE_FOR)
        .tcp_keepalive(Duration::from_secs(30))
        // The cluster's own addresses never lie behind a proxy of the user's.
        .no_proxy()
}

/// Finds every name at the same hosts.
struct At(Vec<String>);

impl Resolve for At {
    fn resolve(&self, _: Name) -> Resolving {
        let hosts = self.0.clone();
        Box::pin(async move {
            let mut found = Vec::new();
            for host in hosts {
                // The port is the URL's.
                found.extend(tokio::net::lookup_host((host, 0)).await?);
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Why there is no good answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// An answer other than success.
    #[error("{message}")]
    Refused { status: u16, message: String },
    /// No answer. With `may_have_arrived`, the other side may have done what was asked.
    #[error("{reason}")]
    Unreachable { reason: String, may_have_arrived: bool },
}

impl ClientError {
    /// Whether the same request may succeed later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status >= 500 || *status == 429,
            Self::Unreachable { .. } => true,
        }
    }
}

impl From<reqwest::Error> for ClientError {
    fn from(error: reqwest::Error) -> Self {
        Self::Unreachable { may_have_arrived: !error.is_connect(), reason: innermost(&error) }
    }
}

/// Nobody listens.
pub const REFUSED: &str = "connection refused";
/// Somebody listens, and is not whom the client looks for.
pub const STRANGER: &str = "who answers there shows the certificate of another cluster, or of nobody's";
/// Somebody listens, with TLS or whatever else it is.
pub const NOT_PLAIN: &str = "what answers there does not speak plain HTTP";

/// The cause at the bottom, which names the fault; the layers above it name each other.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    if let Some(rustls::Error::InvalidCertificate(_)) = within_io(cause) {
        return STRANGER.to_owned();
    }
    if cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
        return NOT_PLAIN.to_owned();
    }
    match cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(std::io::ErrorKind::ConnectionRefused) => REFUSED.to_owned(),
        Some(std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::UnexpectedEof) => {
            "connection cut".to_owned()
        }
        _ => cause.to_string(),
    }
}

/// What an error is, or is made of: an io::Error does not name that as its source.
fn within_io<'a, T: Error + 'static>(mut error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    loop {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        error = error.downcast_ref::<std::io::Error>()?.get_ref()?;
    }
}

/// The answer if it is a success, or its error text (the book's form, or whatever it is).
pub async fn checked(response: reqwest::Response) -> Result<reqwest::Response, ClientError> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(rename = "Message")]
        message: String,
    }
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    let message = match serde_json::from_str::<Body>(&text) {
        Ok(body) => body.message.trim().to_owned(),
        Err(_) if text.trim().is_empty() => status.to_string(),
        Err(_) => text.trim().chars().take(300).collect(),
    };
    Err(ClientError::Refused { status: status.as_u16(), message })
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_does_not_speak_http_is_told_in_words() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let asked = tokio::spawn(async move { http_client().get(url).send().await.map(drop) });
        let (mut stream, _) = listener.accept().await.unwrap();
        // As a TLS listener answers a request that is none of TLS.
        stream.write_all(&[21, 3, 3, 0, 2, 2, 70]).await.unwrap();
        let error = ClientError::from(asked.await.unwrap().unwrap_err());
        assert_eq!(error.to_string(), NOT_PLAIN);
    }

    #[test]
    fn what_an_io_error_is_made_of_is_found() {
        let inner = std::io::Error::other(rustls::Error::DecryptError);
        let error = std::io::Error::other(inner);
        assert_eq!(within_io::<rustls::Error>(&error), Some(&rustls::Error::DecryptError));
        assert!(within_io::<rustls::Error>(&std::io::Error::other("no")).is_none());
    }
}
