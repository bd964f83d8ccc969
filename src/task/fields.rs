//! A JSON object as its fields in order, values unread, and how one value is read: what the tolerant readers
//! of wire and files share. Knows no Task.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{HostPort, State, check::is_unprintable};

/// A field that does not hold what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct FieldError {
    /// As the user wrote it or should have: `Memory`, `Task.Memory`.
    pub field: String,
    /// What is wrong and what was expected.
    pub problem: String,
}

impl FieldError {
    pub(super) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    /// The same, seen from the object around.
    pub(super) fn inside(mut self, outer: &str) -> Self {
        self.field = format!("{outer}.{}", self.field);
        self
    }
}

/// An object's fields in order, repeated ones too. `null` is an object without fields, as Go has it.
pub(super) struct Fields<'a>(pub(super) Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Fields(Vec::new()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_any(FieldsVisitor)
    }
}

/// The name in `known` that is `name` but for the case of its letters; the exact one first.
pub(super) fn fold(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let exact = known.iter().find(|known| **known == name);
    exact.or_else(|| known.iter().find(|known| known.eq_ignore_ascii_case(name))).copied()
}

/// What to say of a field that is not among the `known`. `also` are names that would be known elsewhere and may be what
/// was meant.
pub(super) fn unknown_field(name: &str, known: &[&'static str], also: &[&'static str]) -> FieldError {
    let shown: String = name.chars().take(40).flat_map(char::escape_debug).collect();
    let all = [known, also].concat();
    if let Some(right) = fold(name, &all) {
        return FieldError::new(shown, format!("unknown field; its name is {right}"));
    }
    let distance = |field: &&str| strsim::osa_distance(&name.to_lowercase(), &field.to_lowercase());
    let nearest = all.iter().min_by_key(|field| distance(field)).copied().unwrap_or_default();
    if distance(&nearest) <= 1 + nearest.len() / 3 {
        FieldError::new(shown, format!("unknown field; did you mean {nearest}?"))
    } else {
        FieldError::new(shown, format!("unknown field; the known ones are {}", known.join(", ")))
    }
}

/// One value that waits to be read, and the field it belongs to.
#[derive(Clone, Copy)]
pub(super) struct Raw<'a> {
    pub(super) field: &'static str,
    pub(super) value: &'a RawValue,
}

impl<'a> Raw<'a> {
    pub(super) fn is_null(self) -> bool {
        self.value.get() == "null"
    }

    fn read<T: DeserializeOwned>(self, expected: &str) -> Result<T, FieldError> {
        serde_json::from_str(self.value.get()).map_err(|_| self.expected(expected))
    }

    fn expected(self, expected: &str) -> FieldError {
        FieldError::new(self.field, format!("expected {expected}, found {}", excerpt(self.value)))
    }

    pub(super) fn fields(self) -> Result<Fields<'a>, FieldError> {
        serde_json::from_str(self.value.get()).map_err(|_| self.expected("an object"))
    }

    pub(super) fn text(self) -> Result<String, FieldError> {
        self.read("a string")
    }

    pub(super) fn flag(self) -> Result<bool, FieldError> {
        self.read("true or false")
    }

    pub(super) fn cpus(self) -> Result<f64, FieldError> {
        self.read("a number of CPUs, such as 0.5")
    }

    pub(super) fn bytes(self) -> Result<u64, FieldError> {
        self.read("a whole number of bytes, 0 or more (64 MiB is 67108864)")
    }

    pub(super) fn count(self) -> Result<u32, FieldError> {
        self.read("a whole number, 0 or more")
    }

    pub(super) fn whole<T: DeserializeOwned>(self) -> Result<T, FieldError> {
        self.read("a whole number")
    }

    /// All spellings that Go's uuid package takes.
    pub(super) fn uuid(self) -> Result<Uuid, FieldError> {
        let expected = "a UUID, such as 21b23589-5d2d-4731-b5c9-a97e9832d021";
        let text: String = self.read(expected)?;
        let digits = match text.get(..9) {
            Some(urn) if urn.eq_ignore_ascii_case("urn:uuid:") => &text[9..],
            _ => &text,
        };
        digits.parse().map_err(|_| self.expected(expected))
    }

    pub(super) fn state(self) -> Result<State, FieldError> {
        let expected = "a state: 0 Pending, 1 Scheduled, 2 Running, 3 Completed or 4 Failed";
        let number = self.read(expected)?;
        State::from_number(number).ok_or_else(|| self.expected(expected))
    }

    pub(super) fn time(self) -> Result<Timestamp, FieldError> {
        self.read("a time as RFC 3339 has it, such as 2026-11-24T08:00:00Z")
    }

    pub(super) fn texts(self) -> Result<Vec<String>, FieldError> {
        self.read("an array of strings")
    }

    pub(super) fn text_map<T: FromIterator<(String, String)>>(self) -> Result<T, FieldError> {
        let map: BTreeMap<String, Option<String>> = self.read("an object of strings")?;
        Ok(map.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect())
    }

    /// The keys of `{"80/tcp":{}}`.
    pub(super) fn ports(self) -> Result<Vec<String>, FieldError> {
        let expected = "an object of ports, such as {\"80/tcp\":{}}";
        let ports: BTreeMap<String, Option<EmptyObject>> = self.read(expected)?;
        Ok(ports.into_keys().collect())
    }

    pub(super) fn host_ports(self) -> Result<BTreeMap<String, Vec<HostPort>>, FieldError> {
        let expected =
            "published ports, such as {\"80/tcp\":[{\"HostIp\":\"0.0.0.0\",\"HostPort\":\"8080\"}]}";
        let wrong = |_| self.expected(expected);
        let ports: BTreeMap<String, Option<Vec<Fields<'_>>>> =
            serde_json::from_str(self.value.get()).map_err(wrong)?;
        let mut host_ports = BTreeMap::new();
        for (port, bindings) in ports {
            let mut read = Vec::new();
            for binding in bindings.unwrap_or_default() {
                let mut host_port = HostPort { host_ip: String::new(), host_port: String::new() };
                for (key, value) in binding.0 {
                    let value: Option<String> = match fold(&key, &["HostIp", "HostPort"]) {
                        Some(_) => serde_json::from_str(value.get()).map_err(wrong)?,
                        None => continue,
                    };
                    match fold(&key, &["HostIp", "HostPort"]) {
                        Some("HostIp") => host_port.host_ip = value.unwrap_or_default(),
                        _ => host_port.host_port = value.unwrap_or_default(),
                    }
                }
                read.push(host_port);
            }
            host_ports.insert(port, read);
        }
        Ok(host_ports)
    }
}

/// What Go's `struct{}` is in JSON.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct EmptyObject {}

/// The value as written, short enough and safe enough for a message.
pub(super) fn excerpt(value: &RawValue) -> String {
    const SHOWN: usize = 60;
    let mut text: String =
        value.get().chars().map(|c| if is_unprintable(c) { ' ' } else { c }).take(SHOWN + 1).collect();
    if text.chars().count() > SHOWN {
        text.pop();
        text.push('…');
    }
    text
}
