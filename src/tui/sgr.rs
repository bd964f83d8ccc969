//! Foreign lines made safe for a terminal with their colours left in: of all that steers a terminal only SGR stays.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;

use ansi_to_tui::IntoText as _;
use ratatui::style::Style;

use crate::task::is_unprintable;

/// A sequence longer than this is no colour.
const LONGEST_SGR: usize = 64;

/// `text` with colours, and without anything else that could move the cursor, write to the clipboard, turn the
/// writing direction or hide. Ends in the colours that it began in.
pub fn keep_colours(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len());
    let mut has_colours = false;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\x1b' => match chars.next_if(|next| !next.is_control()) {
                Some('[') => has_colours |= control_sequence(&mut chars, &mut safe),
                Some(']' | 'P' | 'X' | '^' | '_') => control_string(&mut chars),
                // A character set and the like: intermediates and one last character.
                Some(' '..='/') => while chars.next().is_some_and(|next| (' '..='/').contains(&next)) {},
                Some(_) | None => {}
            },
            '\u{9b}' => has_colours |= control_sequence(&mut chars, &mut safe),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => control_string(&mut chars),
            '\t' => safe.push_str("    "),
            '\r' | '\n' => safe.push(' '),
            char if is_unprintable(char) => safe.push('·'),
            char => safe.push(char),
        }
    }
    if has_colours {
        safe.push_str("\x1b[0m");
    }
    Cow::Owned(safe)
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) || !text.chars().any(is_unprintable)
}

/// After `ESC [`. True if it was a colour, which is kept.
fn control_sequence(chars: &mut Peekable<Chars<'_>>, safe: &mut String) -> bool {
    let mut parameters = String::new();
    while let Some(char) = chars.next_if(|next| (' '..='~').contains(next)) {
        if ('@'..='~').contains(&char) {
            let is_colour = char == 'm'
                && parameters.len() <= LONGEST_SGR
                && parameters.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':'));
            if is_colour {
                safe.extend(["\x1b[", &parameters, "m"]);
            }
            return is_colour;
        }
        parameters.push(char);
    }
    false
}

/// Up to its end: BEL, or ST in either form. One without an end takes the whole line.
fn control_string(chars: &mut Peekable<Chars<'_>>) {
    while let Some(char) = chars.next() {
        match char {
            '\x07' | '\u{9c}' => return,
            '\x1b' if chars.next_if_eq(&'\\').is_some() => return,
            _ => {}
        }
    }
}

/// A safe text without its colours.
pub(super) fn without_colours(text: &str) -> Cow<'_, str> {
    if !text.contains('\x1b') {
        return Cow::Borrowed(text);
    }
    Cow::Owned(pieces(text).into_iter().map(|(piece, _)| piece).collect())
}

/// A safe text in pieces of one style each.
pub(super) fn pieces(text: &str) -> Vec<(String, Style)> {
    if !text.contains('\x1b') {
        return vec![(text.to_owned(), Style::new())];
    }
    match text.into_text() {
        Ok(parsed) => parsed
            .lines
            .into_iter()
            .flat_map(|line| line.spans)
            .map(|span| (span.content.into_owned(), span.style))
            .collect(),
        // It takes whatever bytes there are; should it not, then without colours.
        Err(_) => vec![(text.replace('\x1b', "·"), Style::new())],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ratatui::style::Color;

    use super::{is_unprintable, keep_colours, pieces, without_colours};

    #[test]
    fn colours_stay_and_all_else_goes() {
        let cases = [
            ("plain", "plain"),
            ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m\x1b[0m"),
            ("\x1b[38;5;9mred", "\x1b[38;5;9mred\x1b[0m"),
            ("\x1b[2Jgone\x1b[10;10H", "gone"),
            ("\x1b]52;c;ZXZpbA==\x07clip", "clip"),
            ("\x1b]0;title\x1b\\t", "t"),
            ("\x1b]52;c;without end", ""),
            ("\u{9b}31mred", "\x1b[31mred\x1b[0m"),
            ("\u{9d}52;c;x\u{9c}y", "y"),
            ("\x1bPq#0\x1b\\sixel", "sixel"),
            ("\x1b(0lqk", "lqk"),
            ("\x1b[?25lhidden", "hidden"),
            ("\x1bcreset", "reset"),
            ("10%\r20%", "10% 20%"),
            ("a\tb\x07\x08", "a    b··"),
            ("evil\u{202e}txt", "evil·txt"),
            ("\x1b[\x1b[31mx", "\x1b[31mx\x1b[0m"),
            ("日本語", "日本語"),
        ];
        for (text, expected) in cases {
            assert_eq!(keep_colours(text), expected, "{text:?}");
        }
    }

    #[test]
    fn pieces_have_their_colours() {
        let pieces = pieces(&keep_colours("a\x1b[31mb\x1b[0mc"));
        let told: Vec<_> = pieces.iter().map(|(text, style)| (text.as_str(), style.fg)).collect();
        assert_eq!(told[0], ("a", None));
        assert_eq!(told[1], ("b", Some(Color::Red)));
        assert_eq!(without_colours(&keep_colours("a\x1b[31mb\x1b[0mc")), "abc");
    }

    proptest! {
        #[test]
        fn whatever_comes_nothing_but_colours_reaches_the_terminal(text in "(\\PC|\\x1b|[\\x00-\\x1f]|\\[|\\]|m|;|[0-9]|\u{9b}){0,40}") {
            let safe = keep_colours(&text);
            let mut rest = &*safe;
            while let Some(at) = rest.find('\x1b') {
                let end = rest[at..].find('m').map(|end| at + end);
                prop_assert!(end.is_some());
                let parameters = &rest[at + 2..end.unwrap_or_default()];
                prop_assert!(parameters.bytes().all(|byte| byte.is_ascii_digit() || b";:".contains(&byte)));
                prop_assert!(!rest[..at].chars().any(is_unprintable));
                rest = &rest[end.unwrap_or_default() + 1..];
            }
            prop_assert!(!rest.chars().any(is_unprintable));
            let shown = without_colours(&safe);
            prop_assert!(!shown.chars().any(is_unprintable), "{shown:?}");
        }
    }
}
