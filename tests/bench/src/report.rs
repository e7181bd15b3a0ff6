//! Rows of the table, as text of at most 100 columns.

use crate::statistics::{Summary, ratio};
use std::fmt;

/// One row: ours, and what it is compared with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// What is measured.
    pub(crate) name: String,
    /// The unit of the numbers.
    pub(crate) unit: &'static str,
    /// Whether more is better.
    pub(crate) more_is_better: bool,
    /// Our numbers, or why there are none.
    pub(crate) ours: Result<Summary, String>,
    /// What they are compared with.
    pub(crate) baseline: Baseline,
    /// What we want of it, where that is a number.
    pub(crate) goals: Vec<Goal>,
}

/// What we want of a row. Absolute ones are for machines like those that the figure was set on; a slow or busy one
/// misses them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    /// The median is at least this, in the row's unit.
    AtLeast(f64),
    /// The median is at most this.
    AtMost(f64),
    /// 99 of 100 samples are at most this.
    P99AtMost(f64),
    /// Our median is better than the baseline's by at least this factor.
    BetterBy(f64),
    /// Our median is worse than the baseline's by at most this factor.
    Within(f64),
}

/// What ours is compared with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Baseline {
    /// Another program that does the same: who, and its numbers.
    Other(String, Summary),
    /// Our own numbers under another condition: which, and the numbers.
    Ourselves(&'static str, Summary),
    /// Nothing, and why.
    None(String),
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}", self.name)?;
        let ours = match &self.ours {
            Ok(ours) => ours,
            Err(reason) => return writeln!(f, "  SKIPPED: {reason}"),
        };
        let heads = ["p10", "median", "p90", "p99", "samples"];
        writeln!(
            f,
            "  {:<42}{:>10}{:>10}{:>10}{:>10}  {:<6}{:>7}",
            "", heads[0], heads[1], heads[2], heads[3], "", heads[4]
        )?;
        line(f, "HyperMesh", ours, self.unit)?;
        self.goals.iter().try_for_each(|goal| self.judge(f, ours, *goal))?;
        let (name, baseline) = match &self.baseline {
            Baseline::Other(name, baseline) => (name.as_str(), baseline),
            Baseline::Ourselves(name, baseline) => (*name, baseline),
            Baseline::None(reason) if reason.is_empty() => return Ok(()),
            Baseline::None(reason) => return writeln!(f, "  no baseline: {reason}"),
        };
        line(f, name, baseline, self.unit)?;
        let Some(better_by) = self.better_by(ours) else {
            return writeln!(f, "  ratio of medians: none, a median is 0");
        };
        match self.baseline {
            Baseline::Ourselves(..) => writeln!(f, "  {:<42}{better_by:>20.2}×", "ratio of medians"),
            Baseline::Other(..) | Baseline::None(_) => {
                writeln!(f, "  {:<42}{better_by:>20.1}×", "better by, in medians")
            }
        }
    }
}

impl Row {
    /// By what factor our median is better than the baseline's; below 1 it is worse.
    fn better_by(&self, ours: &Summary) -> Option<f64> {
        match &self.baseline {
            Baseline::None(_) => None,
            Baseline::Other(_, theirs) | Baseline::Ourselves(_, theirs) if self.more_is_better => {
                ratio(ours, theirs)
            }
            Baseline::Other(_, theirs) | Baseline::Ourselves(_, theirs) => ratio(theirs, ours),
        }
    }

    /// A goal that is a ratio is no goal where there is nothing to compare with.
    fn judge(&self, f: &mut fmt::Formatter<'_>, ours: &Summary, goal: Goal) -> fmt::Result {
        let unit = self.unit;
        let better_by = self.better_by(ours);
        let (said, met) = match goal {
            Goal::AtLeast(least) => (format!("at least {least} {unit}"), ours.median >= least),
            Goal::AtMost(most) => (format!("at most {most} {unit}"), ours.median <= most),
            Goal::P99AtMost(most) => (format!("p99 at most {most} {unit}"), ours.p99 <= most),
            Goal::BetterBy(_) | Goal::Within(_) if matches!(self.baseline, Baseline::None(_)) => {
                return Ok(());
            }
            Goal::BetterBy(least) => {
                (format!("better by at least {least}×"), better_by.is_some_and(|by| by >= least))
            }
            Goal::Within(most) => {
                (format!("within {most}× of the baseline"), better_by.is_some_and(|by| by * most >= 1.0))
            }
        };
        writeln!(f, "  {:<42}{:>31}", format!("goal: {said}"), if met { "met" } else { "missed" })
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, summary: &Summary, unit: &str) -> fmt::Result {
    let Summary { p10, median, p90, p99, samples } = summary;
    let digits = if *median < 100.0 { 2 } else { 0 };
    write!(f, "  {name:<42}{p10:>10.digits$}{median:>10.digits$}{p90:>10.digits$}{p99:>10.digits$}")?;
    writeln!(f, "  {unit:<6}{samples:>7}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::summary;

    fn row(baseline: Baseline, more_is_better: bool) -> String {
        let ours = Ok(summary(&[2.0]).unwrap());
        Row { name: "what".into(), unit: "ms", more_is_better, ours, baseline, goals: Vec::new() }.to_string()
    }

    #[test]
    fn a_goal_is_met_or_missed_by_the_median_or_the_ratio() {
        let row = |goal, baseline| Row {
            name: "what".into(),
            unit: "/s",
            more_is_better: true,
            ours: Ok(summary(&[2.0]).unwrap()),
            baseline,
            goals: vec![goal],
        };
        let alone = || Baseline::None(String::new());
        let twice = || Baseline::Ourselves("alone", summary(&[4.0]).unwrap());
        for (row, met) in [
            (row(Goal::AtLeast(2.0), alone()), true),
            (row(Goal::AtLeast(2.1), alone()), false),
            (row(Goal::AtMost(2.0), alone()), true),
            (row(Goal::AtMost(1.9), alone()), false),
            (row(Goal::P99AtMost(2.0), alone()), true),
            (row(Goal::P99AtMost(1.9), alone()), false),
            (row(Goal::BetterBy(0.5), twice()), true),
            (row(Goal::BetterBy(0.6), twice()), false),
            (row(Goal::Within(2.0), twice()), true),
            (row(Goal::Within(1.9), twice()), false),
        ] {
            let said = row.to_string();
            assert_eq!((said.contains("met\n"), said.contains("missed\n")), (met, !met), "{said}");
        }
        assert!(!row(Goal::BetterBy(0.6), alone()).to_string().contains("goal"));
        // Where less is better, twice the number is half as good.
        let slower = Row {
            more_is_better: false,
            ours: Ok(summary(&[8.0]).unwrap()),
            ..row(Goal::Within(2.0), twice())
        };
        assert!(slower.to_string().contains("met\n"), "{slower}");
        let slower = Row { goals: vec![Goal::Within(1.9)], ..slower };
        assert!(slower.to_string().contains("missed\n"), "{slower}");
    }

    #[test]
    fn a_row_says_by_how_much_ours_is_better() {
        let slow = summary(&[60.0]).unwrap();
        assert!(row(Baseline::Other("theirs".into(), slow), false).contains("30.0×"));
        let few = summary(&[0.5]).unwrap();
        assert!(row(Baseline::Other("theirs".into(), few), true).contains("4.0×"));
        assert!(row(Baseline::Ourselves("alone", slow), true).contains("0.03×"));
        assert!(row(Baseline::None("not installed".into()), true).contains("no baseline: not installed"));
    }

    #[test]
    fn a_row_without_numbers_says_why() {
        let reason = "there is no kernel".to_owned();
        let row = Row {
            name: "what".into(),
            unit: "ms",
            more_is_better: false,
            ours: Err(reason),
            baseline: Baseline::None(String::new()),
            goals: Vec::new(),
        };
        assert_eq!(row.to_string(), "\nwhat\n  SKIPPED: there is no kernel\n");
    }
}
