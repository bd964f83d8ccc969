//! Why a store can't be used, and where in it. Knows no format.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use super::row::{FORMAT, RowError};

/// Why the store can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot open the store {}: {why}; name another folder with --data-dir", path.display())]
    Open { path: PathBuf, why: String },
    #[error(
        "the store {} is damaged: {place}: {why}; `cube-tui recover` moves it aside, and takes over what the \
         workers run (all containers run on)",
        path.display()
    )]
    Damaged { path: PathBuf, place: String, why: String },
    #[error(
        "the store {} has format {format}, and this cube-tui reads formats up to {FORMAT}: use the newer cube-tui \
         that wrote it, or name another folder with --data-dir",
        path.display()
    )]
    Newer { path: PathBuf, format: u8 },
    #[error("cannot write to the store {}: {why}", path.display())]
    Write { path: PathBuf, why: String },
}

impl StoreError {
    /// Whether the same call may succeed later, such as after somebody made room on the disk.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Open { .. } | Self::Damaged { .. } | Self::Newer { .. } => false,
            Self::Write { .. } => true,
        }
    }

    /// Whether the file itself is broken: only `cube-tui recover` helps.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }
}

/// Makes errors about the store at a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blame<'a>(pub(super) &'a Path);

impl Blame<'_> {
    pub(super) fn damaged(self, place: impl Into<String>, why: impl Display) -> StoreError {
        StoreError::Damaged { path: self.0.to_owned(), place: place.into(), why: why.to_string() }
    }

    pub(super) fn row(self, table: &str, key: impl Display, why: &RowError) -> StoreError {
        match why {
            RowError::Newer(format) => StoreError::Newer { path: self.0.to_owned(), format: *format },
            _ => self.damaged(format!("table {table}, {key}"), why),
        }
    }

    pub(super) fn open(self, why: impl Display) -> StoreError {
        StoreError::Open { path: self.0.to_owned(), why: why.to_string() }
    }

    pub(super) fn write(self, why: impl Display) -> StoreError {
        StoreError::Write { path: self.0.to_owned(), why: why.to_string() }
    }

    /// What redb says while the file is opened and read.
    pub(super) fn reading(self, error: impl Into<redb::Error>) -> StoreError {
        let error = error.into();
        if is_damage(&error) { self.damaged("the file", error) } else { self.open(error) }
    }

    /// What redb says while something is written.
    pub(super) fn writing(self, error: impl Into<redb::Error>) -> StoreError {
        let error = error.into();
        if is_damage(&error) { self.damaged("the file", error) } else { self.write(error) }
    }
}

fn is_damage(error: &redb::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error {
        redb::Error::Io(error) => matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof),
        redb::Error::Corrupted(_)
        | redb::Error::UpgradeRequired(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TableIsNotMultimap(_)
        | redb::Error::TypeDefinitionChanged { .. }
        | redb::Error::TableDoesNotExist(_) => true,
        _ => false,
    }
}
