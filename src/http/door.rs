//! The door: a loopback listener asks for no credential, so browsers must stay out. A page of another site could
//! otherwise drive it, by a request of its own (a foreign Origin) or by DNS rebinding (a foreign Host).

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN};

use super::Refusal;

pub(super) fn keep_browsers_out(request: &Request) -> Option<Refusal> {
    let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = header(HOST).or_else(|| request.uri().authority().map(axum::http::uri::Authority::as_str));
    refusal(host, header(ORIGIN)).map(|why| Refusal::new(403, why))
}

/// Why a request with these headers is not let in.
fn refusal(host: Option<&str>, origin: Option<&str>) -> Option<String> {
    // Without a Host it is no browser.
    let host = host.unwrap_or("localhost");
    if !is_loopback(host) {
        return Some(format!("the Host header names {host}; use localhost or 127.0.0.1"));
    }
    match origin {
        Some(origin) if origin.strip_prefix("http://") != Some(host) => {
            Some(format!("requests from pages of {origin} are not taken"))
        }
        _ => None,
    }
}

/// Whether `host` (`name`, `name:port`, `[v6]:port`) is this machine's own loopback.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::refusal;

    #[test]
    fn loopback_hosts_are_let_in_and_foreign_ones_are_not() {
        for host in
            ["localhost", "localhost:5556", "LOCALHOST:1", "127.0.0.1:5556", "127.8.8.8", "[::1]:5556", "::1"]
        {
            assert_eq!(refusal(Some(host), None), None, "{host}");
        }
        assert_eq!(refusal(None, None), None);
        for host in [
            "evil.example",
            "evil.example:5556",
            "10.0.0.1:5556",
            "localhost.evil.example",
            "",
            "[::2]:1",
            "?",
        ] {
            assert!(refusal(Some(host), None).is_some(), "{host}");
        }
    }

    #[test]
    fn only_the_own_origin_is_let_in() {
        assert_eq!(refusal(Some("localhost:5556"), Some("http://localhost:5556")), None);
        for origin in ["null", "http://evil.example", "http://localhost:8080", "https://localhost:5556", ""] {
            assert!(refusal(Some("localhost:5556"), Some(origin)).is_some(), "{origin}");
        }
    }
}
