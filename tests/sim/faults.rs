//! What goes wrong by chance. Every fault that lasts is over with the turmoil, if not before.

use std::time::Duration;

use jiff::SignedDuration;

use crate::event::{Direction, Event, Trouble};
use crate::world::World;

impl World {
    pub fn fault(&mut self) {
        let worker = self.rng.usize(0..self.workers.len());
        let left = self.turmoil.saturating_sub(self.now);
        let short = self.within(Duration::from_secs(15)).min(left);
        let long = self.within(Duration::from_secs(75)).min(left);
        match self.rng.u8(0..20) {
            0 | 1 => {
                self.tell(|| "FAULT the manager is killed".into());
                self.kill_manager();
                self.after(short, Event::ManagerStart);
            }
            2..=4 => {
                self.tell(|| format!("FAULT worker {worker} is killed"));
                self.kill_worker(worker);
                self.after(short, Event::WorkerStart { worker });
            }
            5 | 6 => {
                self.tell(|| format!("FAULT the host of worker {worker} is gone"));
                self.crash_host(worker);
                let left = self.workers.iter().filter(|worker| !worker.is_gone_for_good).count();
                if left > 1 && self.rng.u8(0..4) == 0 {
                    self.tell(|| "... for good".into());
                    self.workers[worker].is_gone_for_good = true;
                }
                self.after(long, Event::WorkerStart { worker });
            }
            7..=10 => {
                let directions = [Direction::Both, Direction::ToWorker, Direction::FromWorker];
                let direction = directions[self.rng.usize(0..3)];
                self.tell(|| format!("FAULT worker {worker} is cut off: {direction:?}"));
                self.partition(worker, direction);
                self.after(long, Event::Heal(Trouble::Partition { worker, direction }));
            }
            11 => {
                self.tell(|| format!("FAULT somebody removes a container on worker {worker}"));
                self.remove_a_container(worker);
            }
            12 => {
                self.tell(|| format!("FAULT the stream of worker {worker} breaks"));
                let session = self.workers[worker].session;
                self.cut(worker, session);
            }
            13 => {
                self.tell(|| format!("FAULT the engine of worker {worker} is slow"));
                self.slow_engine(worker, long);
            }
            14 => {
                self.tell(|| format!("FAULT the engine of worker {worker} hangs"));
                self.hang_engine(worker, long);
            }
            15 => {
                self.tell(|| "FAULT the disk is full".into());
                self.manager.disk_is_full = true;
                self.after(short, Event::Heal(Trouble::FullDisk));
            }
            16 => {
                let hour = SignedDuration::from_hours(if self.rng.bool() { 1 } else { -1 });
                self.tell(|| "FAULT two wall clocks jump".into());
                self.manager.clock += hour;
                self.workers[worker].clock -= hour;
            }
            17 => {
                self.tell(|| format!("FAULT the link of worker {worker} flaps"));
                let times = u32::try_from(long.as_secs()).unwrap_or_default();
                self.flap(worker, times);
            }
            18 => {
                self.tell(|| "FAULT the manager stands still".into());
                self.manager.paused_until = self.manager.paused_until.max(self.now + short);
            }
            _ => {
                self.tell(|| format!("FAULT worker {worker} stands still"));
                self.pause_worker(worker, short);
            }
        }
    }

    pub fn heal(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Partition { worker, direction } => self.end_partition(worker, direction),
            Trouble::Flapping { worker, times } => self.flap(worker, times),
            Trouble::HungEngine { worker } => self.engine_answers_again(worker),
            Trouble::FullDisk => self.manager.disk_is_full = false,
        }
    }
}
