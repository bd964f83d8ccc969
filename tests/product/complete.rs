//! What a real bash offers at `cube-tui stop <TAB>`: what the manager that runs knows. No container engine needed.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use portable_pty::CommandBuilder;
use serde_json::json;

use super::alone::{ALONE, trial};
use super::support::process::{Ended, Home, PROGRAM};
use super::support::terminal::Terminal;

pub fn tests() -> Vec<Trial> {
    vec![
        trial("bash_completes_tasks_and_workers_by_name", by_name),
        trial("a_tab_in_a_real_bash_completes_a_name", a_tab),
        trial("without_a_manager_that_answers_nothing_is_completed_and_soon", nothing_soon),
    ]
}

/// What bash offers for the last of `words`, which are broken as readline breaks them: at spaces and colons.
fn offered(home: &Home, port: u16, line: &str, words: &[&str]) -> Vec<String> {
    std::fs::write(home.path("completions"), home.run("completions bash").expect(0, &[]).stdout).unwrap();
    let script = "source completions\n\
                  [[ $(complete -p cube-tui) == *' -F _cube_tui cube-tui' ]] || exit 9\n\
                  COMP_LINE=$1; shift\n\
                  COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMP_POINT=${#COMP_LINE}; COMP_TYPE=9\n\
                  _cube_tui cube-tui \"${@: -1}\" \"${@: -2:1}\"\n\
                  printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", script, "bash", line]).args(words).current_dir(home.dir.path()).env_clear();
    let folder = Path::new(PROGRAM).parent().unwrap().display();
    bash.envs(home.variables()).env("PATH", format!("{folder}:/usr/bin:/bin"));
    bash.env("CUBE_MANAGER_PORT", port.to_string());
    let ended = Ended::of(bash).expect(0, &[]);
    assert_eq!(ended.stderr, "");
    ended
        .stdout
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('-'))
        .map(str::to_owned)
        .collect()
}

async fn by_name() {
    let home = Home::without_engine();
    let mut node = home.start(&format!("{ALONE} --worker localhost:1 --worker localhost:2"));
    let manager = node.manager().await;
    let mut ids = Vec::new();
    for name in ["web", "web-2", "two words", "api"] {
        ids.push(manager.submit(&json!({"Name": name, "Image": "alpine"})).await.to_string());
    }
    let offered = |line: &str, words: &[&str]| offered(&home, manager.port, line, words);
    assert_eq!(offered("cube-tui stop we", &["cube-tui", "stop", "we"]), ["web", "web-2"]);
    let all = offered("cube-tui logs web ", &["cube-tui", "logs", "web", ""]);
    assert_eq!(all, ["web", "web-2", &ids[2], "api"], "a name that a shell would break is an id");
    let start = &ids[3][..6];
    assert_eq!(offered(&format!("cube-tui why {start}"), &["cube-tui", "why", start]), [&*ids[3]]);
    let workers = ["localhost:1", "localhost:2"];
    assert_eq!(offered("cube-tui drain lo", &["cube-tui", "drain", "lo"]), workers);
    let words = ["cube-tui", "drain", "localhost", ":", ""];
    assert_eq!(offered("cube-tui drain localhost:", &words), ["1", "2"], "what follows the colon");
    let words = ["cube-tui", "cordon", "localhost", ":", "2"];
    assert_eq!(offered("cube-tui cordon localhost:2", &words), ["2"]);
    for (line, words) in [
        ("run i --restart ", ["no", "on-failure", "always", "unless-stopped"].as_slice()),
        ("run i --restart un", &["unless-stopped"]),
        ("ps --state c", &["completed", "crashloop"]),
    ] {
        let line = format!("cube-tui {line}");
        assert_eq!(offered(&line, &line.split(' ').collect::<Vec<_>>()), words);
    }
    let with = |line: &str| {
        let mut command = home.command(line);
        command.env("CUBE_MANAGER_PORT", manager.port.to_string());
        Ended::of(command).expect(0, &[])
    };
    let invite =
        || with("invite --role viewer --listen 127.0.0.1:0 --address 127.0.0.1 --output json").json();
    let line = invite()[0]["line"].as_str().unwrap().to_owned();
    with(&format!("join {line} --name me"));
    invite();
    let open = with("token list --output json").json();
    let open = open.iter().find(|listed| listed["type"] == "invite").unwrap()["id"].as_str().unwrap();
    let mut revocable = offered("cube-tui token revoke ", &["cube-tui", "token", "revoke", ""]);
    revocable.sort_by_key(|word| word != "me");
    assert_eq!(revocable, ["me", open], "workers that have not joined are none");
    assert_eq!(offered("cube-tui res", &["cube-tui", "res"]), ["restart"]);
}

async fn a_tab() {
    let home = Home::without_engine();
    let mut node = home.start(&format!("{ALONE} --worker localhost:1"));
    let manager = node.manager().await;
    manager.submit(&json!({"Name": "web-2", "Image": "alpine"})).await;
    std::fs::write(home.path("completions"), home.run("completions bash").expect(0, &[]).stdout).unwrap();
    let mut bash = CommandBuilder::new("bash");
    bash.args(["--norc", "-i"]);
    let mut terminal = Terminal::run(&home, bash, (100, 24));
    let folder = Path::new(PROGRAM).parent().unwrap().display();
    terminal.keys(&format!("PATH={folder}:$PATH; export CUBE_MANAGER_PORT={}\n", manager.port));
    terminal.keys("source completions; clear\n");
    terminal.keys("cube-tui stop w\t");
    terminal.shows(&["cube-tui stop web-2 "]);
    terminal.keys("\x15cube-tui drain localhost:\t");
    terminal.shows(&["cube-tui drain localhost:1 "]);
}

async fn nothing_soon() {
    let home = Home::without_engine();
    // It takes connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let start = Instant::now();
    assert_eq!(offered(&home, port, "cube-tui stop ", &["cube-tui", "stop", ""]), [""; 0]);
    drop(silent);
    assert_eq!(offered(&home, port, "cube-tui stop ", &["cube-tui", "stop", ""]), [""; 0]);
    // Two programs and two shells beside it, on a machine that has other things to do.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}
