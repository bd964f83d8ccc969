//! The keymap: one table of keys, commands and their words, for dispatch, footer and help. Does nothing.

use std::borrow::Cow;

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::chord::{Chord, char, ctrl, key};
use super::layout::Pane;

/// What has the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Context {
    /// Wherever: asked last.
    Everywhere,
    /// The panes.
    Panes,
    /// While a stop can be taken back; asked before the panes.
    Countdown,
    Detail,
    Help,
    Confirm,
    /// What is to become of a worker.
    Cordon,
    /// The question before a manager of ours ends.
    Quit,
    /// The form of a new task.
    Form,
    /// The filter is being typed.
    Filter,
    /// Why a task is where it is.
    Why,
    /// What tasks say.
    Logs,
    /// What is looked for in it is being typed.
    LogSearch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Command {
    Down,
    Up,
    Top,
    End,
    HalfDown,
    HalfUp,
    PageDown,
    PageUp,
    Pane(Pane),
    NextPane,
    PreviousPane,
    Zoom,
    Open,
    Back,
    Mark,
    MarkAll,
    Filter,
    New,
    Stop,
    Cordon,
    Drain,
    Uncordon,
    Restart,
    TakeBack,
    SendNow,
    Yank,
    Logs,
    Why,
    Shell,
    Help,
    Quit,
    LeaveRunning,
    Interrupt,
    Suspend,
    // In a dialog or a form.
    Yes,
    No,
    Toggle,
    Press,
    NextField,
    PreviousField,
    Enter,
    Submit,
    // In the logs.
    Next,
    Previous,
    Wrap,
    Times,
    /// From when on: a row of [`super::logs::RANGES`].
    Since(usize),
}

impl Command {
    /// Whether it asks the manager for something.
    pub(super) fn changes_cluster(self) -> bool {
        matches!(self, Self::Stop | Self::Restart | Self::Submit | Self::Yes)
    }
}

impl Context {
    /// Whether a character is text there; what holds everywhere holds there too.
    pub(super) fn is_typing(self) -> bool {
        matches!(self, Self::Form | Self::Filter | Self::LogSearch | Self::Everywhere)
    }

    /// A question, which shows its keys itself.
    pub(super) fn is_dialog(self) -> bool {
        matches!(self, Self::Confirm | Self::Cordon | Self::Quit)
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    pub(super) context: Context,
    pub(super) command: Command,
    pub(super) keys: &'static [Chord],
    /// The keys and a word as the footer shows them; empty keeps it out of there.
    pub(super) footer: (&'static str, &'static str),
    /// The keys and a phrase as the help shows them; empty keeps it out (another row tells it).
    pub(super) help: (&'static str, &'static str),
}

impl Binding {
    /// In an overlay, what opened it closes it, and so does what quits.
    fn closes(&self) -> bool {
        let opens = match self.context {
            Context::Detail => self.command == Command::Open,
            Context::Why => matches!(self.command, Command::Why | Command::Open),
            Context::Help => matches!(self.command, Command::Help | Command::Open),
            Context::Logs => self.command == Command::Logs,
            _ => return false,
        };
        opens || self.command == Command::Quit
    }
}

const fn row(
    context: Context,
    command: Command,
    keys: &'static [Chord],
    footer: (&'static str, &'static str),
    help: (&'static str, &'static str),
) -> Binding {
    Binding { context, command, keys, footer, help }
}

const NONE: (&str, &str) = ("", "");

/// The table. The footer keeps this order and drops from the end what does not fit.
#[rustfmt::skip] // a table is read by its columns
pub(super) const KEYMAP: &[Binding] = &[
    row(Context::Panes, Command::Help, &[char('?')], ("?", "help"), ("?", "this help")),
    row(Context::Panes, Command::New, &[char('n')], ("n", "new"), ("n", "submit a new task, or a task file")),
    row(Context::Panes, Command::Stop, &[char('S')], ("S", "stop"), ("S", "stop the marked tasks, or this one (asks first)")),
    row(Context::Panes, Command::Restart, &[char('R')], NONE, ("R", "restart the marked tasks, or this one (asks first if it runs)")),
    row(Context::Panes, Command::Open, &[key(KeyCode::Enter), char('i')], ("Enter", "open"), ("Enter i", "details and history; on a worker: its tasks")),
    row(Context::Panes, Command::Logs, &[char('l')], ("l", "logs"), ("l", "what the marked tasks, or this one, say")),
    row(Context::Panes, Command::Why, &[char('w')], ("w", "why"), ("w", "why this task waits, is here, or was started again")),
    row(Context::Panes, Command::Shell, &[char('x')], ("x", "shell"), ("x", "a shell in this task's container")),
    row(Context::Panes, Command::Filter, &[char('/')], ("/", "filter"), ("/", "filter: words, !word, state:word")),
    row(Context::Panes, Command::Mark, &[char(' ')], ("Space", "mark"), ("Space", "mark or unmark this task")),
    row(Context::Panes, Command::Quit, &[char('q')], ("q", "quit"), ("q", "quit")),
    row(Context::Panes, Command::NextPane, &[key(KeyCode::Tab), key(KeyCode::Right)], ("Tab", "pane"), ("Tab Right", "next pane")),
    row(Context::Panes, Command::PreviousPane, &[key(KeyCode::BackTab), key(KeyCode::Left)], NONE, ("S-Tab Left", "previous pane")),
    row(Context::Panes, Command::Down, &[char('j'), key(KeyCode::Down)], ("j/k", "move"), ("j k Down Up", "one row down, up")),
    row(Context::Panes, Command::Up, &[char('k'), key(KeyCode::Up)], NONE, NONE),
    row(Context::Panes, Command::Zoom, &[char('z')], ("z", "zoom"), ("z", "this pane alone, and back")),
    row(Context::Panes, Command::Yank, &[char('y')], ("y", "yank id"), ("y", "copy the id to the clipboard")),
    row(Context::Panes, Command::MarkAll, &[char('*')], ("*", "mark all"), ("*", "mark all that the filter shows")),
    row(Context::Panes, Command::Cordon, &[char('C')], NONE, ("C", "on a worker: cordon, drain, uncordon (asks first)")),
    row(Context::Panes, Command::Back, &[key(KeyCode::Esc)], NONE, ("Esc", "back; clears marks, then the filter; never quits")),
    row(Context::Panes, Command::Top, &[char('g'), key(KeyCode::Home)], NONE, ("g G Home End", "first, last row")),
    row(Context::Panes, Command::End, &[char('G'), key(KeyCode::End)], NONE, NONE),
    row(Context::Panes, Command::HalfDown, &[ctrl('d')], NONE, ("^d ^u", "half a page down, up")),
    row(Context::Panes, Command::HalfUp, &[ctrl('u')], NONE, NONE),
    row(Context::Panes, Command::PageDown, &[key(KeyCode::PageDown)], NONE, ("PgDn PgUp", "a page down, up")),
    row(Context::Panes, Command::PageUp, &[key(KeyCode::PageUp)], NONE, NONE),
    row(Context::Panes, Command::Pane(Pane::Workers), &[char('1')], NONE, ("1-5", "workers, pending, tasks, stats, events")),
    row(Context::Panes, Command::Pane(Pane::Pending), &[char('2')], NONE, NONE),
    row(Context::Panes, Command::Pane(Pane::Tasks), &[char('3')], NONE, NONE),
    row(Context::Panes, Command::Pane(Pane::Stats), &[char('4')], NONE, NONE),
    row(Context::Panes, Command::Pane(Pane::Events), &[char('5')], NONE, NONE),
    row(Context::Countdown, Command::TakeBack, &[char('u')], ("u", "undo"), ("u", "within 5 s of a stop: take it back")),
    row(Context::Countdown, Command::SendNow, &[key(KeyCode::Enter)], ("Enter", "now"), ("Enter", "within 5 s of a stop: send it now")),
    row(Context::Detail, Command::Back, &[key(KeyCode::Esc)], ("Esc", "back"), NONE),
    row(Context::Detail, Command::Open, &[key(KeyCode::Enter), char('i')], NONE, NONE),
    row(Context::Detail, Command::Quit, &[char('q')], NONE, NONE),
    row(Context::Detail, Command::Down, &[char('j'), key(KeyCode::Down)], ("j/k", "scroll"), NONE),
    row(Context::Detail, Command::Up, &[char('k'), key(KeyCode::Up)], NONE, NONE),
    row(Context::Detail, Command::Top, &[char('g'), key(KeyCode::Home)], NONE, NONE),
    row(Context::Detail, Command::End, &[char('G'), key(KeyCode::End)], NONE, NONE),
    row(Context::Detail, Command::HalfDown, &[ctrl('d')], NONE, NONE),
    row(Context::Detail, Command::HalfUp, &[ctrl('u')], NONE, NONE),
    row(Context::Detail, Command::PageDown, &[key(KeyCode::PageDown)], NONE, NONE),
    row(Context::Detail, Command::PageUp, &[key(KeyCode::PageUp)], NONE, NONE),
    row(Context::Detail, Command::Stop, &[char('S')], ("S", "stop"), NONE),
    row(Context::Detail, Command::Restart, &[char('R')], ("R", "restart"), NONE),
    row(Context::Detail, Command::Logs, &[char('l')], ("l", "logs"), NONE),
    row(Context::Detail, Command::Why, &[char('w')], ("w", "why"), NONE),
    row(Context::Detail, Command::Shell, &[char('x')], ("x", "shell"), NONE),
    row(Context::Detail, Command::Yank, &[char('y')], ("y", "yank id"), NONE),
    row(Context::Why, Command::Back, &[key(KeyCode::Esc)], ("Esc", "back"), NONE),
    row(Context::Why, Command::Why, &[char('w')], NONE, NONE),
    row(Context::Why, Command::Open, &[key(KeyCode::Enter)], NONE, NONE),
    row(Context::Why, Command::Quit, &[char('q')], NONE, NONE),
    row(Context::Why, Command::Down, &[char('j'), key(KeyCode::Down)], ("j/k", "scroll"), NONE),
    row(Context::Why, Command::Up, &[char('k'), key(KeyCode::Up)], NONE, NONE),
    row(Context::Why, Command::Top, &[char('g'), key(KeyCode::Home)], NONE, NONE),
    row(Context::Why, Command::End, &[char('G'), key(KeyCode::End)], NONE, NONE),
    row(Context::Why, Command::HalfDown, &[ctrl('d')], NONE, NONE),
    row(Context::Why, Command::HalfUp, &[ctrl('u')], NONE, NONE),
    row(Context::Why, Command::PageDown, &[key(KeyCode::PageDown)], NONE, NONE),
    row(Context::Why, Command::PageUp, &[key(KeyCode::PageUp)], NONE, NONE),
    row(Context::Help, Command::Back, &[key(KeyCode::Esc)], ("Esc", "back"), NONE),
    row(Context::Help, Command::Help, &[char('?')], NONE, NONE),
    row(Context::Help, Command::Open, &[key(KeyCode::Enter)], NONE, NONE),
    row(Context::Help, Command::Quit, &[char('q')], NONE, NONE),
    row(Context::Help, Command::Down, &[char('j'), key(KeyCode::Down)], ("j/k", "scroll"), NONE),
    row(Context::Help, Command::Up, &[char('k'), key(KeyCode::Up)], NONE, NONE),
    row(Context::Help, Command::Top, &[char('g'), key(KeyCode::Home)], NONE, NONE),
    row(Context::Help, Command::End, &[char('G'), key(KeyCode::End)], NONE, NONE),
    row(Context::Help, Command::HalfDown, &[ctrl('d')], NONE, NONE),
    row(Context::Help, Command::HalfUp, &[ctrl('u')], NONE, NONE),
    row(Context::Help, Command::PageDown, &[key(KeyCode::PageDown)], NONE, NONE),
    row(Context::Help, Command::PageUp, &[key(KeyCode::PageUp)], NONE, NONE),
    row(Context::Confirm, Command::Yes, &[char('y')], ("y", "yes"), NONE),
    row(Context::Confirm, Command::No, &[key(KeyCode::Esc), char('n'), char('q')], ("Esc/n", "cancel"), NONE),
    row(Context::Confirm, Command::Toggle, &[key(KeyCode::Tab), key(KeyCode::BackTab), key(KeyCode::Left), key(KeyCode::Right)], ("Tab", "other button"), NONE),
    row(Context::Confirm, Command::Press, &[key(KeyCode::Enter)], ("Enter", "press the button"), NONE),
    row(Context::Cordon, Command::Cordon, &[char('c')], ("c", "cordon"), NONE),
    row(Context::Cordon, Command::Drain, &[char('d')], ("d", "drain"), NONE),
    row(Context::Cordon, Command::Uncordon, &[char('u')], ("u", "uncordon"), NONE),
    row(Context::Cordon, Command::No, &[key(KeyCode::Esc), char('n'), char('q')], ("Esc/n", "cancel"), NONE),
    row(Context::Quit, Command::Quit, &[key(KeyCode::Enter), char('q'), char('y')], ("Enter", "quit"), NONE),
    row(Context::Quit, Command::LeaveRunning, &[char('b')], ("b", "leave it running"), ("q b", "quit, and leave this manager running in the background")),
    row(Context::Quit, Command::Back, &[key(KeyCode::Esc), char('n')], ("Esc", "stay"), NONE),
    row(Context::Form, Command::Submit, &[key(KeyCode::F(2)), ctrl('s')], ("F2/^S", "submit"), ("F2 ^S", "in the form: submit")),
    row(Context::Form, Command::Enter, &[key(KeyCode::Enter)], ("Enter", "next"), NONE),
    row(Context::Form, Command::NextField, &[key(KeyCode::Tab), key(KeyCode::Down)], ("Tab", "next field"), ("Tab S-Tab", "in the form: next, previous field")),
    row(Context::Form, Command::PreviousField, &[key(KeyCode::BackTab), key(KeyCode::Up)], NONE, NONE),
    row(Context::Form, Command::Back, &[key(KeyCode::Esc)], ("Esc", "close"), NONE),
    row(Context::Filter, Command::Enter, &[key(KeyCode::Enter)], ("Enter", "keep"), NONE),
    row(Context::Filter, Command::Back, &[key(KeyCode::Esc)], ("Esc", "as before"), NONE),
    row(Context::Filter, Command::Down, &[key(KeyCode::Down)], NONE, NONE),
    row(Context::Filter, Command::Up, &[key(KeyCode::Up)], NONE, NONE),
    row(Context::Logs, Command::Back, &[key(KeyCode::Esc)], ("Esc", "back"), NONE),
    row(Context::Logs, Command::Logs, &[char('l')], NONE, NONE),
    row(Context::Logs, Command::Quit, &[char('q')], NONE, NONE),
    row(Context::Logs, Command::End, &[key(KeyCode::End), char('G'), char('f')], ("End", "follow"), ("End f", "in the logs: follow again")),
    row(Context::Logs, Command::Filter, &[char('/')], ("/", "search"), ("/ n N", "in the logs: search, next and previous hit")),
    row(Context::Logs, Command::Next, &[char('n')], ("n/N", "hit"), NONE),
    row(Context::Logs, Command::Previous, &[char('N')], NONE, NONE),
    row(Context::Logs, Command::Wrap, &[char('W')], ("W", "wrap"), ("W T", "in the logs: wrap long lines, show times")),
    row(Context::Logs, Command::Times, &[char('T')], ("T", "time"), NONE),
    row(Context::Logs, Command::Since(1), &[char('1')], ("1-4", "1m 5m 15m 1h"), ("1-4 0", "in the logs: only the last 1m 5m 15m 1h, all")),
    row(Context::Logs, Command::Since(2), &[char('2')], NONE, NONE),
    row(Context::Logs, Command::Since(3), &[char('3')], NONE, NONE),
    row(Context::Logs, Command::Since(4), &[char('4')], NONE, NONE),
    row(Context::Logs, Command::Since(0), &[char('0')], ("0", "all"), NONE),
    row(Context::Logs, Command::Yank, &[char('y')], ("y", "copy"), ("y", "in the logs: copy what is shown")),
    row(Context::Logs, Command::Down, &[char('j'), key(KeyCode::Down)], ("j/k", "scroll"), NONE),
    row(Context::Logs, Command::Up, &[char('k'), key(KeyCode::Up)], NONE, NONE),
    row(Context::Logs, Command::Top, &[char('g'), key(KeyCode::Home)], NONE, NONE),
    row(Context::Logs, Command::HalfDown, &[ctrl('d')], NONE, NONE),
    row(Context::Logs, Command::HalfUp, &[ctrl('u')], NONE, NONE),
    row(Context::Logs, Command::PageDown, &[key(KeyCode::PageDown)], NONE, NONE),
    row(Context::Logs, Command::PageUp, &[key(KeyCode::PageUp)], NONE, NONE),
    row(Context::LogSearch, Command::Enter, &[key(KeyCode::Enter)], ("Enter", "find"), NONE),
    row(Context::LogSearch, Command::Back, &[key(KeyCode::Esc)], ("Esc", "as before"), NONE),
    row(Context::Everywhere, Command::Interrupt, &[ctrl('c')], NONE, ("^C", "quit at once, from anywhere")),
    row(Context::Everywhere, Command::Suspend, &[ctrl('z')], NONE, ("^Z", "suspend; `fg` brings it back")),
];

/// The table with what the user put on other keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keymap(pub(super) Vec<Row>);

/// A row as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) binding: &'static Binding,
    pub(super) keys: Cow<'static, [Chord]>,
    pub(super) footer: Cow<'static, str>,
    pub(super) help: Cow<'static, str>,
}

impl Default for Keymap {
    fn default() -> Self {
        let row = |binding: &'static Binding| Row {
            binding,
            keys: binding.keys.into(),
            footer: binding.footer.0.into(),
            help: binding.help.0.into(),
        };
        Self(KEYMAP.iter().map(row).collect())
    }
}

impl Keymap {
    /// What `key` means to the first of `contexts` that knows it.
    pub(super) fn command(&self, contexts: &[Context], key: KeyEvent) -> Option<Command> {
        let chord = Chord::from(key);
        let row = contexts.iter().find_map(|context| {
            self.0.iter().find(|row| row.binding.context == *context && row.keys.contains(&chord))
        })?;
        Some(if row.binding.closes() { Command::Back } else { row.binding.command })
    }

    /// What the footer shows for a context, in order.
    pub(super) fn footer(&self, context: Context) -> impl Iterator<Item = (&str, &'static str)> {
        let rows = self.0.iter().filter(move |row| row.binding.context == context);
        rows.filter(|row| !row.footer.is_empty()).map(|row| (&*row.footer, row.binding.footer.1))
    }

    /// What the help shows.
    pub(super) fn help(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let rows = self.0.iter().filter(|row| !row.help.is_empty());
        rows.map(|row| (&*row.help, row.binding.help.1))
    }

    /// The first key of a command, to be named in a text.
    pub(super) fn key(&self, context: Context, command: Command) -> String {
        let row = self.0.iter().find(|row| row.binding.context == context && row.binding.command == command);
        row.and_then(|row| row.keys.first()).map(ToString::to_string).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::{Command, Context, KEYMAP, Keymap};

    fn command(contexts: &[Context], key: KeyEvent) -> Option<Command> {
        Keymap::default().command(contexts, key)
    }

    #[test]
    fn no_key_means_two_things_in_one_context() {
        for (index, row) in KEYMAP.iter().enumerate() {
            for other in &KEYMAP[index + 1..] {
                let clash = row.keys.iter().find(|key| other.keys.contains(key));
                assert!(row.context != other.context || clash.is_none(), "{row:?} and {other:?}");
            }
        }
    }

    #[test]
    fn nothing_that_changes_the_cluster_is_on_ctrl_or_a_small_letter() {
        for (command, key) in [(Command::Stop, 'S'), (Command::Restart, 'R')] {
            for row in KEYMAP.iter().filter(|row| row.command == command) {
                assert_eq!(row.keys, [super::char(key)]);
            }
        }
    }

    #[test]
    fn shift_is_told_in_many_ways() {
        let shifted = KeyEvent::new(KeyCode::Char('S'), KeyModifiers::SHIFT);
        assert_eq!(command(&[Context::Panes], shifted), Some(Command::Stop));
        let plain = KeyEvent::new(KeyCode::Char('S'), KeyModifiers::NONE);
        assert_eq!(command(&[Context::Panes], plain), Some(Command::Stop));
        let back_tab = KeyEvent::new(KeyCode::Tab, KeyModifiers::SHIFT);
        assert_eq!(command(&[Context::Panes], back_tab), Some(Command::PreviousPane));
        let control = KeyEvent::new(KeyCode::Char('C'), KeyModifiers::CONTROL | KeyModifiers::SHIFT);
        assert_eq!(command(&[Context::Form, Context::Everywhere], control), Some(Command::Interrupt));
    }

    #[test]
    fn an_escape_right_before_it_does_not_hide_a_control_key() {
        let together = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL | KeyModifiers::ALT);
        assert_eq!(command(&[Context::Panes, Context::Everywhere], together), Some(Command::Interrupt));
    }
}
