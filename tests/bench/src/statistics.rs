//! Quantiles of samples, and ratios of medians.

use std::time::Duration;

/// The 10th, 50th, 90th and 99th percentile of some samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    /// A tenth of the samples are at most this.
    pub(crate) p10: f64,
    /// The middle.
    pub(crate) median: f64,
    /// Nine tenths of the samples are at most this.
    pub(crate) p90: f64,
    /// 99 of 100 samples are at most this; of fewer samples it is close to the largest.
    pub(crate) p99: f64,
    /// How many samples there are.
    pub(crate) samples: usize,
}

/// Sums up samples, in any order and unit; `None` without any, or with one that is no number.
pub(crate) fn summary(samples: &[f64]) -> Option<Summary> {
    if samples.is_empty() || samples.iter().any(|sample| sample.is_nan()) {
        return None;
    }
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share| quantile(&sorted, share);
    Some(Summary { p10: at(0.1), median: at(0.5), p90: at(0.9), p99: at(0.99), samples: sorted.len() })
}

/// The quantile of sorted samples, between two of them where it falls between (Hyndman and Fan 1996, type 7).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "there are far fewer than 2^53 samples")]
    let rank = share * (sorted.len() - 1) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to the number of samples"
    )]
    let below = rank.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * rank.fract()
}

/// How many times larger the first median is; `None` where the second is none to divide by.
pub(crate) fn ratio(larger: &Summary, smaller: &Summary) -> Option<f64> {
    (smaller.median > 0.0).then(|| larger.median / smaller.median)
}

/// A duration in milliseconds.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles_are_those_of_the_definition() {
        let samples: Vec<f64> = (0..=10).map(f64::from).collect();
        let summary = summary(&samples).unwrap();
        assert_eq!((summary.p10, summary.median, summary.p90, summary.samples), (1.0, 5.0, 9.0, 11));
        assert!((summary.p99 - 9.9).abs() < 1e-12);
    }

    #[test]
    fn a_quantile_between_two_samples_lies_between_them() {
        let summary = summary(&[4.0, 1.0]).unwrap();
        assert_eq!(summary.median, 2.5);
        assert!((summary.p10 - 1.3).abs() < 1e-12 && (summary.p90 - 3.7).abs() < 1e-12);
    }

    #[test]
    fn one_sample_is_all_quantiles_and_none_is_nothing() {
        assert_eq!(summary(&[7.0]), Some(Summary { p10: 7.0, median: 7.0, p90: 7.0, p99: 7.0, samples: 1 }));
        assert_eq!(summary(&[]), None);
        assert_eq!(summary(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn a_ratio_is_of_medians_and_never_infinite() {
        let of = |value| summary(&[value]).unwrap();
        assert_eq!(ratio(&of(6.0), &of(2.0)), Some(3.0));
        assert_eq!(ratio(&of(6.0), &of(0.0)), None);
    }

    proptest! {
        #[test]
        fn quantiles_are_ordered_and_within_the_samples(samples in proptest::collection::vec(-1e9f64..1e9, 1..50)) {
            let summary = summary(&samples).unwrap();
            let least = samples.iter().copied().fold(f64::INFINITY, f64::min);
            let most = samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            prop_assert!(least <= summary.p10 && summary.p10 <= summary.median);
            prop_assert!(summary.median <= summary.p90 && summary.p90 <= summary.p99 && summary.p99 <= most);
        }
    }
}
