//! The program on a store that it can't have: held by another process, damaged, or of a newer program. No container
//! engine needed.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use assert_cmd::Command;
use cube_tui::node::{Claim, Folder};

/// `--no-ui` on the data folder `data`, until it ends by itself.
fn start(data: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cube-tui"))
        .args(["--no-ui", "--no-local-worker", "--data-dir"])
        .arg(data)
        .env_clear()
        .env("CUBE_MANAGER_PORT", "0")
        .env("HOME", data)
        .timeout(Duration::from_mins(1))
        .output()
        .expect("it starts and ends")
}

#[track_caller]
fn is_refused(data: &Path, parts: &[&str]) {
    let output = start(data);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(output.stdout, b"", "nothing was begun");
}

#[test]
fn a_folder_that_another_process_holds_is_refused_within_a_second_naming_it() {
    let folder = tempfile::tempdir().expect("a folder for this test");
    // This test is the other process; it has not said where its manager answers.
    let Ok(Claim::Ours(held)) = Folder::claim(folder.path()) else { panic!("nobody else has it") };
    let begin = Instant::now();
    is_refused(folder.path(), &[&format!("process {}", std::process::id()), "--data-dir"]);
    let time = begin.elapsed();
    assert!(time < Duration::from_millis(1_500), "{time:?}, the start of the program included");
    drop(held);
}

#[test]
fn a_damaged_store_is_refused_with_its_place_and_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder for this test");
    let path = folder.path().join("changes.redb");
    let mut bytes = fs::read("tests/samples/store-v2.redb").expect("the sample");
    // A bit in each sector after the header.
    bytes.iter_mut().skip(4_096).step_by(512).for_each(|byte| *byte ^= 1);
    fs::write(&path, &bytes).expect("it is ours");
    is_refused(folder.path(), &["changes.redb is damaged", "cube-tui recover"]);
    fs::write(&path, &bytes[..bytes.len() / 2]).expect("it is ours");
    is_refused(folder.path(), &["changes.redb is damaged", "cube-tui recover"]);
}
