//! Numbers as people read them in a narrow column: ages, sizes, shares, bars, curves. Knows no screen.

use jiff::{Timestamp, tz::TimeZone};

use crate::cluster::TaskRecord;

/// The time between two moments, in at most two units: `12s`, `40m`, `2h1m`, `1d3h`. Never negative.
pub(super) fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m"),
        (0, _, _) => two_units(hours, 'h', minutes % 60, 'm'),
        (..) => two_units(days, 'd', hours % 24, 'h'),
    }
}

fn two_units(large: i64, large_unit: char, small: i64, small_unit: char) -> String {
    if small == 0 {
        format!("{large}{large_unit}")
    } else {
        format!("{large}{large_unit}{small}{small_unit}")
    }
}

/// How long a waiting task is held back yet, to the second, so that it is seen to count down: `38s`, `4m05s`.
pub(super) fn next_start(record: &TaskRecord, now: Timestamp) -> Option<String> {
    let at = record.queued?.retry_at.filter(|at| *at > now)?;
    // A part of a second is a second: "in 0s" is never said of what is yet to come.
    let seconds = at.duration_since(now).as_millis().unsigned_abs().div_ceil(1_000);
    Some(if seconds < 60 { format!("{seconds}s") } else { format!("{}m{:02}s", seconds / 60, seconds % 60) })
}

/// The time of day.
pub(super) fn clock(time: Timestamp, zone: &TimeZone) -> String {
    let time = zone.to_datetime(time);
    format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())
}

/// The time of day, or the day when that was not within the last 20 hours; always eight cells or eleven.
pub(super) fn moment(time: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    if now.duration_since(time).as_hours() < 20 {
        return clock(time, zone);
    }
    let time = zone.to_datetime(time);
    format!("{:02}-{:02} {:02}:{:02}", time.month(), time.day(), time.hour(), time.minute())
}

/// A size in at most five cells, in powers of 1024: `512`, `88K`, `5.7G`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];
    if bytes < 1024 {
        return bytes.to_string();
    }
    let mut unit = 0;
    let mut rest = u128::from(bytes) * 10 / 1024;
    while rest >= 10240 && unit + 1 < UNITS.len() {
        rest /= 1024;
        unit += 1;
    }
    if rest < 100 && !rest.is_multiple_of(10) {
        format!("{}.{}{}", rest / 10, rest % 10, UNITS[unit])
    } else {
        format!("{}{}", rest / 10, UNITS[unit])
    }
}

/// `48%`.
pub(super) fn percent(percent: f64) -> String {
    format!("{:.0}%", percent.clamp(0.0, 99_999.0))
}

/// How much of `total` is used, 0 to 100; 0 of nothing.
pub(super) fn share(used: u64, total: u64) -> f64 {
    if total == 0 {
        return 0.0;
    }
    let permille = u128::from(used) * 1000 / u128::from(total);
    f64::from(u32::try_from(permille).unwrap_or(u32::MAX)) / 10.0
}

/// `▰▰▰▱▱`: `width` cells, filled to `percent`.
pub(super) fn bar(percent: f64, width: u16) -> String {
    (0..width)
        .map(|cell| if (f64::from(cell) + 0.5) * 100.0 < percent * f64::from(width) { '▰' } else { '▱' })
        .collect()
}

/// A curve of shares (0 to 100), a cell each, the newest at the right, `width` cells wide.
pub(super) fn curve(shares: impl DoubleEndedIterator<Item = f64>, width: usize) -> String {
    let mut cells: Vec<char> = shares
        .rev()
        .take(width)
        .map(|share| match share {
            share if share >= 75.0 => '⣿',
            share if share >= 50.0 => '⣶',
            share if share >= 25.0 => '⣤',
            _ => '⣀',
        })
        .collect();
    cells.resize(width, ' ');
    cells.iter().rev().collect()
}

/// `1 task`, `3 tasks`.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::{age, bar, bytes, curve, share};

    #[test]
    fn ages_have_at_most_two_units() {
        let start = Timestamp::UNIX_EPOCH;
        let cases = [
            (-5, "0s"),
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3_600, "1h"),
            (7_260, "2h1m"),
            (97_200, "1d3h"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(age(start, start + SignedDuration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn sizes_fit_five_cells() {
        let cases = [
            (0, "0"),
            (1023, "1023"),
            (1024, "1K"),
            (1536, "1.5K"),
            (88 << 20, "88M"),
            ((57 << 30) / 10 + 1, "5.7G"),
            (16 << 30, "16G"),
        ];
        for (size, expected) in cases {
            assert_eq!(bytes(size), expected);
        }
        for shift in 0..64 {
            assert!(bytes(u64::MAX >> shift).len() <= 5);
        }
    }

    #[test]
    fn bars_and_curves_keep_their_width() {
        assert_eq!(bar(0.0, 4), "▱▱▱▱");
        assert_eq!(bar(62.0, 10), "▰▰▰▰▰▰▱▱▱▱");
        assert_eq!(bar(500.0, 3), "▰▰▰");
        assert_eq!(bar(f64::NAN, 2), "▱▱");
        assert_eq!(curve([10.0, 30.0, 60.0, 99.0].into_iter(), 3), "⣤⣶⣿");
        assert_eq!(curve([99.0].into_iter(), 3), "  ⣿");
        assert!((share(1, 0) - 0.0).abs() < f64::EPSILON);
        assert!((share(u64::MAX, u64::MAX) - 100.0).abs() < f64::EPSILON);
    }
}
