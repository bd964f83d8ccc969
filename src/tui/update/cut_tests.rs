//! What a cut connection lets keys do, and how it heals.

use jiff::SignedDuration;

use crate::tui::event::{Action, Event};
use crate::tui::fixture::{Log, at, busy, busy_log, feed, press, screen, task_id};
use crate::tui::model::Model;
use crate::tui::update::update;

fn cut(model: &mut Model, seconds: i64) {
    update(model, Event::Cut("connection refused".into()));
    let now = model.now + SignedDuration::from_secs(seconds);
    at(model, now);
}

#[test]
fn it_says_since_when_and_of_when_the_picture_is() {
    let mut model = busy(160, 40);
    let as_of = crate::tui::format::clock(model.now, &model.zone);
    cut(&mut model, 12);
    let words = format!("cut 12s ago, trying again; what you see is as of {as_of}: connection refused");
    assert!(screen(&model).contains(&words), "{}", screen(&model));
    assert!(screen(&model).contains(&format!("{as_of} CUT 12s ago")), "{}", screen(&model));
}

#[test]
fn keys_that_change_something_say_that_it_is_cut_instead_of_asking() {
    let mut model = busy(160, 40);
    cut(&mut model, 2);
    assert_eq!(press(&mut model, "S"), []);
    assert!(model.overlay.is_none());
    assert!(screen(&model).contains("cut off from the manager (connection refused); nothing was sent"));
    // What was typed stays, and goes once the line is there again.
    assert_eq!(press(&mut model, "<Esc>nweb<F2>"), []);
    assert!(screen(&model).contains("nothing was sent"), "{}", screen(&model));
    let cluster = Box::new(model.cluster.clone());
    update(&mut model, Event::Watching(cluster));
    assert!(matches!(press(&mut model, "<F2>")[..], [Action::Submit(_)]));
}

#[test]
fn a_stop_that_counts_down_into_a_cut_is_not_sent_and_says_so() {
    let mut model = busy(160, 40);
    press(&mut model, "Sy");
    cut(&mut model, 2);
    let later = model.now + SignedDuration::from_secs(4);
    assert_eq!(at(&mut model, later), []);
    assert!(screen(&model).contains("api-1 not stopped: cut off"), "{}", screen(&model));
}

#[test]
fn a_cut_of_a_moment_stands_in_nobodys_way() {
    let mut model = busy(160, 40);
    cut(&mut model, 0);
    assert_eq!(press(&mut model, "Sy<Enter>"), [Action::Stop(vec![task_id(1)])]);
}

#[test]
fn another_cluster_at_the_same_address_is_told_and_the_same_one_is_not() {
    let mut model = busy(80, 24);
    let same = Box::new(model.cluster.clone());
    cut(&mut model, 12);
    update(&mut model, Event::Watching(same));
    assert!(!screen(&model).contains("another cluster"), "{}", screen(&model));
    model.title.cluster = "localhost:5556".to_owned();
    cut(&mut model, 12);
    let mut other = crate::cluster::Cluster::default();
    other.apply(&Log::new().submit(50, "other", "x"));
    update(&mut model, Event::Watching(Box::new(other)));
    let later = model.now + SignedDuration::from_secs(30);
    at(&mut model, later);
    let words = "! another cluster or store answers now: what was shown is gone (localhost:5556)";
    assert!(screen(&model).contains(words), "{}", screen(&model));
}

#[test]
fn what_was_selected_stays_so_when_it_heals_also_by_a_new_picture() {
    let mut model = busy(80, 24);
    press(&mut model, "jjj");
    let selected = model.cursors.task;
    cut(&mut model, 30);
    // Of another start of the manager: the same tasks, and one before them.
    let mut log = Log::new();
    let mut cluster = crate::cluster::Cluster::default();
    for change in busy_log(&mut log) {
        cluster.apply(&change);
    }
    cluster.apply(&log.submit(50, "aaa-first", "x"));
    update(&mut model, Event::Watching(Box::new(cluster)));
    assert_eq!(model.cursors.task, selected);
    feed(&mut model, log.submit(51, "aaa-second", "x"));
    assert_eq!(model.cursors.task, selected);
    assert!(screen(&model).contains("LIVE"), "{}", screen(&model));
}
