//! What a container said, from the engine: one frame of the engine's is a line or a part of one, with its time.

use std::collections::VecDeque;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::query_parameters::{LogsOptions, LogsOptionsBuilder};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};

use super::Docker;
use crate::worker::runtime::{LogLine, LogLines, LogsQuery, OutputStream, RuntimeError, output::LineCutter};

/// Podman answers a follow with its first line only: a silent container must not look like a hung engine.
const FIRST_LINE_WITHIN: Duration = Duration::from_hours(24 * 365);

impl Docker {
    pub(super) fn container_logs(&self, container: &str, query: LogsQuery) -> Result<LogLines, RuntimeError> {
        let mut client = self.client()?;
        if query.follow {
            client = client.with_timeout(FIRST_LINE_WITHIN);
        }
        let reader = Reader {
            host: self.host.clone(),
            frames: client.logs(container, Some(options(query))).boxed(),
            lines: Lines { since: query.since, ..Lines::default() },
            found: VecDeque::new(),
            again: query.follow.then(|| (client, container.to_owned(), query)),
            is_over: false,
        };
        let lines = stream::unfold(reader, |mut reader| async move {
            let line = reader.next().await?;
            Some((line, reader))
        });
        Ok(lines.boxed())
    }
}

struct Reader {
    host: String,
    frames: BoxStream<'static, Result<LogOutput, bollard::errors::Error>>,
    lines: Lines,
    found: VecDeque<Result<LogLine, RuntimeError>>,
    /// An engine's follow may end with its container and yet without the last that it said (seen with Docker 20.10):
    /// after its end the rest is asked for.
    again: Option<(bollard::Docker, String, LogsQuery)>,
    is_over: bool,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<LogLine, RuntimeError>> {
        loop {
            if let Some(line) = self.found.pop_front() {
                return Some(line);
            }
            if self.is_over {
                return None;
            }
            match self.frames.next().await {
                Some(Ok(frame)) => self.lines.frame(frame, &mut self.found),
                Some(Err(error)) => {
                    self.found.push_back(Err(super::failure::failed(&self.host, error)));
                    self.is_over = true;
                }
                None => self.ended(),
            }
        }
    }

    fn ended(&mut self) {
        let Some((client, container, query)) = self.again.take() else {
            self.lines.finish(&mut self.found);
            self.is_over = true;
            return;
        };
        let query = LogsQuery { follow: false, ..self.lines.after(query) };
        self.lines.since = query.since;
        self.frames = client.logs(&container, Some(options(query))).boxed();
    }
}

fn options(query: LogsQuery) -> LogsOptions {
    let mut options =
        LogsOptionsBuilder::default().follow(query.follow).stdout(true).stderr(true).timestamps(true);
    if let Some(tail) = query.tail {
        options = options.tail(&tail.to_string());
    }
    if let Some(since) = query.since {
        // The engine takes whole seconds; the rest is left out here. Nothing was said before its time began.
        let seconds = since.as_second().clamp(0, i32::MAX.into());
        options = options.since(i32::try_from(seconds).unwrap_or(i32::MAX));
    }
    options.build()
}

/// Both streams, each of which may be within a line.
#[derive(Debug, Default)]
struct Lines {
    since: Option<Timestamp>,
    stdout: LineCutter,
    stderr: LineCutter,
    /// The time of the last line that had one.
    last: Timestamp,
}

impl Lines {
    /// What is asked for after the lines that were read.
    fn after(&self, query: LogsQuery) -> LogsQuery {
        if self.last == Timestamp::default() {
            return query;
        }
        let since = self.last.saturating_add(SignedDuration::from_nanos(1)).ok();
        LogsQuery { since, tail: None, ..query }
    }

    fn frame(&mut self, frame: LogOutput, found: &mut VecDeque<Result<LogLine, RuntimeError>>) {
        let stream = match &frame {
            LogOutput::StdErr { .. } => OutputStream::Stderr,
            LogOutput::StdOut { .. } | LogOutput::StdIn { .. } | LogOutput::Console { .. } => {
                OutputStream::Stdout
            }
        };
        let frame = frame.into_bytes();
        let (time, text) = split_time(&frame);
        let time = time.unwrap_or(self.last);
        self.last = self.last.max(time);
        let since = self.since;
        let cutter = match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        };
        cutter.push(time, text, |time, bytes| found.extend(wanted(since, time, stream, bytes).map(Ok)));
    }

    fn finish(&mut self, found: &mut VecDeque<Result<LogLine, RuntimeError>>) {
        let streams =
            [(OutputStream::Stdout, self.stdout.finish()), (OutputStream::Stderr, self.stderr.finish())];
        for (stream, rest) in streams {
            if let Some((time, bytes)) = rest {
                found.extend(wanted(self.since, time, stream, bytes).map(Ok));
            }
        }
    }
}

fn wanted(since: Option<Timestamp>, time: Timestamp, stream: OutputStream, bytes: Bytes) -> Option<LogLine> {
    since.is_none_or(|since| time >= since).then_some(LogLine { time, stream, bytes })
}

/// `2026-11-24T07:00:00.123456789Z the line`.
fn split_time(frame: &[u8]) -> (Option<Timestamp>, &[u8]) {
    let Some(space) = frame.iter().take(40).position(|byte| *byte == b' ') else { return (None, frame) };
    let time = std::str::from_utf8(&frame[..space]).ok().and_then(|time| time.parse().ok());
    match time {
        Some(time) => (Some(time), &frame[space + 1..]),
        None => (None, frame),
    }
}

#[cfg(test)]
mod tests {
    use bollard::container::LogOutput;

    use super::{Lines, LogsQuery, OutputStream, VecDeque, options};

    #[test]
    fn a_time_before_the_engines_began_is_the_beginning() {
        for (since, asked) in [
            ("-009999-01-02T01:59:59Z", 0),
            ("0000-01-01T00:00:00Z", 0),
            ("1950-01-01T00:00:00Z", 0),
            ("1970-01-01T00:01:00.5Z", 60),
            ("9999-01-01T00:00:00Z", i32::MAX),
        ] {
            let query = LogsQuery { since: Some(since.parse().unwrap()), ..LogsQuery::default() };
            assert_eq!(options(query).since, asked, "{since}");
        }
    }

    #[test]
    fn frames_become_lines_with_their_time_and_what_is_older_is_left_out() {
        let mut lines = Lines { since: "2026-11-24T07:00:00.5Z".parse().ok(), ..Lines::default() };
        let mut found = VecDeque::new();
        let out = |text: &'static str| LogOutput::StdOut { message: text.into() };
        let err = |text: &'static str| LogOutput::StdErr { message: text.into() };
        for frame in [
            out("2026-11-24T07:00:00.400000000Z too old\n"),
            out("2026-11-24T07:00:00.600000000Z a long "),
            err("2026-11-24T07:00:00.700000000Z in between\n"),
            out("2026-11-24T07:00:00.800000000Z line\n"),
            out("2026-11-24T07:00:00.900000000Z without an end"),
        ] {
            lines.frame(frame, &mut found);
        }
        lines.finish(&mut found);
        let told: Vec<_> = found
            .into_iter()
            .map(|line| line.unwrap())
            .map(|line| {
                (line.stream, String::from_utf8_lossy(&line.bytes).into_owned(), line.time.to_string())
            })
            .collect();
        let line =
            |stream, text: &str, time: &str| (stream, text.to_owned(), format!("2026-11-24T07:00:0{time}Z"));
        assert_eq!(
            told,
            [
                line(OutputStream::Stderr, "in between", "0.7"),
                line(OutputStream::Stdout, "a long line", "0.6"),
                line(OutputStream::Stdout, "without an end", "0.9"),
            ]
        );
    }
}
