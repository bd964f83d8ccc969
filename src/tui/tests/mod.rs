//! What keys and events lead to: press, then look at the Actions and the screen.

mod form;
mod stops;

use std::sync::Arc;

use jiff::SignedDuration;
use proptest::prelude::*;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::cluster::{Cause, FeedItem, SchedulerName, What, WorkerHealth};
use crate::manager::plan::{Fate, Plan, Planned};
use crate::manager::request::{AvailabilityWish, RequestError, Restarted, Stopping, Submitted, WorkerWish};
use crate::task::{RestartPolicy, State};
use crate::tui::actions::Remap;
use crate::tui::event::{Action, Event, Purpose};
use crate::tui::fixture::{
    Log, answer_why, at, busy, busy_log, crash_looping, crowded, empty, feed, loading, many, press, say,
    screen, start, task_id,
};
use crate::tui::keymap::Keymap;
use crate::tui::layout::Pane;
use crate::tui::model::{Model, Overlay};
use crate::tui::update::update;

fn selected(model: &Model) -> String {
    model.cursors.task.map_or_else(|| "-".to_owned(), |task| model.name_of(task))
}

fn shown(model: &Model) -> Vec<String> {
    model.tasks.iter_from(0).map(|task| model.name_of(task)).collect()
}

fn seconds_later(model: &mut Model, seconds: i64) -> Vec<Action> {
    let now = model.now + SignedDuration::from_secs(seconds);
    at(model, now)
}

#[test]
fn keys_move_the_selection() {
    let cases = [
        ("", "api-1"),
        ("j", "api-2"),
        ("jjk", "api-2"),
        ("k", "api-1"),
        ("G", "web-3"),
        ("Gj", "web-3"),
        ("G<C-u>g", "api-1"),
        ("<Down><Down><Up>", "api-2"),
        ("<C-d>", "logs-ja-日本語"),
    ];
    for (keys, expected) in cases {
        let mut model = busy(80, 24);
        press(&mut model, keys);
        assert_eq!(selected(&model), expected, "{keys}");
    }
}

#[test]
fn digits_tab_and_arrows_change_the_pane() {
    let cases = [
        ("1", Pane::Workers),
        ("5", Pane::Events),
        ("<Tab>", Pane::Stats),
        ("<Tab><Tab><Tab>", Pane::Workers),
        ("<Left>", Pane::Pending),
        ("<Right>", Pane::Stats),
    ];
    for (keys, expected) in cases {
        let mut model = busy(80, 24);
        press(&mut model, keys);
        assert_eq!(model.focus, expected, "{keys}");
    }
}

#[test]
fn what_is_on_other_keys_is_done_by_them_and_shown_with_them() {
    let keys = [("stop", "X"), ("undo", "F7"), ("help", "F1"), ("back", "Backspace"), ("tasks", "T")];
    let wishes = keys.map(|(action, key)| Remap::of(action).unwrap().on(&[key.to_owned()]).unwrap());
    let (keymap, clashes) = Keymap::remapped(&wishes);
    assert_eq!(clashes, []);
    let mut model = busy(80, 24).with_keymap(keymap);
    press(&mut model, "S");
    assert!(model.overlay.is_none());
    press(&mut model, "X");
    assert!(screen(&model).contains("then 5 s to press F7"), "{}", screen(&model));
    press(&mut model, "y");
    assert!(screen(&model).contains("F7 undo   Enter now"), "{}", screen(&model));
    press(&mut model, "<F7>1 ");
    assert!(model.countdown.is_none());
    assert!(screen(&model).contains("T goes to their pane"), "{}", screen(&model));
    assert!(screen(&model).contains("F1 help"), "{}", screen(&model));
    press(&mut model, "<F1>");
    let help = screen(&model);
    assert!(
        help.contains("F1 help ─ Backspace back") && help.contains("X            stop the marked"),
        "{help}"
    );
    press(&mut model, "<F1>");
    assert!(model.overlay.is_none());
}

#[test]
fn logs_are_of_the_marked_tasks_or_of_this_one_and_end_with_the_overlay() {
    let mut model = busy(80, 24);
    let actions = press(&mut model, "jl");
    let [Action::ReadLogs { request: 1, tasks, query }] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!((tasks.as_slice(), query.follow, query.since), ([task_id(2)].as_slice(), true, None));
    assert_eq!(press(&mut model, "<Esc>"), [Action::EndLogs]);
    let actions = press(&mut model, "g  l");
    let [Action::ReadLogs { request: 2, tasks, .. }] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!(tasks, &[task_id(1), task_id(2)]);
    // A range asks again, and what the request before brings is passed over.
    let actions = press(&mut model, "2");
    let [Action::ReadLogs { request: 3, query, .. }] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!(query.since, Some(model.now - SignedDuration::from_mins(5)));
    update(&mut model, Event::LogsCut { request: 2, reason: "old".into() });
    assert!(!screen(&model).contains("old"));
}

#[test]
fn a_task_that_has_said_nothing_is_told_to_once_the_stream_was_open_for_a_moment() {
    let mut model = busy(80, 24);
    press(&mut model, "l");
    update(&mut model, Event::Logs { request: 1, items: Vec::new() });
    assert!(screen(&model).contains("asking…"), "lines of before may be on their way");
    let later = model.now + SignedDuration::from_secs(1);
    at(&mut model, later);
    assert!(screen(&model).contains("nothing said yet"), "{}", screen(&model));
}

#[test]
fn following_stops_where_somebody_scrolls_up_and_goes_on_at_the_end() {
    let mut model = busy(80, 24);
    press(&mut model, "l");
    say(&mut model, 100);
    assert!(screen(&model).contains("FOLLOW") && screen(&model).contains("/cart/99"));
    press(&mut model, "kk");
    let before = screen(&model);
    assert!(before.contains("SCROLLED"));
    say(&mut model, 50);
    let after = screen(&model);
    let lines = |text: &str| text.lines().skip(1).take(18).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&before), lines(&after));
    assert!(after.contains("+51 new, End follows"), "{after}");
    press(&mut model, "<C-d><C-d><C-d><C-d><C-d><C-d><C-d><C-d>");
    assert!(screen(&model).contains("FOLLOW"));
    press(&mut model, "g");
    assert!(screen(&model).contains("/cart/1 "));
    press(&mut model, "G");
    assert!(screen(&model).contains("FOLLOW") && screen(&model).contains("/cart/48"));
}

#[test]
fn what_is_looked_for_is_gone_to_and_a_copy_has_no_control_bytes() {
    let mut model = busy(80, 24);
    press(&mut model, "l");
    say(&mut model, 200);
    press(&mut model, "/error<Enter>");
    assert!(screen(&model).contains("29 of 29"), "{}", screen(&model));
    press(&mut model, "n");
    assert!(screen(&model).contains("1 of 29") && screen(&model).contains("▸12:00:00 ERROR"));
    let actions = press(&mut model, "y");
    let [Action::Copy(text)] = actions.as_slice() else { panic!("{actions:?}") };
    assert!(text.starts_with("12:00:00 ERROR pool exhausted after 0 requests\n"), "{text}");
    press(&mut model, "/nothing<Enter>n");
    assert!(screen(&model).contains("not found"));
}

#[test]
fn a_shell_needs_a_running_task() {
    let mut model = busy(80, 24);
    assert_eq!(press(&mut model, "x"), [Action::Shell(task_id(1))]);
    assert_eq!(press(&mut model, "/etl-8<Enter>x"), []);
    assert!(screen(&model).contains("a shell needs a running container"));
    update(&mut model, Event::ShellEnded(Ok(127)));
    assert!(screen(&model).contains("no /bin/sh"));
}

#[test]
fn escape_never_quits_and_q_and_interrupt_do() {
    let mut model = busy(80, 24);
    assert_eq!(press(&mut model, "<Esc><Esc><Esc>"), []);
    assert_eq!(press(&mut model, "?q"), [], "q closes the help");
    assert_eq!(press(&mut model, "n<C-c>"), [Action::Quit]);
    assert_eq!(press(&mut busy(80, 24), "q"), [Action::Quit]);
    assert_eq!(press(&mut busy(80, 24), "<C-z>"), [Action::Suspend]);
}

#[test]
fn new_rows_and_changes_never_move_the_selection() {
    let mut model = busy(80, 24);
    press(&mut model, "jjj");
    let before = selected(&model);
    let mut log = Log { revision: model.cluster.revision(), now: model.now };
    for number in 100..200 {
        feed(&mut model, log.submit(number, "later", "x"));
    }
    assert_eq!(selected(&model), before);
    let rows: Vec<_> = screen(&model).lines().skip(2).take(14).map(str::to_owned).collect();
    feed(&mut model, log.submit(300, "later", "x"));
    let after: Vec<_> = screen(&model).lines().skip(2).take(14).map(str::to_owned).collect();
    assert_eq!(rows[1..12], after[1..12]);
}

#[test]
fn a_selected_task_that_the_filter_hides_gives_its_place_to_the_next() {
    let mut model = busy(80, 24);
    press(&mut model, "/state:running<Enter>");
    assert_eq!(shown(&model), ["api-1", "cache-2", "logs-ja-日本語", "web-1", "web-2", "web-3"]);
    press(&mut model, "jj");
    assert_eq!(selected(&model), "logs-ja-日本語");
    let mut log = Log { revision: model.cluster.revision(), now: model.now };
    feed(&mut model, log.observe(7, |status| status.state = State::Completed));
    assert_eq!(selected(&model), "web-1");
    assert_eq!(shown(&model), ["api-1", "cache-2", "web-1", "web-2", "web-3"]);
}

#[test]
fn the_filter_follows_what_is_typed_and_escape_brings_the_old_one_back() {
    let mut model = busy(80, 24);
    press(&mut model, "/web- !web-2");
    assert_eq!(shown(&model), ["web-1", "web-3"]);
    assert!(screen(&model).contains("2 of 10 ─ filter: web- !web-2"));
    press(&mut model, "<Enter>");
    press(&mut model, "/<Backspace><Backspace>");
    press(&mut model, "<Esc>");
    assert_eq!(shown(&model), ["web-1", "web-3"]);
    press(&mut model, "<Esc>");
    assert_eq!(shown(&model).len(), 10);
}

#[test]
fn the_filter_knows_stale_when_a_worker_falls_silent_and_when_it_is_back() {
    let mut model = busy(80, 24);
    press(&mut model, "/stale<Enter>");
    assert_eq!(shown(&model), ["cache-2", "web-3"]);
    let mut log = Log { revision: model.cluster.revision(), now: model.now };
    feed(&mut model, log.worker("worker-4:5555", WorkerHealth::Ready, |_| {}));
    assert_eq!(shown(&model), Vec::<String>::new());
    feed(&mut model, log.worker("worker-1:5555", WorkerHealth::Lost, |_| {}));
    assert_eq!(shown(&model), ["api-1", "web-1"]);
}

#[test]
fn a_crash_loop_is_found_counts_down_and_is_over_once_it_runs() {
    let mut model = crash_looping(140, 36, 38);
    assert!(screen(&model).contains("↻ CrashLoop") && screen(&model).contains("again in 38s"));
    press(&mut model, "/state:crash<Enter>");
    assert_eq!(shown(&model), ["queue-1"]);
    press(&mut model, "<Enter>");
    let text = screen(&model);
    assert!(text.contains("crash loop: failed 7 times in a row, last: exit code 3"), "{text}");
    assert!(text.contains("next start  in 38s"), "{text}");
    seconds_later(&mut model, 30);
    assert!(screen(&model).contains("next start  in 8s"));
    let mut log = Log { revision: model.cluster.revision(), now: model.now };
    feed(&mut model, log.schedule(2, "worker-1:5555"));
    feed(&mut model, log.run(2));
    let text = screen(&model);
    assert!(
        text.contains("▸ Running") && text.contains("failed 7 times in a row"),
        "still to be seen: {text}"
    );
    assert!(!text.contains("next start") && shown(&model).is_empty());
}

#[test]
fn collected_tasks_vanish_and_marks_selection_and_details_survive() {
    let mut model = busy(120, 36);
    let mut log = Log { revision: model.cluster.revision(), now: model.now };
    // cache-1 and etl-8 have ended; one of them is marked, the one after them is selected.
    press(&mut model, "jj jjjj ");
    assert_eq!((model.marks.len(), selected(&model).as_str()), (2, "web-2"));
    let tasks = vec![task_id(3), task_id(5)];
    feed(&mut model, log.change(Cause::Manager, What::Collected { tasks: tasks.clone() }));
    assert_eq!(shown(&model).len(), 8);
    assert_eq!((model.marks.len(), selected(&model).as_str()), (1, "web-2"));
    let text = screen(&model);
    assert!(text.contains("3 Tasks 8") && !text.contains("▸ cache-1"), "{text}");
    assert!(text.contains("· collected") && text.contains("2 tasks that ended first"), "{text}");
    // A filter looks only at what is there; a mirror from a snapshot shows the same.
    press(&mut model, "/state:failed<Enter>");
    assert_eq!(shown(&model), Vec::<String>::new());
    press(&mut model, "<Esc><Esc>");
    let mut other = loading(120, 36);
    update(&mut other, Event::Watching(Box::new(model.cluster.clone())));
    assert_eq!(shown(&model), shown(&other));
}

#[test]
fn a_selected_task_that_is_collected_gives_its_place_to_the_next() {
    let mut model = busy(120, 36);
    let mut log = Log { revision: model.cluster.revision(), now: model.now };
    press(&mut model, "jjjj<Enter>");
    assert_eq!(selected(&model), "etl-8");
    let tasks = vec![task_id(3), task_id(5)];
    feed(&mut model, log.change(Cause::Manager, What::Collected { tasks }));
    let text = screen(&model);
    assert!(
        text.contains("it was collected") && text.contains("✗ failed"),
        "its history is still open: {text}"
    );
    press(&mut model, "<Esc>");
    assert_eq!(selected(&model), "etl-9");
}

#[test]
fn a_list_out_of_which_most_were_collected_still_ranks_and_filters() {
    let mut model = loading(80, 24);
    update(&mut model, Event::Watching(Box::new(many(3_000))));
    let mut log = Log { revision: model.cluster.revision(), now: model.now };
    press(&mut model, "/web-30<Enter>");
    let all = shown(&model);
    for number in 1..=2_900 {
        feed(&mut model, log.observe(number, |status| status.state = State::Completed));
    }
    for first in (1..=2_900).step_by(256) {
        let tasks = (first..=2_900.min(first + 255)).map(task_id).collect();
        feed(&mut model, log.change(Cause::Manager, What::Collected { tasks }));
    }
    assert_eq!((all.len(), shown(&model)), (12, vec!["web-3000".to_owned()]));
    press(&mut model, "<Esc><Esc>");
    assert_eq!((shown(&model).len(), model.tasks.total()), (100, 100));
    press(&mut model, "gjj");
    assert_eq!(selected(&model), "web-2903");
    feed(&mut model, log.submit(1, "web-1", "x"));
    press(&mut model, "G");
    assert_eq!(selected(&model), "web-1", "the same id again is a new task, at the end");
}

#[test]
fn star_marks_what_the_filter_shows_and_escape_clears_the_marks_first() {
    let mut model = busy(80, 24);
    press(&mut model, "/web-<Enter>*");
    assert_eq!(model.marks.len(), 3);
    press(&mut model, "<Esc>");
    assert!(model.marks.is_empty());
    assert_eq!(model.tasks.filter().text(), "web-");
    press(&mut model, "<Esc>");
    assert_eq!(model.tasks.filter().text(), "");
}

#[test]
fn the_answer_to_a_stop_is_said() {
    let mut model = busy(80, 24);
    let stopping = |number, is_new| Stopping { task: task_id(number), is_new, state: State::Running };
    let cases = [
        (Ok(vec![stopping(1, true)]), "stopping api-1"),
        (Ok(vec![stopping(1, true), stopping(2, true)]), "stopping 2 tasks"),
        (Ok(vec![stopping(1, false)]), "1 task had ended before"),
        (Err(RequestError::UnknownTask(task_id(1))), "not stopped: no task"),
    ];
    for (result, expected) in cases {
        update(&mut model, Event::Stopped(result));
        assert!(screen(&model).contains(expected), "{expected}");
    }
}

#[test]
fn the_detail_shows_the_history_and_follows_it() {
    let mut model = busy(80, 24);
    press(&mut model, "jjjj<Enter>");
    let text = screen(&model);
    assert!(text.contains("✗ Failed, exit 137") && text.contains("out of memory"), "{text}");
    press(&mut model, "<Esc>g<Enter>");
    let mut log = Log { revision: model.cluster.revision(), now: model.now };
    feed(
        &mut model,
        log.observe(1, |status| {
            status.state = State::Failed;
            status.exit_code = Some(3);
        }),
    );
    let text = screen(&model);
    assert!(text.contains("✗ failed     exit 3"), "{text}");
    let actions = press(&mut model, "y");
    assert_eq!(actions, [Action::Copy(task_id(1).to_string())]);
}

#[test]
fn an_event_opens_its_task_and_a_held_event_stays_put() {
    let mut model = busy(120, 36);
    press(&mut model, "5jj");
    let held = model.cursors.event;
    press(&mut model, "<Enter>");
    assert!(matches!(&model.overlay, Some(Overlay::Detail(detail)) if detail.task == task_id(3)));
    press(&mut model, "<Esc>");
    let mut log = Log { revision: model.cluster.revision(), now: model.now };
    for number in 50..60 {
        feed(&mut model, log.submit(number, "x", "x"));
    }
    assert_eq!(model.cursors.event, held);
    press(&mut model, "<Enter>");
    assert!(matches!(&model.overlay, Some(Overlay::Detail(detail)) if detail.task == task_id(3)));
}

#[test]
fn enter_on_a_worker_shows_its_tasks() {
    let mut model = busy(80, 24);
    press(&mut model, "1j<Enter>");
    assert_eq!(model.focus, Pane::Tasks);
    assert_eq!(shown(&model), ["api-2", "logs-ja-日本語", "web-2"]);
}

#[test]
fn the_pending_pane_selects_by_place_and_stops_what_waits() {
    let mut model = empty(80, 24);
    let mut log = Log::new();
    for number in 1..=50 {
        feed(&mut model, log.submit(number, &format!("t-{number}"), "x"));
    }
    press(&mut model, "2jj");
    assert_eq!(model.task_at_hand(), Some(task_id(3)));
    feed(&mut model, log.schedule(1, "w:1"));
    assert_eq!(model.task_at_hand(), Some(task_id(3)));
    feed(&mut model, log.schedule(3, "w:1"));
    assert_eq!(model.task_at_hand(), Some(task_id(4)));
    press(&mut model, "G");
    assert_eq!(model.task_at_hand(), Some(task_id(50)));
    assert_eq!(press(&mut model, "Sy<Enter>"), [Action::Stop(vec![task_id(50)])]);
}

#[test]
fn progress_is_shown_in_the_row_until_the_next_change() {
    let mut model = busy(120, 36);
    assert!(screen(&model).contains("pulling 37 %"));
    let mut log = Log { revision: model.cluster.revision(), now: model.now };
    feed(&mut model, log.run(2));
    assert!(!screen(&model).contains("pulling 37 %"));
}

#[test]
fn a_cut_says_so_and_the_next_watch_mends_it() {
    let mut model = busy(120, 36);
    update(&mut model, Event::Cut("connection refused".into()));
    seconds_later(&mut model, 3);
    assert!(screen(&model).contains("CUT 3s ago") && screen(&model).contains("connection refused"));
    let cluster = model.cluster().clone();
    update(&mut model, Event::Watching(Box::new(cluster)));
    assert!(screen(&model).contains("LIVE"));
}

#[test]
fn a_mirror_from_a_snapshot_looks_like_one_from_the_feed() {
    let mut model = empty(120, 36);
    let mut cluster = crate::cluster::Cluster::default();
    for change in busy_log(&mut Log::new()) {
        cluster.apply(&change);
        feed(&mut model, change);
    }
    let mut other = loading(120, 36);
    update(&mut other, Event::Watching(Box::new(cluster)));
    assert_eq!(screen(&model), screen(&other));
    assert_eq!(model.live_tasks, other.live_tasks.clone());
}

#[test]
fn time_alone_draws_once_a_second_and_not_while_unfocused() {
    let mut model = busy(80, 24);
    let now = model.now;
    at(&mut model, now + SignedDuration::from_millis(200));
    assert!(!model.take_needs_draw());
    at(&mut model, now + SignedDuration::from_millis(1001));
    assert!(model.take_needs_draw());
    update(&mut model, Event::Focus { is_focused: false });
    assert_eq!(model.next_wake(), None);
    seconds_later(&mut model, 10);
    assert!(!model.take_needs_draw());
    let mut log = Log { revision: model.cluster.revision(), now: model.now };
    feed(&mut model, log.submit(90, "x", "x"));
    assert!(model.take_needs_draw(), "news are drawn");
    update(&mut model, Event::Focus { is_focused: true });
    assert!(screen(&model).contains("since you looked away: +1"));
}

#[test]
fn foreign_text_can_not_steer_the_terminal() {
    let mut model = empty(120, 36);
    let mut log = Log::new();
    feed(&mut model, log.submit(1, "a\x1b[2Jb\u{202e}c", "x\u{9b}0m"));
    feed(&mut model, log.waiting(1, "no\x07\nfit"));
    for keys in ["", "<Enter>", "<Esc>S", "<Esc>/\u{202e}", "<Enter>5<Enter>"] {
        press(&mut model, keys);
        let text = screen(&model);
        assert!(
            !text.chars().any(|char| char != '\n' && (char.is_control() || char == '\u{202e}')),
            "{text:?}"
        );
    }
}

fn any_key() -> impl Strategy<Value = KeyEvent> {
    let code = prop_oneof![
        any::<char>().prop_map(KeyCode::Char),
        proptest::sample::select("jkgGqSyun/?*z 12345i".chars().collect::<Vec<_>>()).prop_map(KeyCode::Char),
        proptest::sample::select(vec![
            KeyCode::Enter,
            KeyCode::Esc,
            KeyCode::Tab,
            KeyCode::BackTab,
            KeyCode::Up,
            KeyCode::Down,
            KeyCode::Left,
            KeyCode::Right,
            KeyCode::PageDown,
            KeyCode::PageUp,
            KeyCode::Home,
            KeyCode::End,
            KeyCode::Backspace,
            KeyCode::Delete,
            KeyCode::F(2),
        ]),
    ];
    let modifiers =
        proptest::sample::select(vec![KeyModifiers::NONE, KeyModifiers::CONTROL, KeyModifiers::SHIFT]);
    (code, modifiers).prop_map(|(code, modifiers)| KeyEvent::new(code, modifiers))
}

#[derive(Clone, Debug)]
enum Step {
    Key(KeyEvent),
    Resize(u16, u16),
    Paste(String),
    Later(i64),
    Feed(usize),
    Answer(bool),
    Cut,
    Watch,
    Focus(bool),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any_key().prop_map(Step::Key),
        3 => (0_u16..220, 0_u16..70).prop_map(|(width, height)| Step::Resize(width, height)),
        1 => any::<String>().prop_map(Step::Paste),
        1 => (-10_i64..10).prop_map(Step::Later),
        3 => (0_usize..40).prop_map(Step::Feed),
        1 => any::<bool>().prop_map(Step::Answer),
        1 => Just(Step::Cut),
        1 => Just(Step::Watch),
        1 => any::<bool>().prop_map(Step::Focus),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn random_events_at_random_sizes_never_panic(steps in proptest::collection::vec(any_step(), 1..60)) {
        let mut model = loading(80, 24);
        let mut log = Log::new();
        let changes = busy_log(&mut log);
        for step in steps {
            let event = match step {
                Step::Key(key) => Event::Key(key),
                Step::Resize(width, height) => Event::Resize { width, height },
                Step::Paste(text) => Event::Paste(text),
                Step::Later(seconds) => Event::Clock(model.now + SignedDuration::from_secs(seconds)),
                Step::Feed(index) => match changes.get(index) {
                    Some(change) => Event::Feed(FeedItem::Change(Arc::clone(change))),
                    None => continue,
                },
                Step::Answer(true) => Event::Submitted(Ok(Vec::new())),
                Step::Answer(false) => Event::Submitted(Err(RequestError::Unreachable("x".into()))),
                Step::Cut => Event::Cut("gone".into()),
                Step::Watch => Event::Watching(Box::new(many(7))),
                Step::Focus(is_focused) => Event::Focus { is_focused },
            };
            update(&mut model, event);
            screen(&model);
        }
    }
}

#[test]
fn every_size_up_to_the_narrow_layouts_is_drawn() {
    for keys in ["", "?", "n", "<Enter>", "S", "2", "5", "1z", "4"] {
        let mut model = busy(80, 24);
        press(&mut model, keys);
        for (width, height) in
            (0..70_u16).step_by(3).flat_map(|width| (0..26_u16).map(move |height| (width, height)))
        {
            update(&mut model, Event::Resize { width, height });
            screen(&model);
        }
    }
    assert_eq!(start().to_string(), "2026-11-24T12:00:00Z");
}

#[test]
fn tasks_that_are_not_in_the_store_are_shown_with_their_worker_and_the_way_to_them() {
    let mut log = Log::new();
    for (width, height, keys) in [(120, 36, ""), (80, 24, "1z")] {
        let mut model = empty(width, height);
        feed(&mut model, log.worker("worker-1:5555", WorkerHealth::Ready, |worker| worker.unknown_tasks = 3));
        press(&mut model, keys);
        let screen = screen(&model);
        assert!(screen.contains("3 not in store: cube-tui recover"), "{screen}");
        log = Log::new();
    }
}

#[test]
fn w_asks_why_one_question_at_a_time_and_again_when_the_cluster_has_moved_on() {
    let mut model = crowded(120, 36);
    assert_eq!(press(&mut model, "/etl-10<Enter>w"), [Action::Why(task_id(23))]);
    assert!(screen(&model).contains("asking…"));
    let mut log = Log { revision: model.cluster.revision(), now: model.now };
    feed(&mut model, log.waiting(23, "no room"));
    assert_eq!(seconds_later(&mut model, 1), [], "one is under way");
    answer_why(&mut model, 21);
    assert!(screen(&model).contains("asking…"), "the answer about another task");
    answer_why(&mut model, 23);
    let text = screen(&model);
    assert!(text.contains("why is etl-10 pending?") && text.contains("✗ 8 GiB free"), "{text}");
    assert_eq!(seconds_later(&mut model, 1), [Action::Why(task_id(23))], "the mirror has moved on");
    answer_why(&mut model, 23);
    assert_eq!(seconds_later(&mut model, 1), [], "and now it has not");
    let error = RequestError::Unreachable("cannot reach the manager at 127.0.0.1:5556".into());
    update(&mut model, Event::Why { task: task_id(23), result: Err(error) });
    assert!(screen(&model).contains("cannot reach the manager"));
    press(&mut model, "w");
    assert!(model.overlay.is_none());
    answer_why(&mut model, 23);
    assert!(model.overlay.is_none(), "nobody asks any more");
    assert_eq!(press(&mut model, "<Enter>w"), [Action::Why(task_id(23))], "from the details, too");
    assert_eq!(press(&mut model, "<Esc>1w"), [], "a worker is no task");
}
