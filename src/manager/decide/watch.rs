//! What is noted of the link to each worker: when it was last heard, and whether the link comes and goes. Decides
//! nothing; knows no Change.

use std::collections::VecDeque;
use std::time::Duration;

/// A link that broke this often within [`FLAPS_WITHIN`] is flapping.
const FLAPS: usize = 3;
const FLAPS_WITHIN: Duration = Duration::from_mins(1);

/// A flapping link is trusted again once two words came over it that are so far apart: in effect, at the next
/// heartbeat. Not longer, since a worker that is restarted several times in a row looks the same from here.
const STEADY_AFTER: Duration = Duration::from_millis(1_500);

/// Said of a worker as long as its link is not trusted; always the same words, so that it is told once.
pub(super) const FLAPPING: &str = "flapping: its link broke three times within a minute";

/// One worker's link.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// `None` while nobody waits for a word: it is lost, or not of this run.
    pub(super) last_seen: Option<Duration>,
    /// `None` while the link is down, or thought to be.
    up_since: Option<Duration>,
    /// When it went down, the latest few.
    breaks: VecDeque<Duration>,
    /// When the worker's engine trouble was last told.
    pub(super) problem_told: Duration,
    /// When it last told its load.
    pub(super) sampled: Duration,
}

impl Watch {
    /// A word came over the link. True if nobody waited for one.
    pub(super) fn heard(&mut self, now: Duration) -> bool {
        self.up_since.get_or_insert(now);
        self.last_seen.replace(now).is_none()
    }

    pub(super) fn went_down(&mut self, now: Duration) {
        if self.up_since.take().is_some() {
            self.breaks.push_back(now);
            if self.breaks.len() > FLAPS {
                self.breaks.pop_front();
            }
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.up_since.is_some()
    }

    /// Whether the link is not to be trusted for now.
    pub(super) fn is_flapping(&self, now: Duration) -> bool {
        let broke_often = self.breaks.len() == FLAPS
            && self.breaks.front().is_some_and(|first| now.saturating_sub(*first) <= FLAPS_WITHIN);
        let holds = match (self.up_since, self.last_seen) {
            (Some(first), Some(last)) => last.saturating_sub(first) >= STEADY_AFTER,
            _ => false,
        };
        broke_often && !holds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_link_flaps_from_its_third_break_within_a_minute_until_it_holds() {
        // How long it is up, and down; how often; whether it flaps right after the last break.
        let table =
            [(1, 1, 2, false), (1, 1, 3, true), (9, 9, 3, true), (15, 16, 3, false), (20, 20, 9, false)];
        for (up, down, times, expected) in table {
            let mut watch = Watch::default();
            let mut now = Duration::ZERO;
            for _ in 0..times {
                watch.heard(now);
                now += SECOND * up;
                watch.went_down(now);
                now += SECOND * down;
            }
            now -= SECOND * down;
            assert_eq!(watch.is_flapping(now), expected, "{up} up, {down} down, {times} times");
            watch.heard(now);
            assert_eq!(watch.is_flapping(now + SECOND * 5), expected, "nothing more was heard");
            watch.heard(now + SECOND * 2);
            assert!(!watch.is_flapping(now + SECOND * 2));
        }
    }

    #[test]
    fn a_connection_that_could_not_be_made_is_no_break() {
        let mut watch = Watch::default();
        watch.heard(Duration::ZERO);
        for second in 1..30 {
            watch.went_down(SECOND * second);
        }
        assert!(!watch.is_flapping(SECOND * 30));
    }
}
