//! Lines of several streams in the order of their times, as far as waiting for it is worth it. Knows no clock and no
//! worker; holds a bounded number of lines of each stream.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Lines held of one stream; when so many wait, the stream itself does.
pub(super) const HELD: usize = 256;

/// How long a line waits for an older one of another stream, where lines come as they are written: more than the way
/// from a worker takes, less than somebody who reads along would notice.
const WINDOW: Duration = Duration::from_millis(50);

/// The same where a stream's last line was old when it came: there is more where that came from, as fast as an engine
/// and two connections bring it.
const BEHIND_WINDOW: Duration = Duration::from_secs(1);

/// A stream that was opened brings what there is within this.
const OPENED_WINDOW: Duration = Duration::from_millis(500);

/// And is opened within this, where its worker is well.
const OPENING_WINDOW: Duration = Duration::from_secs(3);

/// The streams' heads. `K` is what they are ordered by.
#[derive(Debug)]
pub(super) struct Merge<K, T> {
    streams: Vec<Head<K, T>>,
    /// Waits for every stream, however long one takes: nobody follows.
    is_patient: bool,
}

#[derive(Debug)]
struct Head<K, T> {
    lines: VecDeque<(K, Instant, T)>,
    has_ended: bool,
    /// Until when its next line is waited for.
    expected_until: Instant,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T> {
    Line(T),
    /// Nothing until something comes, or until then.
    Wait(Option<Instant>),
    /// All streams have ended and were read out.
    End,
}

impl<K: Ord + Copy, T> Merge<K, T> {
    pub(super) fn new(streams: usize, is_patient: bool, now: Instant) -> Self {
        let head = || Head { lines: VecDeque::new(), has_ended: false, expected_until: now + OPENING_WINDOW };
        Self { streams: (0..streams).map(|_| head()).collect(), is_patient }
    }

    /// Whether this stream should be asked for more.
    pub(super) fn has_room(&self, stream: usize) -> bool {
        !self.streams[stream].has_ended && self.streams[stream].lines.len() < HELD
    }

    /// Its first line is on the way, if there is one.
    pub(super) fn opened(&mut self, stream: usize, now: Instant) {
        self.streams[stream].expected_until = now + OPENED_WINDOW;
    }

    /// `is_old`: it was not written just now.
    pub(super) fn push(&mut self, stream: usize, key: K, now: Instant, is_old: bool, line: T) {
        let head = &mut self.streams[stream];
        head.lines.push_back((key, now, line));
        head.expected_until = now + if is_old { BEHIND_WINDOW } else { WINDOW };
    }

    pub(super) fn ended(&mut self, stream: usize) {
        self.streams[stream].has_ended = true;
    }

    pub(super) fn next(&mut self, now: Instant) -> Next<T> {
        let oldest = self
            .streams
            .iter()
            .enumerate()
            .filter_map(|(index, head)| head.lines.front().map(|(key, came, _)| (*key, index, *came)))
            .min();
        let Some((_, index, came)) = oldest else {
            let is_over = self.streams.iter().all(|head| head.has_ended);
            return if is_over { Next::End } else { Next::Wait(None) };
        };
        let silent = || self.streams.iter().filter(|head| !head.has_ended && head.lines.is_empty());
        let Some(last) = silent().map(|head| head.expected_until).max() else { return self.take(index) };
        if self.is_patient {
            return Next::Wait(None);
        }
        // The others had their time; and so has this line, unless its stream waits behind it.
        let is_full = self.streams[index].lines.len() >= HELD;
        let due = if is_full { last } else { last.max(came + WINDOW) };
        if due <= now { self.take(index) } else { Next::Wait(Some(due)) }
    }

    fn take(&mut self, index: usize) -> Next<T> {
        match self.streams[index].lines.pop_front() {
            Some((_, _, line)) => Next::Line(line),
            None => Next::Wait(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(
        merge: &mut Merge<u32, &'static str>,
        now: Instant,
    ) -> (Vec<&'static str>, Next<&'static str>) {
        let mut lines = Vec::new();
        loop {
            match merge.next(now) {
                Next::Line(line) => lines.push(line),
                other => return (lines, other),
            }
        }
    }

    #[test]
    fn what_is_there_comes_in_the_order_of_its_times() {
        let now = Instant::now();
        let mut merge = Merge::new(2, true, now);
        for (stream, time, line) in [(0, 1, "a1"), (0, 4, "a4"), (1, 2, "b2"), (1, 3, "b3")] {
            merge.push(stream, time, now, true, line);
        }
        assert_eq!(drained(&mut merge, now), (vec!["a1", "b2", "b3"], Next::Wait(None)));
        merge.ended(1);
        assert_eq!(drained(&mut merge, now), (vec!["a4"], Next::Wait(None)));
        merge.ended(0);
        assert_eq!(merge.next(now), Next::End);
    }

    #[test]
    fn a_follower_waits_for_an_older_line_of_another_stream_but_not_for_ever() {
        let start = Instant::now();
        let mut merge = Merge::new(2, false, start);
        let later = start + OPENING_WINDOW;
        merge.push(0, 5, later, false, "a5");
        assert_eq!(merge.next(later), Next::Wait(Some(later + WINDOW)));
        merge.push(1, 4, later + WINDOW / 2, false, "b4");
        assert_eq!(drained(&mut merge, later + WINDOW / 2).0, ["b4"]);
        let (lines, _) = drained(&mut merge, later + WINDOW * 2);
        assert_eq!(lines, ["a5"]);
    }

    #[test]
    fn what_was_said_before_waits_for_a_stream_that_is_being_opened_or_far_behind() {
        let start = Instant::now();
        let mut merge = Merge::new(2, false, start);
        merge.push(0, 5, start, true, "a5");
        assert_eq!(merge.next(start + WINDOW * 2), Next::Wait(Some(start + OPENING_WINDOW)));
        let opened = start + WINDOW * 3;
        merge.opened(1, opened);
        assert_eq!(merge.next(opened), Next::Wait(Some(opened + OPENED_WINDOW)));
        merge.push(1, 3, opened, true, "b3");
        assert_eq!(drained(&mut merge, opened), (vec!["b3"], Next::Wait(Some(opened + BEHIND_WINDOW))));
        merge.push(1, 4, opened + WINDOW, true, "b4");
        assert_eq!(drained(&mut merge, opened + WINDOW).0, ["b4"]);
    }

    #[test]
    fn a_flood_beside_a_silent_stream_is_not_held_up_line_by_line() {
        let start = Instant::now();
        let mut merge = Merge::new(2, false, start);
        let now = start + OPENING_WINDOW;
        for time in 0..HELD {
            assert!(merge.has_room(0));
            merge.push(0, u32::try_from(time).unwrap(), now, false, "a");
        }
        assert!(!merge.has_room(0));
        assert_eq!(merge.next(now), Next::Line("a"));
    }
}
