//! What the environment says, read once: variables, then the config file, then defaults. Nobody else reads it.

use std::path::PathBuf;

use etcetera::BaseStrategy;

use super::address::Address;
use super::config_file::{ConfigFile, Place};
use super::exit::CliError;
use crate::tui::Keymap;
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
    /// Where the store lives, by the config file.
    pub data_dir: Option<PathBuf>,
    /// What `~/` means.
    pub home: Option<PathBuf>,
    /// The dashboard's keys, by the config file.
    pub keymap: Keymap,
    /// Which of its lines can't be met, and why.
    key_clashes: Vec<String>,
}

impl Environment {
    /// Reads the process's own.
    pub fn of_process(config: &ConfigFile) -> Result<Self, CliError> {
        Self::read(config, |name| std::env::var(name).ok())
    }

    /// Reads it from `variable`. An empty value counts as unset.
    pub fn read(config: &ConfigFile, variable: impl Fn(&str) -> Option<String>) -> Result<Self, CliError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let address = |host: &str, port: &str, place: &Place, default: u16| {
            let port = match set(port) {
                None => place.port.unwrap_or(default),
                Some(text) => text.parse().map_err(|_| {
                    CliError::usage(format!("{port}: expected a port from 0 to 65535, found {text:?}"))
                })?,
            };
            let name = set(host).or_else(|| place.host.clone()).unwrap_or_else(|| "localhost".to_owned());
            let text = if name.contains(':') && !name.starts_with('[') {
                format!("[{name}]:{port}")
            } else {
                format!("{name}:{port}")
            };
            text.parse().map_err(|_| CliError::usage(format!("{host}: expected a host name, found {name:?}")))
        };
        let (keymap, key_clashes) = config.keymap()?;
        Ok(Self {
            worker: address("CUBE_HOST", "CUBE_PORT", &config.worker, 5555)?,
            manager: address("CUBE_MANAGER_HOST", "CUBE_MANAGER_PORT", &config.manager, 5556)?,
            docker_host: set("DOCKER_HOST")
                .or_else(|| config.docker_host.clone())
                .unwrap_or_else(|| DEFAULT_DOCKER_HOST.to_owned()),
            color: set("NO_COLOR").is_none() && config.color.unwrap_or(true),
            data_dir: config.data_dir.clone(),
            rust_log: set("RUST_LOG"),
            home: set("HOME").map(PathBuf::from),
            keymap,
            key_clashes,
        })
    }

    /// What is wrong with the keys in the config file: the first in words, the others counted.
    pub fn key_clashes(&self) -> Option<String> {
        match self.key_clashes.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            [first, others @ ..] => Some(format!("{first}; {} more", others.len())),
        }
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
    use super::{ConfigFile, Environment};

    fn read(variables: &[(&str, &str)]) -> Result<Environment, super::CliError> {
        read_with("", variables)
    }

    fn read_with(config: &str, variables: &[(&str, &str)]) -> Result<Environment, super::CliError> {
        let config: ConfigFile = toml::from_str(config).unwrap();
        Environment::read(&config, |name| {
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
    fn variables_win_over_the_config_file() {
        let config =
            "color = false\ndocker_host = \"unix:///podman\"\n[manager]\nhost = \"box\"\nport = 7000";
        let of_file = read_with(config, &[]).unwrap();
        assert_eq!((of_file.manager.to_string(), of_file.color), ("box:7000".into(), false));
        assert_eq!(of_file.docker_host, "unix:///podman");
        let of_both = read_with(config, &[("CUBE_MANAGER_PORT", "1"), ("DOCKER_HOST", "unix:///d")]).unwrap();
        assert_eq!((of_both.manager.to_string(), of_both.docker_host), ("box:1".into(), "unix:///d".into()));
    }

    #[test]
    fn of_keys_that_clash_the_first_is_told_and_the_others_are_counted() {
        let told = |keys: &str| read_with(&format!("[keys]\n{keys}"), &[]).unwrap().key_clashes();
        assert_eq!(told("stop = \"X\""), None);
        let clash = "`x` is `shell` already; `stop` stays on S";
        assert!(told("stop = \"x\"").is_some_and(|told| told.ends_with(clash)));
        assert!(
            told("stop = \"x\"\nwhy = \"n\"").is_some_and(|told| told.ends_with(&format!("{clash}; 1 more")))
        );
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
