//! Text of others, made safe for a terminal.

use crate::task::is_unprintable;

/// What others named or said, made safe for a terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if is_unprintable(c) { ' ' } else { c }).collect()
}

/// JSON in which nothing is left that a terminal would obey: JSON itself escapes C0 only. Its meaning stays the same,
/// since such characters stand in strings only.
pub fn escaped(json: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && is_unprintable(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Fails never: memory has room.
                let _ = write!(text, "\\u{unit:04x}");
            }
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn escaped_json_says_the_same_and_moves_no_cursor() {
        let name = "a\u{9b}2J\u{7f}b\u{202e}c\u{e0041}d\x1b]52;c;aGk=\x07";
        let json = serde_json::to_string_pretty(&[name]).unwrap();
        let text = escaped(&json);
        assert!(!text.contains(|c: char| c != '\n' && crate::task::is_unprintable(c)), "{text:?}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), [name]);
    }
}
