//! Makes foreign text safe to print and cuts it by display width. Knows no screen.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::task::is_unprintable;

/// `text` without anything that could move the cursor, turn the writing direction or hide: each such
/// character becomes one `·`, so that nobody mistakes a trick for a plain name. Line breaks and tabs become
/// spaces.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) || !text.chars().any(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let safe = text.chars().map(|char| match char {
        '\n' | '\r' | '\t' => ' ',
        char if is_unprintable(char) => '·',
        char => char,
    });
    Cow::Owned(safe.collect())
}

/// How many cells `text` takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// The part of clean `text` that fits into `max` cells; what is cut ends in `…`.
pub(super) fn cut(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max || width(text) <= max {
        return Cow::Borrowed(text);
    }
    if max == 0 {
        return Cow::Borrowed("");
    }
    let mut used = 0;
    let mut kept = String::new();
    for char in text.chars() {
        used += char.width().unwrap_or(0);
        if used >= max {
            break;
        }
        kept.push(char);
    }
    kept.push('…');
    Cow::Owned(kept)
}

/// The same without a mark where it is cut; for a field that scrolls.
pub(super) fn clip(text: &str, max: usize) -> &str {
    let mut used = 0;
    for (at, char) in text.char_indices() {
        used += char.width().unwrap_or(0);
        if used > max {
            return &text[..at];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{clean, clip, cut, width};

    #[test]
    fn what_could_steer_the_terminal_is_replaced() {
        let cases = [
            ("web-1", "web-1"),
            ("a\x1b[2Jb", "a·[2Jb"),
            ("a\u{9b}31mb", "a·31mb"),
            ("two\nlines\tand tab", "two lines and tab"),
            ("evil\u{202e}txt.exe", "evil·txt.exe"),
            ("zero\u{200b}width\u{feff}", "zero·width·"),
            ("日本語 ok", "日本語 ok"),
        ];
        for (text, expected) in cases {
            assert_eq!(clean(text), expected, "{text:?}");
        }
    }

    #[test]
    fn cut_counts_cells_not_characters() {
        assert_eq!(cut("web-1", 5), "web-1");
        assert_eq!(cut("web-10", 5), "web-…");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("日本語", 1), "…");
        assert_eq!(cut("日本語", 0), "");
        assert_eq!(clip("日本語", 5), "日本");
        for max in 0..8 {
            assert!(width(&cut("日本語abc", max)) <= max);
        }
    }
}
