//! Empties a worker before it is let go: waits until nothing lives there, or until the time for that is over. Knows no
//! certificate.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use super::exit::{CliError, Exit};
use super::line::name_of;
use super::live::watch;
use super::print::Printer;
use super::signals::StopSignals;
use crate::client::ManagerHandle;
use crate::cluster::{Availability, Cause, Change, Cluster, WorkerHealth};
use crate::manager::request::{AvailabilityWish, RequestError, WorkerWish};
use crate::task::{TaskId, WorkerId};

/// What runs elsewhere by now is being stopped here. With the membership the link ends by which that is asked for.
const LAST_STOPS: Duration = Duration::from_secs(1);

/// Drains `worker`, and returns the names of what is left there all the same.
pub async fn drain_first(
    manager: &ManagerHandle,
    worker: &WorkerId,
    within: Option<Duration>,
    printer: &mut Printer,
) -> Result<Vec<String>, CliError> {
    let mut signals = StopSignals::new()?;
    let wish = AvailabilityWish::Drain { within_s: within.as_ref().map(Duration::as_secs) };
    let wish = WorkerWish { worker: worker.clone(), wish };
    match manager.set_availability(wish, Cause::Command).await {
        Ok(drained) if drained.left > 0 => {
            let until = match within {
                Some(within) => format!("for {} at most", humantime::format_duration(within)),
                None => "until nothing is left there".to_owned(),
            };
            printer.remark(&format!("draining {worker}, {until}: {} there", tasks(drained.left)));
        }
        // It joined, and never came.
        Err(RequestError::UnknownWorker(_)) => return Ok(Vec::new()),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let mut emptied = Emptied { worker, left: Vec::new(), told: BTreeSet::new(), printer };
    let ends = async {
        watch(manager, &mut emptied).await?;
        tokio::time::sleep(LAST_STOPS).await;
        Ok(emptied.left)
    };
    tokio::select! {
        left = ends => left,
        () = signals.received() => {
            let why = format!(
                "{worker} was not let go, and is still being drained; `cube-tui uncordon {worker}` takes that back"
            );
            Err(CliError::new(Exit::Interrupted, why))
        }
    }
}

pub fn tasks(count: usize) -> String {
    if count == 1 { "1 task".to_owned() } else { format!("{count} tasks") }
}

struct Emptied<'a> {
    worker: &'a WorkerId,
    left: Vec<String>,
    /// Of what can't be moved it was said why.
    told: BTreeSet<TaskId>,
    printer: &'a mut Printer,
}

impl Emptied<'_> {
    fn look(&mut self, cluster: &Cluster) -> Result<ControlFlow<()>, CliError> {
        let worker = self.worker;
        let Some(record) = cluster.worker(worker) else { return Ok(ControlFlow::Break(())) };
        let is_over = match record.availability {
            Availability::Draining { .. } => record.health == WorkerHealth::Lost,
            Availability::Drained | Availability::DrainGaveUp => true,
            Availability::Active | Availability::Cordoned => {
                let why = format!("somebody ended the drain of {worker} meanwhile; it was not let go");
                return Err(CliError::new(Exit::TaskFailed, why));
            }
        };
        if !is_over {
            return Ok(ControlFlow::Continue(()));
        }
        let live = cluster.tasks_of(worker).filter_map(|task| cluster.task(task));
        self.left = live.filter(|task| !task.state().has_ended()).map(|task| name_of(&task.task)).collect();
        Ok(ControlFlow::Break(()))
    }

    /// Why it stays, once.
    fn tell(&mut self, task: TaskId, cluster: &Cluster) {
        let is_here = cluster.worker_of(task) == Some(self.worker);
        let Some(record) = cluster.task(task).filter(|_| is_here) else { return };
        let reason = &record.status().reason;
        if reason.starts_with("stays on ") && self.told.insert(task) {
            self.printer.remark(&format!("{} {reason}", name_of(&record.task)));
        }
    }
}

impl super::follow::Observer for Emptied<'_> {
    fn begin(&mut self, cluster: &Cluster) -> Result<ControlFlow<()>, CliError> {
        for task in cluster.tasks_of(self.worker) {
            self.tell(task, cluster);
        }
        self.look(cluster)
    }

    fn changed(&mut self, change: &Change, after: &Cluster) -> Result<ControlFlow<()>, CliError> {
        if let Some(task) = change.what.task_id() {
            self.tell(task, after);
        }
        self.look(after)
    }

    fn cut_off(&mut self, error: &RequestError) {
        self.printer.remark(&format!("{error}; trying again"));
    }
}
