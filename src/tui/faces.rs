//! Snapshots of every pane and overlay at four sizes, in their faces. Each was looked at before it was kept.

use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::event::Event;
use super::fixture::{
    Log, answer_why, busy, crash_looping, crowded, empty, feed, loading, press, say, task_id,
};
use super::model::{Model, OwnManager, Title};
use super::update::update;
use super::view::draw;
use crate::cluster::{Resources, SchedulerName, What};
use crate::manager::plan::{Fate, Plan, Planned, PlannedLoad};
use crate::manager::request::RequestError;
use crate::task::{Health, HealthCheck, Verdict, WorkerId};

const SIZES: [(u16, u16); 4] = [(120, 36), (80, 24), (40, 12), (1, 1)];

/// One file a size: the frame as the test backend shows it.
fn check(name: &str, make: impl Fn(u16, u16) -> Model) {
    check_at(&SIZES, name, make);
}

fn check_at(sizes: &[(u16, u16)], name: &str, make: impl Fn(u16, u16) -> Model) {
    for &(width, height) in sizes {
        let model = make(width, height);
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal
            .draw(|frame| {
                let area = frame.area();
                draw(&model, area, frame.buffer_mut());
            })
            .unwrap();
        insta::assert_snapshot!(format!("{name}_{width}x{height}"), terminal.backend());
    }
}

fn pressed(keys: &'static str) -> impl Fn(u16, u16) -> Model {
    move |width, height| {
        let mut model = busy(width, height);
        press(&mut model, keys);
        model
    }
}

#[test]
fn loading_face() {
    check("loading", loading);
}

#[test]
fn empty_face() {
    check("empty", empty);
}

#[test]
fn empty_panes() {
    for (name, keys) in [("workers", "1z"), ("pending", "2z"), ("events", "5z"), ("stats", "4z")] {
        check(&format!("empty_{name}"), |width, height| {
            let mut model = empty(width, height);
            press(&mut model, keys);
            model
        });
    }
}

#[test]
fn no_manager_face() {
    check("no_manager", |width, height| {
        let mut model = loading(width, height);
        update(&mut model, Event::Cut("cannot reach the manager at 127.0.0.1:5556 (refused)".into()));
        model
    });
}

#[test]
fn cut_off_face() {
    check("cut_off", |width, height| {
        let mut model = busy(width, height);
        update(&mut model, Event::Cut("cannot reach the manager at 127.0.0.1:5556 (refused)".into()));
        let later = model.now + jiff::SignedDuration::from_secs(12);
        update(&mut model, Event::Clock(later));
        model
    });
}

#[test]
fn panes() {
    for (name, keys) in [("workers", "1"), ("pending", "2"), ("tasks", ""), ("stats", "4"), ("events", "5")] {
        check(&format!("pane_{name}"), pressed(keys));
    }
}

#[test]
fn zoomed_panes() {
    for (name, keys) in
        [("workers", "1z"), ("pending", "2z"), ("tasks", "3z"), ("stats", "4z"), ("events", "5z")]
    {
        check(&format!("zoom_{name}"), pressed(keys));
    }
}

#[test]
fn overlays() {
    for (name, keys) in
        [("help", "?"), ("form", "n"), ("detail", "jjjj<Enter>"), ("confirm", "*S"), ("cordon", "1C")]
    {
        check(&format!("overlay_{name}"), pressed(keys));
    }
}

/// What is read as a table or a sentence, narrow and wide.
const NARROW_AND_WIDE: [(u16, u16); 4] = [(200, 60), (80, 24), (40, 12), (1, 1)];

#[test]
fn why_faces() {
    for (name, keys, number) in [("pending", "/etl-10<Enter>w", 23), ("here", "/hog-1<Enter>w", 21)] {
        check_at(&NARROW_AND_WIDE, &format!("why_{name}"), |width, height| {
            let mut model = crowded(width, height);
            press(&mut model, keys);
            answer_why(&mut model, number);
            model
        });
    }
    check_at(&NARROW_AND_WIDE, "why_crash_loop", |width, height| {
        let mut model = crash_looping(width, height, 38);
        press(&mut model, "jw");
        answer_why(&mut model, 2);
        model
    });
}

#[test]
fn preview_faces() {
    let resources = |cpus: u64, gib: u64| Resources {
        cpu_nanos: cpus * 1_000_000_000,
        memory_bytes: gib << 30,
        disk_bytes: 0,
    };
    let worker = WorkerId::from("worker-2:5555");
    let load = PlannedLoad {
        worker: worker.clone(),
        new_tasks: 1,
        tasks: 4,
        before: resources(1, 8),
        after: resources(3, 10),
        promised: resources(8, 16),
    };
    let reason = "never fits: worker-1:5555 has 16 GiB of memory, 64 GiB wanted; worker-2:5555 has 16 GiB of memory, 64 GiB wanted".to_owned();
    let fates = [
        ("placed", Fate::Placed { worker, score: Some(0.91) }, vec![load]),
        ("never", Fate::NeverFits { reason, nearest_change: None }, vec![]),
    ];
    for (name, fate, workers) in fates {
        check_at(&NARROW_AND_WIDE, &format!("preview_{name}"), |width, height| {
            let mut model = busy(width, height);
            press(&mut model, "nshop/etl:2<Tab><Tab><Tab><Tab><Tab>2<Tab>2G");
            let tasks = vec![Planned { task: task_id(1), name: "etl".into(), fate: fate.clone() }];
            let plan = Plan { revision: 1, scheduler: SchedulerName::Epvm, tasks, workers: workers.clone() };
            // The first was asked about less than is typed by now: that answer does not count.
            update(&mut model, Event::Planned(Ok(plan.clone())));
            update(&mut model, Event::Planned(Ok(plan)));
            model
        });
    }
}

#[test]
fn quit_face() {
    check("overlay_quit", |width, height| {
        let mut model = busy(width, height);
        let title = Title { own: Some(OwnManager { local_worker: None }), ..Title::default() };
        update(&mut model, Event::Opened(title));
        let mut log = Log { revision: model.cluster.revision(), now: model.now };
        let mut once = log.submit(11, "once", "shop/etl:2");
        if let What::Submitted { task, .. } = &mut Arc::make_mut(&mut once).what {
            Arc::make_mut(&mut task.spec).exclusive = true;
        }
        feed(&mut model, once);
        feed(&mut model, log.schedule(11, "worker-2:5555"));
        press(&mut model, "q");
        model
    });
}

#[test]
fn health_checks() {
    for (name, keys) in [("tasks", "3z/ap<Enter>"), ("detail", "3z/apse<Enter><Enter>")] {
        check(&format!("health_{name}"), |width, height| {
            let mut model = busy(width, height);
            sick(&mut model);
            press(&mut model, keys);
            model
        });
    }
}

/// Tasks with a health check: one whose first check has yet to pass, one that is fine, one that is not.
fn sick(model: &mut Model) {
    let mut log = Log { revision: model.cluster.revision(), now: model.now };
    let verdicts = [Verdict::Starting, Verdict::Healthy, Verdict::Unhealthy];
    for ((number, name), verdict) in (11..).zip(["apace", "apart", "apse"]).zip(verdicts) {
        let mut change = log.submit(number, name, "shop/web:1.9");
        if let What::Submitted { task, .. } = &mut Arc::make_mut(&mut change).what {
            let check = HealthCheck::new("http:80/health".parse().unwrap());
            Arc::make_mut(&mut task.spec).health_check = Some(check);
        }
        feed(model, change);
        feed(model, log.schedule(number, "worker-1:5555"));
        let mut running = log.run(number);
        if let What::Observed { status, .. } = &mut Arc::make_mut(&mut running).what {
            let failure = if verdict == Verdict::Starting { "" } else { "503" };
            status.health = Some(Box::new(Health { verdict, failure: failure.into() }));
            if verdict == Verdict::Unhealthy {
                status.reason = "health check failed 3 times: GET /health on port 80: 503; stopping".into();
            }
        }
        feed(model, running);
    }
}

#[test]
fn logs() {
    for (name, keys) in [
        ("follow", ""),
        ("scrolled", "kkkkkk"),
        ("search", "/error<Enter>N"),
        ("typing", "/err"),
        ("wrap", "WT"),
        ("range", "2"),
    ] {
        check(&format!("logs_{name}"), |width, height| {
            let mut model = busy(width, height);
            press(&mut model, "  l");
            say(&mut model, 60);
            press(&mut model, keys);
            if name == "scrolled" {
                say(&mut model, 3);
            }
            model
        });
    }
    check("logs_cut", |width, height| {
        let mut model = busy(width, height);
        press(&mut model, "l");
        let reason = "cannot reach the manager at 127.0.0.1:5556 (refused)".into();
        update(&mut model, Event::LogsCut { request: 1, reason });
        model
    });
}

#[test]
fn form_with_errors() {
    check("form_errors", pressed("n<Tab>web<Tab>'open<Tab><Tab>80:x<F2>"));
    check("form_refused", |width, height| {
        let mut model = busy(width, height);
        press(&mut model, "nweb<F2>");
        update(&mut model, Event::Submitted(Err(RequestError::Store("the disk is full".into()))));
        model
    });
}

#[test]
fn filter_and_marks() {
    check("filter", pressed("/web- !web-2"));
    check("filter_nothing", pressed("/nothing<Enter>"));
    check("marks", pressed("  j "));
}

#[test]
fn countdown_and_messages() {
    check("countdown", pressed("*Sy"));
    check("error", |width, height| {
        let mut model = busy(width, height);
        update(
            &mut model,
            Event::Stopped(Err(RequestError::Unreachable("the manager did not answer".into()))),
        );
        model
    });
}

#[test]
fn crash_loops() {
    for (name, keys) in [("tasks", "j"), ("pending", "2z"), ("detail", "j<Enter>")] {
        check(&format!("crash_loop_{name}"), |width, height| {
            let mut model = crash_looping(width, height, 38);
            press(&mut model, keys);
            model
        });
    }
}

#[test]
fn without_colour_nothing_is_lost() {
    let mut colourful = busy(120, 36);
    let with = super::fixture::screen(&colourful);
    colourful.theme.color = false;
    assert_eq!(super::fixture::screen(&colourful), with);
    let svg = super::picture::render_once(&colourful, super::picture::Format::Svg);
    assert!(!svg.contains("#7ddc88") && !svg.contains("#ff6b6b"));
}
