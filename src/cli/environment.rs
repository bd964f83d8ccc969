//! What the environment says, read once: variables, then defaults. Nobody else reads it.

use std::path::PathBuf;

use etcetera::BaseStrategy;

use super::address::Address;
use super::exit::CliError;
use crate::worker::runtime::DEFAULT_DOCKER_HOST;

/// The addresses by the environment; flags override them where there are any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Where the local worker's API listens.
    pub worker: Address,
    /// Where the manager's API listens, and where commands look for it.
    pub manager: Address,
    /// Where the container engine listens, as `DOCKER_HOST` has it.
    pub docker_host: String,
    /// False with NO_COLOR set to anything.
    pub color: bool,
    /// `RUST_LOG`: how much is logged.
    pub rust_log: Option<String>,
    /// What `~/` means.
    pub home: Option<PathBuf>,
}

impl Environment {
    /// Reads the process's own.
    pub fn of_process() -> Result<Self, CliError> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Reads it from `variable`. An empty value counts as unset.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, CliError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let address = |host: &str, port: &str, default: u16| {
            let port = match set(port) {
                None => default,
                Some(text) => text.parse().map_err(|_| {
                    CliError::usage(format!("{port}: expected a port from 0 to 65535, found {text:?}"))
                })?,
            };
            let name = set(host).unwrap_or_else(|| "localhost".to_owned());
            let text = if name.contains(':') && !name.starts_with('[') {
                format!("[{name}]:{port}")
            } else {
                format!("{name}:{port}")
            };
            text.parse().map_err(|_| CliError::usage(format!("{host}: expected a host name, found {name:?}")))
        };
        Ok(Self {
            worker: address("CUBE_HOST", "CUBE_PORT", 5555)?,
            manager: address("CUBE_MANAGER_HOST", "CUBE_MANAGER_PORT", 5556)?,
            docker_host: set("DOCKER_HOST").unwrap_or_else(|| DEFAULT_DOCKER_HOST.to_owned()),
            color: set("NO_COLOR").is_none(),
            rust_log: set("RUST_LOG"),
            home: set("HOME").map(PathBuf::from),
        })
    }

    /// This program's part of the user's state folder.
    pub fn state_folder() -> Result<PathBuf, CliError> {
        let no_home =
            |_| CliError::usage("there is no home folder to keep the store in; name one with --data-dir DIR");
        let base = etcetera::choose_base_strategy().map_err(no_home)?;
        Ok(base.state_dir().unwrap_or_else(|| base.data_dir()).join("cube-tui"))
    }
}

#[cfg(test)]
mod tests {
    use super::Environment;

    fn read(variables: &[(&str, &str)]) -> Result<Environment, super::CliError> {
        Environment::read(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn variables_win_over_defaults() {
        let defaults = read(&[("CUBE_PORT", "")]).unwrap();
        assert_eq!(defaults.worker.to_string(), "localhost:5555");
        assert_eq!(defaults.manager.to_string(), "localhost:5556");
        let set = [
            ("CUBE_HOST", "::1"),
            ("CUBE_PORT", "0"),
            ("CUBE_MANAGER_HOST", "box"),
            ("CUBE_MANAGER_PORT", "1"),
        ];
        let set = read(&set).unwrap();
        assert_eq!((set.worker.to_string(), set.manager.to_string()), ("[::1]:0".into(), "box:1".into()));
    }

    #[test]
    fn a_wrong_variable_is_named() {
        for (name, value) in [("CUBE_PORT", "http"), ("CUBE_MANAGER_PORT", "99999"), ("CUBE_HOST", "a b")] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.message.starts_with(name), "{error}");
            assert_eq!(error.exit.code(), 2);
        }
    }
}
