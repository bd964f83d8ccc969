//! HealthCheck: how a worker finds out whether a task does its work, and Health: what it found. Knows no one who
//! looks.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::is_unprintable;

/// A check and its pace. The worker that runs the task carries it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    pub probe: Probe,
    /// From the start on, as long as no probe passed, failures don't count for this long.
    pub start_period_s: u32,
    /// From one probe's end to the next.
    pub interval_s: u32,
    /// A probe that takes longer has failed.
    pub timeout_s: u32,
    /// Failures in a row that make a task unhealthy.
    pub retries: u32,
}

impl HealthCheck {
    /// Docker has 0, for it only marks what is unhealthy; here it is stopped, and programs need time to begin.
    pub const DEFAULT_START_PERIOD_S: u32 = 30;
    /// With three retries a fault is known within half a minute.
    pub const DEFAULT_INTERVAL_S: u32 = 10;
    pub const DEFAULT_TIMEOUT_S: u32 = 5;
    pub const DEFAULT_RETRIES: u32 = 3;

    /// At the default pace.
    pub fn new(probe: Probe) -> Self {
        Self {
            probe,
            start_period_s: Self::DEFAULT_START_PERIOD_S,
            interval_s: Self::DEFAULT_INTERVAL_S,
            timeout_s: Self::DEFAULT_TIMEOUT_S,
            retries: Self::DEFAULT_RETRIES,
        }
    }

    pub fn start_period(&self) -> Duration {
        Duration::from_secs(self.start_period_s.into())
    }

    pub fn interval(&self) -> Duration {
        Duration::from_secs(self.interval_s.into())
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s.into())
    }
}

/// What is tried. A port is the container's; `None` is the first that the task exposes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Passes with a status of 200 to 399. On the wire `/path` (the book's form) or `http:8080/path`.
    Http { port: Option<u16>, path: String },
    /// Passes when somebody accepts the connection. On the wire `tcp:5432` or `tcp`.
    Tcp { port: Option<u16> },
    /// Program and arguments, run in the container: passes with exit code 0. On the wire a field of its own.
    Command(Vec<String>),
}

impl Probe {
    /// What the wire's `HealthCheck` says of it: nothing of a command.
    pub fn wire(&self) -> String {
        match self {
            Self::Http { port: None, path } => path.clone(),
            Self::Http { port: Some(port), path } => format!("http:{port}{path}"),
            Self::Tcp { port: None } => "tcp".to_owned(),
            Self::Tcp { port: Some(port) } => format!("tcp:{port}"),
            Self::Command(_) => String::new(),
        }
    }

    /// The port that it names.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Http { port, .. } | Self::Tcp { port } => *port,
            Self::Command(_) => None,
        }
    }

    /// The same on `port`, if it names none.
    #[must_use]
    pub fn or_port(mut self, first: Option<u16>) -> Self {
        match &mut self {
            Self::Http { port, .. } | Self::Tcp { port } => *port = port.or(first),
            Self::Command(_) => {}
        }
        self
    }
}

/// For people: `GET /health on port 8080`.
impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { port: None, path } => write!(f, "GET {path}"),
            Self::Http { port: Some(port), path } => write!(f, "GET {path} on port {port}"),
            Self::Tcp { port: None } => f.write_str("TCP"),
            Self::Tcp { port: Some(port) } => write!(f, "TCP port {port}"),
            Self::Command(words) => f.write_str(&words.join(" ")),
        }
    }
}

impl FromStr for Probe {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || "expected a path such as /health, or http:8080/health, or tcp:5432, or tcp".to_owned();
        let port = |text: &str| {
            let is_number = text.starts_with(|c: char| matches!(c, '1'..='9'));
            text.parse::<u16>().ok().filter(|_| is_number).ok_or_else(expected)
        };
        if text.contains(|c: char| is_unprintable(c) || c == ' ') {
            return Err(expected());
        }
        if text.starts_with('/') {
            return Ok(Self::Http { port: None, path: text.to_owned() });
        }
        match text.split_once(':') {
            None if text == "tcp" => Ok(Self::Tcp { port: None }),
            Some(("tcp", number)) => Ok(Self::Tcp { port: Some(port(number)?) }),
            Some(("http", rest)) => {
                let (number, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let path = if path.is_empty() { "/" } else { path };
                Ok(Self::Http { port: Some(port(number)?), path: path.to_owned() })
            }
            _ => Err(expected()),
        }
    }
}

/// What the checks of a running task showed last. Told when the verdict changes, not with every probe.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Health {
    pub verdict: Verdict,
    /// The last failure before this verdict, for people; empty if there was none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub failure: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No probe passed yet.
    #[default]
    Starting,
    Healthy,
    Unhealthy,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl FromStr for Verdict {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Starting, Self::Healthy, Self::Unhealthy]
            .into_iter()
            .find(|verdict| verdict.name() == text)
            .ok_or_else(|| "expected \"starting\", \"healthy\" or \"unhealthy\"".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::Probe;

    #[test]
    fn probes_are_read_and_written_in_one_form() {
        let http = |port, path: &str| Probe::Http { port, path: path.to_owned() };
        for (text, probe, shown) in [
            ("/health", http(None, "/health"), "GET /health"),
            ("/", http(None, "/"), "GET /"),
            ("/größe?a=b:c", http(None, "/größe?a=b:c"), "GET /größe?a=b:c"),
            ("http:8080/health", http(Some(8080), "/health"), "GET /health on port 8080"),
            ("http:1/a:2", http(Some(1), "/a:2"), "GET /a:2 on port 1"),
            ("tcp:5432", Probe::Tcp { port: Some(5432) }, "TCP port 5432"),
            ("tcp", Probe::Tcp { port: None }, "TCP"),
        ] {
            let read: Probe = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(read, probe, "{text}");
            assert_eq!(read.wire(), text);
            assert_eq!(read.to_string(), shown);
        }
        assert_eq!("http:80".parse(), Ok(http(Some(80), "/")));
        for text in [
            "health",
            "http",
            "http:",
            "http:/x",
            "http://localhost/x",
            "http:0/x",
            "http:+1/x",
            "http:65536/x",
            "https:443/x",
            "tcp:",
            "tcp:x",
            "tcp:080",
            "tcp:80/x",
            "udp:53",
            "HTTP:80/",
            "/a b",
            "/a\n",
            "/\u{202e}",
            "http:80/\x1b",
        ] {
            assert!(text.parse::<Probe>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_probe_without_a_port_takes_another() {
        assert_eq!(Probe::Tcp { port: None }.or_port(Some(1)).port(), Some(1));
        assert_eq!(Probe::Tcp { port: Some(2) }.or_port(Some(1)).port(), Some(2));
        assert_eq!(Probe::Command(vec!["a".into()]).or_port(Some(1)).port(), None);
    }
}
