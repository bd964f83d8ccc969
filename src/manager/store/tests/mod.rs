//! What every store has to keep, over restarts, crashes, damage and years.

mod contract;
mod crash;
mod damage;
mod disk;
mod full_disk;
mod histories;
mod samples;
