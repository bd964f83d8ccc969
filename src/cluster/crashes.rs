//! How often in a row a task ended soon after its start: what its backoff grows with, and what people call a crash
//! loop. Decides no restart.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::TaskRecord;
use crate::task::State;

/// From this many ends in a row on it is a crash loop: one is an accident, and a second may be the same one.
const CRASH_LOOP: u32 = 3;

/// Ends of its own in a row, each soon after its start. A healthy run starts the count over.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Crashes {
    pub in_a_row: u32,
    /// The last one was a failure; with `always`, a program that is done too soon is started again likewise.
    pub failed: bool,
    /// How the last one ended: "exit code 3".
    pub last: String,
}

impl Crashes {
    /// So many in a row that people should know.
    pub fn is_loop(&self) -> bool {
        self.in_a_row >= CRASH_LOOP
    }

    /// `failed 4 times in a row, last: exit code 3`.
    pub fn words(&self) -> String {
        let verb = if self.failed { "failed" } else { "ended" };
        match self.in_a_row {
            1 => format!("{verb} once: {}", self.last),
            count => format!("{verb} {count} times in a row, last: {}", self.last),
        }
    }
}

impl TaskRecord {
    /// Why it is held back, if it waits for its next start after it crashed several times in a row. Its state stays
    /// Pending: on the wire there are five.
    pub fn crash_loop(&self) -> Option<&Crashes> {
        let waits = self.state() == State::Pending && self.queued.is_some();
        (waits && self.crashes.is_loop()).then_some(&self.crashes)
    }
}

#[cfg(test)]
mod tests {
    use super::Crashes;

    #[test]
    fn crashes_are_told_in_words() {
        let cases = [
            (1, true, "exit code 3", "failed once: exit code 3", false),
            (2, true, "exit code 3", "failed 2 times in a row, last: exit code 3", false),
            (3, true, "out of memory", "failed 3 times in a row, last: out of memory", true),
            (4, false, "exit code 0", "ended 4 times in a row, last: exit code 0", true),
        ];
        for (in_a_row, failed, last, words, is_loop) in cases {
            let crashes = Crashes { in_a_row, failed, last: last.into() };
            assert_eq!((crashes.words().as_str(), crashes.is_loop()), (words, is_loop));
        }
    }
}
