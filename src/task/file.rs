//! Task files: the book's TaskEvent or Task, an array of them, or one a line. Knows no disk and no clock.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::fields::{FieldError, Fields, Raw, excerpt, unknown_field};
use super::flat::{FlatTask, TASK_EVENT_FIELDS, TASK_FIELDS, UnknownWord, unknown_event_field};
use super::{EventId, State, Task, TaskEvent, TaskId, TaskStatus};

/// Why a task file can't be used, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}, line {line}: {problem}")]
pub struct TaskFileError {
    pub file: String,
    /// From 1.
    pub line: usize,
    /// The field, what is wrong with it and what was expected.
    pub problem: String,
}

/// Reads a task file, all of it or nothing; `name` is what error messages call it. Every task gets an id
/// if it has none, and `now` where it does not say when it was asked for. What the file says of a task's
/// state (an export does) is checked and passed over: these are all starts.
///
/// A task that is there twice, word for word, is one task.
pub fn parse_task_file(name: &str, text: &str, now: Timestamp) -> Result<Vec<TaskEvent>, TaskFileError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let file = TaskFile { name, text, now };
    let mut events = Vec::new();
    let mut seen: HashMap<TaskId, (usize, &RawValue)> = HashMap::new();
    for raw in file.values()? {
        let event = file.event(raw)?;
        match seen.entry(event.task.id) {
            Entry::Vacant(entry) => {
                entry.insert((events.len(), raw));
                events.push(event);
            }
            Entry::Occupied(entry) => {
                let (index, first) = *entry.get();
                if events[index].task.spec != event.task.spec {
                    let line = file.line(first.get());
                    let problem = format!(
                        "ID: {} is also the ID of the task on line {line}, which differs; expected one of its own",
                        event.task.id
                    );
                    return Err(file.error(raw.get(), problem));
                }
            }
        }
    }
    Ok(events)
}

struct TaskFile<'a> {
    name: &'a str,
    text: &'a str,
    now: Timestamp,
}

impl<'a> TaskFile<'a> {
    /// The objects in the file, whether in arrays or one after the other.
    fn values(&self) -> Result<Vec<&'a RawValue>, TaskFileError> {
        let mut values = Vec::new();
        for value in serde_json::Deserializer::from_str(self.text).into_iter::<&RawValue>() {
            let value = value.map_err(|error| self.not_json(&error))?;
            if value.get().starts_with('[') {
                let items: Vec<&RawValue> =
                    serde_json::from_str(value.get()).map_err(|error| self.not_json(&error))?;
                values.extend(items);
            } else {
                values.push(value);
            }
        }
        if values.is_empty() {
            return Err(self.error(self.text, "no task in it; expected a JSON TaskEvent or Task".to_owned()));
        }
        Ok(values)
    }

    fn event(&self, raw: &'a RawValue) -> Result<TaskEvent, TaskFileError> {
        let fields = self.fields(raw, "a TaskEvent or a Task")?;
        if !fields.0.iter().any(|(key, _)| key == "Task") {
            let task = self.task(raw, fields, "")?;
            return Ok(TaskEvent::start(task, self.now));
        }
        let (mut id, mut timestamp, mut task) = (EventId::default(), self.now, None);
        for (key, value) in fields.0 {
            let field = known(&key, &TASK_EVENT_FIELDS)
                .ok_or_else(|| self.error(value.get(), unknown_event_field(&key).to_string()))?;
            let raw = Raw { field, value };
            let wrong = |error: FieldError| self.error(value.get(), error.to_string());
            match field {
                "Task" => task = Some(self.task(value, self.fields(value, "Task: a Task")?, "Task.")?),
                _ if raw.is_null() => {}
                "ID" => id = EventId(raw.uuid().map_err(wrong)?),
                "Timestamp" => timestamp = raw.time().map_err(wrong)?,
                _ => match raw.state().map_err(wrong)? {
                    State::Pending | State::Scheduled | State::Running => {}
                    State::Completed | State::Failed => {
                        let problem =
                            "State: a task file starts tasks; expected 2 (`cube-tui stop` stops them)";
                        return Err(self.error(value.get(), problem.to_owned()));
                    }
                },
            }
        }
        let task = task.unwrap_or_default();
        let mut event = TaskEvent { id, state: State::Running, timestamp, task };
        event.give_missing_ids();
        Ok(event)
    }

    fn task(&self, raw: &'a RawValue, fields: Fields<'a>, prefix: &str) -> Result<Task, TaskFileError> {
        let mut flat = FlatTask::default();
        let mut values = HashMap::new();
        let outer: &[&str] = if prefix.is_empty() { &["Task", "Timestamp"] } else { &[] };
        for (key, value) in fields.0 {
            let field = known(&key, &TASK_FIELDS).ok_or_else(|| {
                let unknown = unknown_field(&key, &TASK_FIELDS, outer);
                self.error(value.get(), format!("{prefix}{unknown}"))
            })?;
            values.insert(field, value);
            flat.set(field, value).map_err(|error| self.error(value.get(), format!("{prefix}{error}")))?;
        }
        let wrong = |error: FieldError| {
            let place = values.get(error.field.as_str()).copied().unwrap_or(raw);
            self.error(place.get(), format!("{prefix}{error}"))
        };
        let mut task = flat.into_task(UnknownWord::Refuse).map_err(wrong)?;
        if task.spec.image.is_empty() {
            return Err(wrong(FieldError::new("Image", "missing; a task needs an image to start from")));
        }
        task.spec.check().map_err(wrong)?;
        task.status = TaskStatus::default();
        if task.id.is_nil() {
            task.id = TaskId::random();
        }
        Ok(task)
    }

    /// An object's fields, each of them once.
    fn fields(&self, raw: &'a RawValue, expected: &str) -> Result<Fields<'a>, TaskFileError> {
        let wrong = || self.error(raw.get(), format!("expected {expected}, found {}", excerpt(raw)));
        if !raw.get().starts_with('{') {
            return Err(wrong());
        }
        let fields: Fields<'a> = serde_json::from_str(raw.get()).map_err(|_| wrong())?;
        let mut names = HashSet::new();
        for (key, value) in &fields.0 {
            if !names.insert(key) {
                return Err(self.error(value.get(), format!("{key}: is there twice; expected it once")));
            }
        }
        Ok(fields)
    }

    /// An error at `place`, a part of the file's text.
    fn error(&self, place: &str, problem: String) -> TaskFileError {
        TaskFileError { file: self.name.to_owned(), line: self.line(place), problem }
    }

    fn line(&self, place: &str) -> usize {
        let offset = place.as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }

    fn not_json(&self, error: &serde_json::Error) -> TaskFileError {
        let text = error.to_string();
        let problem = text.split(" at line ").next().unwrap_or(&text);
        // An end that comes too early may be where a line begins: there is no column to look at.
        let column = match error.column() {
            0 => String::new(),
            column => format!(" (column {column})"),
        };
        TaskFileError {
            file: self.name.to_owned(),
            line: error.line().max(1),
            problem: format!("not JSON: {problem}{column}"),
        }
    }
}

/// The field with exactly this name.
fn known(name: &str, known: &[&'static str]) -> Option<&'static str> {
    known.iter().find(|known| **known == name).copied()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{TaskFileError, parse_task_file};
    use crate::task::{State, TaskEvent};

    const ID: &str = "21b23589-5d2d-4731-b5c9-a97e9832d021";

    fn parse(text: &str) -> Result<Vec<TaskEvent>, TaskFileError> {
        parse_task_file("tasks.json", text, Timestamp::UNIX_EPOCH)
    }

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let error = parse(text).expect_err(text).to_string();
        assert!(error.starts_with(&format!("tasks.json, line {expected}")), "{text}\n{error}");
    }

    fn names(text: &str) -> Vec<String> {
        let events = parse(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
        events.into_iter().map(|event| event.task.spec.name.clone()).collect()
    }

    #[test]
    fn the_sample_files_are_fine() {
        let samples = [
            (include_str!("../../assets/tasks/web.json"), 1),
            (include_str!("../../assets/tasks/batch.jsonl"), 2),
            (include_str!("../../assets/tasks/event.json"), 1),
        ];
        for (text, tasks) in samples {
            assert_eq!(names(text).len(), tasks, "{text}");
        }
    }

    #[test]
    fn a_task_an_event_an_array_and_lines_are_all_fine() {
        let task = |name: &str| format!(r#"{{"Name":"{name}","Image":"i"}}"#);
        let event = |name: &str| format!(r#"{{"State":2,"Task":{}}}"#, task(name));
        assert_eq!(names(&task("a")), ["a"]);
        assert_eq!(names(&event("a")), ["a"]);
        assert_eq!(names(&format!("[{}, {}]\n", task("a"), event("b"))), ["a", "b"]);
        assert_eq!(names(&format!("{}\n{}\r\n\n{}\n", task("a"), event("b"), task("c"))), ["a", "b", "c"]);
        assert_eq!(names(&format!("\u{feff}{}", task("a"))), ["a"]);
    }

    #[test]
    fn ids_are_kept_or_made_and_everything_is_a_start() {
        let nil = "00000000-0000-0000-0000-000000000000";
        let text = format!(
            r#"{{"ID":"{ID}","Name":"a","Image":"i","State":4,"ContainerID":"c"}}
               {{"Image":"i"}}
               {{"ID":"{nil}","Task":{{"ID":"{nil}","Image":"i"}}}}
               {{"ID":"{ID}","Timestamp":"2026-11-24T08:00:00Z","Task":{{"Image":"i"}}}}"#
        );
        let events = parse(&text).unwrap();
        assert_eq!(events[0].task.id.to_string(), ID);
        assert_eq!(events[3].id.to_string(), ID);
        assert_eq!(events[0].timestamp, Timestamp::UNIX_EPOCH);
        assert_eq!(events[3].timestamp.to_string(), "2026-11-24T08:00:00Z");
        for event in &events {
            assert!(!event.id.is_nil() && !event.task.id.is_nil());
            assert_eq!((event.state, event.task.status.state), (State::Running, State::Pending));
            assert_eq!(event.task.status.container_id, "");
        }
    }

    #[test]
    fn unknown_fields_are_refused_and_the_nearest_is_named() {
        refused("{\"Image\":\"i\",\n\"Nmae\":\"a\"}", "2: Nmae: unknown field; did you mean Name?");
        refused("{\"image\":\"i\"}", "1: image: unknown field; its name is Image");
        refused("{\"task\":{}}", "1: task: unknown field; its name is Task");
        refused("{\"Tsak\":{}}", "1: Tsak: unknown field; did you mean Task?");
        refused(
            "{\"Task\":\n{\"Image\":\"i\",\n\"Envs\":[]}}",
            "3: Task.Envs: unknown field; did you mean Env?",
        );
        refused("{\"Name\":\"a\",\"Task\":{}}", "1: Name: belongs inside Task");
        refused("{\"Zebrafinch\":1}", "1: Zebrafinch: unknown field; the known ones are ID,");
        refused("{\"a\\u001b[2J\":1}", "1: a\\u{1b}[2J: unknown field");
    }

    #[test]
    fn errors_name_line_field_and_what_was_expected() {
        refused("", "1: no task in it");
        refused("[]", "1: no task in it");
        refused("{bad", "1: not JSON: key must be a string (column 2)");
        refused("{\"Image\":\"i\"}\n{\"Image\":\"i\",}\n", "2: not JSON: key must be a string");
        refused("{\"Image\":\"i\"", "1: not JSON: EOF");
        let error = parse("{\"Image\":\"i\",\n").unwrap_err().to_string();
        assert_eq!(error, "tasks.json, line 2: not JSON: EOF while parsing an object");
        refused("5", "1: expected a TaskEvent or a Task, found 5");
        refused("[{\"Image\":\"i\"},\n 5]", "2: expected a TaskEvent or a Task, found 5");
        refused("{\"Task\":\nnull}", "2: expected Task: a Task, found null");
        refused("{\"Name\":\n\"a\"}", "1: Image: missing");
        refused("{\"Task\":{\"Cmd\":[\"x\"]}}", "1: Task.Image: missing");
        refused("{\"Image\":\"i\",\n\"Memory\":\n\"64m\"\n}", "3: Memory: expected a whole number of bytes");
        refused("{\"Image\":\"i\",\n\"Env\":[\"A\"],\n\"Cpu\":1}", "2: Env: expected KEY=VALUE, found \"A\"");
        refused("{\"Image\":\"i\"}\n{\"Image\":\"i\",\"RestartPolicy\":\"x\"}", "2: RestartPolicy: expected");
        refused("{\"State\":3,\"Task\":{\"Image\":\"i\"}}", "1: State: a task file starts tasks");
        refused("{\"Image\":\"i\",\n\"Image\":\"j\"}", "2: Image: is there twice");
        refused("{\"Image\":\"i\",\n\"Constraints\":[\"a=>1\"]}", "2: Constraints: unknown sign => in");
        refused(
            "{\"Image\":\"i\",\n\"HealthCheck\":\"health\"}",
            "2: HealthCheck: expected a path such as /health",
        );
        refused(
            "{\"Image\":\"i\",\n\"HealthRetry\":1}",
            "2: HealthRetry: unknown field; did you mean HealthRetries?",
        );
        refused("{\"Image\":\"i\",\n\"HealthRetries\":1}", "2: HealthRetries: there is no check");
        refused("{\"ID\":\"\",\"Image\":\"i\"}", "1: ID: expected a UUID");
    }

    #[test]
    fn one_bad_task_spoils_the_whole_file() {
        refused("{\"Image\":\"i\"}\n{\"Image\":\"i\"}\n{\"Image\":\"\"}", "3: Image: missing");
    }

    #[test]
    fn an_id_names_one_task() {
        let same = format!("{{\"ID\":\"{ID}\",\"Image\":\"i\"}}\n{{\"Image\":\"i\",\"ID\":\"{ID}\"}}");
        assert_eq!(parse(&same).unwrap().len(), 1);
        let different = format!("{{\"ID\":\"{ID}\",\"Image\":\"i\"}}\n{{\"ID\":\"{ID}\",\"Image\":\"j\"}}");
        refused(&different, &format!("2: ID: {ID} is also the ID of the task on line 1"));
    }
}
