//! What one frame costs at 200x60: with 1,000, 100,000 and 1,000,000 tasks, beside a table of all rows; how
//! many bytes one change sends; what a new filter costs. `cargo bench --bench frame`

use std::cell::Cell;
use std::hint::black_box;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cube_tui::cluster::{Cause, Change, Cluster, FeedItem, What, WorkerHealth, WorkerRecord};
use cube_tui::task::{EventId, State, Task, TaskId, TaskSpec, TaskStatus, WorkerId};
use cube_tui::tui::{Event, Model, Screen, Theme, Title, update};
use jiff::{Timestamp, tz::TimeZone};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::{Constraint, Rect};
use ratatui::widgets::{Row, Table};
use ratatui::{TerminalOptions, Viewport};

const WIDTH: u16 = 200;
const HEIGHT: u16 = 60;
const FRAMES: usize = 600;
const ROUNDS: usize = 5;

fn main() {
    // `cargo test --benches` starts this too: it compiled, that is the test.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let sizes = [1_000, 100_000, 1_000_000];
    let mut dashboards: Vec<_> = sizes.iter().map(|count| Dashboard::new(*count)).collect();
    let mut times = vec![Vec::new(); sizes.len()];
    // Turn by turn, so that a busy moment of the machine meets all of them.
    for _ in 0..ROUNDS {
        for (dashboard, times) in dashboards.iter_mut().zip(&mut times) {
            times.extend((0..FRAMES).map(|_| dashboard.frame()));
        }
    }
    let mut medians = Vec::new();
    for (count, times) in sizes.iter().zip(&mut times) {
        let (p50, p99) = percentiles(times);
        medians.push(p50.as_secs_f64());
        println!("frame, {count:>9} tasks   p50 {:>8}   p99 {:>8}", ms(p50), ms(p99));
    }
    println!("t(1M)/t(1k)              {:.2}   (at most 1.15)", medians[2] / medians[0]);

    let mut naive = naive(dashboards[1].model.cluster());
    let (p50, p99) = percentiles(&mut naive);
    println!("all rows, 100000 tasks   p50 {:>8}   p99 {:>8}", ms(p50), ms(p99));
    println!("bytes for one change     {}   (at most 150)", dashboards[1].bytes_of_one_change());
    let filter = dashboards[1].filter();
    println!("a new filter, 100000     {}   (at most 16 ms)", ms(filter));
    let (fold, frame) = dashboards[1].burst(10_000);
    println!("10000 changes folded     {} and one frame {}", ms(fold), ms(frame));
}

struct Dashboard {
    model: Model,
    screen: Screen<Counter>,
    bytes: Rc<Cell<usize>>,
    now: Timestamp,
    step: usize,
}

impl Dashboard {
    fn new(count: u64) -> Self {
        let now = Timestamp::UNIX_EPOCH;
        let mut model =
            Model::new(Theme { color: true }, Title::default(), TimeZone::UTC, now, WIDTH, HEIGHT);
        update(&mut model, Event::Watching(Box::new(cluster(count))));
        let bytes = Rc::new(Cell::new(0));
        let screen = Screen::new(Counter(Rc::clone(&bytes)));
        let mut dashboard = Self { model, screen, bytes, now, step: 0 };
        // Into the middle of the list: neither end is special.
        for _ in 0..20 {
            dashboard.press(KeyCode::PageDown);
        }
        dashboard.frame();
        dashboard
    }

    fn press(&mut self, code: KeyCode) {
        update(&mut self.model, Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    }

    /// A key that scrolls, folded and drawn.
    fn frame(&mut self) -> Duration {
        self.step += 1;
        let code = if (self.step / 200).is_multiple_of(2) { KeyCode::PageDown } else { KeyCode::PageUp };
        let start = Instant::now();
        self.press(code);
        self.show();
        start.elapsed()
    }

    fn show(&mut self) {
        self.screen.show(&self.model).expect("a counter takes all");
    }

    fn change(&mut self, what: What) {
        let revision = self.model.cluster().revision() + 1;
        let change = Change { revision, time: self.now, cause: Cause::WorkerReport, what };
        update(&mut self.model, Event::Feed(FeedItem::Change(Arc::new(change))));
    }

    /// One visible task becomes Failed; the events pane is not on the screen, the counts are.
    fn bytes_of_one_change(&mut self) -> usize {
        self.press(KeyCode::Char('z'));
        self.press(KeyCode::Home);
        self.show();
        let mut bytes = 0;
        // The first makes the count of running tasks a digit shorter, and the header moves: not what one costs.
        for number in [3, 4] {
            self.bytes.set(0);
            let status = TaskStatus { state: State::Failed, ..TaskStatus::default() };
            self.change(What::Observed { task: id(number), status });
            self.show();
            bytes = self.bytes.get();
        }
        self.press(KeyCode::Char('z'));
        bytes
    }

    fn filter(&mut self) -> Duration {
        self.press(KeyCode::Char('/'));
        let start = Instant::now();
        self.press(KeyCode::Char('7'));
        self.show();
        let time = start.elapsed();
        self.press(KeyCode::Esc);
        time
    }

    fn burst(&mut self, count: u64) -> (Duration, Duration) {
        let start = Instant::now();
        for number in 1..=count {
            let status = TaskStatus { state: State::Completed, ..TaskStatus::default() };
            self.change(What::Observed { task: id(number), status });
        }
        let folded = start.elapsed();
        let start = Instant::now();
        self.show();
        (folded, start.elapsed())
    }
}

/// What a dashboard without windowed lists does: a row for every task, in every frame.
fn naive(cluster: &Cluster) -> Vec<Duration> {
    let options = TerminalOptions { viewport: Viewport::Fixed(Rect::new(0, 0, WIDTH, HEIGHT)) };
    let backend = CrosstermBackend::new(io::sink());
    let mut terminal = Terminal::with_options(backend, options).expect("a fixed viewport asks nobody");
    (0..5)
        .map(|_| {
            let start = Instant::now();
            let mut tasks: Vec<_> = cluster.task_db().collect();
            tasks.sort_by_key(|record| record.submitted_at);
            let rows = tasks.iter().map(|record| {
                let worker = cluster.worker_of(record.task.id).map_or("-", |worker| worker.as_str());
                Row::new([
                    record.task.id.short(),
                    record.task.spec.name.clone(),
                    record.state().to_string(),
                    worker.to_owned(),
                ])
            });
            let table = Table::new(rows, [Constraint::Fill(1); 4]);
            terminal.draw(|frame| frame.render_widget(table, frame.area())).expect("a sink takes all");
            start.elapsed()
        })
        .collect()
}

fn cluster(count: u64) -> Cluster {
    let time = Timestamp::UNIX_EPOCH;
    let mut cluster = Cluster::default();
    let mut apply = |what| {
        let revision = cluster.revision() + 1;
        cluster.apply(&Arc::new(Change { revision, time, cause: Cause::Api, what }));
    };
    let worker = WorkerId::from("localhost:5555");
    let mut record = WorkerRecord::new(worker.clone(), false, time);
    record.health = WorkerHealth::Ready;
    apply(What::Worker { worker: record });
    let specs: Vec<_> = (0..1000)
        .map(|number| {
            let name = format!("web-{number}");
            Arc::new(TaskSpec { name, image: "shop/web:1.9".to_owned(), ..TaskSpec::default() })
        })
        .collect();
    for (number, spec) in (1..=count).zip(specs.iter().cycle()) {
        let task = Task { id: id(number), spec: Arc::clone(spec), ..Task::default() };
        apply(What::Submitted { event: EventId::default(), task });
        apply(What::scheduled(id(number), worker.clone(), 0));
        let status = TaskStatus { state: State::Running, start_time: Some(time), ..TaskStatus::default() };
        apply(What::Observed { task: id(number), status });
    }
    black_box(cluster)
}

fn id(number: u64) -> TaskId {
    // Spread as random ids are, and the same in every run.
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    TaskId(uuid::Uuid::from_u64_pair(mixed, number))
}

fn percentiles(times: &mut [Duration]) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[(times.len() * 99 / 100).min(times.len() - 1)])
}

fn ms(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1000.0)
}

/// Counts what would go to the terminal.
struct Counter(Rc<Cell<usize>>);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.set(self.0.get() + bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
