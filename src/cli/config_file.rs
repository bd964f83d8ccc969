//! The config file: what the user settled once. Flags and environment win over it; it wins over the defaults. Knows no
//! command.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::Command;
use etcetera::BaseStrategy;
use serde::Deserialize;
use toml::Spanned;

use super::exit::CliError;
use crate::tui::{Clash, Keymap, Remap};

/// In `[keys]`, what is no action: whose keys those are that are not named.
const PRESET: &str = "preset";

/// What may stand in it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// Where the manager's API listens, and where commands look for it.
    #[serde(default)]
    pub manager: Place,
    /// Where the local worker's API listens.
    #[serde(default)]
    pub worker: Place,
    /// Where the store lives.
    pub data_dir: Option<PathBuf>,
    pub docker_host: Option<String>,
    pub color: Option<bool>,
    /// Actions of the dashboard and what they are put on.
    #[serde(default)]
    keys: BTreeMap<Spanned<String>, Spanned<Keys>>,
    output: Option<Spanned<String>>,
    scheduler: Option<Spanned<String>>,
    /// For words about what is wrong with a value.
    #[serde(skip)]
    name: String,
    #[serde(skip)]
    text: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    pub host: Option<String>,
    pub port: Option<u16>,
}

/// A key, or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a key or a list of keys, as text")]
enum Keys {
    One(String),
    Some(Vec<String>),
}

impl ConfigFile {
    /// The user's own; without one, nothing is set.
    pub fn of_user() -> Result<Self, CliError> {
        match etcetera::choose_base_strategy() {
            Ok(base) => Self::read(&base.config_dir().join("cube-tui/config.toml")),
            // Without a home there is no file.
            Err(_) => Ok(Self::default()),
        }
    }

    fn read(path: &Path) -> Result<Self, CliError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                return Err(CliError::usage(format!(
                    "cannot read the config file {}: {error}",
                    path.display()
                )));
            }
        };
        Self::parse(&path.display().to_string(), text)
    }

    fn parse(name: &str, text: String) -> Result<Self, CliError> {
        match toml::from_str::<Self>(&text) {
            Ok(config) => Ok(Self { name: name.to_owned(), text, ..config }),
            Err(error) => Err(match error.span() {
                Some(span) => at(name, &text, &span, error.message()),
                None => CliError::usage(format!("{name}: {}", error.message())),
            }),
        }
    }

    /// The command line with this file's values as its defaults.
    pub fn as_defaults(&self, mut command: Command) -> Result<Command, CliError> {
        for (option, value) in [("output", &self.output), ("scheduler", &self.scheduler)] {
            let Some(value) = value else { continue };
            self.check(&command, option, value)?;
            command = with_default(command, option, value.get_ref());
        }
        Ok(command)
    }

    /// The dashboard's keys, and what is to be said about those that clash.
    pub fn keymap(&self) -> Result<(Keymap, Vec<String>), CliError> {
        let mut wishes = Vec::new();
        let mut preset = None;
        for (action, keys) in &self.keys {
            if action.get_ref() == PRESET {
                preset = Some(keys);
                continue;
            }
            let remap = Remap::of(action.get_ref());
            let remap = remap.map_err(|problem| at(&self.name, &self.text, &action.span(), &problem))?;
            let remap = match keys.get_ref() {
                Keys::One(key) => remap.on(std::slice::from_ref(key)),
                Keys::Some(keys) => remap.on(keys),
            };
            let remap = remap.map_err(|problem| at(&self.name, &self.text, &keys.span(), &problem))?;
            wishes.push((keys.span().start, remap));
        }
        // Of two that clash the first one in the file is met.
        wishes.sort_by_key(|(start, _)| *start);
        let (mut starts, mut wishes): (Vec<_>, Vec<_>) = wishes.into_iter().unzip();
        if let Some(keys) = preset {
            let meant = match keys.get_ref() {
                Keys::One(name) => Remap::preset(name, &wishes),
                Keys::Some(_) => Err("expected the name of one preset".to_owned()),
            };
            // Last, so that it gives way to what the user has named.
            wishes.extend(meant.map_err(|problem| at(&self.name, &self.text, &keys.span(), &problem))?);
            starts.resize(wishes.len(), keys.span().start);
        }
        let (keymap, clashes) = Keymap::remapped(&wishes);
        let place = |clash: Clash| {
            let line = line_of(&self.text, starts[clash.wish]);
            // It has a line of the dashboard, which is short.
            let name = Path::new(&self.name).file_name().unwrap_or_default().display();
            format!("{name}, line {line}: {}", clash.why)
        };
        Ok((keymap, clashes.into_iter().map(place).collect()))
    }

    fn check(&self, command: &Command, option: &str, value: &Spanned<String>) -> Result<(), CliError> {
        let argument = command.get_arguments().find(|argument| argument.get_id() == option);
        let known: Vec<String> = argument
            .map(clap::Arg::get_possible_values)
            .unwrap_or_default()
            .iter()
            .map(|known| known.get_name().to_owned())
            .collect();
        if known.is_empty() || known.contains(value.get_ref()) {
            return Ok(());
        }
        let problem = format!("expected one of {}", known.join(", "));
        Err(at(&self.name, &self.text, &value.span(), &problem))
    }
}

/// Sets it wherever there is such an option.
fn with_default(mut command: Command, option: &str, value: &str) -> Command {
    if command.get_arguments().any(|argument| argument.get_id() == option) {
        command = command.mut_arg(option, |argument| argument.default_value(value.to_owned()));
    }
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(name, |command| with_default(command, option, value));
    }
    command
}

/// The number of the line at `offset`.
fn line_of(text: &str, offset: usize) -> usize {
    text.get(..offset).unwrap_or(text).matches('\n').count() + 1
}

/// An error with its line, and a caret under what is wrong.
fn at(name: &str, text: &str, span: &Range<usize>, problem: &str) -> CliError {
    let start = text.get(..span.start).unwrap_or(text);
    let number = line_of(text, span.start);
    let line = text.lines().nth(number - 1).unwrap_or_default();
    let column = start.rsplit('\n').next().unwrap_or_default().chars().count();
    let width =
        text.get(span.clone()).map_or(1, |what| what.lines().next().unwrap_or_default().chars().count());
    let caret = format!("{}{}", " ".repeat(column), "^".repeat(width.max(1)));
    CliError::usage(format!("{name}, line {number}: {}\n  {line}\n  {caret}", problem.trim_end()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::args::{Cli, Command, Output};
    use super::*;

    fn parse(text: &str) -> Result<ConfigFile, CliError> {
        ConfigFile::parse("/home/me/config.toml", text.to_owned())
    }

    /// What comes of `line` with a config file of `text`.
    fn cli(text: &str, line: &str) -> Cli {
        let command = parse(text).unwrap().as_defaults(Cli::command()).unwrap();
        let words = std::iter::once("cube-tui").chain(line.split_whitespace());
        Cli::of(&command.try_get_matches_from(words).unwrap()).unwrap()
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let output = |text, line| match cli(text, line).command {
            Some(Command::Ps(args)) => args.output.output,
            other => panic!("{other:?}"),
        };
        assert_eq!(output("", "ps"), Output::Text);
        assert_eq!(output("output = \"json\"", "ps"), Output::Json);
        assert_eq!(output("output = \"json\"", "ps --output text"), Output::Text);
        // It must not count as given where --output asks for --no-ui.
        assert!(cli("output = \"json\"", "").command.is_none());
        assert_eq!(cli("output = \"json\"", "--no-ui").root.output, Output::Json);
    }

    #[test]
    fn what_the_file_sets_is_not_taken_for_typed() {
        let root = |line| cli("scheduler = \"epvm\"", line).root;
        assert!(root("").scheduler.is_some());
        assert_eq!(root("").of_a_start(), [""; 0]);
        assert_eq!(root("--scheduler binpack --label a=b").of_a_start(), ["--scheduler", "--label"]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_a_caret() {
        for (text, parts) in [
            ("color = true\ndata_dri = \"x\"", ["line 2: unknown field `data_dri`", "^^^^^^^^"]),
            ("[manager]\nport = 99999", ["line 2", "^^^^^"]),
            ("color = \"no\"", ["line 1", "^^^^"]),
            ("color = ", ["line 1", "^"]),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.exit.code(), 2);
            for part in parts {
                assert!(error.message.contains(part), "{part} is not in\n{error}");
            }
        }
        let config = parse("\nscheduler = \"fastest\"").unwrap();
        let error = config.as_defaults(Cli::command()).unwrap_err();
        let expected = "/home/me/config.toml, line 2: expected one of roundrobin";
        assert!(error.message.starts_with(expected) && error.message.contains("^^^^^^^^^"), "{error}");
    }

    #[test]
    fn keys_that_are_none_are_named_and_those_that_clash_leave_the_others() {
        for (text, parts) in [
            ("[keys]\nstpo = \"X\"", ["line 2: there is no action `stpo`; did you mean `stop`?", "\n  ^^^^"]),
            ("[keys]\nstop = \"F99\"", ["line 2: there is no key `F99`", "\n         ^^^^^"]),
            ("keys.stop = []", ["line 1: `stop` needs a key at least", "^^"]),
            ("[keys]\npreset = \"emacs\"", ["line 2: there is no preset `emacs`", "\n           ^^^^^^^"]),
            ("keys.preset = [\"vim\", \"k9s\"]", ["line 1: expected the name of one preset", "^^^^"]),
            ("keys.stop = 3", ["line 1: expected a key or a list of keys, as text", "^"]),
        ] {
            let error = parse(text).and_then(|config| config.keymap()).unwrap_err();
            assert_eq!(error.exit.code(), 2);
            for part in parts {
                assert!(error.message.contains(part), "{part} is not in\n{error}");
            }
        }
        let config = parse("[keys]\nzoom = [\"F5\", \"Z\"]\nstop = \"F5\"\nlogs = \"L\"").unwrap();
        let (keymap, clashes) = config.keymap().unwrap();
        assert_eq!(clashes, ["config.toml, line 3: `F5` is `zoom` already; `stop` stays on S"]);
        let met = [
            Remap::of("zoom").unwrap().on(&["F5".into(), "Z".into()]),
            Remap::of("logs").unwrap().on(&["L".into()]),
        ];
        assert_eq!(keymap, Keymap::remapped(&met.map(Result::unwrap)).0);
    }

    #[test]
    fn a_preset_gives_way_to_what_is_named_and_says_where() {
        let keymap = |text| parse(text).unwrap().keymap().unwrap();
        let preset = |own: &[Remap]| Keymap::remapped(&[own, &Remap::preset("k9s", own).unwrap()].concat()).0;
        assert_eq!(keymap("[keys]\npreset = \"k9s\""), (preset(&[]), vec![]));
        let own = [Remap::of("stop").unwrap().on(&["X".into()]).unwrap()];
        assert_eq!(keymap("[keys]\nstop = \"X\"\npreset = \"k9s\""), (preset(&own), vec![]));
        let (_, clashes) = keymap("[keys]\npreset = \"k9s\"\nwhy = \"^k\"");
        assert_eq!(clashes, ["config.toml, line 2: `^k` is `why` already; `stop` stays on S"]);
    }

    #[test]
    fn without_a_file_nothing_is_set() {
        let dir = tempfile::tempdir().unwrap();
        let config = ConfigFile::read(&dir.path().join("config.toml")).unwrap();
        assert_eq!((config.data_dir, config.color), (None, None));
        assert_eq!(ConfigFile::read(dir.path()).unwrap_err().exit.code(), 2, "a folder is no file");
    }
}
