//! What the workers' samples show of their load, smoothed. Not history: it is gone with the manager, and with each
//! worker's silence. Scores nothing.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::cluster::Sample;
use crate::task::WorkerId;

/// A worker's live load; shares of the whole host, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    pub cpu: f64,
    pub memory: f64,
    /// By the worker's clock.
    at: Timestamp,
}

impl Load {
    pub fn new(cpu: f64, memory: f64, at: Timestamp) -> Self {
        Self { cpu, memory, at }
    }
}

/// A sample counts for as much as all before it together after this many seconds: a burst of a second moves little, a
/// change that stays is seen within a dozen.
const SMOOTHED_OVER_S: f64 = 10.0;

/// Less is no news.
const STEP: f64 = 0.01;

/// Of the workers that told theirs and are still heard.
#[derive(Clone, Debug, Default)]
pub struct Loads {
    of: HashMap<WorkerId, Load>,
}

impl Loads {
    pub fn of(&self, worker: &WorkerId) -> Option<Load> {
        self.of.get(worker).copied()
    }

    /// Smooths a sample in. True if that shows.
    pub fn record(&mut self, worker: &WorkerId, sample: &Sample) -> bool {
        let Some(cpu) = sample.cpu_percent.map(|percent| (percent / 100.0).clamp(0.0, 1.0)) else {
            return false;
        };
        let memory = share(sample.memory_used_bytes, sample.memory_total_bytes);
        let Some(before) = self.of(worker) else {
            self.of.insert(worker.clone(), Load::new(cpu, memory, sample.time));
            return true;
        };
        let seconds = sample.time.duration_since(before.at).as_secs_f64().clamp(0.0, 60.0);
        let weight = 1.0 - (-seconds / SMOOTHED_OVER_S * std::f64::consts::LN_2).exp();
        let smooth = |before: f64, now: f64| before + (now - before) * weight;
        let after = Load::new(smooth(before.cpu, cpu), smooth(before.memory, memory), sample.time);
        let is_news = (after.cpu - before.cpu).abs() >= STEP || (after.memory - before.memory).abs() >= STEP;
        if is_news {
            self.of.insert(worker.clone(), after);
        }
        is_news
    }

    /// It is silent: nothing is known of its load any more. True if something was.
    pub fn forget(&mut self, worker: &WorkerId) -> bool {
        self.of.remove(worker).is_some()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(used: u64, total: u64) -> f64 {
    if total == 0 { 0.0 } else { (used as f64 / total as f64).clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(second: i64, cpu: f64) -> Sample {
        Sample {
            time: Timestamp::from_second(second).unwrap(),
            cpu_percent: Some(cpu),
            memory_used_bytes: 1,
            memory_total_bytes: 4,
            ..Sample::default()
        }
    }

    #[test]
    fn a_burst_moves_little_and_a_change_that_stays_is_seen() {
        let (mut loads, worker) = (Loads::default(), WorkerId::from("a"));
        assert_eq!(loads.of(&worker), None);
        assert!(loads.record(&worker, &sample(0, 0.0)));
        loads.record(&worker, &sample(1, 100.0));
        let burst = loads.of(&worker).unwrap();
        assert!(burst.cpu < 0.1 && (burst.memory - 0.25).abs() < 1e-9, "{burst:?}");
        for second in 2..40 {
            loads.record(&worker, &sample(second, 100.0));
        }
        assert!(loads.of(&worker).unwrap().cpu > 0.9);
        assert!(!loads.record(&worker, &Sample { cpu_percent: None, ..sample(41, 0.0) }), "no reading yet");
        assert!(loads.forget(&worker) && !loads.forget(&worker));
    }

    #[test]
    fn slow_changes_add_up_although_each_is_no_news() {
        let (mut loads, worker) = (Loads::default(), WorkerId::from("a"));
        loads.record(&worker, &sample(0, 0.0));
        for second in 1..120 {
            loads.record(&worker, &sample(second, 5.0));
        }
        assert!(loads.of(&worker).unwrap().cpu > 0.03, "{:?}", loads.of(&worker));
    }
}
