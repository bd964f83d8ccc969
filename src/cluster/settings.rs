//! How workers are selected in this cluster: by which scheduler, and how much of them may be promised. Scores nothing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A scheduler's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SchedulerName {
    /// The next worker in turn.
    #[default]
    RoundRobin,
    /// The least loaded worker.
    Greedy,
    /// The lowest opportunity cost over CPU and memory.
    Epvm,
    /// The worker with the fewest tasks.
    Spread,
    /// The fullest worker that still has room.
    Binpack,
}

impl SchedulerName {
    pub const ALL: [Self; 5] = [Self::RoundRobin, Self::Greedy, Self::Epvm, Self::Spread, Self::Binpack];

    pub fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "roundrobin",
            Self::Greedy => "greedy",
            Self::Epvm => "epvm",
            Self::Spread => "spread",
            Self::Binpack => "binpack",
        }
    }
}

impl fmt::Display for SchedulerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SchedulerName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(text));
        known.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("expected one of {names}, found {text:?}")
        })
    }
}

/// How many times a worker's capacity may be promised to its tasks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Overcommit {
    #[schema(minimum = 0.01, maximum = 100)]
    pub cpu: f64,
    #[schema(minimum = 0.01, maximum = 100)]
    pub memory: f64,
    #[schema(minimum = 0.01, maximum = 100)]
    pub disk: f64,
}

impl Overcommit {
    const LEAST: f64 = 0.01;
    /// More is no plan any more but a typo.
    const MOST: f64 = 100.0;

    /// Whether these are factors that anybody could mean.
    pub fn check(&self) -> Result<(), String> {
        let Self { cpu, memory, disk } = *self;
        let wrong = [cpu, memory, disk].into_iter().find(|factor| !Self::is_factor(*factor));
        let expected = |wrong| {
            format!("overcommit: expected factors from {} to {}, found {wrong}", Self::LEAST, Self::MOST)
        };
        wrong.map_or(Ok(()), |wrong| Err(expected(wrong)))
    }

    fn is_factor(factor: f64) -> bool {
        (Self::LEAST..=Self::MOST).contains(&factor)
    }
}

impl Default for Overcommit {
    fn default() -> Self {
        Self { cpu: 1.0, memory: 1.0, disk: 1.0 }
    }
}

impl FromStr for Overcommit {
    type Err = String;

    /// `cpu=2,memory=1.5`; what is not named is promised once.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut overcommit = Self::default();
        for part in text.split(',') {
            let expected = || {
                format!(
                    "expected cpu=FACTOR,memory=FACTOR,disk=FACTOR with factors from {} to {}, found {part:?}",
                    Self::LEAST,
                    Self::MOST
                )
            };
            let (name, factor) = part.split_once('=').ok_or_else(expected)?;
            let factor = factor.trim().parse().ok().filter(|factor| Self::is_factor(*factor));
            let factor = factor.ok_or_else(expected)?;
            match name.trim() {
                "cpu" => overcommit.cpu = factor,
                "memory" => overcommit.memory = factor,
                "disk" => overcommit.disk = factor,
                _ => return Err(expected()),
            }
        }
        Ok(overcommit)
    }
}

impl fmt::Display for Overcommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cpu={},memory={},disk={}", self.cpu, self.memory, self.disk)
    }
}

/// What decides where tasks go, beside tasks and workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Settings {
    pub scheduler: SchedulerName,
    #[serde(default)]
    pub overcommit: Overcommit,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_factors_are_read_and_typos_are_told() {
        for name in SchedulerName::ALL {
            assert_eq!(name.name().parse(), Ok(name));
        }
        assert!("e-pvm".parse::<SchedulerName>().unwrap_err().contains("roundrobin, greedy, epvm"));
        let overcommit: Overcommit = "cpu=2,memory=1.5".parse().unwrap();
        assert_eq!(overcommit, Overcommit { cpu: 2.0, memory: 1.5, disk: 1.0 });
        for text in ["", "cpu", "cpu=0", "cpu=x", "gpu=2", "cpu=inf", "memory=NaN", "cpu=-1"] {
            assert!(text.parse::<Overcommit>().is_err(), "{text}");
        }
    }
}
