//! The stats pane: the load of the selected worker, now and before.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::cluster::Sample;
use crate::scheduler::in_cpus;
use crate::tui::clean::clean;
use crate::tui::format::{age, bytes, curve, percent};
use crate::tui::layout::Pane;
use crate::tui::loads::{self, cpu};
use crate::tui::model::Model;
use crate::tui::row::{Row, frame, wrap};
use crate::tui::theme::{Tone, worker_face};

use super::{say_empty, title};

pub(super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) {
    let is_focused = model.focus == Pane::Stats;
    let worker = model.worker_at_cursor().map(|index| &model.cluster.workers()[index]);
    let name = worker.map_or("", |worker| worker.id.as_str());
    let name = clean(name);
    let area = frame(buffer, model.theme, area, &title(Pane::Stats, &name), is_focused);
    let Some(worker) = worker else { return say_empty(model, buffer, area, "no worker to show") };

    let width = usize::from(area.width).saturating_sub(4);
    let mut line = 0..area.height;
    let mut next = |text: &str, tone: Tone| {
        if let Some(index) = line.next() {
            Row::new(buffer, model.theme, area, index).skip(1).text(text, tone);
        }
    };
    let (glyph, word, tone) = worker_face(worker);
    next(&format!("{glyph} {word} for {}", age(worker.since, model.now)), tone);
    for problem in [&worker.reason, &worker.runtime_problem] {
        if !problem.is_empty() {
            for text in wrap(problem, width + 2) {
                next(&text, tone);
            }
        }
    }
    if worker.insecure {
        next("insecure: plain HTTP beyond loopback", Tone::Warn);
    }
    let Some(last) = model.loads.last(&worker.id) else {
        next("no sample yet", Tone::Dim);
        return;
    };
    let samples = || model.loads.of_worker(&worker.id);
    let [one, five, fifteen] = last.load;
    let now = last.cpu_percent.map_or("-".to_owned(), percent);
    next(&format!("cpu  {now:>4}   load {one:.1} {five:.1} {fifteen:.1}"), Tone::Plain);
    next(&format!(" {}", curve(samples().map(cpu), width)), Tone::Busy);
    next(&used("mem ", last.memory_used_bytes, last.memory_total_bytes), Tone::Plain);
    next(&format!(" {}", curve(samples().map(loads::memory), width)), Tone::Busy);
    next(&used("disk", last.disk_used_bytes, last.disk_total_bytes), Tone::Plain);
    next(&format!(" {}", curve(samples().map(loads::disk), width)), Tone::Busy);
    next(&format!("tasks {}", tasks(last)), Tone::Plain);
    let capacity = worker.capacity;
    if capacity.memory_bytes > 0 {
        next(
            &format!("host  {}, {} memory", in_cpus(capacity.cpus), bytes(capacity.memory_bytes)),
            Tone::Dim,
        );
    }
    next(&format!("last sample {} ago", age(last.time, model.now)), Tone::Dim);
}

fn used(what: &str, used: u64, total: u64) -> String {
    format!("{what} {} of {}", bytes(used), bytes(total))
}

fn tasks(sample: &Sample) -> String {
    sample.task_count.to_string()
}
