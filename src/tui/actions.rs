//! The actions by name, as the config file puts them on keys; and what is wrong with a name or a key. Knows no file.

use super::chord::Chord;
use super::keymap::{Command, Keymap};
use super::layout::Pane;

/// The commands that can be put on other keys. What only answers a question is none of them: questions name their
/// keys themselves.
pub(super) const ACTIONS: &[(&str, Command)] = &[
    ("help", Command::Help),
    ("new", Command::New),
    ("stop", Command::Stop),
    ("restart", Command::Restart),
    ("open", Command::Open),
    ("logs", Command::Logs),
    ("why", Command::Why),
    ("shell", Command::Shell),
    ("filter", Command::Filter),
    ("mark", Command::Mark),
    ("mark-all", Command::MarkAll),
    ("cordon", Command::Cordon),
    ("undo", Command::TakeBack),
    ("now", Command::SendNow),
    ("yank", Command::Yank),
    ("zoom", Command::Zoom),
    ("quit", Command::Quit),
    ("interrupt", Command::Interrupt),
    ("suspend", Command::Suspend),
    ("back", Command::Back),
    ("down", Command::Down),
    ("up", Command::Up),
    ("top", Command::Top),
    ("end", Command::End),
    ("half-down", Command::HalfDown),
    ("half-up", Command::HalfUp),
    ("page-down", Command::PageDown),
    ("page-up", Command::PageUp),
    ("next-pane", Command::NextPane),
    ("previous-pane", Command::PreviousPane),
    ("workers", Command::Pane(Pane::Workers)),
    ("pending", Command::Pane(Pane::Pending)),
    ("tasks", Command::Pane(Pane::Tasks)),
    ("stats", Command::Pane(Pane::Stats)),
    ("events", Command::Pane(Pane::Events)),
    ("submit", Command::Submit),
    ("enter", Command::Enter),
    ("next-field", Command::NextField),
    ("previous-field", Command::PreviousField),
    ("next-hit", Command::Next),
    ("previous-hit", Command::Previous),
    ("wrap", Command::Wrap),
    ("times", Command::Times),
    ("last-1m", Command::Since(1)),
    ("last-5m", Command::Since(2)),
    ("last-15m", Command::Since(3)),
    ("last-1h", Command::Since(4)),
    ("all-logs", Command::Since(0)),
];

/// A command and the keys that it is wanted on, in place of its own.
#[derive(Clone, Debug)]
pub struct Remap {
    pub(super) name: &'static str,
    pub(super) command: Command,
    pub(super) keys: Vec<Chord>,
}

impl Remap {
    /// An action by its name, or what is wrong with that.
    pub fn of(action: &str) -> Result<Self, String> {
        if let Some((name, command)) = ACTIONS.iter().find(|(name, _)| *name == action) {
            return Ok(Self { name, command: *command, keys: Vec::new() });
        }
        let distance = |name: &&str| strsim::osa_distance(action, name);
        let names = || ACTIONS.iter().map(|(name, _)| *name);
        Err(match names().min_by_key(distance).filter(|name| distance(name) <= 2) {
            Some(near) => format!("there is no action `{action}`; did you mean `{near}`?"),
            None => {
                format!("there is no action `{action}`; there are {}", names().collect::<Vec<_>>().join(", "))
            }
        })
    }

    /// Puts it on these keys, or says what is wrong with them.
    pub fn on(mut self, keys: &[String]) -> Result<Self, String> {
        self.keys = keys.iter().map(|key| key.parse()).collect::<Result<_, _>>()?;
        if self.keys.is_empty() {
            return Err(format!("`{}` needs a key at least", self.name));
        }
        let keymap = Keymap::default();
        let mut rows = keymap.0.iter().filter(|row| row.binding.command == self.command);
        if rows.all(|row| row.binding.context.is_typing()) && self.keys.iter().all(|key| key.is_text()) {
            return Err(format!(
                "`{}` works while text is typed: it needs a key with Ctrl or Alt, or one like F5",
                self.name
            ));
        }
        Ok(self)
    }
}

pub(super) fn name_of(command: Command) -> &'static str {
    ACTIONS.iter().find(|(_, named)| *named == command).map_or("an answer", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_action_or_no_key_for_it_is_named() {
        assert_eq!(Remap::of("stpo").unwrap_err(), "there is no action `stpo`; did you mean `stop`?");
        assert!(Remap::of("frobnicate").unwrap_err().contains("there are help, new, stop"));
        let on = |action, keys: &[&str]| {
            let keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
            Remap::of(action).unwrap().on(&keys).unwrap_err()
        };
        assert_eq!(on("stop", &[]), "`stop` needs a key at least");
        assert!(on("stop", &["X", "F99"]).starts_with("there is no key `F99`"));
        assert!(on("submit", &["s"]).starts_with("`submit` works while text is typed"));
        assert!(on("interrupt", &["Q"]).starts_with("`interrupt` works while text is typed"));
    }

    #[test]
    fn every_command_but_answers_has_a_name_and_every_name_is_in_the_table() {
        let keymap = Keymap::default();
        for row in keymap.0.iter().filter(|row| !row.binding.context.is_dialog()) {
            assert_ne!(name_of(row.binding.command), "an answer", "{row:?}");
        }
        for (name, command) in ACTIONS {
            let mut rows = keymap.0.iter();
            assert!(rows.any(|row| row.binding.command == *command), "{name}");
        }
    }
}
