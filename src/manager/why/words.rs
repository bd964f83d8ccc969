//! A Why in words: a headline, and lines with a label each. Knows no screen, nor how ages are written.

use jiff::Timestamp;

use super::{End, How, Neighbour, Placed, RoomMade, Waits, Why};
use crate::cluster::{EventDb, Placement, RejectedBy};
use crate::scheduler::{Explanation, NEVER_FITS, Outcome};
use crate::task::State;

/// A label and what it says.
pub type Line = (&'static str, String);

impl Why {
    /// What is asked: `why is etl-9 pending?`
    pub fn question(&self) -> String {
        let name = if self.name.is_empty() { self.task.short() } else { self.name.clone() };
        match self.state {
            State::Pending => format!("why is {name} pending?"),
            State::Scheduled | State::Running => format!("why is {name} here?"),
            State::Completed => format!("why has {name} ended?"),
            State::Failed => format!("why has {name} failed?"),
        }
    }

    /// All that there is to say beside the table; `age` writes a number of seconds.
    pub fn lines(&self, now: Timestamp, age: impl Fn(i64) -> String) -> Vec<Line> {
        let ago = |time: Timestamp| format!("{} ago", age(now.duration_since(time).as_secs().max(0)));
        let mut lines = vec![("state", self.standing(now, &age))];
        // The verdict of now says that of when it was told last.
        let says_itself = self.waits.as_ref().is_some_and(|waits| {
            !matches!(waits.explanation.outcome, Outcome::Placed { .. })
                && (self.reason.starts_with("waiting: ") || self.reason.starts_with(NEVER_FITS))
        });
        if let Some(by) = &self.makes_room_for {
            let text = format!("it is being stopped for {}, and waits for a worker again then", by.words());
            lines.push(("makes room", text));
        } else if !self.reason.is_empty() && !says_itself {
            lines.push(("reason", self.reason.clone()));
        }
        if let Some(room) = &self.room {
            lines.push(("room", room.words()));
        }
        if let Some(waits) = &self.waits {
            waits.lines(now, &age, &mut lines);
            if self.room.is_some() {
                // That is under way.
                lines.retain(|(label, _)| *label != "nearest");
            }
        }
        match &self.placed {
            Some(placed) => placed.lines(
                self.worker.as_ref() == Some(&placed.worker) && !self.state.has_ended(),
                ago,
                &mut lines,
            ),
            None if self.is_cut && self.worker.is_some() => lines.push((
                "why there",
                format!("no longer kept: the last {} changes are, and it came before them", EventDb::KEPT),
            )),
            None => {}
        }
        self.ends_in_words(ago, &mut lines);
        lines
    }

    fn standing(&self, now: Timestamp, age: impl Fn(i64) -> String) -> String {
        let mut words = if self.stopping { "Stopping".to_owned() } else { self.state.name().to_owned() };
        if let Some(worker) = &self.worker {
            words = format!("{words} on {worker}");
        }
        let since = self.waits.as_ref().map_or(self.changed, |waits| waits.since);
        let since = age(now.duration_since(since).as_secs().max(0));
        match self.state {
            State::Completed | State::Failed => format!("{words}, {since} ago"),
            State::Pending => format!("{words} for {since}"),
            State::Scheduled | State::Running => words,
        }
    }

    fn ends_in_words(&self, ago: impl Fn(Timestamp) -> String, lines: &mut Vec<Line>) {
        if self.crashes.in_a_row > 0 && !self.reason.contains(&self.crashes.words()) {
            let name = if self.crashes.is_loop() { "crash loop" } else { "crashes" };
            lines.push((name, self.crashes.words()));
        }
        if self.restarts > 0 {
            lines.push(("restarts", self.restarts.to_string()));
        }
        for refusal in &self.refusals {
            lines.push(("refused by", format!("{}: {}", refusal.worker, refusal.why)));
        }
        for end in &self.ends {
            lines.push(("ended", end.words(&ago)));
        }
        let told = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        let is_known = self.restarts <= told || told as usize >= super::ENDS;
        if self.is_cut && !is_known {
            lines.push(("ended", "what came before is no longer kept".to_owned()));
        }
    }
}

impl RoomMade {
    fn words(&self) -> String {
        let Self { worker, stopping } = self;
        match stopping.len() {
            0 => format!("kept for it on {worker}, until what ends there has gone"),
            1 => format!("kept for it on {worker}, where {} is being stopped for it", self.who()),
            _ => format!("kept for it on {worker}, where {} are being stopped for it", self.who()),
        }
    }

    /// Who makes it, the first few by name.
    pub fn who(&self) -> String {
        const TOLD: usize = 3;
        let mut told: Vec<_> = self.stopping.iter().take(TOLD).map(Neighbour::words).collect();
        let more = self.stopping.len().saturating_sub(TOLD);
        if more > 0 {
            told.push(format!("and {more} more"));
        }
        told.join(", ")
    }
}

impl Neighbour {
    fn words(&self) -> String {
        let name = if self.name.is_empty() { String::new() } else { format!("{} ", self.name) };
        format!("{name}({}, priority {})", self.task.short(), self.priority)
    }
}

impl Waits {
    fn lines(&self, now: Timestamp, age: impl Fn(i64) -> String, lines: &mut Vec<Line>) {
        if let Some(next) = self.next_start.filter(|next| *next > now) {
            let seconds = now.duration_until(next).as_millis().unsigned_abs().div_ceil(1_000);
            lines.push(("next start", format!("in {}", age(i64::try_from(seconds).unwrap_or(i64::MAX)))));
        }
        self.explanation.lines(lines);
    }
}

impl Explanation {
    /// What became of it in words: the verdict, the nearest change, who keeps it away.
    pub fn lines(&self, lines: &mut Vec<Line>) {
        match &self.outcome {
            Outcome::Placed { worker } => {
                lines.push(("verdict", format!("{worker} can take it ({})", self.scheduler)));
            }
            Outcome::Waiting { reason } | Outcome::NeverFits { reason } => {
                lines.push(("verdict", reason.clone()));
            }
        }
        if let Some(change) = &self.nearest_change {
            lines.push(("nearest", change.clone()));
        }
        if !self.rejected.is_empty() {
            lines.push(("kept away", kept_away(&self.rejected)));
        }
        if self.more > 0 {
            let workers = if self.more == 1 { "worker" } else { "workers" };
            let text =
                format!("{} {workers} beside those above; {} of all can take it", self.more, self.feasible);
            lines.push(("more", text));
        }
    }
}

/// `2 by memory, 1 by readiness`.
pub fn kept_away(rejected: &[RejectedBy]) -> String {
    let mut rejected: Vec<_> = rejected.iter().collect();
    rejected.sort_by_key(|by| std::cmp::Reverse(by.workers));
    let told: Vec<_> = rejected.iter().map(|by| format!("{} by {}", by.workers, by.filter)).collect();
    told.join(", ")
}

impl Placed {
    fn lines(&self, is_there: bool, ago: impl Fn(Timestamp) -> String, lines: &mut Vec<Line>) {
        let label = if is_there { "why here" } else { "why there" };
        let how = match self.how {
            How::Scheduled => "scheduled",
            How::Moved => "moved",
            How::Refused => "sent on",
            How::TakenOver => "taken over",
        };
        let when = format!("{how} to {} {}", self.worker, ago(self.at));
        match &self.placement {
            Some(placement) => lines.push((label, format!("{when} by {}", score(placement)))),
            None if self.how == How::Scheduled => {
                lines.push((label, format!("{when}: it was the only worker")));
            }
            None => lines.push((label, when)),
        }
        if !self.reason.is_empty() {
            lines.push(("moved", self.reason.clone()));
        }
        let Some(placement) = &self.placement else { return };
        if !placement.runners_up.is_empty() {
            let told = placement.runners_up.iter().map(|up| format!("{} {}", up.worker, up.score));
            lines.push(("next best", told.collect::<Vec<_>>().join(", ")));
        }
        if !placement.rejected.is_empty() {
            lines.push(("kept away", kept_away(&placement.rejected)));
        }
    }
}

/// `epvm: score 0.91, the lowest of 4 (cpu 0.4, memory 0.51)`.
fn score(placement: &Placement) -> String {
    let Placement { scheduler, score, terms, feasible, .. } = placement;
    let terms: Vec<_> = terms.iter().map(|term| format!("{} {}", term.name, term.value)).collect();
    let terms = if terms.is_empty() { String::new() } else { format!(" ({})", terms.join(", ")) };
    let of = match feasible {
        0 => String::new(),
        1 => "; no other worker could take it".to_owned(),
        feasible => format!("; {feasible} workers could take it"),
    };
    match scheduler {
        crate::cluster::SchedulerName::RoundRobin => format!("{scheduler}: next in turn{of}"),
        scheduler => format!("{scheduler}: score {score}, the lowest{terms}{of}"),
    }
}

impl End {
    fn words(&self, ago: impl Fn(Timestamp) -> String) -> String {
        let place = self.worker.as_ref().map(|worker| format!(" on {worker}")).unwrap_or_default();
        let mut words = format!("{}{place}, {}", self.state, ago(self.time));
        match self.exit_code {
            Some(code) if self.reason.is_empty() => words = format!("{words}: exit code {code}"),
            _ if self.reason.is_empty() => {}
            _ => words = format!("{words}: {}", self.reason),
        }
        if !self.restarted.is_empty() {
            // What follows tells this very end once more.
            let again = self.restarted.split(": ").next().unwrap_or_default();
            let again = again.strip_suffix(" after").unwrap_or(again);
            if !self.reason.starts_with(again) {
                words = format!("{words} → {again}");
            }
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::End;
    use crate::cluster::Cause;
    use crate::task::State;

    #[test]
    fn what_came_of_an_end_is_not_cut_at_a_port_and_does_not_tell_the_end_again() {
        let stopped = "stopped by localhost:7122, and wanted as before";
        for (reason, restarted, expected) in [
            ("exit code 3", "restart 1 after: exit code 3", "exit code 3 → restart 1"),
            ("exit code 3", "crash loop: failed 3 times in a row, last: x", "exit code 3 → crash loop"),
            ("exit code 3", stopped, "exit code 3 → stopped by localhost:7122, and wanted as before"),
            (stopped, stopped, stopped),
            ("localhost:7122 refused: no", "localhost:7122 refused: no", "localhost:7122 refused: no"),
        ] {
            let end = End {
                time: Timestamp::UNIX_EPOCH,
                state: State::Failed,
                cause: Cause::Manager,
                worker: None,
                exit_code: None,
                reason: reason.into(),
                restarted: restarted.into(),
            };
            assert_eq!(end.words(|_| "5s ago".into()), format!("Failed, 5s ago: {expected}"));
        }
    }
}
