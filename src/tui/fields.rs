//! What is typed into the fields of the form: a word in, a value or what was expected out. Knows no form.

use std::collections::BTreeMap;

use crate::task::SecretUse;

/// `shop/web:1.9` is called `web`.
pub(super) fn name_from(image: &str) -> String {
    let image = image.split('@').next().unwrap_or(image);
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split(':').next().unwrap_or(last).to_owned()
}

/// Splits at spaces as a shell does: quotes keep words together, a backslash takes the next character as
/// it is. Nothing is expanded.
pub(super) fn split_words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match (quote, char) {
            (None, '\'' | '"') => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (Some(open), _) if char == open => quote = None,
            (None | Some('"'), '\\') => {
                let next = chars.next().ok_or("ends in a lone backslash")?;
                word.get_or_insert_default().push(next);
            }
            (None, _) if char.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(char),
        }
    }
    if let Some(open) = quote {
        return Err(format!("the quote {open} is not closed"));
    }
    words.extend(word);
    Ok(words)
}

pub(super) fn read_env(text: &str) -> Result<Vec<String>, String> {
    let words = split_words(text)?;
    match words.iter().find(|word| word.find('=').is_none_or(|at| at == 0)) {
        Some(word) => Err(format!("expected NAME=VALUE, not \"{word}\"")),
        None => Ok(words),
    }
}

/// `HOST:CONTAINER[/tcp|udp]`, or a container port alone for a free host port.
pub(super) fn read_ports(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut ports = BTreeMap::new();
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        let expected = || format!("expected HOST:CONTAINER like 8080:80 (or /udp), not \"{word}\"");
        let (host, container) = word.split_once(':').unwrap_or(("0", word));
        let (number, protocol) = container.split_once('/').unwrap_or((container, "tcp"));
        let number: u16 = number.parse().ok().filter(|number| *number > 0).ok_or_else(expected)?;
        let host: u16 = host.parse().map_err(|_| expected())?;
        if !matches!(protocol, "tcp" | "udp") {
            return Err(expected());
        }
        let container = format!("{number}/{protocol}");
        let host = if host == 0 { String::new() } else { host.to_string() };
        if ports.insert(container.clone(), host).is_some() {
            return Err(format!("{container} is there twice"));
        }
    }
    Ok(ports)
}

/// `NAME`, `NAME:/path`, `NAME:env` or `NAME:env:VARIABLE`, several between spaces or commas.
pub(super) fn read_secrets(text: &str) -> Result<Vec<SecretUse>, String> {
    text.split([' ', ',']).filter(|word| !word.is_empty()).map(str::parse).collect()
}

pub(super) fn read_yes(text: &str) -> Result<bool, String> {
    match text {
        "" | "no" => Ok(false),
        "yes" => Ok(true),
        _ => Err(format!("expected yes or no, not \"{text}\"")),
    }
}

pub(super) fn read_cpu(text: &str) -> Result<f64, String> {
    if text.is_empty() {
        return Ok(0.0);
    }
    let cpu = text.parse().ok().filter(|cpu: &f64| cpu.is_finite() && *cpu >= 0.0);
    cpu.ok_or_else(|| format!("expected a number of CPUs like 0.5 or 2, not \"{text}\""))
}

/// Bytes from `512M`, `1.5G`, `64MiB`, `1048576`; units are powers of 1024.
pub(super) fn read_memory(text: &str) -> Result<u64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let expected = || format!("expected a size like 512M or 2G, not \"{text}\"");
    let at = text.find(|char: char| char.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(expected()),
    };
    let (whole, fraction) = number.trim().split_once('.').unwrap_or((number.trim(), ""));
    let whole: u64 = whole.parse().map_err(|_| expected())?;
    let bytes = whole.checked_mul(1 << shift).ok_or_else(expected)?;
    // Nine digits are enough for a whole byte of a gigabyte, and can't overflow.
    if fraction.len() > 9 {
        return Err(expected());
    }
    let mut part = 0_u128;
    for digit in fraction.chars().chain(std::iter::repeat('0')).take(9) {
        part = part * 10 + u128::from(digit.to_digit(10).ok_or_else(expected)?);
    }
    let part = (part << shift) / 1_000_000_000;
    bytes.checked_add(u64::try_from(part).map_err(|_| expected())?).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::{name_from, read_memory, read_ports, split_words};

    #[test]
    fn small_parsers() {
        assert_eq!(split_words(r#"a "b c"d 'e"' \f """#).unwrap(), ["a", "b cd", "e\"", "f", ""]);
        assert!(split_words("a \\").is_err());
        assert_eq!(name_from("localhost:5000/a/b:1@sha256:00"), "b");
        assert_eq!(read_memory("64MiB"), Ok(64 << 20));
        assert_eq!(read_memory("0.5k"), Ok(512));
        for wrong in ["-1", "1X", "M", "99999999999T", "1.2.3G", "1.xG"] {
            assert!(read_memory(wrong).is_err(), "{wrong}");
        }
        for wrong in ["0", "70000:80", "80:80 81:80", "80:80/icmp", "a"] {
            assert!(read_ports(wrong).is_err(), "{wrong}");
        }
    }
}
