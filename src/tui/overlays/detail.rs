//! The detail of one task: what was asked for, how it stands, what happened to it.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::cluster::TaskRecord;
use crate::scheduler::in_cpus;
use crate::task::{HealthCheck, Verdict};
use crate::tui::clean::clean;
use crate::tui::format::{age, bytes, moment, next_start, percent};
use crate::tui::keymap::{Command, Context};
use crate::tui::model::{Detail, Model};
use crate::tui::row::wrap;
use crate::tui::theme::{Face, Tone};
use crate::tui::told::{ports, tell};

use super::{Line, scrolled, tall, window, within};

const LABEL: usize = 11;

pub(super) fn draw(model: &Model, detail: &Detail, area: Rect, buffer: &mut Buffer) {
    let size = outside(area);
    let name = model.name_of(detail.task);
    let title =
        format!(" {} ─ detail ─ {} back ", clean(&name), model.keymap.key(Context::Detail, Command::Back));
    let inside = window(buffer, model.theme, area, &title, size.width, size.height);
    let lines = lines(model, detail, inside.width.into());
    scrolled(buffer, model.theme, inside, &lines, LABEL, detail.scroll);
}

fn outside(area: Rect) -> Rect {
    tall(area, 100)
}

/// The room for lines.
pub(super) fn inside(area: Rect) -> Rect {
    within(outside(area))
}

pub(super) fn lines(model: &Model, detail: &Detail, width: usize) -> Vec<Line> {
    let mut lines = Lines { lines: Vec::new(), width: width.saturating_sub(LABEL + 2) };
    match model.cluster.task(detail.task) {
        None => lines.add("", "it ended long ago, or many others ended since: it was collected", Tone::Warn),
        Some(record) => {
            standing(model, &record, &mut lines);
            wish(&record, &mut lines);
        }
    }
    lines.add("", "", Tone::Plain);
    lines.add("history", if detail.history.is_empty() { "nothing kept" } else { "" }, Tone::Dim);
    for change in detail.history.iter().rev() {
        let told = tell(change);
        let text = format!("{} {:<10} {}", told.glyph, told.verb, told.rest);
        lines.add(&moment(change.time, model.now, &model.zone), &text, told.tone);
    }
    lines.lines
}

/// Lines whose long texts go on below.
struct Lines {
    lines: Vec<Line>,
    width: usize,
}

impl Lines {
    fn add(&mut self, label: &str, text: &str, tone: Tone) {
        let mut label = label;
        for text in wrap(text, self.width) {
            self.lines.push(Line::new(label, text, tone));
            label = "";
        }
    }

    fn add_some(&mut self, label: &str, text: &str) {
        if !text.is_empty() {
            self.add(label, text, Tone::Plain);
        }
    }
}

/// How it stands.
fn standing(model: &Model, record: &TaskRecord, lines: &mut Lines) {
    let status = record.status();
    let face = Face::of(&model.cluster, record);
    let mut state = format!("{} {}", face.glyph(), face.word());
    if face == Face::Stale {
        state = format!("{state}: was {}, its worker is silent", record.state());
    }
    if let Some(code) = status.exit_code {
        state = format!("{state}, exit {code}");
    }
    lines.add("state", &state, face.tone());
    lines.add_some("reason", &status.reason);
    crashes(model, record, face, lines);
    if let Some(health) = status.health.as_deref() {
        let (text, tone) = match health.verdict {
            Verdict::Starting => ("starting: no check passed yet", Tone::Wait),
            Verdict::Healthy => ("healthy", Tone::Good),
            Verdict::Unhealthy => ("unhealthy", Tone::Bad),
        };
        lines.add("health", text, tone);
        lines.add_some("last failed", &health.failure);
    }
    if let Some(progress) = model.progress.get(&record.task.id) {
        lines.add("under way", progress, Tone::Busy);
    }
    lines.add_some("id", &record.task.id.to_string());
    lines.add_some("worker", model.cluster.worker_of(record.task.id).map_or("-", |worker| worker.as_str()));
    lines.add_some("container", &status.container_id);
    lines.add_some("ports", &ports(status));
    if status.restart_count > 0 {
        lines.add_some("restarts", &status.restart_count.to_string());
    }
    if let Some(usage) = model.loads.of_task(record.task.id).filter(|_| face == Face::Running) {
        let cpu = usage.cpu_percent.map_or("-".to_owned(), percent);
        lines.add_some("uses", &format!("cpu {cpu}, memory {}", bytes(usage.memory_bytes)));
    }
    let times = [
        ("submitted", Some(record.submitted)),
        ("started", status.start_time),
        ("ended", status.finish_time),
    ];
    for (label, time) in times {
        if let Some(time) = time {
            let text = format!("{} ({} ago)", moment(time, model.now, &model.zone), age(time, model.now));
            lines.add_some(label, &text);
        }
    }
}

/// How often in a row it ended too soon, and when it is started again. Not of what has ended: there it is history.
fn crashes(model: &Model, record: &TaskRecord, face: Face, lines: &mut Lines) {
    let told_by_reason = face == Face::CrashLoop && record.status().reason.contains(&record.crashes.words());
    if record.crashes.in_a_row > 0 && !record.state().has_ended() && !told_by_reason {
        lines.add(
            "crashes",
            &record.crashes.words(),
            if face == Face::CrashLoop { Tone::Bad } else { Tone::Plain },
        );
    }
    if let Some(wait) = next_start(record, model.now) {
        lines.add("next start", &format!("in {wait}"), face.tone());
    }
}

/// What was asked for.
fn wish(record: &TaskRecord, lines: &mut Lines) {
    let spec = &record.task.spec;
    lines.add_some("image", &spec.image);
    lines.add_some("entrypoint", &spec.entrypoint.join(" "));
    lines.add_some("command", &spec.cmd.join(" "));
    lines.add_some("env", &spec.env.join(" "));
    if spec.cpu > 0.0 || spec.memory_bytes > 0 {
        let cpu = if spec.cpu > 0.0 { in_cpus(spec.cpu) } else { "any CPU".to_owned() };
        let memory = if spec.memory_bytes > 0 { bytes(spec.memory_bytes) } else { "any".to_owned() };
        lines.add_some("limits", &format!("{cpu}, {memory} memory"));
    }
    if let Some(bindings) = &spec.port_bindings {
        let text: Vec<_> = bindings.iter().map(|(container, host)| format!("{host}:{container}")).collect();
        lines.add_some("asks ports", &text.join(" "));
    }
    lines.add_some("restart", &spec.restart_policy.to_string());
    if spec.exclusive {
        lines.add("exclusive", "never runs twice; stops if no manager is heard for 5 s", Tone::Plain);
    }
    if let (Some(check), Some(probe)) = (&spec.health_check, spec.probe()) {
        let HealthCheck { start_period_s, interval_s, timeout_s, retries, .. } = check;
        let pace = format!(
            "every {interval_s} s, {timeout_s} s each, {retries} retries, {start_period_s} s to start"
        );
        lines.add_some("check", &format!("{probe}; {pace}"));
    }
}
