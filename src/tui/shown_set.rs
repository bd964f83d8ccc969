//! ShownSet: which rows of a list pass the filter, with rank and select in O(log n). Knows no tasks.

/// A growing set of row numbers: one bit a row, and a Fenwick tree over the words' counts, so that "the
/// k-th shown row" and "how many are shown before this one" never walk the list.
#[derive(Clone, Debug, Default)]
pub(super) struct ShownSet {
    words: Vec<u64>,
    /// 1-based in the usual notation: `tree[i - 1]` counts the words `(i - lowbit(i), i]`.
    tree: Vec<usize>,
    rows: usize,
    shown: usize,
}

const BITS: usize = 64;

impl ShownSet {
    /// How many rows are shown.
    pub(super) fn len(&self) -> usize {
        self.shown
    }

    /// Adds a row at the end.
    pub(super) fn push(&mut self, is_shown: bool) {
        if self.rows.is_multiple_of(BITS) {
            self.words.push(0);
            let node = self.words.len();
            self.tree.push(self.words_before(node - 1) - self.words_before(node - lowbit(node)));
        }
        self.rows += 1;
        self.set(self.rows - 1, is_shown);
    }

    pub(super) fn contains(&self, row: usize) -> bool {
        self.words.get(row / BITS).is_some_and(|word| word >> (row % BITS) & 1 == 1)
    }

    /// Shows or hides a row that is there.
    pub(super) fn set(&mut self, row: usize, is_shown: bool) {
        if row >= self.rows || self.contains(row) == is_shown {
            return;
        }
        self.words[row / BITS] ^= 1 << (row % BITS);
        let mut node = row / BITS + 1;
        while node <= self.tree.len() {
            let count = &mut self.tree[node - 1];
            *count = if is_shown { *count + 1 } else { *count - 1 };
            node += lowbit(node);
        }
        self.shown = if is_shown { self.shown + 1 } else { self.shown - 1 };
    }

    /// How many shown rows come before `row`.
    pub(super) fn rank(&self, row: usize) -> usize {
        if row >= self.rows {
            return self.shown;
        }
        let below = self.words[row / BITS] & ((1 << (row % BITS)) - 1);
        self.words_before(row / BITS) + below.count_ones() as usize
    }

    /// The shown row with `rank` shown ones before it.
    pub(super) fn select(&self, rank: usize) -> Option<usize> {
        if rank >= self.shown {
            return None;
        }
        let mut left = rank;
        let mut word = 0;
        let mut step = self.tree.len().next_power_of_two();
        while step > 0 {
            if let Some(count) = self.tree.get(word + step - 1)
                && *count <= left
            {
                left -= count;
                word += step;
            }
            step /= 2;
        }
        let mut bits = *self.words.get(word)?;
        for _ in 0..left {
            bits &= bits - 1;
        }
        Some(word * BITS + bits.trailing_zeros() as usize)
    }

    /// The shown rows from `row` on.
    pub(super) fn iter_from(&self, row: usize) -> impl Iterator<Item = usize> {
        let first = row / BITS;
        let words = self.words.iter().enumerate().skip(first);
        words.flat_map(move |(index, word)| {
            let mut bits = if index == first { word & (u64::MAX << (row % BITS)) } else { *word };
            std::iter::from_fn(move || {
                if bits == 0 {
                    return None;
                }
                let bit = bits.trailing_zeros() as usize;
                bits &= bits - 1;
                Some(index * BITS + bit)
            })
        })
    }

    /// The shown rows in the first `words` words.
    fn words_before(&self, words: usize) -> usize {
        let mut node = words;
        let mut sum = 0;
        while node > 0 {
            sum += self.tree[node - 1];
            node -= lowbit(node);
        }
        sum
    }
}

fn lowbit(number: usize) -> usize {
    number & number.wrapping_neg()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::ShownSet;

    proptest! {
        #[test]
        fn agrees_with_a_plain_list_of_flags(
            start in proptest::collection::vec(any::<bool>(), 0..400),
            flips in proptest::collection::vec((0_usize..400, any::<bool>()), 0..60),
        ) {
            let mut set = ShownSet::default();
            let mut flags = Vec::new();
            for flag in start {
                set.push(flag);
                flags.push(flag);
            }
            for (row, flag) in flips {
                set.set(row, flag);
                if let Some(slot) = flags.get_mut(row) {
                    *slot = flag;
                }
            }
            let shown: Vec<usize> = (0..flags.len()).filter(|row| flags[*row]).collect();
            prop_assert_eq!(set.len(), shown.len());
            for (rank, row) in shown.iter().enumerate() {
                prop_assert_eq!(set.select(rank), Some(*row));
            }
            prop_assert_eq!(set.select(shown.len()), None);
            for row in 0..flags.len() + 2 {
                prop_assert_eq!(set.rank(row), shown.iter().filter(|shown| **shown < row).count());
                let rest: Vec<usize> = shown.iter().copied().filter(|shown| *shown >= row).collect();
                prop_assert_eq!(set.iter_from(row).collect::<Vec<_>>(), rest);
            }
        }
    }
}
