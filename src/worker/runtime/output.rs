//! What a container says, line by line, and a command that is run in it: the plain values that runtimes and their
//! users share. Knows no engine.

use bytes::Bytes;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::RuntimeError;

/// A line is broken after this many bytes: nothing of it is lost, and nobody has to hold more than this at once.
pub const LONGEST_LOG_LINE: usize = 64 << 10;

/// Which lines are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsQuery {
    /// Goes on with what comes, until the container ends.
    #[serde(default)]
    pub follow: bool,
    /// Only lines of this time and later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only so many, the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<usize>,
}

impl LogsQuery {
    /// As both APIs take it: `follow=true&since=2026-11-24T07:00:00Z&tail=3`.
    pub(crate) fn in_url(self) -> String {
        let since = self.since.map(|since| format!("&since={since}")).unwrap_or_default();
        let tail = self.tail.map(|tail| format!("&tail={tail}")).unwrap_or_default();
        format!("follow={}{since}{tail}", self.follow)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutputStream {
    Stdout,
    Stderr,
}

impl OutputStream {
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A line that a container wrote, without its line break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub time: Timestamp,
    pub stream: OutputStream,
    pub bytes: Bytes,
}

/// Lines, the oldest first. Whoever does not ask for the next one holds the engine up, and nothing is gathered.
pub type LogLines = BoxStream<'static, Result<LogLine, RuntimeError>>;

/// A command to run in a container that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
// A mistyped `user` must not be the container's own.
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// The program and its arguments.
    pub cmd: Vec<String>,
    /// In a terminal of its own, of this size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tty: Option<TerminalSize>,
    /// Something is going to be typed; else its input is at its end from the start.
    #[serde(default)]
    pub stdin: bool,
    /// `KEY=VALUE`, beside those of the container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Instead of the container's own user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TerminalSize {
    pub columns: u16,
    pub rows: u16,
}

/// What goes to a command that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecInput {
    Stdin(Bytes),
    StdinEnd,
    Resize(TerminalSize),
}

/// What comes from it. With a terminal all of it is stdout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecOutput {
    pub stream: OutputStream,
    pub bytes: Bytes,
}

/// Cuts what a stream says into lines; a line without an end is kept until it has one.
#[derive(Debug, Default)]
pub(super) struct LineCutter {
    begun: Option<(Timestamp, Vec<u8>)>,
}

impl LineCutter {
    /// Takes in `bytes` that were written at `time`, and hands out the lines that are whole.
    pub(super) fn push(&mut self, time: Timestamp, bytes: &[u8], mut line: impl FnMut(Timestamp, Bytes)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (piece, is_whole) = match piece.strip_suffix(b"\n") {
                Some(piece) => (piece, true),
                None => (piece, false),
            };
            if is_whole && self.begun.is_none() && piece.len() <= LONGEST_LOG_LINE {
                line(time, Bytes::copy_from_slice(piece));
                continue;
            }
            self.add(time, piece, &mut line);
            if is_whole && let Some((begun, whole)) = self.begun.take() {
                line(begun, whole.into());
            }
        }
    }

    fn add(&mut self, time: Timestamp, mut piece: &[u8], line: &mut impl FnMut(Timestamp, Bytes)) {
        loop {
            let (_, begun) = self.begun.get_or_insert_with(|| (time, Vec::new()));
            let (fits, rest) = piece.split_at(piece.len().min(LONGEST_LOG_LINE - begun.len()));
            begun.extend_from_slice(fits);
            if rest.is_empty() {
                return;
            }
            if let Some((begun, broken)) = self.begun.take() {
                line(begun, broken.into());
            }
            piece = rest;
        }
    }

    /// The stream has ended: what was begun is the last line.
    pub(super) fn finish(&mut self) -> Option<(Timestamp, Bytes)> {
        self.begun.take().map(|(time, bytes)| (time, bytes.into()))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{Exec, LONGEST_LOG_LINE, LineCutter};

    fn cut(pieces: &[&[u8]]) -> (Vec<String>, Option<String>) {
        let mut cutter = LineCutter::default();
        let mut lines = Vec::new();
        for piece in pieces {
            cutter.push(Timestamp::UNIX_EPOCH, piece, |_, line| {
                lines.push(String::from_utf8_lossy(&line).into_owned());
            });
        }
        let rest = cutter.finish().map(|(_, rest)| String::from_utf8_lossy(&rest).into_owned());
        (lines, rest)
    }

    #[test]
    fn a_mistyped_user_of_a_command_is_refused_by_its_name() {
        let error = serde_json::from_str::<Exec>(r#"{"cmd":["id"],"usr":"nobody"}"#).unwrap_err().to_string();
        assert!(error.contains("`usr`") && error.contains("`user`"), "{error}");
    }

    #[test]
    fn pieces_become_lines_and_the_last_one_needs_no_end() {
        assert_eq!(cut(&[b"one\ntwo\n"]), (vec!["one".into(), "two".into()], None));
        assert_eq!(cut(&[b"o", b"ne\n\ntw", b"o"]), (vec!["one".into(), String::new()], Some("two".into())));
        assert_eq!(cut(&[]), (vec![], None));
    }

    #[test]
    fn a_line_without_end_is_broken_and_nothing_of_it_is_lost() {
        let long = vec![b'x'; LONGEST_LOG_LINE * 2 + 10];
        let (lines, rest) = cut(&[&long, b"y\n"]);
        let lengths: Vec<_> = lines.iter().map(String::len).collect();
        assert_eq!(lengths, [LONGEST_LOG_LINE, LONGEST_LOG_LINE, 11]);
        assert_eq!(rest, None);
    }
}
