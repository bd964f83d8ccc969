//! What tasks say, as far as the dashboard keeps it: the newest lines, what is looked for in them, and which part is
//! looked at. Knows no screen and no manager.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tui_input::Input;

use crate::manager::logs::LogItem;
use crate::task::TaskId;
use crate::worker::runtime::OutputStream;

use super::sgr::{keep_colours, without_colours};

/// Lines that are kept: a few megabytes, and more than anybody scrolls through.
pub(super) const KEPT_LINES: usize = 10_000;

/// What was said before comes sooner than this.
const HEARD_WITHIN: SignedDuration = SignedDuration::from_secs(1);

/// From when on lines are asked for, by the keys 0 to 4.
pub(super) const RANGES: [(&str, Option<SignedDuration>); 5] = [
    ("", None),
    ("1m", Some(SignedDuration::from_mins(1))),
    ("5m", Some(SignedDuration::from_mins(5))),
    ("15m", Some(SignedDuration::from_mins(15))),
    ("1h", Some(SignedDuration::from_hours(1))),
];

/// The logs overlay.
#[derive(Clone, Debug)]
pub(super) struct Logs {
    pub(super) request: u64,
    pub(super) tasks: Vec<TaskId>,
    entries: VecDeque<Entry>,
    /// How many lines were let go before the first that is there. Lines are known by their number, counted from the
    /// first ever.
    gone: usize,
    /// The newest lines are shown; else the one with this number stands on top.
    pub(super) top: Option<usize>,
    /// The number of the first line that came since somebody scrolled up.
    pub(super) unseen_from: usize,
    pub(super) wraps: bool,
    pub(super) times: bool,
    /// A row of [`RANGES`].
    pub(super) range: usize,
    search: String,
    /// The numbers of the lines with a hit.
    hits: VecDeque<usize>,
    /// The hit that was gone to last.
    pub(super) hit: Option<usize>,
    /// What is looked for, while it is typed.
    pub(super) input: Option<Input>,
    pub(super) standing: Standing,
    /// Since when there is a stream to hear them from.
    pub(super) opened: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Asked,
    Live,
    /// The tasks have ended.
    Ended,
    Cut(String),
}

/// A line.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: Arc<str>,
    pub(super) time: Option<Timestamp>,
    pub(super) kind: Kind,
    /// Safe to show; colours are in it yet.
    pub(super) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Stdout,
    Stderr,
    /// Not the task's own.
    Note,
    Failed,
}

impl Logs {
    pub(super) fn new(request: u64, tasks: Vec<TaskId>) -> Self {
        Self {
            request,
            tasks,
            entries: VecDeque::new(),
            gone: 0,
            top: None,
            unseen_from: 0,
            wraps: false,
            times: true,
            range: 0,
            search: String::new(),
            hits: VecDeque::new(),
            hit: None,
            input: None,
            standing: Standing::Asked,
            opened: None,
        }
    }

    /// Begins anew with what another request brings.
    pub(super) fn restart(&mut self, request: u64) {
        let tasks = std::mem::take(&mut self.tasks);
        let (wraps, times, range, search) =
            (self.wraps, self.times, self.range, std::mem::take(&mut self.search));
        *self = Self { wraps, times, range, search, ..Self::new(request, tasks) };
    }

    /// Whether there was time to hear what was said before.
    pub(super) fn would_have_heard(&self, now: Timestamp) -> bool {
        self.opened.is_some_and(|opened| now.duration_since(opened) >= HEARD_WITHIN)
    }

    pub(super) fn take(&mut self, item: LogItem) {
        self.standing = Standing::Live;
        let entry = match item {
            LogItem::Line(line) => Entry {
                name: line.name,
                time: Some(line.time),
                kind: match line.stream {
                    OutputStream::Stdout => Kind::Stdout,
                    OutputStream::Stderr => Kind::Stderr,
                },
                text: keep_colours(&line.text).into_owned(),
            },
            LogItem::Note { name, text, .. } => {
                Entry { name, time: None, kind: Kind::Note, text: super::clean::clean(&text).into_owned() }
            }
            LogItem::Failed { name, text, .. } => {
                Entry { name, time: None, kind: Kind::Failed, text: super::clean::clean(&text).into_owned() }
            }
            LogItem::End => {
                self.standing = Standing::Ended;
                return;
            }
        };
        if self.is_hit(&entry) {
            self.hits.push_back(self.end());
        }
        self.entries.push_back(entry);
        if self.entries.len() > KEPT_LINES {
            self.entries.pop_front();
            self.gone += 1;
            self.hits.pop_front_if(|hit| *hit < self.gone);
        }
    }

    /// How many lines were let go.
    pub(super) fn gone(&self) -> usize {
        self.gone
    }

    /// The number after the last line's.
    pub(super) fn end(&self) -> usize {
        self.gone + self.entries.len()
    }

    /// The lines from a number on.
    pub(super) fn from(&self, number: usize) -> impl Iterator<Item = (usize, &Entry)> {
        let first = number.max(self.gone);
        self.entries
            .range(first.min(self.end()) - self.gone..)
            .enumerate()
            .map(move |(index, entry)| (first + index, entry))
    }

    /// The lines from the newest back.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = (usize, &Entry)> {
        let end = self.end();
        self.entries.iter().rev().enumerate().map(move |(index, entry)| (end - 1 - index, entry))
    }

    pub(super) fn search(&self) -> &str {
        &self.search
    }

    pub(super) fn look_for(&mut self, text: &str) {
        text.clone_into(&mut self.search);
        self.hit = None;
        let hits = self.from(0).filter(|(_, entry)| self.is_hit(entry)).map(|(number, _)| number).collect();
        self.hits = hits;
    }

    fn is_hit(&self, entry: &Entry) -> bool {
        !self.search.is_empty() && find(&without_colours(&entry.text), &self.search, 0).is_some()
    }

    /// How many hits there are, and which one is the present one, counted from 1.
    pub(super) fn hits(&self) -> (Option<usize>, usize) {
        let at = self.hit.and_then(|hit| self.hits.binary_search(&hit).ok());
        (at.map(|at| at + 1), self.hits.len())
    }

    /// The hit after (or before) the present one, or what stands on top; goes round at the end.
    pub(super) fn next_hit(&self, backwards: bool, top: usize) -> Option<usize> {
        if backwards {
            let from = self.hit.unwrap_or(self.end());
            let before = self.hits.partition_point(|hit| *hit < from);
            before.checked_sub(1).and_then(|index| self.hits.get(index)).or(self.hits.back()).copied()
        } else {
            let from = self.hit.map_or(top, |hit| hit + 1);
            let after = self.hits.partition_point(|hit| *hit < from);
            self.hits.get(after).or(self.hits.front()).copied()
        }
    }
}

/// Where `needle` stands in `text` from `at` on, ASCII case aside.
pub(super) fn find(text: &str, needle: &str, at: usize) -> Option<usize> {
    let (bytes, needle) = (text.as_bytes(), needle.as_bytes());
    if needle.is_empty() {
        return None;
    }
    let last = bytes.len().checked_sub(needle.len())?;
    (at..=last).find(|at| bytes[*at..*at + needle.len()].eq_ignore_ascii_case(needle))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manager::logs::TaskLine;

    pub(super) fn line(number: usize, text: &str) -> LogItem {
        LogItem::Line(TaskLine {
            task: TaskId::default(),
            name: "web".into(),
            time: Timestamp::from_second(i64::try_from(number).unwrap()).unwrap(),
            stream: OutputStream::Stdout,
            text: text.to_owned(),
        })
    }

    #[test]
    fn the_newest_lines_are_kept_and_hits_go_with_the_oldest() {
        let mut logs = Logs::new(1, Vec::new());
        logs.look_for("ERROR");
        for number in 0..KEPT_LINES + 10 {
            logs.take(line(number, if number % 100 == 0 { "an \x1b[31mer\x1b[0mror" } else { "fine" }));
        }
        assert_eq!((logs.gone(), logs.end()), (10, KEPT_LINES + 10));
        assert_eq!(logs.from(0).next().unwrap().0, 10);
        assert_eq!(logs.newest_first().next().unwrap().0, KEPT_LINES + 9);
        assert_eq!(logs.hits(), (None, 100));
        assert_eq!(logs.from(KEPT_LINES * 2).count(), 0);
    }

    #[test]
    fn hits_are_gone_through_round_and_round() {
        let mut logs = Logs::new(1, Vec::new());
        for (number, text) in ["a", "hit", "b", "Hit", "c"].into_iter().enumerate() {
            logs.take(line(number, text));
        }
        logs.look_for("hit");
        let mut gone_to = Vec::new();
        for backwards in [false, false, false, true, true] {
            logs.hit = logs.next_hit(backwards, 0);
            gone_to.push(logs.hit.unwrap());
        }
        assert_eq!(gone_to, [1, 3, 1, 3, 1]);
        logs.hit = None;
        assert_eq!((logs.next_hit(false, 2), logs.next_hit(true, 2)), (Some(3), Some(3)));
        logs.look_for("nothing");
        assert_eq!(logs.next_hit(false, 0), None);
    }

    #[test]
    fn what_is_looked_for_is_found_whatever_its_case() {
        assert_eq!(find("no ERROR here", "error", 0), Some(3));
        assert_eq!(find("aXaX", "ax", 1), Some(2));
        assert_eq!(find("short", "longer than it", 0), None);
        assert_eq!(find("日本", "本", 0), Some(3));
    }
}
