//! The choice for many tasks of one shape without a look at every worker: what was worked out is kept, and only of
//! workers that were touched since is it worked out anew. The choices are those of `select_worker`.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use super::select::{RUNNERS_UP, Rank, Rejected};
use super::{Choice, Filter, Rejection, Request, Shape, View};
use crate::cluster::{Settings, WorkerRecord};

/// Shapes that are remembered: a queue has fewer at a time; more would cost memory for each worker and shape.
const SHAPES: usize = 64;

/// All that is remembered.
#[derive(Debug, Default)]
pub struct Rankings {
    of: HashMap<Shape, Ranking>,
    /// How often each worker was touched.
    stamps: Vec<u64>,
    /// The touched workers in order, from the number `forgotten` on.
    touched: Vec<usize>,
    forgotten: usize,
    settings: Settings,
    /// When each was used last is counted by this.
    uses: u64,
}

/// The workers in the eyes of one shape.
#[derive(Debug, Default)]
struct Ranking {
    best: BinaryHeap<Reverse<(Rank, usize, u64)>>,
    /// Those that can take it: round robin's next is found here.
    feasible: BTreeSet<usize>,
    /// As of which touch each worker was looked at, and which filter kept it away.
    seen: Vec<(u64, Option<Filter>)>,
    rejected: Rejected,
    /// How many touches were looked at.
    read: usize,
    used: u64,
}

impl Rankings {
    /// Something of this worker changed that filters or scores look at.
    pub fn touch(&mut self, place: usize) {
        if self.stamps.len() <= place {
            self.stamps.resize(place + 1, 1);
        }
        self.stamps[place] += 1;
        if self.of.is_empty() {
            return;
        }
        if self.touched.len() > 4 * self.stamps.len() + SHAPES {
            self.forgotten += self.touched.len();
            self.touched.clear();
        }
        self.touched.push(place);
    }

    /// The same as `select_worker`, or `None` if there is none: then that tells why.
    pub fn choose(
        &mut self,
        view: View<'_>,
        request: &Request<'_>,
        shape: &Shape,
        objection: impl Fn(&WorkerRecord) -> Option<Rejection>,
    ) -> Option<Choice> {
        let workers = view.cluster.workers().len();
        if self.settings != view.cluster.settings() {
            self.settings = view.cluster.settings();
            self.of.clear();
        }
        self.stamps.resize(workers.max(self.stamps.len()), 1);
        self.uses += 1;
        if !self.of.contains_key(shape) {
            self.make_room();
            self.of.insert(shape.clone(), Ranking::default());
        }
        let (stamps, touched, end) = (&self.stamps, &self.touched, self.forgotten + self.touched.len());
        let ranking = self.of.get_mut(shape)?;
        ranking.used = self.uses;
        let is_behind = ranking.read < self.forgotten || ranking.seen.len() != workers;
        if is_behind || ranking.best.len() > 4 * workers + SHAPES {
            *ranking = Ranking { used: self.uses, ..Ranking::default() };
            ranking.seen.resize(workers, (0, None));
            (0..workers).for_each(|place| ranking.look(view, request, place, stamps[place]));
        } else {
            for &place in &touched[ranking.read - self.forgotten..] {
                ranking.look(view, request, place, stamps[place]);
            }
        }
        ranking.read = end;
        if view.goes_by_turns() {
            ranking.next_in_turn(view, objection)
        } else {
            ranking.lowest(view, stamps, objection)
        }
    }

    /// The one that was not used for longest goes.
    fn make_room(&mut self) {
        if self.of.len() < SHAPES {
            return;
        }
        let oldest = self.of.iter().min_by_key(|(_, ranking)| ranking.used).map(|(shape, _)| shape.clone());
        if let Some(oldest) = oldest {
            self.of.remove(&oldest);
        }
    }
}

impl Ranking {
    fn look(&mut self, view: View<'_>, request: &Request<'_>, place: usize, stamp: u64) {
        let (seen, before) = self.seen[place];
        if seen == stamp {
            return;
        }
        if let Some(filter) = before {
            self.rejected[filter as usize] -= 1;
        }
        let verdict = view.verdict(request, place, None);
        let filter = verdict.as_ref().err().map(Rejection::filter);
        self.seen[place] = (stamp, filter);
        if let Some(filter) = filter {
            self.rejected[filter as usize] += 1;
            self.feasible.remove(&place);
            return;
        }
        self.feasible.insert(place);
        if !view.goes_by_turns() {
            self.best.push(Reverse((view.rank(request, place), place, stamp)));
        }
    }

    fn next_in_turn(
        &self,
        view: View<'_>,
        objection: impl Fn(&WorkerRecord) -> Option<Rejection>,
    ) -> Option<Choice> {
        let first = view.cluster.last_worker().map_or(0, |last| last + 1);
        let mut rejected = self.rejected;
        let places = self.feasible.range(first..).chain(self.feasible.range(..first)).copied();
        for place in places {
            match objection(&view.cluster.workers()[place]) {
                Some(rejection) => rejected[rejection.filter() as usize] += 1,
                None => return Some(self.chosen(place, 0.0, Vec::new(), rejected)),
            }
        }
        None
    }

    fn lowest(
        &mut self,
        view: View<'_>,
        stamps: &[u64],
        objection: impl Fn(&WorkerRecord) -> Option<Rejection>,
    ) -> Option<Choice> {
        let mut rejected = self.rejected;
        let (mut good, mut aside) = (Vec::with_capacity(RUNNERS_UP + 1), Vec::new());
        while let Some(Reverse((rank, place, stamp))) = self.best.pop() {
            if stamps[place] != stamp {
                continue;
            }
            let entry = Reverse((rank, place, stamp));
            if let Some(rejection) = objection(&view.cluster.workers()[place]) {
                rejected[rejection.filter() as usize] += 1;
                aside.push(entry);
                continue;
            }
            good.push(entry);
            if good.len() > RUNNERS_UP {
                break;
            }
        }
        let mut best = good.iter().map(|Reverse((rank, place, _))| (*place, rank.score));
        let chosen = best.next().map(|(place, score)| (place, score, best.collect()));
        self.best.extend(good.into_iter().chain(aside));
        chosen.map(|(place, score, runners_up)| self.chosen(place, score, runners_up, rejected))
    }

    fn chosen(&self, place: usize, score: f64, runners_up: Vec<(usize, f64)>, rejected: Rejected) -> Choice {
        let objected = rejected.iter().sum::<usize>() - self.rejected.iter().sum::<usize>();
        Choice { place, score, feasible: self.feasible.len() - objected, runners_up, rejected }
    }
}
