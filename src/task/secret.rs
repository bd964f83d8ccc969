//! Secrets: how a task names those that it gets and in which form, and a value that shows itself to nobody. Knows no file
//! and no engine.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// The largest value: a bundle of certificates fits, a file of data is no secret.
pub const LARGEST_SECRET: usize = 64 << 10;

/// A task that names more has a mistake in it; and what goes to a worker at once stays bounded.
pub const MOST_SECRETS: usize = 32;

/// Where a task finds those that it does not want elsewhere.
const FOLDER: &str = "/run/secrets/";

/// The name of a secret: also that of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String)]
pub struct SecretName(String);

impl SecretName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SecretName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_known = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let is_name = (1..=64).contains(&text.len())
            && text.chars().all(is_known)
            && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        if is_name {
            return Ok(Self(text.to_owned()));
        }
        // What is no name may be a value that was put in its place: it is not repeated.
        Err("expected a name of 1 to 64 letters, digits, `_`, `.` and `-`, such as DB_PASSWORD".to_owned())
    }
}

impl TryFrom<String> for SecretName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// One of a task's Secrets: `NAME`, `NAME:/path`, `NAME:env` or `NAME:env:VARIABLE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretUse {
    pub name: SecretName,
    pub form: SecretForm,
}

/// How a task gets a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretForm {
    /// A file that nobody writes to, at this path.
    File(String),
    /// A variable of this name.
    Variable(String),
}

impl fmt::Display for SecretUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.form {
            SecretForm::File(path) if path.strip_prefix(FOLDER) == Some(name.as_str()) => write!(f, "{name}"),
            SecretForm::File(path) => write!(f, "{name}:{path}"),
            SecretForm::Variable(variable) if variable == name.as_str() => write!(f, "{name}:env"),
            SecretForm::Variable(variable) => write!(f, "{name}:env:{variable}"),
        }
    }
}

impl FromStr for SecretUse {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, form) = text.split_once(':').map_or((text, None), |(name, form)| (name, Some(form)));
        let name: SecretName = name.parse()?;
        let form = match form {
            None => SecretForm::File(format!("{FOLDER}{name}")),
            Some("env") => SecretForm::Variable(name.to_string()),
            Some(path) if path.starts_with('/') => SecretForm::File(path.to_owned()),
            Some(form) => match form.strip_prefix("env:") {
                Some(variable) => SecretForm::Variable(variable.to_owned()),
                None => {
                    return Err(format!(
                        "expected {name}, {name}:/path, {name}:env or {name}:env:VARIABLE; a value is set with \
                         `cube-tui secret set {name}`"
                    ));
                }
            },
        };
        Ok(Self { name, form })
    }
}

impl SecretUse {
    /// Whether an engine can give it so.
    pub(super) fn check(&self) -> Result<(), String> {
        let name = &self.name;
        match &self.form {
            SecretForm::File(path) => {
                let is_path = path.len() > 1
                    && !path.ends_with('/')
                    && !path.contains(|c: char| c == ':' || super::is_unprintable(c))
                    && path.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."));
                if is_path { Ok(()) } else { Err(format!("{name}: expected the absolute path of a file")) }
            }
            SecretForm::Variable(variable) => {
                let is_variable = variable.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                    && variable.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                let problem = || {
                    format!(
                        "{name}: expected a variable of letters, digits and `_`, as in {name}:env:VARIABLE"
                    )
                };
                if is_variable { Ok(()) } else { Err(problem()) }
            }
        }
    }
}

/// What nobody but its task is to see. Shared by `Arc`, and wiped when the last one lets go of it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Arc<Zeroizing<Vec<u8>>>);

impl SecretValue {
    pub fn new(bytes: Vec<u8>) -> Result<Self, String> {
        let value = Zeroizing::new(bytes);
        match value.len() {
            0 => Err("the value is empty".to_owned()),
            len if len > LARGEST_SECRET => Err(format!(
                "the value has more than {} KiB, the most that a secret has",
                LARGEST_SECRET >> 10
            )),
            _ => Ok(Self(Arc::new(value))),
        }
    }

    /// The bytes themselves: look where they go.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// As a variable can have it; `None` if it has a NUL or is no text.
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(self.expose()).ok().filter(|text| !text.contains('\0'))
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue")
    }
}

/// A value on its way to whoever may have it. A type of its own, so that no value gets into JSON by mistake.
#[derive(Clone, Debug)]
pub struct SecretOnWire(pub SecretValue);

impl Serialize for SecretOnWire {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(BASE64_STANDARD.encode(self.0.expose())))
    }
}

impl<'de> Deserialize<'de> for SecretOnWire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;

        impl de::Visitor<'_> for Value {
            type Value = SecretOnWire;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a secret's value in base64")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SecretOnWire, E> {
                // The decoder's own words would tell of the text.
                let bytes = BASE64_STANDARD.decode(text).map_err(|_| E::custom("the value is not base64"))?;
                SecretValue::new(bytes).map(SecretOnWire).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_says_name_and_form_in_one_way() {
        for (text, form) in [
            ("DB", SecretForm::File("/run/secrets/DB".into())),
            ("DB:/etc/db", SecretForm::File("/etc/db".into())),
            ("DB:env", SecretForm::Variable("DB".into())),
            ("DB:env:PGPASSWORD", SecretForm::Variable("PGPASSWORD".into())),
        ] {
            let used: SecretUse = text.parse().unwrap();
            assert_eq!(used.form, form);
            assert_eq!(used.check(), Ok(()));
            assert_eq!(used.to_string(), text);
        }
        assert_eq!("DB:/run/secrets/DB".parse::<SecretUse>().unwrap().to_string(), "DB");
    }

    #[test]
    fn what_is_no_use_is_refused_without_being_repeated() {
        for text in ["", "..", ".a", "a b", "a/b", "hunter2!", "DB:hunter2", "DB=hunter2", &"x".repeat(65)] {
            let error = text.parse::<SecretUse>().expect_err(text);
            assert!(!error.contains("hunter2"), "{error}");
        }
        for text in
            ["DB:/", "DB:/a/../b", "DB:/a//b", "DB:/a/", "DB:env:", "DB:env:1A", "d.b:env", "DB:/a:ro"]
        {
            assert!(text.parse::<SecretUse>().unwrap().check().is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_shows_itself_to_nobody() {
        let value = SecretValue::new(b"hunter2".to_vec()).unwrap();
        assert_eq!(
            format!("{value:?} {:?}", SecretOnWire(value.clone())),
            "SecretValue SecretOnWire(SecretValue)"
        );
        let wire = serde_json::to_string(&SecretOnWire(value.clone())).unwrap();
        assert_eq!(serde_json::from_str::<SecretOnWire>(&wire).unwrap().0, value);
        let error = serde_json::from_str::<SecretOnWire>("\"hunter2\"").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_value_has_bounds() {
        assert!(SecretValue::new(vec![]).is_err());
        assert!(SecretValue::new(vec![b'x'; LARGEST_SECRET]).is_ok());
        assert!(SecretValue::new(vec![b'x'; LARGEST_SECRET + 1]).is_err());
        assert_eq!(SecretValue::new(b"a\0".to_vec()).unwrap().expose_text(), None);
        assert_eq!(SecretValue::new(vec![0xff]).unwrap().expose_text(), None);
    }
}
