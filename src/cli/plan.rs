//! `plan FILE…`: where the tasks of files would go if they were submitted now, or why not. Changes nothing.

use humansize::{BINARY, format_size};

use super::answer::answer;
use super::args::PlanArgs;
use super::exit::{CliError, Exit};
use super::input::task_events;
use super::print::Printer;
use super::table::{add_row, table_of, terminal_width, text_of};
use super::text::printable;
use super::why::line;
use crate::client::ManagerHandle;
use crate::manager::plan::{Fate, Plan, Planned, PlannedLoad};

pub async fn plan(args: &PlanArgs, manager: &ManagerHandle) -> Result<Exit, CliError> {
    let events = task_events(&args.files, jiff::Timestamp::now())?;
    let plan = answer(manager, manager.plan(events)).await?;
    let mut printer = Printer::new(args.output.output);
    if printer.is_json() {
        for task in &plan.tasks {
            let state = match task.fate {
                Fate::Known { state } => Some(state),
                Fate::Placed { .. }
                | Fate::MakesRoom(_)
                | Fate::Waiting { .. }
                | Fate::NeverFits { .. }
                | Fate::Stop => None,
            };
            printer.json(&line("plan", task, state))?;
        }
        for worker in &plan.workers {
            printer.json(&line("planned_load", worker, None))?;
        }
    } else {
        for text in texts(&plan, terminal_width()) {
            printer.result(&text)?;
        }
    }
    Ok(if plan.fits() { Exit::Done } else { Exit::TaskFailed })
}

fn texts(plan: &Plan, width: Option<u16>) -> Vec<String> {
    let mut table = table_of(["TASK", "WORKER", "NOTE"], width);
    // Those of one kind have one reason: told once, below the table.
    let mut why_not: Vec<(&Fate, Vec<String>)> = Vec::new();
    for planned in &plan.tasks {
        let (worker, note) = told(planned, plan);
        add_row(&mut table, [printable(&called(planned)), printable(&worker), printable(&note)]);
        if !matches!(planned.fate, Fate::Waiting { .. } | Fate::NeverFits { .. }) {
            continue;
        }
        match why_not.iter_mut().find(|(fate, _)| *fate == &planned.fate) {
            Some((_, names)) => names.push(called(planned)),
            None => why_not.push((&planned.fate, vec![called(planned)])),
        }
    }
    let mut texts = vec![text_of(&table, width)];
    if !why_not.is_empty() {
        texts.push(String::new());
    }
    texts.extend(why_not.iter().take(REASONS).map(|(fate, names)| reason_of(fate, names)));
    if why_not.len() > REASONS {
        texts.push(format!("… and {} more reasons: --output json has them", why_not.len() - REASONS));
    }
    if !plan.workers.is_empty() {
        let mut table = table_of(["WORKER", "NEW", "TASKS", "CPU", "MEMORY", "DISK"], width);
        for load in &plan.workers {
            add_row(&mut table, load_cells(load));
        }
        texts.push(format!("\n{}", text_of(&table, width)));
    }
    texts
}

/// Reasons that are told below the table.
const REASONS: usize = 20;

/// Why these don't find a place, and what would help.
fn reason_of(fate: &Fate, names: &[String]) -> String {
    const NAMED: usize = 3;
    let (Fate::Waiting { reason, nearest_change } | Fate::NeverFits { reason, nearest_change }) = fate else {
        return String::new();
    };
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let names = names.iter().take(NAMED).map(|name| printable(name)).collect::<Vec<_>>().join(", ");
    let nearest = nearest_change.as_ref().map(|change| format!("\n  nearest: {}", printable(change)));
    format!("{names}{more}: {}{}", printable(reason), nearest.unwrap_or_default())
}

fn called(planned: &Planned) -> String {
    if planned.name.is_empty() { planned.task.short() } else { planned.name.clone() }
}

fn told(planned: &Planned, plan: &Plan) -> (String, String) {
    match &planned.fate {
        Fate::Placed { worker, score: Some(score) } => {
            (worker.to_string(), format!("{} score {score}", plan.scheduler))
        }
        Fate::Placed { worker, score: None } => (worker.to_string(), String::new()),
        Fate::MakesRoom(room) if room.stopping.is_empty() => {
            (room.worker.to_string(), "as soon as what ends there has gone".to_owned())
        }
        Fate::MakesRoom(room) => (room.worker.to_string(), format!("{} stopped for it", room.who())),
        Fate::Waiting { .. } => ("-".to_owned(), "waits".to_owned()),
        Fate::NeverFits { .. } => ("-".to_owned(), "never fits".to_owned()),
        Fate::Known { state } => ("-".to_owned(), format!("is there already, {state}: nothing would happen")),
        Fate::Stop => ("-".to_owned(), "is stopped".to_owned()),
    }
}

fn load_cells(load: &PlannedLoad) -> [String; 6] {
    let PlannedLoad { worker, new_tasks, tasks, before, after, promised } = load;
    #[expect(clippy::cast_precision_loss, reason = "shown to people")]
    let cpus = |nanos: u64| (nanos as f64 / 1e7).round() / 1e2;
    let of = |before: String, after: String, has: Option<String>| match has {
        Some(has) => format!("{before} → {after} of {has}"),
        None => format!("{before} → {after}"),
    };
    let bytes = |before: u64, after: u64, has: u64| {
        let size = |bytes: u64| format_size(bytes, BINARY);
        of(size(before), size(after), (has > 0).then(|| size(has)))
    };
    [
        printable(worker.as_str()),
        new_tasks.to_string(),
        tasks.to_string(),
        of(
            cpus(before.cpu_nanos).to_string(),
            cpus(after.cpu_nanos).to_string(),
            (promised.cpu_nanos > 0).then(|| cpus(promised.cpu_nanos).to_string()),
        ),
        bytes(before.memory_bytes, after.memory_bytes, promised.memory_bytes),
        bytes(before.disk_bytes, after.disk_bytes, promised.disk_bytes),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Resources, SchedulerName};
    use crate::manager::why::{Neighbour, RoomMade};
    use crate::task::{State, TaskId};

    fn planned(name: &str, fate: Fate) -> Planned {
        Planned { task: TaskId::random(), name: name.into(), fate }
    }

    fn plan() -> Plan {
        let resources = |cpus: u64, memory_bytes| Resources {
            cpu_nanos: cpus * 1_000_000_000,
            memory_bytes,
            disk_bytes: 0,
        };
        let never = Fate::NeverFits {
            reason: "never fits: a has 8 GiB of memory, 16 GiB wanted".into(),
            nearest_change: Some("ask for at most 8 GiB of memory (for a)".into()),
        };
        let batch = Neighbour { task: TaskId::random(), name: "batch".into(), priority: -1 };
        let room = RoomMade { worker: "a".into(), stopping: vec![batch] };
        Plan {
            revision: 7,
            scheduler: SchedulerName::Epvm,
            tasks: vec![
                planned("web\x1b[2J", Fate::Placed { worker: "a".into(), score: Some(0.5) }),
                planned("big", never.clone()),
                planned("big-too", never),
                planned("known", Fate::Known { state: State::Running }),
                planned("urgent", Fate::MakesRoom(room)),
            ],
            workers: vec![PlannedLoad {
                worker: "a".into(),
                new_tasks: 1,
                tasks: 4,
                before: resources(2, 1 << 30),
                after: resources(3, 3 << 30),
                promised: resources(8, 8 << 30),
            }],
        }
    }

    #[test]
    fn each_task_has_a_line_a_reason_is_told_once_and_loads_stand_below() {
        let text = texts(&plan(), None).join("\n");
        assert!(!text.contains('\x1b'));
        for part in ["epvm score 0.5", "nothing would happen", "2 → 3 of 8", "1 GiB → 3 GiB of 8 GiB"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(text.matches("nearest: ask for at most 8 GiB").count(), 1, "{text}");
        assert_eq!(text.matches("16 GiB wanted").count(), 1, "{text}");
        assert!(text.contains("\nbig, big-too: never fits: a has 8 GiB of memory"), "{text}");
        assert!(text.contains("batch (") && text.contains(", priority -1) stopped for it"), "{text}");
        assert!(!plan().fits());
        let mut fits = plan();
        fits.tasks.retain(|task| !matches!(task.fate, Fate::NeverFits { .. }));
        assert!(fits.fits(), "who has room made for it will run");
        for width in [40, 80] {
            let texts = texts(&plan(), Some(width));
            assert!(texts[0].lines().all(|line| line.chars().count() <= width.into()), "{texts:?}");
        }
    }

    #[test]
    fn a_line_of_json_says_what_it_is() {
        let plan = plan();
        let value = line("plan", &plan.tasks[1], None);
        assert_eq!((&value["type"], &value["outcome"]), (&"plan".into(), &"never_fits".into()));
        let again: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
        assert_eq!(again, plan);
    }
}
