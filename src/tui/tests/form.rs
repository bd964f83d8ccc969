//! The form of a new task: what is typed, pasted, previewed and submitted.

use super::*;

#[test]
fn the_form_submits_a_task_and_selects_it_when_it_comes_back() {
    let mut model = busy(80, 24);
    press(&mut model, "nnginx:1.27<Tab>front<Tab>sh -c 'sleep 9'<Down><Down>8080:80");
    press(&mut model, "<Enter><Enter>64M<Enter>on-failure:2");
    let actions = press(&mut model, "<F2>");
    let [Action::Submit(events)] = &actions[..] else { panic!("{actions:?}") };
    let task = events[0].task.clone();
    assert_eq!((task.spec.name.as_str(), task.spec.image.as_str()), ("front", "nginx:1.27"));
    assert_eq!(task.spec.cmd, ["sh", "-c", "sleep 9"]);
    assert_eq!(task.spec.memory_bytes, 64 << 20);
    assert_eq!(task.spec.restart_policy, RestartPolicy::OnFailure(Some(2)));
    assert!(screen(&model).contains("submitting"));
    assert_eq!(press(&mut model, "<F2>x"), [], "not twice while it is under way");

    let submitted = Submitted { task: task.id, is_new: true, state: State::Pending };
    update(&mut model, Event::Submitted(Ok(vec![submitted])));
    assert!(model.overlay.is_none());
    assert!(screen(&model).contains("submitted 1 task"));
    let mut log = Log { revision: model.cluster.revision(), now: model.now };
    let what = crate::cluster::What::Submitted { event: events[0].id, task };
    feed(&mut model, log.change(crate::cluster::Cause::Dashboard, what));
    assert_eq!(selected(&model), "front");
}

#[test]
fn enter_goes_on_and_submits_at_the_last_field() {
    let mut model = empty(80, 24);
    assert_eq!(press(&mut model, &format!("nx{}", "<Enter>".repeat(12))), []);
    assert!(matches!(press(&mut model, "<Enter>")[..], [Action::Submit(_)]));
}

#[test]
fn a_refused_submit_loses_nothing_and_says_why() {
    let mut model = empty(80, 24);
    let first = press(&mut model, "nweb<F2>");
    let error = RequestError::Unreachable("cannot reach the manager at 127.0.0.1:5556".into());
    update(&mut model, Event::Submitted(Err(error)));
    assert!(screen(&model).contains("not submitted: cannot reach the manager"));
    let again = press(&mut model, "<C-s>");
    let ids = [&first, &again].map(|actions| match &actions[..] {
        [Action::Submit(events)] => events[0].task.id,
        other => panic!("{other:?}"),
    });
    assert_eq!(ids[0], ids[1], "the same task, should the first have arrived after all");
}

#[test]
fn a_wrong_field_is_told_at_the_field() {
    let mut model = empty(80, 24);
    assert_eq!(press(&mut model, "nweb<Up><Up><Up><Up><Up><Up>often<F2>"), []);
    let text = screen(&model);
    assert!(text.contains("▸restart     often") && text.contains("! expected \"\", \"no\""), "{text}");
}

#[test]
fn a_health_check_of_the_form_is_read_and_checked_against_its_ports() {
    let mut model = empty(80, 24);
    assert_eq!(press(&mut model, "nweb<Up><Up><Up><Up><Up>health<F2>"), []);
    let text = screen(&model);
    assert!(text.contains("▸health      health") && text.contains("! expected a path such as"), "{text}");

    let mut model = empty(80, 24);
    assert_eq!(press(&mut model, "nweb<Up><Up><Up><Up><Up>tcp:81<Up><Up><Up><Up>80<F2>"), []);
    assert!(screen(&model).contains("! expected a port that the task exposes (80), found 81"));

    let mut model = empty(80, 24);
    let actions = press(&mut model, "nweb<Up><Up><Up><Up><Up>http:80/up<F2>");
    let [Action::Submit(events)] = &actions[..] else { panic!("{actions:?}") };
    let check = events[0].task.spec.health_check.as_ref().unwrap();
    assert_eq!(check.probe.wire(), "http:80/up");
}

#[test]
fn escape_keeps_the_draft() {
    let mut model = empty(80, 24);
    press(&mut model, "nshop/web<Esc>");
    assert!(screen(&model).contains("draft kept"));
    press(&mut model, "n");
    assert!(screen(&model).contains("shop/web"));
}

#[test]
fn a_task_file_is_read_and_submitted_or_its_error_shown() {
    let mut model = empty(80, 24);
    let reads = |purpose| Action::ReadTaskFile("~/a.json".into(), purpose);
    press(&mut model, "n<Up>");
    assert_eq!(update(&mut model, Event::Paste("~/a.json".into())), [reads(Purpose::Preview)]);
    assert_eq!(press(&mut model, "<F2>"), [reads(Purpose::Submit)]);
    let read = |purpose, text| Event::TaskFile { name: "~/a.json".into(), purpose, text };
    let text = Err("cannot read ~/a.json: no such file".to_owned());
    update(&mut model, read(Purpose::Submit, text));
    assert!(screen(&model).contains("! cannot read ~/a.json: no such file"));
    press(&mut model, "<F2>");
    let text = || Ok(r#"{"Name":"web","Image":"nginx"}"#.to_owned());
    let actions = update(&mut model, read(Purpose::Preview, text()));
    assert!(matches!(actions[..], [Action::Plan(_)]), "a look at it submits nothing: {actions:?}");
    let actions = update(&mut model, read(Purpose::Submit, text()));
    let [Action::Submit(events)] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(events[0].task.spec.name, "web");
}

#[test]
fn a_paste_goes_into_the_field_and_nowhere_else() {
    let mut model = empty(80, 24);
    assert_eq!(update(&mut model, Event::Paste("qSy".into())), []);
    assert!(model.overlay.is_none());
    press(&mut model, "n");
    update(&mut model, Event::Paste("a/b\n:1".into()));
    assert!(screen(&model).contains("a/b :1"));
}

#[test]
fn the_preview_tells_of_a_file_where_its_tasks_would_go_or_what_is_wrong_with_it() {
    let read = |text: &str| Event::TaskFile {
        name: "a.json".into(),
        purpose: Purpose::Preview,
        text: Ok(text.to_owned()),
    };
    let mut model = empty(80, 24);
    press(&mut model, "n<Up>");
    let paste = |text: &str| Event::Paste(text.into());
    assert_eq!(update(&mut model, paste("a.j")), [Action::ReadTaskFile("a.j".into(), Purpose::Preview)]);
    assert_eq!(update(&mut model, paste("son")), [], "one at a time");
    let error = Err("cannot read a.j: no such file".to_owned());
    let actions =
        update(&mut model, Event::TaskFile { name: "a.j".into(), purpose: Purpose::Preview, text: error });
    assert_eq!(actions, [Action::ReadTaskFile("a.json".into(), Purpose::Preview)], "the newest wins");
    assert!(!screen(&model).contains("no such file"));
    assert_eq!(update(&mut model, read("{\"Image\":\"i\",\n\"Cpuu\":1}")), []);
    assert!(
        screen(&model).contains("a.json, line 2: Cpuu: unknown field; did you mean Cpu?"),
        "{}",
        screen(&model)
    );
    press(&mut model, "<Backspace>");
    update(&mut model, paste("n"));
    let actions = update(&mut model, read("{\"Image\":\"i\"}{\"Image\":\"i\",\"Name\":\"big\"}"));
    assert!(matches!(&actions[..], [Action::ReadTaskFile(path, _)] if path == "a.json"), "{actions:?}");
    let actions = update(&mut model, read("{\"Image\":\"i\"}{\"Image\":\"i\",\"Name\":\"big\"}"));
    let [Action::Plan(events)] = &actions[..] else { panic!("{actions:?}") };
    let fates = [
        Fate::Placed { worker: "a".into(), score: None },
        Fate::NeverFits { reason: "never fits: a has 2 CPUs, 9 wanted".into(), nearest_change: None },
    ];
    let tasks = events.iter().zip(fates).map(|(event, fate)| Planned {
        task: event.task.id,
        name: event.task.spec.name.clone(),
        fate,
    });
    let (tasks, scheduler) = (tasks.collect(), SchedulerName::Epvm);
    update(&mut model, Event::Planned(Ok(Plan { revision: 1, scheduler, tasks, workers: Vec::new() })));
    let text = screen(&model);
    assert!(text.contains("preview     2 tasks, 1 would never fit; big: never fits: a has 2 "), "{text}");
    assert!(text.contains("CPUs, 9 wanted "), "on the next line: {text}");
    press(&mut model, "<Down>");
    update(&mut model, paste("x"));
    assert!(
        screen(&model).contains("preview     or a file: either a file or the fields above"),
        "{}",
        screen(&model)
    );
}

#[test]
fn the_preview_asks_one_question_at_a_time_and_the_newest_wins() {
    let plan = |worker: &str| {
        let fate = Fate::Placed { worker: worker.into(), score: None };
        let tasks = vec![Planned { task: task_id(1), name: "x".into(), fate }];
        Plan { revision: 1, scheduler: SchedulerName::Epvm, tasks, workers: Vec::new() }
    };
    let asked = |actions: &[Action]| match actions {
        [] => None,
        [Action::Plan(events)] => Some((events[0].task.spec.image.clone(), events[0].task.spec.memory_bytes)),
        other => panic!("{other:?}"),
    };
    let typed = |model: &mut Model, text: &str| update(model, Event::Paste(text.into()));
    let mut model = empty(80, 24);
    press(&mut model, "n");
    assert!(screen(&model).contains("as soon as there is an image"), "{}", screen(&model));
    assert_eq!(asked(&typed(&mut model, "nginx")), Some(("nginx".into(), 0)));
    assert_eq!(asked(&typed(&mut model, ":1")), None, "one at a time");
    press(&mut model, &"<Up>".repeat(7));
    assert_eq!(asked(&typed(&mut model, "2G")), None);
    // The answer to the old question is not shown; the new one is asked.
    let actions = update(&mut model, Event::Planned(Ok(plan("a"))));
    assert_eq!(asked(&actions), Some(("nginx:1".into(), 2 << 30)));
    assert!(!screen(&model).contains("◔ a"), "{}", screen(&model));
    assert_eq!(asked(&update(&mut model, Event::Planned(Ok(plan("b"))))), None);
    assert!(screen(&model).contains("preview     ◔ b"), "{}", screen(&model));
    // What does not matter to where it goes is no question, and the answer stays.
    press(&mut model, "<Up><Up><Up><Up><Up>");
    assert_eq!(asked(&typed(&mut model, "front")), None);
    assert!(screen(&model).contains("◔ b"));
    press(&mut model, "<Down><Down><Down><Down><Down>");
    assert_eq!(asked(&typed(&mut model, "x")), None, "that is no amount of memory");
    assert!(!screen(&model).contains("◔ b"), "{}", screen(&model));
    let named = "preview     memory: expected a size like 512M or 2G, not \"2Gx\"";
    assert!(screen(&model).contains(named), "{}", screen(&model));
    press(&mut model, "<Esc>");
    assert_eq!(asked(&update(&mut model, Event::Planned(Ok(plan("c"))))), None, "it was closed");
}
