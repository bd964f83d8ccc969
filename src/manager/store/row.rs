//! A row of the store's file: a version byte, a checksum over where and what it is, then JSON. Knows no file.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The form of a row, and of the file; grows when an old program could not read a new one. 1 had no checksum, and its
/// file no tables but the log.
pub(super) const FORMAT: u8 = 3;

/// Of this form only one row has a Change, and the checksum is not over the version.
const ONE_CHANGE_A_ROW: u8 = 2;

/// The version byte, and a CRC-32, the low byte first.
const HEAD: usize = 5;

/// Why a row can't be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowError {
    #[error("its checksum is wrong")]
    Checksum,
    #[error("it is cut short")]
    Short,
    #[error("it is missing")]
    Missing,
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// Written by a newer program.
    #[error("it has version {0}")]
    Newer(u8),
}

/// Writes `value` as the row under `key` in `table`. What `row` held before is gone.
pub(super) fn write(
    row: &mut Vec<u8>,
    table: &str,
    key: &[u8],
    value: &impl Serialize,
) -> serde_json::Result<()> {
    row.clear();
    row.extend([FORMAT, 0, 0, 0, 0]);
    serde_json::to_writer(&mut *row, value)?;
    let sum = checksum(FORMAT, table, key, &row[HEAD..]).to_le_bytes();
    row[1..HEAD].copy_from_slice(&sum);
    Ok(())
}

/// Reads the row under `key` in `table`.
pub(super) fn read<T: DeserializeOwned>(row: &[u8], table: &str, key: &[u8]) -> Result<T, RowError> {
    let (&version, _) = row.split_first().ok_or(RowError::Short)?;
    if version > FORMAT {
        return Err(RowError::Newer(version));
    }
    let (head, json) = row.split_at_checked(HEAD).ok_or(RowError::Short)?;
    let is_known = version == FORMAT || version == ONE_CHANGE_A_ROW;
    if !is_known || head[1..] != checksum(version, table, key, json).to_le_bytes() {
        return Err(RowError::Checksum);
    }
    Ok(serde_json::from_slice(json)?)
}

/// Over the place too: a whole row in the wrong place is as wrong as a broken one.
fn checksum(version: u8, table: &str, key: &[u8], json: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    if version != ONE_CHANGE_A_ROW {
        sum.update(&[version]);
    }
    sum.update(table.as_bytes());
    sum.update(key);
    sum.update(json);
    sum.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_back_and_no_flipped_bit_or_other_place_does() {
        let mut row = Vec::new();
        write(&mut row, "tasks", b"7", &["web", "db"]).unwrap();
        assert_eq!(read::<Vec<String>>(&row, "tasks", b"7").unwrap(), ["web", "db"]);
        assert!(matches!(read::<Vec<String>>(&row, "tasks", b"8"), Err(RowError::Checksum)));
        assert!(matches!(read::<Vec<String>>(&row, "changes", b"7"), Err(RowError::Checksum)));
        for bit in 0..row.len() * 8 {
            let mut flipped = row.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read::<Vec<String>>(&flipped, "tasks", b"7").is_err(), "bit {bit}");
        }
        for length in 0..row.len() {
            assert!(read::<Vec<String>>(&row[..length], "tasks", b"7").is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_row_of_a_newer_program_is_told_apart_from_damage() {
        let read = read::<u8>(&[FORMAT + 1, 0, 0, 0, 0, b'1'], "tasks", b"");
        assert!(matches!(read, Err(RowError::Newer(version)) if version == FORMAT + 1));
    }
}
