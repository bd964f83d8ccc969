//! Where a task may run, in its file's words: parsed once, where the file comes in. Knows no worker.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// One entry of a task's `Constraints`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Constraint {
    /// A test of one of the worker's labels.
    Label { label: String, test: Test },
    /// Only where a task with this label lives.
    With(Pair),
    /// Never where a task with this label lives; and later ones with it keep away too.
    Without(Pair),
    /// As few tasks with the same Labels as possible for each value of this label of the workers.
    Spread(String),
}

/// A task's label and its value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pair {
    pub label: String,
    pub value: String,
}

/// What is asked of a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Test {
    Is(String),
    IsNot(String),
    In(Vec<String>),
    Exists,
    Missing,
    /// A number or a version, compared as such.
    Compare(Comparison, String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Comparison {
    Less,
    AtMost,
    AtLeast,
    More,
}

impl Test {
    /// Whether a label with this value (`None`: there is none) passes. A label that is missing is not equal to
    /// anything.
    pub fn passes(&self, label: &str, value: Option<&str>) -> bool {
        match (self, value) {
            (Self::Missing | Self::IsNot(_), None) | (Self::Exists, Some(_)) => true,
            (_, None) | (Self::Missing, Some(_)) => false,
            (Self::Is(wanted), Some(value)) => value == wanted,
            (Self::IsNot(wanted), Some(value)) => value != wanted,
            (Self::In(wanted), Some(value)) => wanted.iter().any(|wanted| wanted == value),
            (Self::Compare(comparison, wanted), Some(value)) => {
                compare(label, value, wanted).is_some_and(|order| comparison.holds(order))
            }
        }
    }
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::AtLeast => order.is_ge(),
            Self::More => order.is_gt(),
        }
    }

    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::AtLeast => ">=",
            Self::More => ">",
        }
    }
}

/// As versions, if one of them looks like one (two dots, a `v` in front) or the label's name says so (`engine`, `...
/// version`); as numbers otherwise. `None` if they are neither.
fn compare(label: &str, value: &str, wanted: &str) -> Option<Ordering> {
    let looks = |text: &str| text.starts_with('v') || text.matches('.').count() > 1;
    if is_version(label) || looks(value) || looks(wanted) {
        return Some(version(value)?.cmp(&version(wanted)?));
    }
    value.parse::<f64>().ok()?.partial_cmp(&wanted.parse::<f64>().ok()?)
}

pub(super) fn is_version(label: &str) -> bool {
    label == "engine" || label.ends_with("version")
}

/// `v20.10.24+dfsg1` is 20, 10, 24; zeros at the end count for nothing.
pub(super) fn version(text: &str) -> Option<Vec<u64>> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let parts = text[..end].trim_end_matches('.').split('.').map(str::parse).collect::<Result<Vec<u64>, _>>();
    let mut parts = parts.ok()?;
    while parts.last() == Some(&0) {
        parts.pop();
    }
    Some(parts)
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.label, self.value)
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (label, test) = match self {
            Self::With(pair) => return write!(f, "with:{pair}"),
            Self::Without(pair) => return write!(f, "without:{pair}"),
            Self::Spread(label) => return write!(f, "spread:{label}"),
            Self::Label { label, test } => (label, test),
        };
        match test {
            Test::Is(value) => write!(f, "{label}={value}"),
            Test::IsNot(value) => write!(f, "{label}!={value}"),
            Test::In(values) => write!(f, "{label} in ({})", values.join(",")),
            Test::Exists => f.write_str(label),
            Test::Missing => write!(f, "!{label}"),
            Test::Compare(comparison, value) => write!(f, "{label}{}{value}", comparison.sign()),
        }
    }
}

/// Every form there is, for messages.
const FORMS: &str = "label=value, label!=value, label in (a,b), label, !label, label>=1.2 (or >, <, <=), \
                     with:label=value, without:label=value or spread:label";

impl FromStr for Constraint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some((kind, rest)) = text.split_once(':').filter(|(kind, _)| is_word(kind)) {
            return special(kind, rest.trim());
        }
        if let Some(label) = text.strip_prefix('!') {
            return Ok(Self::Label { label: name(text, label)?, test: Test::Missing });
        }
        if let Some((label, list)) = text.split_once(" in ").or_else(|| text.split_once(" in(")) {
            return Ok(Self::Label { label: name(text, label)?, test: Test::In(values(text, list)?) });
        }
        let Some(at) = text.find(['=', '!', '<', '>']) else {
            return Ok(Self::Label { label: name(text, text)?, test: Test::Exists });
        };
        let (label, rest) = text.split_at(at);
        let label = name(text, label)?;
        let sign: String = rest.chars().take_while(|c| "=!<>".contains(*c)).collect();
        let wanted = value(text, &rest[sign.len()..])?;
        let ordered = |comparison, wanted: String| {
            let is_comparable = version(&wanted).is_some() || wanted.parse::<f64>().is_ok_and(f64::is_finite);
            if is_comparable {
                return Ok(Test::Compare(comparison, wanted));
            }
            Err(format!("expected a number or a version after {}, found {text:?}", comparison.sign()))
        };
        let asked = match &*sign {
            "=" | "==" => Test::Is(wanted),
            "!=" => Test::IsNot(wanted),
            "<" => ordered(Comparison::Less, wanted)?,
            "<=" => ordered(Comparison::AtMost, wanted)?,
            ">=" => ordered(Comparison::AtLeast, wanted)?,
            ">" => ordered(Comparison::More, wanted)?,
            "=>" => return Err(format!("unknown sign => in {text:?}; did you mean >=?")),
            "=<" => return Err(format!("unknown sign =< in {text:?}; did you mean <=?")),
            "<>" | "=!" => return Err(format!("unknown sign {sign} in {text:?}; did you mean !=?")),
            _ => return Err(unknown(text)),
        };
        Ok(Self::Label { label, test: asked })
    }
}

fn special(kind: &str, rest: &str) -> Result<Constraint, String> {
    const KINDS: [&str; 3] = ["with", "without", "spread"];
    let whole = format!("{kind}:{rest}");
    let pair = || {
        let (label, wanted) = rest
            .split_once('=')
            .ok_or_else(|| format!("expected {kind}:label=value, a label of tasks, found {whole:?}"))?;
        Ok::<_, String>(Pair { label: name(&whole, label)?, value: value(&whole, wanted)? })
    };
    match kind {
        "with" => Ok(Constraint::With(pair()?)),
        "without" => Ok(Constraint::Without(pair()?)),
        "spread" => Ok(Constraint::Spread(name(&whole, rest)?)),
        other => {
            let meant = match &*other.to_ascii_lowercase() {
                "affinity" | "near" => "with",
                "antiaffinity" | "anti-affinity" | "anti" | "not" => "without",
                lower => {
                    let near = KINDS.iter().min_by_key(|known| strsim::osa_distance(lower, known));
                    let near = near.filter(|known| strsim::osa_distance(lower, known) <= 2);
                    let Some(near) = near else { return Err(unknown(&whole)) };
                    near
                }
            };
            Err(format!("unknown kind {other}: in {whole:?}; did you mean {meant}:?"))
        }
    }
}

fn unknown(text: &str) -> String {
    format!("expected {FORMS}, found {text:?}")
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphabetic() || c == '-')
}

/// A label's name.
fn name(whole: &str, label: &str) -> Result<String, String> {
    let label = label.trim();
    let is_name = (1..=128).contains(&label.len())
        && label.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    if is_name { Ok(label.to_owned()) } else { Err(unknown(whole)) }
}

fn value(whole: &str, value: &str) -> Result<String, String> {
    let value = value.trim();
    let is_value =
        (1..=256).contains(&value.len()) && !value.contains(|c: char| c.is_whitespace() || c.is_control());
    if is_value && !value.contains(super::check::is_unprintable) {
        Ok(value.to_owned())
    } else {
        Err(unknown(whole))
    }
}

fn values(whole: &str, list: &str) -> Result<Vec<String>, String> {
    let inner = list.trim().trim_start_matches('(');
    let inner = inner.strip_suffix(')').ok_or_else(|| unknown(whole))?;
    inner.split(',').map(|one| value(whole, one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Constraint {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn every_form_reads_back_as_it_is_written() {
        for text in [
            "zone=a",
            "zone!=a",
            "zone in (a,b)",
            "ssd",
            "!ssd",
            "engine>=20.10",
            "disks<3",
            "disks<=3",
            "disks>1.5",
            "with:app=web",
            "without:app=web",
            "spread:zone",
            "platform=linux/arm64",
            "worker!=localhost:5555",
        ] {
            assert_eq!(parse(text).to_string(), text);
        }
        assert_eq!(parse(" zone == a "), parse("zone=a"));
        assert_eq!(parse("zone in ( a , b )"), parse("zone in (a,b)"));
    }

    #[test]
    fn what_is_not_understood_names_the_nearest_form() {
        for (text, expected) in [
            ("engine=>20", "did you mean >="),
            ("zone<>a", "did you mean !="),
            ("affinity:app=web", "did you mean with:"),
            ("anti-affinity:app=web", "did you mean without:"),
            ("spraed:zone", "did you mean spread:"),
            ("with:app", "expected with:label=value"),
            ("disks>fast", "expected a number or a version after >"),
            ("", "expected label=value, label!=value"),
            ("zone in a,b", "expected label=value"),
            ("zone=", "expected label=value"),
            ("a b", "expected label=value"),
            ("frobnicate:x", "expected label=value"),
        ] {
            let error = text.parse::<Constraint>().expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn labels_are_tested_as_words_numbers_and_versions() {
        for (text, value, expected) in [
            ("zone=a", Some("a"), true),
            ("zone=a", Some("b"), false),
            ("zone=a", None, false),
            ("zone!=a", Some("b"), true),
            ("zone!=a", None, true),
            ("zone in (a,b)", Some("b"), true),
            ("zone in (a,b)", Some("c"), false),
            ("zone", Some(""), true),
            ("zone", None, false),
            ("!zone", None, true),
            ("!zone", Some("a"), false),
            ("disks>=2", Some("10"), true),
            ("disks<2", Some("10"), false),
            ("speed>1.25", Some("1.3"), true),
            ("speed>1.25", Some("fast"), false),
            ("engine>=20.9", Some("20.10.24+dfsg1"), true),
            ("engine>20.10.24", Some("20.10.24"), false),
            ("engine<=20.10", Some("20.10.0"), true),
            ("kernel-version>=5.9", Some("5.10"), true),
            ("x>=v1.2.3", Some("v1.10.0"), true),
        ] {
            let Constraint::Label { label, test } = parse(text) else { panic!("{text}") };
            assert_eq!(test.passes(&label, value), expected, "{text} of {value:?}");
        }
    }
}
