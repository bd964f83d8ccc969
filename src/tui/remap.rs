//! What the user put on other keys: which wishes can be met together, and what footer and help show then. Knows no file.

use std::borrow::Cow;
use std::cmp::Reverse;

use super::actions::{Remap, name_of};
use super::chord::Chord;
use super::clean::width;
use super::keymap::{Command, Context, Keymap, Row};
use super::layout::Pane;

/// So wide is the help's column of keys.
const HELP_KEYS: usize = 11;

/// A wish that can't be met: which one, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    pub wish: usize,
    pub why: String,
}

impl Keymap {
    /// The keymap with all `wishes` that can be met together; of two that can't, the first.
    pub fn remapped(wishes: &[Remap]) -> (Self, Vec<Clash>) {
        let mut met: Vec<usize> = (0..wishes.len()).collect();
        let mut clashes = Vec::new();
        loop {
            let keymap = Self::with(&met.iter().map(|index| &wishes[*index]).collect::<Vec<_>>());
            let wish_of = |row: &Row| met.iter().copied().find(|i| wishes[*i].command == row.binding.command);
            // The table itself has no clash: one of the two was wished for.
            let found = keymap.clashes().filter_map(|(key, one, other)| {
                let (first, second) = (wish_of(one), wish_of(other));
                let (wish, taken, by) =
                    if first > second { (first, other, second) } else { (second, one, first) };
                Some((wish?, by, key, taken.binding))
            });
            let Some((wish, _, key, taken)) = found.min_by_key(|(wish, by, ..)| (Reverse(*wish), *by)) else {
                clashes.reverse();
                return (keymap, clashes);
            };
            let (name, own) = (wishes[wish].name, Self::default().first_keys(wishes[wish].command));
            let (taken, place) = (name_of(taken.command), place(taken.context));
            clashes.push(Clash {
                wish,
                why: format!("`{key}` is `{taken}` already{place}; `{name}` stays on {own}"),
            });
            met.retain(|index| *index != wish);
        }
    }

    fn with(wishes: &[&Remap]) -> Self {
        let mut keymap = Self::default();
        for wish in wishes {
            let rows = keymap.0.iter_mut().filter(|row| row.binding.command == wish.command);
            for row in rows.filter(|row| !row.binding.context.is_dialog()) {
                let is_typing = row.binding.context.is_typing();
                let keys = wish.keys.iter().copied().filter(|key| !(is_typing && key.is_text()));
                let keys: Vec<_> = keys.collect();
                if !keys.is_empty() {
                    row.keys = Cow::Owned(keys);
                }
            }
        }
        keymap.tell(wishes);
        keymap
    }

    /// Puts the new keys into what footer and help show.
    fn tell(&mut self, wishes: &[&Remap]) {
        let is_changed = |commands: &[Command]| {
            commands.iter().any(|command| wishes.iter().any(|wish| wish.command == *command))
        };
        for index in 0..self.0.len() {
            let binding = self.0[index].binding;
            let keys = |command| self.keys(binding.context, command);
            let shown = footer_tells(binding.command);
            let footer = is_changed(&shown) && !binding.footer.0.is_empty() && !binding.context.is_dialog();
            let footer = footer.then(|| {
                let first = shown.iter().filter_map(|command| keys(*command).first());
                first.map(ToString::to_string).collect::<Vec<_>>().join("/")
            });
            let shown = help_tells(binding.context, binding.command);
            let help = (is_changed(&shown) && !binding.help.0.is_empty()).then(|| {
                let mut all: Vec<_> = shown.iter().filter_map(|command| keys(*command).first()).collect();
                all.extend(shown.iter().flat_map(|command| keys(*command).iter().skip(1)));
                let mut text = String::new();
                for key in all.into_iter().map(ToString::to_string) {
                    let space = if text.is_empty() { "" } else { " " };
                    if width(&text) + space.len() + width(&key) <= HELP_KEYS {
                        text.extend([space, &key]);
                    }
                }
                text
            });
            let row = &mut self.0[index];
            row.footer = footer.map_or(row.footer.clone(), Cow::Owned);
            row.help = help.map_or(row.help.clone(), Cow::Owned);
        }
    }

    /// A command's keys there or, where a question asks, in the panes.
    fn keys(&self, context: Context, command: Command) -> &[Chord] {
        let of = |context| {
            let mut rows = self.0.iter();
            rows.find(move |row| row.binding.context == context && row.binding.command == command)
        };
        let asks = context.is_dialog().then(|| of(Context::Panes)).flatten();
        asks.or_else(|| of(context)).map_or(&[], |row| &*row.keys)
    }

    fn first_keys(&self, command: Command) -> String {
        let row = self.0.iter().find(|row| row.binding.command == command);
        let keys = row.map_or(&[][..], |row| &*row.keys);
        keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    /// Rows that a key means at once, two by two.
    fn clashes(&self) -> impl Iterator<Item = (Chord, &Row, &Row)> {
        self.0.iter().enumerate().flat_map(move |(index, one)| {
            self.0[index + 1..].iter().filter_map(move |other| {
                let (a, b) = (one.binding.context, other.binding.context);
                let meet = a == b || a == Context::Everywhere || b == Context::Everywhere;
                let key = one.keys.iter().find(|key| meet && other.keys.contains(key))?;
                Some((*key, one, other))
            })
        })
    }
}

fn place(context: Context) -> &'static str {
    match context {
        Context::Detail => " in a task's details",
        Context::Why => " where it says why",
        Context::Help => " in the help",
        Context::Form => " in the form",
        Context::Filter | Context::LogSearch => " where it is typed what is looked for",
        Context::Logs => " in the logs",
        Context::Confirm | Context::Cordon | Context::Quit => " to a question",
        Context::Everywhere | Context::Panes | Context::Countdown => "",
    }
}

/// The commands that a command's words in the footer tell of.
fn footer_tells(command: Command) -> Vec<Command> {
    match command {
        Command::Down => vec![command, Command::Up],
        Command::Next => vec![command, Command::Previous],
        Command::Since(1) => (1..=4).map(Command::Since).collect(),
        _ => vec![command],
    }
}

/// The same for the help.
fn help_tells(context: Context, command: Command) -> Vec<Command> {
    match command {
        Command::Top => vec![command, Command::End],
        Command::HalfDown => vec![command, Command::HalfUp],
        Command::PageDown => vec![command, Command::PageUp],
        Command::Pane(Pane::Workers) => Pane::ALL.map(Command::Pane).to_vec(),
        Command::NextField => vec![command, Command::PreviousField],
        Command::Filter if context == Context::Logs => vec![command, Command::Next, Command::Previous],
        Command::Wrap => vec![command, Command::Times],
        Command::Since(1) => [1, 2, 3, 4, 0].map(Command::Since).to_vec(),
        Command::LeaveRunning => vec![Command::Quit, command],
        _ => footer_tells(command),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::super::actions::ACTIONS;
    use super::*;

    fn wish(action: &str, keys: &[&str]) -> Remap {
        Remap::of(action).unwrap().on(&keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn means(keymap: &Keymap, context: Context, char: char) -> Option<Command> {
        keymap.command(&[context], KeyEvent::new(KeyCode::Char(char), KeyModifiers::NONE))
    }

    #[test]
    fn an_action_is_on_its_new_keys_wherever_it_is_one() {
        let wishes = [wish("logs", &["L"]), wish("down", &["t", "F3"]), wish("open", &["l"])];
        let (keymap, clashes) = Keymap::remapped(&wishes);
        assert_eq!(clashes, []);
        for context in [Context::Panes, Context::Detail] {
            assert_eq!(means(&keymap, context, 'L'), Some(Command::Logs));
            assert_eq!(means(&keymap, context, 't'), Some(Command::Down));
            assert_eq!(means(&keymap, context, 'j'), None);
        }
        assert_eq!(means(&keymap, Context::Logs, 'L'), Some(Command::Back), "what opens it closes it");
        assert_eq!(means(&keymap, Context::Filter, 't'), None, "text stays text");
        let down = KeyEvent::new(KeyCode::F(3), KeyModifiers::NONE);
        assert_eq!(keymap.command(&[Context::Filter], down), Some(Command::Down));
    }

    #[test]
    fn footer_and_help_show_the_keys_as_they_are() {
        let wishes =
            [wish("down", &["t"]), wish("stop", &["X"]), wish("tasks", &["T"]), wish("quit", &["Q"])];
        let (keymap, clashes) = Keymap::remapped(&wishes);
        assert_eq!(clashes, []);
        let footer: Vec<_> = keymap.footer(Context::Panes).collect();
        for shown in [("t/k", "move"), ("X", "stop"), ("Q", "quit"), ("l", "logs")] {
            assert!(footer.contains(&shown), "{footer:?}");
        }
        let help: Vec<_> = keymap.help().map(|(keys, _)| keys).collect();
        for keys in ["t k Up", "X", "1 2 T 4 5", "Q b", "g G Home End"] {
            assert!(help.contains(&keys), "{help:?}");
        }
        assert_eq!(keymap.key(Context::Panes, Command::Pane(Pane::Tasks)), "T");
    }

    #[test]
    fn of_two_actions_on_a_key_the_later_keeps_its_own() {
        let cases = [
            (vec![wish("stop", &["l"])], vec![(0, "`l` is `logs` already; `stop` stays on S")]),
            (vec![wish("stop", &["l"]), wish("logs", &["S"])], vec![]),
            (
                vec![wish("zoom", &["F5"]), wish("stop", &["F5"])],
                vec![(1, "`F5` is `zoom` already; `stop` stays on S")],
            ),
            (
                vec![wish("quit", &["Q"]), wish("why", &["Q"]), wish("stop", &["Q"])],
                vec![
                    (1, "`Q` is `quit` already; `why` stays on w"),
                    (2, "`Q` is `quit` already; `stop` stays on S"),
                ],
            ),
            (vec![wish("stop", &["^c"])], vec![(0, "`^c` is `interrupt` already; `stop` stays on S")]),
            (
                vec![wish("filter", &["f"])],
                vec![(0, "`f` is `end` already in the logs; `filter` stays on /")],
            ),
        ];
        for (wishes, expected) in cases {
            let (keymap, clashes) = Keymap::remapped(&wishes);
            let clashes: Vec<_> = clashes.iter().map(|clash| (clash.wish, &*clash.why)).collect();
            assert_eq!(clashes, expected);
            assert!(keymap.clashes().next().is_none());
        }
    }

    proptest! {
        #[test]
        fn whatever_is_wished_for_no_key_means_two_things(
            wishes in prop::collection::btree_map(0..ACTIONS.len(), "[a-zA-Z]|F[1-9]|\\^[a-h]|Esc|Enter|Tab|Up", 0..12)
        ) {
            let wishes: Vec<_> = wishes
                .iter()
                .filter_map(|(action, key)| Remap::of(ACTIONS[*action].0).ok()?.on(std::slice::from_ref(key)).ok())
                .collect();
            let (keymap, clashes) = Keymap::remapped(&wishes);
            prop_assert!(keymap.clashes().next().is_none());
            for (index, wish) in wishes.iter().enumerate() {
                let is_met = keymap.keys(keymap_context(&keymap, wish.command), wish.command) == wish.keys;
                prop_assert!(is_met || clashes.iter().any(|clash| clash.wish == index), "{wish:?} {clashes:?}");
            }
        }
    }

    /// Where it is on the keys it was put on, if anywhere.
    fn keymap_context(keymap: &Keymap, command: Command) -> Context {
        let rows = keymap.0.iter().filter(|row| row.binding.command == command);
        let mut rows = rows.filter(|row| !row.binding.context.is_dialog());
        let first = rows.find(|row| !row.binding.context.is_typing());
        first.map_or(
            keymap.0.iter().find(|row| row.binding.command == command).unwrap().binding.context,
            |row| row.binding.context,
        )
    }
}
