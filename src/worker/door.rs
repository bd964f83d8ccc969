//! The loopback door: no credential is needed here, but browsers stay outside. Judged by Host and Origin, never by
//! content type. Knows no route.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, header, uri::Authority};

/// Why a request on a listener at `local` is not let in.
///
/// A page in a browser can reach a loopback port under a foreign name (DNS rebinding), which shows in `Host`, or
/// directly, which shows in `Origin`.
pub fn refusal(headers: &HeaderMap, local: SocketAddr) -> Option<&'static str> {
    let host = headers.get(header::HOST).map(|host| host.to_str().unwrap_or(""));
    if local.ip().is_loopback() && host.is_some_and(|host| !is_loopback(host)) {
        return Some("this address answers to its loopback names only (localhost, 127.0.0.1, [::1])");
    }
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let is_foreign =
        |origin: &str| origin.split_once("://").map(|(_, authority)| authority) != host || host.is_none();
    if origins.any(|origin| origin.to_str().map_or(true, is_foreign)) {
        return Some("requests from web pages of other origins are not answered");
    }
    None
}

fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::http::{HeaderMap, header};

    use super::refusal;

    #[test]
    fn browsers_stay_outside_and_programs_come_in() {
        let local: SocketAddr = "127.0.0.1:5555".parse().unwrap();
        for (host, origin, is_let_in) in [
            (Some("localhost:5555"), None, true),
            (Some("LOCALHOST"), None, true),
            (Some("127.0.0.1:5555"), None, true),
            (Some("127.9.9.9"), None, true),
            (Some("[::1]:5555"), None, true),
            (None, None, true),
            (Some("localhost:5555"), Some("http://localhost:5555"), true),
            (Some("evil.example:5555"), None, false),
            (Some("localhost.evil.example"), None, false),
            (Some("user@localhost@evil.example"), None, false),
            (Some(""), None, false),
            (Some("192.168.1.2:5555"), None, false),
            (Some("localhost:5555"), Some("http://evil.example"), false),
            (Some("localhost:5555"), Some("http://localhost:8080"), false),
            (Some("localhost:5555"), Some("null"), false),
            (None, Some("http://localhost:5555"), false),
        ] {
            let mut headers = HeaderMap::new();
            host.map(|host| headers.insert(header::HOST, host.parse().unwrap()));
            origin.map(|origin| headers.insert(header::ORIGIN, origin.parse().unwrap()));
            assert_eq!(refusal(&headers, local).is_none(), is_let_in, "{host:?} {origin:?}");
        }
    }

    #[test]
    fn two_origins_are_no_better_than_the_worse() {
        let local: SocketAddr = "127.0.0.1:5555".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "localhost:5555".parse().unwrap());
        headers.append(header::ORIGIN, "http://localhost:5555".parse().unwrap());
        headers.append(header::ORIGIN, "http://evil.example".parse().unwrap());
        assert!(refusal(&headers, local).is_some());
    }
}
