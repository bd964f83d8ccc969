//! What a probe shows, and how one goes over the network, whatever the runtime. Knows no container.

use std::{error::Error as _, io, net::SocketAddr, sync::OnceLock, time::Duration};

use reqwest::{header, redirect};
use rustix::io::Errno;
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout as within};

use crate::{
    http::ClientError,
    task::{Probe, is_unprintable},
};

/// What is kept of a command's output.
const LINE_CHARS: usize = 200;

/// What a probe showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probed {
    Passed,
    /// The task's failure, for people: `503`, `connection refused`.
    Failed(String),
    /// The probe could not be carried out, and why: that says nothing of the task.
    Unknown(String),
}

impl Probed {
    pub(super) fn timed_out(timeout: Duration) -> Self {
        Self::Failed(format!("no answer within {} s", timeout.as_secs()))
    }

    /// How a command in the container ended.
    pub(super) fn of_command(code: i64, first_line: &str) -> Self {
        match (code, first_line) {
            (0, _) => Self::Passed,
            (code, "") => Self::Failed(format!("exit code {code}")),
            (code, line) => Self::Failed(format!("exit code {code}: {line}")),
        }
    }
}

/// Asks over the network. One for a runtime's life.
#[derive(Debug, Default)]
pub(super) struct Prober {
    /// Made when it is first needed: most workers never need it.
    client: OnceLock<reqwest::Client>,
}

fn client() -> reqwest::Client {
    // Fails where it was done before; a worker alone may be the first to need it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        // Where it points to is not what was asked about.
        .redirect(redirect::Policy::none())
        // A new connection each time: that a container accepts them is part of the question.
        .pool_max_idle_per_host(0)
        .user_agent(concat!("cube-tui/", env!("CARGO_PKG_VERSION")))
        // It asks over plain HTTP only: reading the system's certificates would take longer than the asking.
        .tls_certs_only([])
        .build()
        .expect("a client of fixed parts has nothing that can fail")
}

impl Prober {
    pub(super) async fn ask(&self, address: SocketAddr, probe: &Probe, timeout: Duration) -> Probed {
        match probe {
            Probe::Http { path, .. } => self.http(address, path, timeout).await,
            Probe::Tcp { .. } => tcp(address, timeout).await,
            Probe::Command(_) => Probed::Unknown("a command does not go over the network".to_owned()),
        }
    }

    async fn http(&self, address: SocketAddr, path: &str, timeout: Duration) -> Probed {
        let request = self
            .client
            .get_or_init(client)
            .get(format!("http://{address}{path}"))
            .header(header::ACCEPT, "*/*");
        // The head is enough; the body is left where it is.
        let answer = match within(timeout, request.send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if is_ours(&error) => {
                return Probed::Unknown(ClientError::from(error).to_string());
            }
            Ok(Err(error)) => return Probed::Failed(ClientError::from(error).to_string()),
            Err(_) => return Probed::timed_out(timeout),
        };
        match answer.status().as_u16() {
            200..400 => Probed::Passed,
            status => Probed::Failed(status.to_string()),
        }
    }
}

async fn tcp(address: SocketAddr, timeout: Duration) -> Probed {
    match within(timeout, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Probed::Passed,
        Ok(Err(error)) if is_shortage(&error) => Probed::Unknown(error.to_string()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Probed::Failed("connection refused".to_owned())
        }
        Ok(Err(error)) => Probed::Failed(error.to_string()),
        Err(_) => Probed::timed_out(timeout),
    }
}

/// Whether it failed before it left this machine.
fn is_ours(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.downcast_ref().is_some_and(is_shortage) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// No file, port or memory was left to ask with.
fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| shortages.contains(&errno))
}

/// The first line that says something, short and without what a terminal would obey.
#[derive(Debug, Default)]
pub(super) struct FirstLine {
    text: Vec<u8>,
    is_full: bool,
}

impl FirstLine {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                _ if self.is_full => return,
                b'\r' | b'\n' => self.is_full = !self.text.trim_ascii().is_empty(),
                // A character has at most four bytes.
                byte => self.text.push(*byte),
            }
            self.is_full |= self.text.len() >= 4 * LINE_CHARS;
        }
    }

    /// All that comes, to its end; only the first line is kept.
    pub(super) async fn read(&mut self, mut from: impl AsyncReadExt + Unpin) {
        let mut buffer = vec![0; 4096];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            self.push(&buffer[..read]);
        }
    }

    pub(super) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.text);
        text.trim().chars().map(|c| if is_unprintable(c) { ' ' } else { c }).take(LINE_CHARS).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, time::Duration};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        task::JoinSet,
    };

    use super::{FirstLine, Probed, Prober};
    use crate::task::Probe;

    /// Answers every connection with these words and leaves it open.
    async fn server(answer: &'static str) -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                if !answer.is_empty() && stream.read(&mut request).await.is_ok() {
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
                open.push(stream);
            }
        });
        (address, serving)
    }

    async fn ask(address: SocketAddr, probe: &str) -> Probed {
        let probe: Probe = probe.parse().unwrap();
        Prober::default().ask(address, &probe, Duration::from_secs(1)).await
    }

    #[tokio::test]
    async fn http_passes_by_its_status_without_reading_on() {
        let failed = |text: &str| Probed::Failed(text.to_owned());
        for (answer, expected) in [
            // The body that is announced never comes.
            ("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", Probed::Passed),
            ("HTTP/1.1 204 No Content\r\n\r\n", Probed::Passed),
            // Followed, it would lead to a port where nobody is.
            (
                "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
                Probed::Passed,
            ),
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", failed("404")),
            ("HTTP/1.1 503 Busy\r\nContent-Length: 9999\r\n\r\n", failed("503")),
            ("", failed("no answer within 1 s")),
        ] {
            let (address, _serving) = server(answer).await;
            assert_eq!(ask(address, "/health").await, expected, "{answer}");
            assert_eq!(ask(address, "tcp").await, Probed::Passed, "{answer}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_a_failure() {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        for probe in ["/", "tcp"] {
            assert_eq!(ask(address, probe).await, Probed::Failed("connection refused".to_owned()), "{probe}");
        }
    }

    #[test]
    fn of_a_commands_output_the_first_line_counts() {
        for (output, expected) in [
            (&["\n \nno ", "database\nmore"][..], "no database"),
            (&["a\x1b[2J\u{202e}b\r\n"], "a [2J b"),
            (&[""], ""),
        ] {
            let mut line = FirstLine::default();
            for part in output {
                line.push(part.as_bytes());
            }
            assert_eq!(line.text(), expected);
        }
        let mut line = FirstLine::default();
        line.push("ü".repeat(5000).as_bytes());
        assert_eq!(line.text().chars().count(), 200);
        assert_eq!(Probed::of_command(2, "x"), Probed::Failed("exit code 2: x".to_owned()));
    }
}
