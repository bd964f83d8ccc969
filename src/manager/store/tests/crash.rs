//! Killed between any two writes, or without power: what was acknowledged is there, and nothing half.

use proptest::prelude::*;

use super::super::{RedbStore, Retention, Store};
use super::contract::LITTLE;
use super::disk::{create, cut_power, kill_at, kill_now};
use super::histories::{assert_folds, changes, what};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn after_a_crash_anywhere_the_store_is_a_prefix_with_all_that_was_acknowledged(
        whats in prop::collection::vec(what(), 1..120),
        batch in 1..12_usize,
        kept in 0..40_usize,
        rests in prop::collection::vec(any::<bool>(), 1..8),
        write in 1..400_u64,
        power in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("changes.redb");
        let all = changes(whats);
        let retention = Retention { count: kept, ..LITTLE };
        let mut acknowledged = 0;
        let mut tried = 0;
        kill_at(Some(write));
        if let Ok(mut store) = RedbStore::open_with(&path, create, retention) {
            for (batch, rests) in all.chunks(batch).zip(rests.iter().cycle()) {
                tried += batch.len();
                if store.append(batch).is_err() {
                    break;
                }
                acknowledged = tried;
                if *rests && store.has_put_off() && store.catch_up().is_err() {
                    break;
                }
            }
            // A process that is killed closes nothing.
            kill_now();
            drop(store);
        }
        if power {
            let mut random = fastrand::Rng::with_seed(seed);
            cut_power(&path, || random.bool());
        }
        kill_at(None);
        let cluster = RedbStore::open_with(&path, create, retention).unwrap().load().unwrap();
        let there = usize::try_from(cluster.revision()).unwrap();
        prop_assert!((acknowledged..=tried).contains(&there), "{acknowledged} <= {there} <= {tried}");
        assert_folds(&cluster, &all[..there]);
    }
}
