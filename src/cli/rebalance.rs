//! `rebalance [--plan]`: the moves that even out the load of the workers, as a table or as JSON. Decides none.

use super::args::RebalanceArgs;
use super::exit::{CliError, Exit};
use super::print::Printer;
use super::table::{add_row, table_of, terminal_width, text_of};
use super::text::printable;
use crate::client::ManagerHandle;
use crate::manager::request::{Load, RebalanceWish, Rebalanced};
use crate::scheduler::Measure;

pub async fn rebalance(args: &RebalanceArgs, manager: &ManagerHandle) -> Result<Exit, CliError> {
    let wish = RebalanceWish { moves: args.moves, plan: args.plan };
    let rebalanced = manager.rebalance(wish).await?;
    let mut printer = Printer::new(args.output.output);
    if printer.is_json() {
        printer.json(&rebalanced)?;
    } else {
        printer.result(&text(&rebalanced, terminal_width()))?;
    }
    Ok(Exit::Done)
}

fn text(rebalanced: &Rebalanced, width: Option<u16>) -> String {
    let Rebalanced { measure, before, after, moves, is_under_way, note, .. } = rebalanced;
    let Some(measure) = *measure else { return note.clone().unwrap_or_default() };
    if moves.is_empty() {
        return format!("nothing to move: {}", load(before, measure));
    }
    let mut table = table_of(["TASK", "NAME", "FROM", "TO", "GAIN"], width);
    for planned in moves {
        let (from, to) = (printable(planned.from.as_str()), printable(planned.to.as_str()));
        let gain = amount(planned.gain, measure);
        add_row(&mut table, [planned.task.short(), printable(&planned.name), from, to, gain]);
    }
    let count = if moves.len() == 1 { "1 move".to_owned() } else { format!("{} moves", moves.len()) };
    let verb = if *is_under_way { "under way" } else { "planned; `cube-tui rebalance` makes them" };
    let (before, after) = (load(before, measure), load(after, measure));
    format!("{}\nbefore: {before}\nafter:  {after}\n{count} {verb}", text_of(&table, width))
}

/// `a:5555 has the most, 9 tasks; deviation 4.5`.
fn load(load: &Load, measure: Measure) -> String {
    let Some(fullest) = &load.fullest else { return "there is no worker".to_owned() };
    let (most, deviation) = (amount(load.most, measure), amount(load.deviation, measure));
    let unit = match measure {
        Measure::Tasks if load.most.to_bits() == 1.0_f64.to_bits() => " task",
        Measure::Tasks => " tasks",
        Measure::Share => " reserved",
    };
    format!("{} has the most, {most}{unit}; standard deviation {deviation}", printable(fullest.as_str()))
}

fn amount(value: f64, measure: Measure) -> String {
    match measure {
        Measure::Tasks => format!("{}", (value * 100.0).round() / 100.0),
        Measure::Share => format!("{:.1}%", value * 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::SchedulerName;
    use crate::manager::request::PlannedMove;
    use crate::task::TaskId;

    fn answer() -> Rebalanced {
        let load = |most, deviation| Load { fullest: Some("a:5555".into()), most, deviation };
        let planned = PlannedMove {
            task: TaskId(uuid::Uuid::from_u128(0xab << 120)),
            name: "web\u{1b}".into(),
            from: "a:5555".into(),
            to: "b:5555".into(),
            gain: 0.5,
        };
        Rebalanced {
            scheduler: SchedulerName::Spread,
            measure: Some(Measure::Tasks),
            before: load(4.0, 2.0),
            after: load(3.0, 1.5),
            moves: vec![planned],
            ..Rebalanced::default()
        }
    }

    #[test]
    fn a_plan_says_who_goes_where_and_what_it_comes_to() {
        let text = text(&answer(), None);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1][0], "ab000000");
        assert_eq!(lines[1][2..], ["a:5555", "b:5555", "0.5"]);
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(text.contains("before: a:5555 has the most, 4 tasks; standard deviation 2\n"), "{text}");
        assert!(text.ends_with("1 move planned; `cube-tui rebalance` makes them"), "{text}");
    }

    #[test]
    fn nothing_to_do_says_so_in_one_line() {
        let nothing = Rebalanced { measure: Some(Measure::Share), moves: vec![], ..answer() };
        let nothing =
            Rebalanced { before: Load { most: 0.25, deviation: 0.0, ..nothing.before.clone() }, ..nothing };
        let expected = "nothing to move: a:5555 has the most, 25.0% reserved; standard deviation 0.0%";
        assert_eq!(text(&nothing, None), expected);
        let note = Some("binpack fills".to_owned());
        assert_eq!(text(&Rebalanced { note, ..Rebalanced::default() }, None), "binpack fills");
    }
}
