//! `worker_task_map`: which tasks each worker was sent. Knows where their rows lie, not what they say.

use std::collections::HashMap;
use std::num::NonZeroU32;

use super::task_db::Slot;
use crate::task::WorkerId;

/// A worker in four bytes: its place among all that were ever named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat(NonZeroU32);

impl Seat {
    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct WorkerTaskMap {
    workers: Vec<(WorkerId, Vec<Slot>)>,
    seats: HashMap<WorkerId, Seat>,
}

impl WorkerTaskMap {
    /// Where `worker` stands, from now on if it has not been named before.
    pub(super) fn seat(&mut self, worker: &WorkerId) -> Option<Seat> {
        if let Some(seat) = self.seats.get(worker) {
            return Some(*seat);
        }
        self.workers.push((worker.clone(), Vec::new()));
        let seat = Seat(NonZeroU32::new(u32::try_from(self.workers.len()).ok()?)?);
        self.seats.insert(worker.clone(), seat);
        Some(seat)
    }

    pub(super) fn name(&self, seat: Seat) -> &WorkerId {
        &self.workers[seat.index()].0
    }

    pub(super) fn tasks_of(&self, worker: &WorkerId) -> &[Slot] {
        self.seats.get(worker).map_or(&[], |seat| &self.workers[seat.index()].1)
    }

    /// Adds a row to a worker's, and tells its place there.
    pub(super) fn add(&mut self, seat: Seat, slot: Slot) -> u32 {
        let tasks = &mut self.workers[seat.index()].1;
        tasks.push(slot);
        u32::try_from(tasks.len() - 1).unwrap_or(u32::MAX)
    }

    /// Takes the row at a place out. Another one may stand at this place now: it is returned.
    pub(super) fn remove(&mut self, seat: Seat, place: u32) -> Option<Slot> {
        let tasks = &mut self.workers[seat.index()].1;
        tasks.swap_remove(place as usize);
        tasks.get(place as usize).copied()
    }
}
