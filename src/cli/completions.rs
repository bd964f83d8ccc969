//! `completions` and `man`: made from the very definition of the command line. Knows no command.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;
use clap_complete::env::Shells;

use super::args::{Cli, CompletionsArgs, ManArgs};
use super::complete::VARIABLE;
use super::exit::{CliError, Exit};

/// Bash breaks words at colons, and what workers are called has one. `words[-1]` came with bash 4.3.
const BASH_COLONS: &str = r#"
_cube_tui() {
    local words=() rest="$COMP_LINE" at=0 i word
    for ((i = 0; i < ${#COMP_WORDS[@]}; i++)); do
        word="${COMP_WORDS[i]}"
        if [[ ($word == :* || ($i -gt 0 && ${COMP_WORDS[i-1]} == *:)) && $rest != [[:space:]]* ]]; then
            words[-1]+="$word"
        else
            words+=("$word")
            rest="${rest#"${rest%%[![:space:]]*}"}"
        fi
        rest="${rest#"$word"}"
        if ((i == COMP_CWORD)); then at=$((${#words[@]} - 1)); fi
    done
    local cur="${words[at]}"
    local COMP_WORDS=("${words[@]}") COMP_CWORD="$at"
    _clap_complete_cube_tui "$1" "$cur" "$3"
    if [[ $cur == *:* ]]; then COMPREPLY=("${COMPREPLY[@]#"${cur%"${cur##*:}"}"}"); fi
}
complete -o nospace -o bashdefault -o nosort -F _cube_tui cube-tui
"#;

pub fn completions(args: &CompletionsArgs) -> Result<Exit, CliError> {
    let shells = Shells::builtins();
    let no_such_shell = || CliError::usage(format!("nothing is known of the shell {}", args.shell));
    let shell = shells.completer(&args.shell.to_string()).ok_or_else(no_such_shell)?;
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "cube-tui", "cube-tui", "cube-tui", &mut script)?;
    if args.shell == Shell::Bash {
        script.extend(BASH_COLONS.as_bytes());
    }
    io::stdout().write_all(&script)?;
    Ok(Exit::Done)
}

/// The program's page to stdout, or a page for it and each command into a folder.
pub fn man(args: &ManArgs) -> Result<Exit, CliError> {
    // The pages of `help` would only repeat the others.
    let mut command = Cli::command().disable_help_subcommand(true);
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        io::stdout().write_all(&page)?;
        return Ok(Exit::Done);
    };
    command.build();
    std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(command, dir)).map_err(|error| {
        CliError::usage(format!("cannot write the pages into {}: {error}", dir.display()))
    })?;
    Ok(Exit::Done)
}
