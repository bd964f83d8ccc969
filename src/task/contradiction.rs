//! Constraints that nothing could ever fulfil: a task with them would wait for ever. Knows no worker.

use std::cmp::Ordering;

use super::constraint::{Comparison, Constraint, Test, is_version, version};

/// Whether a worker can be thought of on which all of these hold: what no label could ever fulfil would wait for ever.
pub(super) fn check_constraints(constraints: &[Constraint]) -> Result<(), String> {
    for (number, one) in constraints.iter().enumerate() {
        if let Constraint::Label { label, test: Test::Compare(comparison, wanted) } = one {
            check_compared(label, *comparison, wanted)?;
        }
        if let Some(other) = constraints[..number].iter().find(|other| contradict(one, other)) {
            return Err(format!("{other} and {one} can't both hold; expected one of them"));
        }
    }
    Ok(())
}

/// Of what every worker tells by itself, only the engine has an order.
fn check_compared(label: &str, comparison: Comparison, wanted: &str) -> Result<(), String> {
    let sign = comparison.sign();
    if matches!(label, "worker" | "os" | "arch" | "platform") {
        return Err(format!(
            "{label} is neither a number nor a version; expected {label}=… or {label} in (…), found {label}{sign}{wanted}"
        ));
    }
    if is_version(label) && version(wanted).is_none() {
        return Err(format!(
            "{label} is a version; expected one after {sign}, such as 20.10, found {wanted:?}"
        ));
    }
    Ok(())
}

/// Whether no value of a label, nor its absence, passes both.
fn contradict(a: &Constraint, b: &Constraint) -> bool {
    let (label, a, b) = match (a, b) {
        (Constraint::With(a), Constraint::Without(b)) | (Constraint::Without(b), Constraint::With(a)) => {
            return a == b;
        }
        (Constraint::Label { label, test: a }, Constraint::Label { label: other, test: b })
            if label == other =>
        {
            (label, a, b)
        }
        _ => return false,
    };
    let none_of =
        |values: &[String], test: &Test| !values.iter().any(|value| test.passes(label, Some(value)));
    match (a, b) {
        (Test::Is(value), test) | (test, Test::Is(value)) => none_of(std::slice::from_ref(value), test),
        (Test::In(values), test) | (test, Test::In(values)) => none_of(values, test),
        (Test::Missing, Test::Exists | Test::Compare(..))
        | (Test::Exists | Test::Compare(..), Test::Missing) => true,
        (Test::Compare(one, low), Test::Compare(other, high)) => {
            leave_nothing((*one, low), (*other, high)) || leave_nothing((*other, high), (*one, low))
        }
        _ => false,
    }
}

/// Whether nothing is above `low` and below `high`, as a number or as a version: which of them it is, the label's value
/// may say.
fn leave_nothing(low: (Comparison, &str), high: (Comparison, &str)) -> bool {
    use Comparison::{AtLeast, AtMost, Less, More};
    let as_numbers =
        low.1.parse::<f64>().ok().zip(high.1.parse().ok()).and_then(|(low, high)| low.partial_cmp(&high));
    let as_versions = version(low.1).zip(version(high.1)).map(|(low, high)| low.cmp(&high));
    let mut orders = as_numbers.into_iter().chain(as_versions);
    match (low.0, high.0) {
        (AtLeast, AtMost) => orders.all(Ordering::is_gt),
        (AtLeast | More, Less) | (More, AtMost) => orders.all(Ordering::is_ge),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_worker_could_ever_fulfil_is_refused() {
        let check = |texts: &[&str]| {
            let constraints: Vec<Constraint> = texts.iter().map(|text| text.parse().unwrap()).collect();
            check_constraints(&constraints)
        };
        for (texts, expected) in [
            (&["zone=a", "zone=b"][..], "zone=a and zone=b can't both hold"),
            (&["zone=a", "ssd", "zone!=a"], "zone=a and zone!=a"),
            (&["zone in (a,b)", "zone=c"], "zone in (a,b) and zone=c"),
            (&["zone in (a,b)", "zone in (c,d)"], "can't both hold"),
            (&["!ssd", "ssd"], "!ssd and ssd"),
            (&["!disks", "disks>1"], "can't both hold"),
            (&["disks=1", "disks>1"], "can't both hold"),
            (&["disks>3", "disks<2"], "can't both hold"),
            (&["disks<2", "disks>=2"], "can't both hold"),
            (&["engine>=20.10.2", "engine<20.9.1"], "can't both hold"),
            (&["with:app=web", "without:app=web"], "can't both hold"),
            (&["os>=3"], "os is neither a number nor a version; expected os=… or os in (…), found os>=3"),
            (&["engine>=-1"], "engine is a version; expected one after >=, such as 20.10"),
        ] {
            let error = check(texts).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
        for texts in [
            &["zone!=a", "zone!=b"][..],
            &["zone!=a", "!zone"],
            &["zone=a", "zone in (a,b)", "zone", "zone!=c"],
            &["disks>=2", "disks<=2"],
            &["disks>1", "disks>2", "disks<3"],
            // No number, but a version 1.20.0.
            &["x>1.5", "x<1.25"],
            &["engine>=20.9", "engine<20.10"],
            &["with:app=web", "without:app=db", "spread:zone"],
            &["zone=a", "ssd"],
        ] {
            assert_eq!(check(texts), Ok(()), "{texts:?}");
        }
    }
}
