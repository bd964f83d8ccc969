//! The five states of a task and the moves between them. Knows no one who asks.

use std::fmt;
use std::str::FromStr;

/// A task's state; the numbers are the book's wire form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum State {
    #[default]
    Pending = 0,
    Scheduled = 1,
    Running = 2,
    Completed = 3,
    Failed = 4,
}

impl State {
    pub const ALL: [Self; 5] = [Self::Pending, Self::Scheduled, Self::Running, Self::Completed, Self::Failed];

    /// The state with this wire number.
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    pub fn number(self) -> u8 {
        self as u8
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Scheduled => "Scheduled",
            Self::Running => "Running",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
        }
    }

    /// Whether a task in this state has ended: only a new generation moves it again.
    pub fn has_ended(self) -> bool {
        match self {
            Self::Completed | Self::Failed => true,
            Self::Pending | Self::Scheduled | Self::Running => false,
        }
    }

    /// The transition table within one generation of a task.
    ///
    /// Scheduled → Pending is a dispatch that did not reach its worker; Pending → Completed is a stop
    /// before the start; Pending → Failed is a task that no one can run. A state may repeat itself
    /// (a report that carries other news), except that an end is an end.
    pub fn can_become(self, next: Self) -> bool {
        match self {
            Self::Pending => match next {
                Self::Pending | Self::Scheduled | Self::Completed | Self::Failed => true,
                Self::Running => false,
            },
            Self::Scheduled => true,
            Self::Running => match next {
                Self::Running | Self::Completed | Self::Failed => true,
                Self::Pending | Self::Scheduled => false,
            },
            Self::Completed | Self::Failed => false,
        }
    }
}

impl FromStr for State {
    type Err = String;

    /// A name, in any case, or a number.
    fn from_str(text: &str) -> Result<Self, String> {
        let is_it = |state: &Self| {
            state.name().eq_ignore_ascii_case(text) || text.parse() == Ok(u64::from(state.number()))
        };
        Self::ALL.into_iter().find(is_it).ok_or_else(|| {
            let all = Self::ALL.map(|state| format!("{} ({})", state.name(), state.number()));
            format!("expected one of {}, found {:?}", all.join(", "), super::check::shown(text))
        })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::State::{self, Completed, Failed, Pending, Running, Scheduled};

    #[test]
    fn a_state_is_read_by_its_name_in_any_case_or_its_number() {
        for state in State::ALL {
            let name = state.name();
            for text in [name, &name.to_lowercase(), &name.to_uppercase(), &state.number().to_string()] {
                assert_eq!(text.parse(), Ok(state));
            }
        }
        for text in ["", "7", "gone", "-1", "run"] {
            let error = text.parse::<State>().unwrap_err();
            assert!(error.contains("Running (2)") && error.ends_with(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn all_25_pairs_of_the_transition_table() {
        let allowed = [
            (Pending, vec![Pending, Scheduled, Completed, Failed]),
            (Scheduled, vec![Pending, Scheduled, Running, Completed, Failed]),
            (Running, vec![Running, Completed, Failed]),
            (Completed, vec![]),
            (Failed, vec![]),
        ];
        for (from, to) in allowed {
            for next in State::ALL {
                assert_eq!(from.can_become(next), to.contains(&next), "{from} -> {next}");
            }
        }
    }

    #[test]
    fn wire_numbers_are_the_books() {
        for (number, state) in (0..).zip(State::ALL) {
            assert_eq!(State::from_number(number), Some(state));
            assert_eq!(u64::from(state.number()), number);
        }
        assert_eq!(State::from_number(5), None);
    }
}
