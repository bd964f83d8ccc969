//! Chord: a key with what is held down beside it, as the terminal tells it and as people write it. Knows no command.

use std::fmt;
use std::str::FromStr;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::clean::width;
use crate::task::is_unprintable;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chord(KeyModifiers, KeyCode);

pub(super) const fn char(char: char) -> Chord {
    Chord(KeyModifiers::NONE, KeyCode::Char(char))
}

pub(super) const fn ctrl(char: char) -> Chord {
    Chord(KeyModifiers::CONTROL, KeyCode::Char(char))
}

pub(super) const fn key(code: KeyCode) -> Chord {
    Chord(KeyModifiers::NONE, code)
}

/// Keys with a name, as footer and help show it.
const NAMED: [(&str, KeyCode); 16] = [
    ("Enter", KeyCode::Enter),
    ("Esc", KeyCode::Esc),
    ("Tab", KeyCode::Tab),
    ("S-Tab", KeyCode::BackTab),
    ("Space", KeyCode::Char(' ')),
    ("Up", KeyCode::Up),
    ("Down", KeyCode::Down),
    ("Left", KeyCode::Left),
    ("Right", KeyCode::Right),
    ("Home", KeyCode::Home),
    ("End", KeyCode::End),
    ("PgUp", KeyCode::PageUp),
    ("PgDn", KeyCode::PageDown),
    ("Backspace", KeyCode::Backspace),
    ("Delete", KeyCode::Delete),
    ("Insert", KeyCode::Insert),
];

impl Chord {
    /// Whether it is text where text is typed.
    pub(super) fn is_text(self) -> bool {
        self.0.is_empty() && matches!(self.1, KeyCode::Char(_))
    }
}

impl From<KeyEvent> for Chord {
    /// Shift is in the character already; terminals differ in telling it again.
    fn from(key: KeyEvent) -> Self {
        let mut modifiers = key.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT);
        let code = match key.code {
            KeyCode::Tab if key.modifiers.contains(KeyModifiers::SHIFT) => KeyCode::BackTab,
            KeyCode::Char(char) if modifiers.contains(KeyModifiers::CONTROL) => {
                // Terminals send Alt as an Esc before the key: Esc and ^C that arrive together look like one
                // chord, and ^C has to end the program all the same.
                modifiers = KeyModifiers::CONTROL;
                KeyCode::Char(char.to_ascii_lowercase())
            }
            code => code,
        };
        if code == KeyCode::BackTab {
            modifiers = KeyModifiers::NONE;
        }
        Self(modifiers, code)
    }
}

impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            KeyModifiers::CONTROL => f.write_str("^")?,
            KeyModifiers::ALT => f.write_str("M-")?,
            _ => {}
        }
        match (NAMED.iter().find(|(_, code)| *code == self.1), self.1) {
            (Some((name, _)), _) => f.write_str(name),
            (None, KeyCode::Char(char)) => write!(f, "{char}"),
            (None, KeyCode::F(number)) => write!(f, "F{number}"),
            (None, _) => Ok(()),
        }
    }
}

impl FromStr for Chord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let prefixes = [
            ("^", KeyModifiers::CONTROL),
            ("C-", KeyModifiers::CONTROL),
            ("Ctrl-", KeyModifiers::CONTROL),
            ("M-", KeyModifiers::ALT),
            ("Alt-", KeyModifiers::ALT),
        ];
        let held = prefixes.iter().find_map(|(prefix, held)| {
            let rest = text.get(prefix.len()..).filter(|rest| !rest.is_empty())?;
            text[..prefix.len()].eq_ignore_ascii_case(prefix).then_some((*held, rest))
        });
        let (held, name) = held.unwrap_or((KeyModifiers::NONE, text));
        let unknown = || {
            format!(
                "there is no key `{text}`: a character, F1 to F12, {}; or one of them with ^ (Ctrl) or M- (Alt) before it",
                NAMED.map(|(name, _)| name).join(", ")
            )
        };
        let mut characters = name.chars();
        let code = match (characters.next(), characters.next()) {
            (Some(char), None) if width(name) == 1 && !is_unprintable(char) => KeyCode::Char(char),
            _ => NAMED
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, code)| *code)
                .or_else(|| function_key(name))
                .ok_or_else(unknown)?,
        };
        match (held, code) {
            (KeyModifiers::CONTROL, KeyCode::Char(char)) => match char.to_ascii_lowercase() {
                'i' => Err(format!("terminals send Tab for `{text}`")),
                'm' => Err(format!("terminals send Enter for `{text}`")),
                char @ ('a'..='z' | ' ') => Ok(Self(held, KeyCode::Char(char))),
                _ => Err(format!(
                    "terminals don't tell `{text}`: Ctrl goes with a letter, Space or a key with a name"
                )),
            },
            (held, KeyCode::BackTab | KeyCode::Esc) if !held.is_empty() => Err(unknown()),
            (held, code) => Ok(Self(held, code)),
        }
    }
}

fn function_key(name: &str) -> Option<KeyCode> {
    let number = name.strip_prefix(['F', 'f'])?.parse().ok()?;
    (1..=12).contains(&number).then_some(KeyCode::F(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_shown() {
        for (text, chord) in [
            ("S", char('S')),
            ("^", char('^')),
            ("^d", ctrl('d')),
            ("Space", char(' ')),
            ("PgDn", key(KeyCode::PageDown)),
            ("S-Tab", key(KeyCode::BackTab)),
            ("F12", key(KeyCode::F(12))),
            ("M-x", Chord(KeyModifiers::ALT, KeyCode::Char('x'))),
            ("^Left", Chord(KeyModifiers::CONTROL, KeyCode::Left)),
        ] {
            assert_eq!(text.parse(), Ok(chord));
            assert_eq!(chord.to_string(), text);
        }
        for (text, chord) in [("ctrl-d", ctrl('d')), ("c-D", ctrl('d')), ("pgup", key(KeyCode::PageUp))] {
            assert_eq!(text.parse(), Ok(chord));
        }
    }

    #[test]
    fn what_no_terminal_sends_is_no_key() {
        for text in ["", "F0", "F13", "S-Up", "escape", "日", "\u{7}", "^i", "^M", "^[", "^1", "^^x", "M-Esc"]
        {
            assert!(text.parse::<Chord>().is_err(), "{text}");
        }
        let error = "F13".parse::<Chord>().unwrap_err();
        assert!(error.starts_with("there is no key `F13`: a character, F1 to F12, Enter, Esc"), "{error}");
    }
}
