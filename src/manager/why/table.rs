//! An Explanation as a table: a row for each worker, a column for each filter that matters. Fits itself to a width; draws
//! nothing.

use std::cmp::Reverse;

use humansize::{BINARY, format_size};
use unicode_width::UnicodeWidthStr;

use crate::scheduler::{Explanation, Filter, Verdict, WorkerVerdict};

/// What stands for a yes and a no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    Glyphs,
    /// For terminals and readers without.
    Words,
}

impl Marks {
    fn of(self, passes: bool) -> &'static str {
        match (self, passes) {
            (Self::Glyphs, true) => "✓",
            (Self::Glyphs, false) => "✗",
            (Self::Words, true) => "yes",
            (Self::Words, false) => "NO",
        }
    }
}

/// A cell, and whether it says yes or no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    pub text: String,
    pub passes: Option<bool>,
}

/// Columns of text, as wide as they are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub heads: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
    /// How wide each column is at least.
    pub widths: Vec<usize>,
}

/// Names of workers are cut to this where there is little room.
const SHORT_NAME: usize = 14;

struct Column<'a> {
    filter: Filter,
    head: String,
    verdicts: Vec<Option<&'a Verdict>>,
    noes: usize,
}

impl Column<'_> {
    fn matters(&self) -> bool {
        let says = |verdict: &&Verdict| {
            !verdict.short.is_empty() || !matches!(&*verdict.text, "" | "wants none" | "has none")
        };
        self.noes > 0 || self.verdicts.iter().flatten().any(says)
    }
}

impl Table {
    /// The first `most` workers, within `width` cells if there is one.
    pub fn new(explanation: &Explanation, most: usize, width: Option<usize>, marks: Marks) -> Self {
        let workers = &explanation.workers[..most.min(explanation.workers.len())];
        let mut columns: Vec<_> =
            Filter::ALL.iter().map(|filter| column(*filter, explanation, workers)).collect();
        columns.retain(Column::matters);
        let has_scores = workers.iter().any(|worker| worker.score.is_some());
        let mut table = lay_out(workers, &columns, has_scores, marks, true);
        let Some(width) = width else { return table };
        // First the numbers of who passes go, then the filters that keep nobody away, then those that keep few.
        if table.width() > width {
            table = lay_out(workers, &columns, has_scores, marks, false);
        }
        while table.width() > width {
            let by_noes = columns.iter().enumerate().min_by_key(|(at, column)| (column.noes, Reverse(*at)));
            let Some((least, column)) = by_noes else { break };
            if column.noes > 0 && table.widths[0] > SHORT_NAME {
                table.widths[0] = SHORT_NAME;
                if table.width() <= width {
                    break;
                }
            }
            columns.remove(least);
            table = lay_out(workers, &columns, has_scores, marks, false);
        }
        let over = table.width().saturating_sub(width);
        table.widths[0] = table.widths[0].saturating_sub(over);
        table
    }

    /// With two cells between columns.
    pub fn width(&self) -> usize {
        (self.widths.iter().sum::<usize>() + 2 * self.widths.len()).saturating_sub(2)
    }
}

fn column<'a>(filter: Filter, explanation: &Explanation, workers: &'a [WorkerVerdict]) -> Column<'a> {
    let of =
        |worker: &'a WorkerVerdict| worker.verdicts.iter().find(|verdict| verdict.filter == filter.name());
    let verdicts: Vec<_> = workers.iter().map(of).collect();
    let noes = verdicts.iter().flatten().filter(|verdict| !verdict.passes).count();
    Column { filter, head: head(filter, explanation), verdicts, noes }
}

/// The filter in a word, and how much is wanted.
fn head(filter: Filter, explanation: &Explanation) -> String {
    let needs = explanation.needs;
    let bytes = |name: &str, bytes: u64| match bytes {
        0 => name.to_owned(),
        bytes => format!("{name} {}", format_size(bytes, BINARY)),
    };
    match filter {
        Filter::Readiness => "READY".to_owned(),
        Filter::Runtime => "ENGINE".to_owned(),
        Filter::Cpu if needs.cpu_nanos > 0 => format!("CPU {}", cpus(needs.cpu_nanos)),
        Filter::Memory => bytes("MEMORY", needs.memory_bytes),
        Filter::Disk => bytes("DISK", needs.disk_bytes),
        Filter::HostPorts => "PORTS".to_owned(),
        Filter::Constraints => "LABELS".to_owned(),
        Filter::HeldBack => "HELD".to_owned(),
        filter => filter.name().to_uppercase(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown to people")]
fn cpus(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

fn lay_out(
    workers: &[WorkerVerdict],
    columns: &[Column<'_>],
    has_scores: bool,
    marks: Marks,
    has_numbers: bool,
) -> Table {
    let mut heads = vec!["WORKER".to_owned()];
    heads.extend(columns.iter().map(|column| column.head.clone()));
    if has_scores {
        heads.push("SCORE".to_owned());
    }
    let row = |(index, worker): (usize, &WorkerVerdict)| {
        let mut cells = vec![Cell { text: worker.worker.to_string(), passes: Some(worker.is_feasible) }];
        cells.extend(columns.iter().map(|column| {
            let Some(verdict) = column.verdicts[index] else {
                return Cell { text: "-".into(), passes: None };
            };
            // What everybody says by passing needs no word.
            let is_told = !verdict.passes || has_numbers && column.filter != Filter::Readiness;
            let short = if is_told { &*verdict.short } else { "" };
            let text = format!("{} {short}", marks.of(verdict.passes));
            Cell { text: text.trim_end().to_owned(), passes: Some(verdict.passes) }
        }));
        if has_scores {
            let text = match worker.score {
                Some(score) if worker.is_unknown => format!("{score}?"),
                Some(score) => score.to_string(),
                None => "-".to_owned(),
            };
            cells.push(Cell { text, passes: None });
        }
        cells
    };
    let rows: Vec<Vec<Cell>> = workers.iter().enumerate().map(row).collect();
    let widest = |column: usize| {
        let cells = rows.iter().map(|cells| cells[column].text.width());
        cells.chain([heads[column].width()]).max().unwrap_or(0)
    };
    let widths = (0..heads.len()).map(widest).collect();
    Table { heads, rows, widths }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Resources, SchedulerName};
    use crate::scheduler::Outcome;

    fn verdict(filter: Filter, passes: bool, short: &str) -> Verdict {
        Verdict { filter: filter.name().into(), passes, text: short.into(), short: short.into() }
    }

    fn explanation() -> Explanation {
        let worker = |name: &str, ready: bool, memory: &str| WorkerVerdict {
            worker: name.into(),
            is_feasible: false,
            verdicts: vec![
                verdict(Filter::Readiness, ready, if ready { "ready" } else { "stale" }),
                verdict(Filter::Runtime, true, ""),
                verdict(Filter::Cpu, true, "4.6 free"),
                verdict(Filter::Memory, false, memory),
                verdict(Filter::Constraints, true, ""),
            ],
            score: None,
            is_unknown: false,
            terms: Vec::new(),
        };
        Explanation {
            scheduler: SchedulerName::Epvm,
            outcome: Outcome::Waiting { reason: "waiting: x".into() },
            needs: Resources { cpu_nanos: 4_000_000_000, memory_bytes: 16 << 30, disk_bytes: 0 },
            workers: vec![
                worker("worker-1:5555", true, "2.3 GiB free"),
                worker("日本:5555", false, "has 8 GiB"),
            ],
            more: 0,
            feasible: 0,
            rejected: Vec::new(),
            nearest_change: None,
        }
    }

    #[test]
    fn only_filters_that_matter_have_a_column() {
        let table = Table::new(&explanation(), 9, None, Marks::Glyphs);
        assert_eq!(table.heads, ["WORKER", "READY", "CPU 4", "MEMORY 16 GiB"]);
        let texts = |row: usize| table.rows[row].iter().map(|cell| &*cell.text).collect::<Vec<_>>();
        assert_eq!(texts(0), ["worker-1:5555", "✓", "✓ 4.6 free", "✗ 2.3 GiB free"]);
        assert_eq!(texts(1), ["日本:5555", "✗ stale", "✓ 4.6 free", "✗ has 8 GiB"]);
        let words = Table::new(&explanation(), 1, None, Marks::Words);
        assert_eq!((words.rows.len(), &*words.rows[0][3].text), (1, "NO 2.3 GiB free"));
    }

    #[test]
    fn a_table_fits_its_width_and_keeps_what_says_no_for_longest() {
        for width in 20..90 {
            let table = Table::new(&explanation(), 9, Some(width), Marks::Glyphs);
            assert!(table.width() <= width, "{width}: {table:?}");
        }
        let table = Table::new(&explanation(), 9, Some(44), Marks::Glyphs);
        assert_eq!(table.heads, ["WORKER", "READY", "MEMORY 16 GiB"]);
    }
}
