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
    pub(crate) goal: Option<Goal>,
}

/// What we want of a row. Absolute ones are for machines like those that the figure was set on; a slow or busy one
/// misses them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    /// The median is at least this, in the row's unit.
    AtLeast(f64),
    /// The median is at most this.
    AtMost(f64),
    /// The ratio of medians is at least this.
    Ratio(f64),
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
        writeln!(f, "  {:<44}{:>12}{:>12}{:>12}  {:<8}{:>7}", "", "p10", "median", "p90", "", "samples")?;
        line(f, "HyperMesh", ours, self.unit)?;
        self.goal(f, ours)?;
        let (name, baseline) = match &self.baseline {
            Baseline::Other(name, baseline) => (name.as_str(), baseline),
            Baseline::Ourselves(name, baseline) => (*name, baseline),
            Baseline::None(reason) if reason.is_empty() => return Ok(()),
            Baseline::None(reason) => return writeln!(f, "  no baseline: {reason}"),
        };
        line(f, name, baseline, self.unit)?;
        let of_medians = if self.more_is_better { ratio(ours, baseline) } else { ratio(baseline, ours) };
        let Some(of_medians) = of_medians else {
            return writeln!(f, "  ratio of medians: none, a median is 0");
        };
        match self.baseline {
            Baseline::Ourselves(..) => writeln!(f, "  {:<44}{of_medians:>24.2}×", "ratio of medians"),
            Baseline::Other(..) | Baseline::None(_) => {
                writeln!(f, "  {:<44}{of_medians:>24.1}×", "better by, in medians")
            }
        }
    }
}

impl Row {
    fn goal(&self, f: &mut fmt::Formatter<'_>, ours: &Summary) -> fmt::Result {
        let (said, met) = match (self.goal, &self.baseline) {
            (None, _) => return Ok(()),
            (Some(Goal::AtLeast(least)), _) => {
                (format!("at least {least} {}", self.unit), ours.median >= least)
            }
            (Some(Goal::AtMost(most)), _) => (format!("at most {most} {}", self.unit), ours.median <= most),
            (Some(Goal::Ratio(least)), Baseline::Other(_, baseline) | Baseline::Ourselves(_, baseline)) => {
                let of_medians = ratio(ours, baseline);
                (format!("a ratio of at least {least:.2}×"), of_medians.is_some_and(|ratio| ratio >= least))
            }
            (Some(Goal::Ratio(_)), Baseline::None(_)) => return Ok(()),
        };
        writeln!(f, "  {:<44}{:>36}", format!("goal: {said}"), if met { "met" } else { "missed" })
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, summary: &Summary, unit: &str) -> fmt::Result {
    let Summary { p10, median, p90, samples } = summary;
    let digits = if *median < 100.0 { 2 } else { 0 };
    writeln!(f, "  {name:<44}{p10:>12.digits$}{median:>12.digits$}{p90:>12.digits$}  {unit:<8}{samples:>7}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::summary;

    fn row(baseline: Baseline, more_is_better: bool) -> String {
        let ours = Ok(summary(&[2.0]).unwrap());
        Row { name: "what".into(), unit: "ms", more_is_better, ours, baseline, goal: None }.to_string()
    }

    #[test]
    fn a_goal_is_met_or_missed_by_the_median_or_the_ratio() {
        let row = |goal, baseline| Row {
            name: "what".into(),
            unit: "/s",
            more_is_better: true,
            ours: Ok(summary(&[2.0]).unwrap()),
            baseline,
            goal: Some(goal),
        };
        let alone = || Baseline::None(String::new());
        let twice = || Baseline::Ourselves("alone", summary(&[4.0]).unwrap());
        for (row, met) in [
            (row(Goal::AtLeast(2.0), alone()), true),
            (row(Goal::AtLeast(2.1), alone()), false),
            (row(Goal::AtMost(2.0), alone()), true),
            (row(Goal::AtMost(1.9), alone()), false),
            (row(Goal::Ratio(0.5), twice()), true),
            (row(Goal::Ratio(0.6), twice()), false),
        ] {
            let said = row.to_string();
            assert_eq!((said.contains("met\n"), said.contains("missed\n")), (met, !met), "{said}");
        }
        assert!(!row(Goal::Ratio(0.6), alone()).to_string().contains("goal"));
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
            goal: None,
        };
        assert_eq!(row.to_string(), "\nwhat\n  SKIPPED: there is no kernel\n");
    }
}
