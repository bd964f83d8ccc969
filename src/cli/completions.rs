//! `completions` and `man`: made from the very definition of the command line. Knows no command.

use std::io::{self, Write};

use clap::CommandFactory;

use super::args::{Cli, CompletionsArgs, ManArgs};
use super::exit::{CliError, Exit};

pub fn completions(args: &CompletionsArgs) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "cube-tui", &mut script);
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
