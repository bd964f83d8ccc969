//! The secrets of this worker's tasks: values wait in memory until their container is made, files lie in a folder that is
//! memory itself for as long as a container may need them. Never on a disk, in no log, and told to nobody but the runtime.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::runtime::{Given, GivenFile, Run, RuntimeError};
use crate::task::{SecretForm, SecretName, SecretOnWire, SecretValue, State, Task, TaskEvent, TaskId};

/// Every Linux has it, and it is never written to a disk but as swap.
const MEMORY: &str = "/dev/shm";

/// What statfs calls a folder in memory.
const TMPFS: i64 = 0x0102_1994;

/// Values by name, as a manager sends them.
pub(super) type Values = BTreeMap<SecretName, SecretOnWire>;

/// Events with the secrets that their tasks name: each value once.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EventsWithSecrets<E> {
    pub events: E,
    pub secrets: Values,
}

/// What a worker holds for its tasks.
#[derive(Debug)]
pub(super) struct Secrets {
    waiting: HashMap<TaskId, (u32, BTreeMap<SecretName, SecretValue>)>,
    folder: PathBuf,
}

impl Secrets {
    pub(super) fn new(worker: Uuid) -> Self {
        Self { waiting: HashMap::new(), folder: Path::new(MEMORY).join(format!("cube-tui-{worker}")) }
    }

    /// Holds what a start came with. The error names what is missing.
    pub(super) fn hold(&mut self, event: &TaskEvent, values: &Values) -> Result<(), String> {
        let task = &event.task;
        if event.state == State::Completed || task.spec.secrets.is_empty() {
            return Ok(());
        }
        let Run { task: id, generation } = Run::of(task);
        if self.waiting.get(&id).is_some_and(|(newest, _)| *newest > generation) {
            return Ok(());
        }
        let named = task.spec.secrets.iter().map(|used| {
            let value = values.get(&used.name);
            let value = value.ok_or_else(|| format!("secret {} did not come with its task", used.name))?;
            Ok((used.name.clone(), value.0.clone()))
        });
        let named = named.collect::<Result<_, String>>()?;
        self.waiting.insert(id, (generation, named));
        Ok(())
    }

    /// This run needs them no more: its container is made, or never will be.
    pub(super) fn let_go(&mut self, run: Run) {
        if self.waiting.get(&run.task).is_some_and(|(generation, _)| *generation <= run.generation) {
            self.waiting.remove(&run.task);
        }
    }

    /// What the runtime gives to the task's container; files are there from now on.
    pub(super) fn give(&self, task: &Task) -> Result<Given, RuntimeError> {
        let run = Run::of(task);
        if task.spec.secrets.is_empty() {
            return Ok(Given::default());
        }
        let Some((_, values)) = self.waiting.get(&run.task).filter(|(held, _)| *held == run.generation)
        else {
            // It was made before, and is to be started again as it is.
            return Ok(Given { is_past: true, ..Given::default() });
        };
        let mut given = Given::default();
        for used in &task.spec.secrets {
            let Some(value) = values.get(&used.name) else { continue };
            match &used.form {
                SecretForm::File(path) => {
                    let source = self.write(run, &used.name, value).map_err(|error| {
                        RuntimeError::Refused(format!(
                            "secret {} can't be a file here: {}: {error}; it can be a variable ({0}:env)",
                            used.name,
                            self.folder.display()
                        ))
                    })?;
                    given.files.push(GivenFile { source, path: path.clone() });
                }
                SecretForm::Variable(variable) => {
                    let value = value.expose_text().ok_or_else(|| {
                        RuntimeError::Refused(format!(
                            "secret {} is no text: it can't be a variable",
                            used.name
                        ))
                    })?;
                    given.variables.push((variable.clone(), value.to_owned().into()));
                }
            }
        }
        Ok(given)
    }

    /// Removes the files of every run that does not need them, from an earlier start too. In memory none of this waits
    /// for a disk.
    pub(super) fn sweep(&self, needs: impl Fn(Run) -> bool) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let mut is_empty = true;
        for entry in entries.flatten() {
            let run = entry.file_name().to_str().and_then(run_of);
            if run.is_some_and(&needs) {
                is_empty = false;
            } else if let Err(error) = fs::remove_dir_all(entry.path()) {
                tracing::warn!(%error, "the secrets in {} stay", entry.path().display());
            }
        }
        if is_empty {
            let _ = fs::remove_dir(&self.folder);
        }
    }

    /// The folder is its owner's alone; a file in it can be read by whoever runs in the container.
    fn write(&self, run: Run, name: &SecretName, value: &SecretValue) -> io::Result<PathBuf> {
        make_private(&self.folder)?;
        if rustix::fs::statfs(&self.folder)?.f_type != TMPFS {
            return Err(io::Error::other("it is not in memory"));
        }
        let folder = self.folder.join(format!("{}-{}", run.task, run.generation));
        make_private(&folder)?;
        let path = folder.join(name.as_str());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(&path)?;
        file.write_all(value.expose())?;
        file.set_permissions(Permissions::from_mode(0o444))?;
        Ok(path)
    }
}

/// Everybody can make folders in memory: one that somebody else made first is not used.
fn make_private(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("it is somebody else's"));
    }
    fs::set_permissions(folder, Permissions::from_mode(0o700))
}

/// `TASK-GENERATION`.
fn run_of(folder: &str) -> Option<Run> {
    let (task, generation) = folder.rsplit_once('-')?;
    Some(Run { task: task.parse().ok()?, generation: generation.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::task::TaskSpec;

    fn values(names: &[&str]) -> Values {
        let value = || SecretOnWire(SecretValue::new(b"hunter2".to_vec()).unwrap());
        names.iter().map(|name| (name.parse().unwrap(), value())).collect()
    }

    fn start(secrets: &[&str]) -> TaskEvent {
        let secrets = secrets.iter().map(|used| used.parse().unwrap()).collect();
        let spec = Arc::new(TaskSpec { secrets, ..TaskSpec::default() });
        TaskEvent::start(Task { id: TaskId::random(), spec, ..Task::default() }, jiff::Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn files_are_for_their_owner_and_go_with_their_run() {
        let mut secrets = Secrets::new(Uuid::new_v4());
        let event = start(&["A", "A:/etc/a", "B:env:C"]);
        let run = Run::of(&event.task);
        secrets.hold(&event, &values(&["A", "B"])).unwrap();
        let given = secrets.give(&event.task).unwrap();
        assert_eq!((given.files.len(), given.variables.len()), (2, 1));
        assert!(!format!("{given:?}{secrets:?}").contains("hunter2"));
        let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
        let file = given.files[0].source.clone();
        assert_eq!(fs::read(&file).unwrap(), b"hunter2");
        assert_eq!((mode(&file), mode(file.parent().unwrap()), mode(&secrets.folder)), (0o444, 0o700, 0o700));
        secrets.let_go(run);
        assert!(secrets.give(&event.task).unwrap().is_past);
        secrets.sweep(|other| other == run);
        assert!(file.exists());
        secrets.sweep(|_| false);
        assert!(!secrets.folder.exists());
    }

    #[test]
    fn a_start_without_its_secrets_is_refused_and_an_old_one_changes_nothing() {
        let mut secrets = Secrets::new(Uuid::new_v4());
        let mut event = start(&["A:env"]);
        assert!(secrets.hold(&event, &values(&["B"])).unwrap_err().contains("secret A"));
        event.task.status.generation = 2;
        secrets.hold(&event, &values(&["A"])).unwrap();
        let newer = event.task.clone();
        event.task.status.generation = 1;
        secrets.hold(&event, &values(&["A"])).unwrap();
        secrets.let_go(Run::of(&event.task));
        assert_eq!(secrets.give(&newer).unwrap().variables.len(), 1);
        secrets.sweep(|_| false);
    }
}
