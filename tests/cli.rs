//! The commands as scripts see them: exit codes, what goes to stdout, what to stderr. No container engine needed.

use std::fs;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;

const NO_ENGINE: &str = "unix:///nonexistent/docker.sock";

/// `cube-tui` with `line` as its arguments, in a home of its own and on free ports.
fn cube_tui(home: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cube-tui"));
    command
        .args(line.split_whitespace())
        .current_dir(home)
        .env_clear()
        .envs([("CUBE_PORT", "0"), ("CUBE_MANAGER_PORT", "0"), ("DOCKER_HOST", NO_ENGINE)])
        .env("HOME", home)
        .timeout(std::time::Duration::from_mins(1));
    command.output().expect("it starts and ends")
}

/// Runs `line`, which must end with `code` and say all of `parts` on stderr.
#[track_caller]
fn ends(home: &Path, line: &str, code: i32, parts: &[&str]) -> String {
    let output = cube_tui(home, line);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{line}\n{said}");
    for part in parts {
        assert!(said.contains(part), "{line}: {part:?} is not in\n{said}");
    }
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a folder for this test");
    let write = |name: &str, text: &str| fs::write(home.path().join(name), text).expect("it is ours");
    write("good.json", r#"{"Name":"good","Image":"alpine"}"#);
    write("bad.json", "{\"Image\":\"alpine\",\n\"Nmae\":\"x\"}");
    write("broken.json", "{broken");
    home
}

#[test]
fn bad_input_is_2_names_the_place_and_starts_nothing() {
    let home = home();
    for line in ["--no-ui --submit broken.json --wait", "submit broken.json"] {
        let stdout = ends(home.path(), line, 2, &["broken.json, line 1: not JSON"]);
        assert_eq!(stdout, "", "{line}");
    }
    ends(home.path(), "submit good.json bad.json", 2, &["bad.json, line 2", "did you mean Name?"]);
    ends(home.path(), "submit missing.json", 2, &["missing.json"]);
    ends(home.path(), "--nonsense", 2, &["--nonsense"]);
    for line in [
        "drain w --deadline nonsense",
        "invite --ttl nonsense",
        "token revoke w --drain=nonsense",
        "restart web --wait --timeout nonsense",
        "submit good.json --wait --timeout nonsense",
        "--no-ui --submit good.json --wait --timeout nonsense",
    ] {
        ends(home.path(), line, 2, &["expected a duration such as 5m or 90s, found \"nonsense\""]);
    }
    ends(home.path(), "run alpine --env A", 2, &["--env: expected KEY=VALUE"]);
    assert!(!home.path().join(".local").exists(), "no store was made");
}

#[test]
fn a_file_in_the_place_of_the_data_folder_is_4_and_says_so() {
    let home = home();
    for (line, folder) in [
        ("--no-ui --data-dir good.json", "good.json"),
        ("--no-ui --no-local-worker --data-dir good.json", "good.json"),
        ("--no-ui --data-dir good.json/data", "good.json/data"),
        ("worker --data-dir good.json", "good.json"),
    ] {
        let why = format!("cannot use the data folder {folder}: ");
        ends(home.path(), line, 4, &[&why, "; name another one with --data-dir"]);
    }
}

#[test]
fn a_worker_beyond_this_machine_is_2_and_names_both_ways_out() {
    let home = home();
    let parts =
        ["10.0.0.2:5555 is not on this machine", "cube-tui invite", "--insecure-worker 10.0.0.2:5555"];
    ends(home.path(), "--no-ui --worker 10.0.0.2:5555", 2, &parts);
    ends(home.path(), "worker --listen 0.0.0.0:0", 2, &["beyond loopback", "cube-tui invite"]);
}

#[test]
fn no_engine_is_4_says_what_to_do_and_submits_nothing() {
    let home = home();
    let line = "--no-ui --submit good.json --wait --output json";
    let stdout = ends(home.path(), line, 4, &["nothing was submitted", NO_ENGINE, "is Docker installed"]);
    for line in stdout.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("stdout holds JSON only");
        assert_ne!(line["type"], "task", "{line}");
    }
    assert!(stdout.contains(r#""type":"manager","state":"listening""#), "{stdout}");
}

#[test]
fn no_manager_is_4_and_125_for_a_run_that_waits() {
    let home = home();
    let parts = ["cannot reach the manager at http://localhost:0", "try `cube-tui --no-ui`"];
    for line in [
        "ps",
        "ps --watch",
        "workers",
        "events --follow",
        "inspect web",
        "top --once",
        "restart web",
        "forget w",
        "stop web",
        "submit good.json",
        "submit good.json --wait",
        "run alpine",
    ] {
        assert_eq!(ends(home.path(), line, 4, &parts), "", "{line}");
    }
    ends(home.path(), "run alpine --wait", 125, &parts);
}

#[test]
fn completions_are_scripts_that_their_shells_take() {
    let home = home();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = ends(home.path(), &format!("completions {shell}"), 0, &[]);
        assert!(script.contains("CUBE_TUI_COMPLETE"), "{shell}: {script}");
        fs::write(home.path().join(shell), script).expect("it is ours");
    }
    let bash = std::process::Command::new("bash").arg("-n").arg(home.path().join("bash")).output();
    let bash = bash.expect("bash is everywhere that this runs");
    assert!(bash.status.success(), "{}", String::from_utf8_lossy(&bash.stderr));
}

#[test]
fn there_is_a_manual_page_and_one_for_each_command() {
    let home = home();
    let page = ends(home.path(), "man", 0, &[]);
    for part in [".TH cube-tui 1", "Exit codes", "restart"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert_eq!(ends(home.path(), "man --dir pages", 0, &[]), "");
    let pages: Vec<_> = fs::read_dir(home.path().join("pages"))
        .expect("it was made")
        .map(|page| page.expect("it can be listed").file_name().to_string_lossy().into_owned())
        .collect();
    for page in ["cube-tui.1", "cube-tui-ps.1", "cube-tui-restart.1"] {
        assert!(pages.iter().any(|name| name == page), "{page} in {pages:?}");
    }
    assert!(!pages.iter().any(|name| name.contains("demo-task")), "{pages:?}");
    ends(home.path(), "man --dir good.json", 2, &["cannot write the pages into good.json"]);
}

#[test]
fn the_config_file_sets_defaults_and_a_wrong_one_is_2_with_its_line() {
    let home = home();
    let folder = home.path().join(".config/cube-tui");
    fs::create_dir_all(&folder).expect("it is ours");
    let config = |text: &str| fs::write(folder.join("config.toml"), text).expect("it is ours");
    config("output = \"json\"\ndata_dir = \"kept-here\"\n");
    let stdout = ends(home.path(), "--no-ui --submit good.json --wait", 4, &["nothing was submitted"]);
    assert!(stdout.starts_with("{\"v\":1"), "{stdout}");
    assert!(home.path().join("kept-here/cluster-id").exists(), "the store lives where the file says");
    // The environment wins: there port 0 is asked for.
    config("[manager]\nport = 5556\n");
    ends(home.path(), "ps", 4, &["http://localhost:0"]);
    config("color = true\ndata-dir = \"x\"\n");
    ends(home.path(), "ps", 2, &["config.toml, line 2: unknown field `data-dir`", "^^^^^^^^"]);
    ends(home.path(), "ps --help", 0, &[]);
}

#[test]
fn help_and_version_are_0() {
    let home = home();
    let help = ends(home.path(), "--help", 0, &[]);
    for part in ["--no-ui", "--insecure-worker", "submit", "Exit codes:", "CUBE_MANAGER_PORT"] {
        assert!(help.contains(part), "{part} in {help}");
    }
    assert!(!help.contains("demo-task"), "{help}");
    assert!(ends(home.path(), "--version", 0, &[]).starts_with("cube-tui "));
}
