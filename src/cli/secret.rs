//! `secret`: sets a secret from stdin, a prompt or a file, lists them by name, removes one. No value is ever an argument,
//! which everybody on the machine can read, and none is printed.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use serde_json::json;
use zeroize::Zeroizing;

use super::args::{OutputArgs, RemoveArgs, SecretCommand, SetArgs};
use super::environment::Environment;
use super::exit::{CliError, Exit};
use super::print::Printer;
use super::reach::client;
use super::table::{add_row, table_of, terminal_width, text_of};
use crate::client::ManagerClient;
use crate::manager::api::{ListedSecret, SecretSet};
use crate::task::{LARGEST_SECRET, SecretValue};

pub async fn secret(command: SecretCommand, environment: &Environment) -> Result<Exit, CliError> {
    let manager = client(&environment.manager).await?;
    match command {
        SecretCommand::Set(args) => set(&manager, args).await,
        SecretCommand::List(args) => list(&manager, args).await,
        SecretCommand::Remove(args) => remove(&manager, args).await,
    }?;
    Ok(Exit::Done)
}

async fn set(manager: &ManagerClient, args: SetArgs) -> Result<(), CliError> {
    let SetArgs { name, file, output } = args;
    let shown = name.to_string();
    let value = tokio::task::spawn_blocking(move || value(&shown, file.as_deref()))
        .await
        .map_err(|error| CliError::usage(error.to_string()))??;
    let SecretSet { was_set } = manager.set_secret(name.clone(), value).await?;
    let mut printer = Printer::new(output.output);
    if printer.is_json() {
        let object = json!({"v": 1, "type": "secret", "name": name, "state": "set", "was_set": was_set});
        return printer.result(&object.to_string());
    }
    let more = if was_set { "; tasks that run keep the old value until they are restarted" } else { "" };
    printer.result(&format!("secret {name} is set{more}"))
}

async fn list(manager: &ManagerClient, args: OutputArgs) -> Result<(), CliError> {
    let all = manager.secrets().await?;
    let mut printer = Printer::new(args.output);
    if printer.is_json() {
        return all.iter().try_for_each(|ListedSecret { name, since, tasks }| {
            let object = json!({"v": 1, "type": "secret", "name": name, "since": since, "tasks": tasks});
            printer.result(&object.to_string())
        });
    }
    let mut table = table_of(["NAME", "SET", "TASKS"], terminal_width());
    for ListedSecret { name, since, tasks } in &all {
        add_row(&mut table, [name.to_string(), format!("{since:.0}"), tasks.to_string()]);
    }
    printer.result(&text_of(&table, terminal_width()))
}

async fn remove(manager: &ManagerClient, args: RemoveArgs) -> Result<(), CliError> {
    manager.remove_secret(args.name.clone(), args.force).await?;
    let mut printer = Printer::new(args.output.output);
    if printer.is_json() {
        let object = json!({"v": 1, "type": "secret", "name": args.name, "state": "removed"});
        return printer.result(&object.to_string());
    }
    printer.result(&format!("secret {} is removed", args.name))
}

fn value(name: &str, file: Option<&Path>) -> Result<SecretValue, CliError> {
    let bad = |from: &str, problem: &str| {
        CliError::usage(format!("cannot read the secret {name} from {from}: {problem}"))
    };
    let (from, bytes) = match file {
        Some(file) => {
            let from = file.display().to_string();
            let bytes =
                std::fs::File::open(file).and_then(read).map_err(|error| bad(&from, &error.to_string()))?;
            (from, bytes)
        }
        None if io::stdin().is_terminal() => {
            let typed = typed(name).map_err(|error| bad("the terminal", &error.to_string()))?;
            (
                "the terminal".to_owned(),
                typed.ok_or_else(|| bad("the terminal", "it was not typed to its end"))?,
            )
        }
        None => {
            let bytes = read(io::stdin()).map_err(|error| bad("stdin", &error.to_string()))?;
            ("stdin".to_owned(), without_line_end(bytes))
        }
    };
    SecretValue::new(bytes).map_err(|problem| bad(&from, &problem))
}

/// One byte more than there may be tells that there is too much.
fn read(from: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(LARGEST_SECRET + 1);
    from.take(LARGEST_SECRET as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// `echo` adds one, and no password ends with it.
fn without_line_end(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    bytes
}

/// A line that nobody sees; `None` if it was broken off.
fn typed(name: &str) -> io::Result<Option<Vec<u8>>> {
    let mut stderr = io::stderr();
    write!(stderr, "value of {name} (not shown): ")?;
    stderr.flush()?;
    enable_raw_mode()?;
    let line = typed_line();
    disable_raw_mode()?;
    writeln!(stderr)?;
    line
}

fn typed_line() -> io::Result<Option<Vec<u8>>> {
    // Full size from the start: as it grew, it would leave copies behind.
    let mut line = Zeroizing::new(String::with_capacity(LARGEST_SECRET));
    loop {
        let Event::Key(key) = event::read()? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Enter => return Ok(Some(line.as_bytes().to_vec())),
            KeyCode::Char('c' | 'd') if is_control => return Ok(None),
            KeyCode::Char('u') if is_control => line.clear(),
            KeyCode::Backspace => _ = line.pop(),
            KeyCode::Char(c) if !is_control => line.push(c),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{read, without_line_end};
    use crate::task::LARGEST_SECRET;

    #[test]
    fn one_line_end_does_not_count() {
        for (piped, value) in
            [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a"), ("\n", ""), ("a\r", "a\r")]
        {
            assert_eq!(without_line_end(piped.into()), value.as_bytes(), "{piped:?}");
        }
    }

    #[test]
    fn no_more_is_read_than_tells_that_it_is_too_much() {
        assert_eq!(read(std::io::repeat(b'x')).unwrap().len(), LARGEST_SECRET + 1);
    }
}
