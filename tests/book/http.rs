//! HTTP/1.1 over bare sockets: the bytes as a peer sends them, with nothing that a library would set right. Knows
//! no route.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::worker::PATIENCE;

/// One message: its first line and headers, and its body.
#[derive(Debug, Default)]
pub struct Message {
    pub head: String,
    pub body: String,
}

impl Message {
    /// Reads one message; `None` if the other side hangs up first.
    pub async fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        let head_ends = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let mut message =
            Self { head: String::from_utf8_lossy(&bytes[..head_ends]).into_owned(), body: String::new() };
        let length: usize = message.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        while bytes.len() < head_ends + 4 + length {
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
        message.body = String::from_utf8_lossy(&bytes[head_ends + 4..]).into_owned();
        Some(message)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// Of a response.
    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Of a request: method and path.
    pub fn target(&self) -> (&str, &str) {
        let mut words = self.head.split(' ');
        (words.next().unwrap_or(""), words.next().unwrap_or(""))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Sends `request` as it is and reads the answer.
pub async fn exchange(addr: SocketAddr, request: &str) -> Message {
    let talk = async {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        Message::read(&mut stream).await.unwrap_or_else(|| panic!("no answer to {request}"))
    };
    tokio::time::timeout(PATIENCE, talk).await.expect("an answer in time")
}

/// A request as Go's client writes it.
pub async fn go_request(addr: SocketAddr, method: &str, path: &str, body: Option<&str>) -> Message {
    let content = body.map_or_else(String::new, |body| {
        format!("Content-Length: {}\r\nContent-Type: application/json\r\n", body.len())
    });
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {addr}\r\nUser-Agent: Go-http-client/1.1\r\n{content}Accept-Encoding: gzip\r\n\r\n{}",
        body.unwrap_or("")
    );
    exchange(addr, &request).await
}

/// Shorter than any deadline of ours: what has to come at once comes within this.
pub const AT_ONCE: Duration = Duration::from_secs(10);
