//! Reads task files, all of them or none, `-` being stdin. Knows no manager.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::exit::CliError;
use crate::task::{TaskEvent, parse_task_file};

/// More than any list of tasks that a person wrote, less than what would fill the memory.
const MOST_BYTES: u64 = 256 << 20;

/// The events of every file, in order.
pub fn task_events(files: &[PathBuf], now: Timestamp) -> Result<Vec<TaskEvent>, CliError> {
    let mut events = Vec::new();
    for file in files {
        let name = if is_stdin(file) { "stdin".to_owned() } else { file.display().to_string() };
        let text = read(file)
            .map_err(|error| CliError::usage(format!("cannot read the task file {name}: {error}")))?;
        events
            .extend(parse_task_file(&name, &text, now).map_err(|error| CliError::usage(error.to_string()))?);
    }
    Ok(events)
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn read(file: &Path) -> io::Result<String> {
    let reader: Box<dyn Read> =
        if is_stdin(file) { Box::new(io::stdin()) } else { Box::new(std::fs::File::open(file)?) };
    let mut text = String::new();
    if reader.take(MOST_BYTES + 1).read_to_string(&mut text)? as u64 > MOST_BYTES {
        return Err(io::Error::other("it is larger than 256 MiB; split it"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_in_order_and_one_bad_one_spoils_all() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let a = file("a.json", r#"{"Name":"a","Image":"i"}"#);
        let b = file("b.json", r#"[{"Name":"b","Image":"i"}]"#);
        let bad = file("bad.json", "{bad");
        let read = |files: &[PathBuf]| task_events(files, Timestamp::UNIX_EPOCH);
        let events = read(&[a.clone(), b]).unwrap();
        assert_eq!(events.iter().map(|event| &*event.task.spec.name).collect::<Vec<_>>(), ["a", "b"]);
        let error = read(&[a, bad]).unwrap_err();
        assert!(error.message.contains("bad.json, line 1: not JSON"), "{error}");
        assert_eq!(error.exit.code(), 2);
        let error = read(&[dir.path().join("missing.json")]).unwrap_err();
        assert!(error.message.contains("missing.json"), "{error}");
        assert_eq!(error.exit.code(), 2);
    }
}
