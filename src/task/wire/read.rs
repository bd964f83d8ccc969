//! The book's JSON, read with all its oddities.

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::value::RawValue;

use super::super::fields::{FieldError, Fields, Raw, fold};
use super::super::flat::{FlatTask, FlatTaskEvent, TASK_EVENT_FIELDS, TASK_FIELDS, UnknownWord};
use super::super::{EventId, State, Task, TaskEvent};
use super::WireError;

/// Reads a TaskEvent as a peer of the book posts it. A start must be one that could run: see
/// [`TaskSpec::check`](crate::task::TaskSpec::check); a stop needs no more than the ids.
///
/// What peers usually send is read in one pass; only where that fails (another case, `null`, repeated or
/// unknown keys) is the body read field by field, with Go's rules.
pub fn parse_task_event(body: &[u8]) -> Result<TaskEvent, WireError> {
    let flat = match serde_json::from_slice::<FlatTaskEvent>(body) {
        Ok(flat) if flat.is_exact() => flat,
        _ => read_task_event(serde_json::from_slice(body)?)?,
    };
    let event = flat.into_event()?;
    if !event.is_stop() {
        event.task.spec.check().map_err(|error| error.inside("Task"))?;
    }
    Ok(event)
}

/// Reads the answer of a peer's GET /tasks: `null`, `[]` or an array.
pub fn parse_tasks(body: &[u8]) -> Result<Vec<Task>, WireError> {
    let flat = match serde_json::from_slice::<Vec<FlatTask>>(body) {
        Ok(tasks) if tasks.iter().all(FlatTask::is_exact) => tasks,
        _ => {
            let tasks: Option<Vec<Fields<'_>>> = serde_json::from_slice(body)?;
            let mut flat = Vec::new();
            for (number, fields) in tasks.into_iter().flatten().enumerate() {
                let mut task = FlatTask::default();
                read_task(&mut task, fields).map_err(|error| error.inside(&format!("[{number}]")))?;
                flat.push(task);
            }
            flat
        }
    };
    flat.into_iter().map(|task| Ok(task.into_task(UnknownWord::Default)?)).collect()
}

fn read_task_event(fields: Fields<'_>) -> Result<FlatTaskEvent, FieldError> {
    let mut event = FlatTaskEvent::default();
    for (key, value) in fields.0 {
        let Some(field) = fold(&key, &TASK_EVENT_FIELDS) else { continue };
        let raw = Raw { field, value };
        match field {
            _ if raw.is_null() => {}
            "ID" => event.id = EventId(raw.uuid()?),
            "State" => event.state = raw.state()?,
            "Timestamp" => event.timestamp = raw.time()?,
            _ => read_task(&mut event.task, raw.fields()?).map_err(|error| error.inside("Task"))?,
        }
    }
    Ok(event)
}

fn read_task(task: &mut FlatTask, fields: Fields<'_>) -> Result<(), FieldError> {
    fields.0.into_iter().try_for_each(|(key, value): (String, &RawValue)| match fold(&key, &TASK_FIELDS) {
        Some(field) => task.set(field, value),
        None => Ok(()),
    })
}

impl<'de> Deserialize<'de> for Task {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        FlatTask::deserialize(deserializer)?.into_task(UnknownWord::Refuse).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for TaskEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        FlatTaskEvent::deserialize(deserializer)?.into_event().map_err(D::Error::custom)
    }
}

/// A TaskEvent on a route of ours. To the book's peers a field that they don't know is one of somebody else's; here it
/// is a mistyped one, and what it says would be missed.
#[derive(Debug)]
pub struct OwnTaskEvent(pub TaskEvent);

impl<'de> Deserialize<'de> for OwnTaskEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let flat = FlatTaskEvent::deserialize(deserializer)?;
        flat.check_known().and_then(|()| flat.into_event()).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        Self::from_number(number)
            .ok_or_else(|| D::Error::custom(format!("State {number} is not one of 0 to 4")))
    }
}
