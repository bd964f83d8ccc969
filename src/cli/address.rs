//! `HOST:PORT` as flags and variables give it. Resolves nothing.

use std::{fmt, net::IpAddr, str::FromStr};

/// Where an API listens or is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address, without brackets.
    pub host: String,
    pub port: u16,
}

impl Address {
    pub fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port }
    }

    /// Whether nobody but this machine can get there.
    pub fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected HOST:PORT, such as localhost:5555, found {text:?}");
        let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
        let port = port.parse().map_err(|_| expected())?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(host) if host.parse::<IpAddr>().is_ok() => host,
            Some(_) => return Err(expected()),
            None => host,
        };
        let is_name = |host: &str| host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
        if host.is_empty() || !(is_name(host) || host.parse::<IpAddr>().is_ok()) {
            return Err(expected());
        }
        Ok(Self::new(host, port))
    }
}

/// A worker for `--worker`: plain HTTP, so it has to be on this machine, or look so.
pub fn loopback_worker(text: &str) -> Result<Address, String> {
    let address: Address = text.parse()?;
    if address.is_loopback() {
        return Ok(address);
    }
    let host = &address.host;
    Err(format!(
        "{address} is not on this machine, and over plain HTTP everyone on the way could run containers there. \
         Join it with TLS instead: `cube-tui invite` here, and what it prints on {host}. For a worker of the book, on a \
         network that you trust as a whole, there is --insecure-worker {address}"
    ))
}

#[cfg(test)]
mod tests {
    use super::{Address, loopback_worker};

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for text in ["localhost:5555", "127.0.0.1:0", "[::1]:80", "worker-1.example:65535"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in ["", "localhost", ":80", "localhost:", "localhost:65536", "http://x:80", "[x]:1", "a b:1"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_worker_elsewhere_is_refused_and_both_ways_out_are_named() {
        for text in ["localhost:1", "LOCALHOST:1", "127.3.2.1:1", "[::1]:1"] {
            assert!(loopback_worker(text).is_ok(), "{text}");
        }
        for text in ["10.0.0.2:5555", "0.0.0.0:5555", "worker:5555", "localhost.evil:1"] {
            let error = loopback_worker(text).unwrap_err();
            assert!(error.contains(&format!("--insecure-worker {text}")), "{error}");
            assert!(error.contains("cube-tui invite"), "{error}");
        }
    }
}
