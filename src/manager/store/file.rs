//! The open file of the redb store: read with all its checks, and added to. Knows no old format.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, DatabaseError, ReadableDatabase, WriteTransaction};

use super::error::{Blame, StoreError};
use super::fold::fold;
use super::places::Places;
use super::retention::{Log, Retention};
use super::tables::{CHANGES, CHANGES_A_ROW, HEAD, LogRow, META, WORKERS, WorkerRow};
use super::witness::Witness;
use super::{migrate, read_tasks, set_aside};
use crate::cluster::{Change, Cluster, ClusterHead, Part, Revision};

/// Opens the file at a path, or makes it.
pub(super) type Create = fn(&Path) -> Result<Database, DatabaseError>;

/// An open file, of which the snapshot's workers and the log were read.
#[derive(Debug)]
pub(super) struct StoreFile {
    path: PathBuf,
    database: Database,
    witness: Witness,
    /// The snapshot, without its tasks.
    snapshot: Part,
    /// Of the snapshot's tasks; `None` until they are read.
    places: Option<Places>,
    log: Log,
    /// Lent for the making of rows.
    row: Vec<u8>,
}

impl StoreFile {
    pub(super) fn open(path: &Path, create: Create, retention: &Retention) -> Result<Self, StoreError> {
        let blame = Blame(path);
        let (mut witness, mut seen) = Witness::open(path).map_err(|why| blame.open(why))?;
        match what_lies(path).map_err(|why| blame.open(why))? {
            Lies::Store => {}
            Lies::Nothing if seen == 0 => {}
            Lies::Nothing => {
                tracing::warn!(
                    "the store {} is gone, with {seen} Changes; a new one begins, and `cube-tui recover` takes over \
                     what the workers run",
                    path.display()
                );
                witness.forget().map_err(|why| blame.open(why))?;
                seen = 0;
            }
            Lies::Unfinished if seen == 0 => drop(set_aside(path)?),
            Lies::Unfinished => {
                return Err(blame.damaged("the file", "its beginning is gone"));
            }
        }
        let database = create(path).map_err(|why| blame.reading(why))?;
        if head(&database, blame)?.is_none() {
            migrate::migrate(&database, retention.count, blame)?;
        }
        let mut file = Self {
            path: path.to_owned(),
            database,
            witness,
            snapshot: Part::default(),
            places: None,
            log: Log::default(),
            row: Vec::with_capacity(1_024),
        };
        file.read_log()?;
        if file.revision() < seen {
            let why = format!("the Changes {} to {seen} are missing", file.revision() + 1);
            return Err(blame.damaged(format!("table changes, revision {}", file.revision() + 1), why));
        }
        Ok(file)
    }

    /// The last revision in it.
    fn revision(&self) -> Revision {
        self.log.last().unwrap_or(self.snapshot.revision())
    }

    fn read_log(&mut self) -> Result<(), StoreError> {
        let blame = Blame(&self.path);
        let read = self.database.begin_read().map_err(|why| blame.reading(why))?;
        let Some(head) = head(&self.database, blame)? else {
            return Err(blame.damaged("table meta", "it is empty"));
        };
        let mut workers = Vec::new();
        let table = read.open_table(WORKERS.definition).map_err(|why| blame.reading(why))?;
        WORKERS.each(&table, blame, |_, row: Result<WorkerRow, _>, _| {
            workers.push(row?);
            Ok(())
        })?;
        workers.sort_unstable_by_key(|row| row.place);
        let workers: Vec<_> = workers.into_iter().map(|row| row.record).collect();
        self.snapshot = Part::new(head, &workers);

        let mut expected = head.revision;
        let table = read.open_table(CHANGES.definition).map_err(|why| blame.reading(why))?;
        let log = &mut self.log;
        CHANGES.each(&table, blame, |&first, row: Result<LogRow, _>, size| {
            let LogRow(changes) = row?;
            let size = size / changes.len().max(1);
            log.begin_row(first);
            for (change, revision) in changes.into_iter().zip(first..) {
                // Those before were folded away, and stand here for being in a row with some that were not.
                let is_folded = revision <= head.revision;
                expected += Revision::from(!is_folded);
                if change.revision != revision || !is_folded && revision != expected {
                    let place = format!("table changes, revision {expected}");
                    return Err(blame.damaged(place, format!("the next one is {}", change.revision)));
                }
                if !is_folded {
                    log.push(Arc::new(change), size);
                }
            }
            Ok(())
        })
    }

    /// The snapshot with the log folded in.
    pub(super) fn load(&mut self) -> Result<Cluster, StoreError> {
        let blame = Blame(&self.path);
        let count = usize::try_from(read_tasks::count(&self.database, blame)?).unwrap_or(0);
        let mut part = self.snapshot.clone();
        let mut places = Places::with_capacity(count);
        part.reserve(count);
        read_tasks::each(&self.database, blame, |(place, entry)| {
            places.add(entry.record.task.id, place);
            part.insert(entry);
        })?;
        self.places = Some(places);
        let mut cluster = part.into_cluster();
        for change in self.log.iter() {
            cluster.apply(change);
        }
        Ok(cluster)
    }

    /// After an error this must be dropped: it may know more than is in the file.
    pub(super) fn append(
        &mut self,
        changes: &[Arc<Change>],
        retention: &Retention,
    ) -> Result<(), StoreError> {
        // A new store is never loaded by who only fills it.
        if self.places.is_none() {
            self.load()?;
        }
        let blame = Blame(&self.path);
        let transaction = self.database.begin_write().map_err(|why| blame.writing(why))?;
        {
            let mut table = transaction.open_table(CHANGES.definition).map_err(|why| blame.writing(why))?;
            for changes in changes.chunks(CHANGES_A_ROW) {
                let Some(first) = changes.first().map(|change| change.revision) else { continue };
                let size = CHANGES.put(&mut table, &first, &changes, &mut self.row, blame)?;
                self.log.begin_row(first);
                for change in changes {
                    self.log.push(Arc::clone(change), size / changes.len());
                }
            }
        }
        let due = retention.due(&self.log, changes.len());
        self.fold_and_commit(transaction, due)?;
        if let Err(error) = self.witness.saw(self.revision()) {
            // What is durable stays durable.
            tracing::warn!("cannot write beside the store {}: {error}", self.path.display());
        }
        Ok(())
    }

    pub(super) fn has_put_off(&self, retention: &Retention) -> bool {
        retention.is_due_at_rest(&self.log)
    }

    /// Folds a part of what was put off. After an error this must be dropped.
    pub(super) fn catch_up(&mut self, retention: &Retention) -> Result<(), StoreError> {
        if self.places.is_none() {
            self.load()?;
        }
        let due = retention.due_at_rest(&self.log);
        let blame = Blame(&self.path);
        let transaction = self.database.begin_write().map_err(|why| blame.writing(why))?;
        self.fold_and_commit(transaction, due)
    }

    /// Commits, with the `due` oldest Changes folded away.
    fn fold_and_commit(&mut self, transaction: WriteTransaction, due: usize) -> Result<(), StoreError> {
        let blame = Blame(&self.path);
        if due > 0 {
            let places = self.places.get_or_insert_default();
            fold(&transaction, &mut self.snapshot, places, &mut self.log, due, &mut self.row, blame)?;
        }
        transaction.commit().map_err(|why| blame.writing(why))
    }
}

/// None in a new file, and in one of the first format.
pub(super) fn head(database: &Database, blame: Blame<'_>) -> Result<Option<ClusterHead>, StoreError> {
    let read = database.begin_read().map_err(|why| blame.reading(why))?;
    match read.open_table(META.definition) {
        Ok(table) => META.get(&table, &HEAD, blame),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(why) => Err(blame.reading(why)),
    }
}

enum Lies {
    Store,
    Nothing,
    /// A file that was being made when the process was killed: redb writes its first bytes last.
    Unfinished,
}

fn what_lies(path: &Path) -> io::Result<Lies> {
    use std::io::Read as _;
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Lies::Nothing),
        Err(error) => return Err(error),
    };
    let mut first = Vec::new();
    file.take(8).read_to_end(&mut first)?;
    Ok(if first.iter().all(|byte| *byte == 0) { Lies::Unfinished } else { Lies::Store })
}
