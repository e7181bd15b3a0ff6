//! The series against a list of samples that forgets nothing.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn everything(series: &Series, resolution: Resolution) -> Vec<Point> {
    series.range(Timestamp::from_millis(i64::MIN), Timestamp::from_millis(i64::MAX), resolution)
}

#[test]
fn a_minute_is_the_mean_of_its_seconds_and_gaps_stay() {
    let mut series = Series::new();
    series.push(at(0), Some(1.0));
    series.push(at(1), None);
    series.push(at(3), Some(3.0));
    series.push(at(60), Some(f64::NAN));
    let seconds: Vec<_> = series.range(at(0), at(4), Resolution::Second).iter().map(|p| p.value).collect();
    assert_eq!(seconds, [Some(1.0), None, None, Some(3.0)]);
    let minutes = everything(&series, Resolution::Minute);
    assert_eq!(minutes, [Point { at: at(0), value: Some(2.0) }, Point { at: at(60), value: None }]);
    assert_eq!(everything(&series, Resolution::Hour), [Point { at: at(0), value: Some(2.0) }]);
}

#[test]
fn a_range_is_half_open_and_bounded() {
    let mut series = Series::new();
    assert!(everything(&series, Resolution::Second).is_empty());
    for second in 0..700i32 {
        series.push(at(second.into()), Some(second.into()));
    }
    assert_eq!(everything(&series, Resolution::Second).len(), 600);
    assert_eq!(everything(&series, Resolution::Second)[0].at, at(100));
    let two: Vec<_> = series.range(at(200), at(202), Resolution::Second).iter().map(|p| p.at).collect();
    assert_eq!(two, [at(200), at(201)]);
    assert!(series.range(at(202), at(202), Resolution::Second).is_empty());
    assert!(series.range(at(0), at(100), Resolution::Second).is_empty());
    assert!(series.range(at(700), at(800), Resolution::Second).is_empty());
}

#[test]
fn a_clock_that_is_set_far_back_does_not_silence_it() {
    let mut series = Series::new();
    series.push(at(1_000_000), Some(1.0));
    series.push(at(990_000), Some(2.0));
    assert_eq!(everything(&series, Resolution::Second), [Point { at: at(990_000), value: Some(2.0) }]);
    assert_eq!(everything(&series, Resolution::Hour).len(), 3, "the coarse level still covers both");
}

#[test]
fn the_ends_of_time_do_no_harm() {
    let mut series = Series::new();
    for millis in [i64::MAX, i64::MIN, 0, i64::MAX] {
        series.push(Timestamp::from_millis(millis), Some(f64::MAX));
        series.push(Timestamp::from_millis(millis), Some(f64::MAX));
    }
    for resolution in Resolution::ALL {
        let points = everything(&series, resolution);
        assert!(points.len() <= resolution.capacity());
        assert!(points.iter().all(|p| p.value.is_none_or(f64::is_finite)));
    }
}

/// What a level must show after these samples.
fn expected(samples: &[(i64, Option<f64>)], resolution: Resolution) -> Vec<Point> {
    let (millis, capacity) = (resolution.slot_millis(), len_of(resolution.capacity()));
    let mut slots = BTreeMap::<i64, Vec<f64>>::new();
    for (time, value) in samples {
        let number = time.div_euclid(millis);
        if slots.last_key_value().is_some_and(|(last, _)| last - number >= capacity) {
            slots.clear();
        }
        slots.entry(number).or_default().extend(value);
        let last = *slots.last_key_value().unwrap().0;
        let before = slots.len();
        let oldest = *slots.first_key_value().unwrap().0;
        slots.retain(|number, _| last - number < capacity);
        if slots.len() < before || last - oldest >= capacity {
            // The window is full: it begins with a gap where nothing was sampled.
            slots.entry(last - capacity + 1).or_default();
        }
    }
    let (Some((first, _)), Some((last, _))) = (slots.first_key_value(), slots.last_key_value()) else {
        return vec![];
    };
    (*first..=*last)
        .map(|number| {
            let samples = slots.get(&number).map_or(&[][..], Vec::as_slice);
            let count = f64::from(u32::try_from(samples.len()).unwrap());
            let value = (!samples.is_empty()).then(|| samples.iter().sum::<f64>() / count);
            Point { at: Timestamp::from_millis(number * millis), value }
        })
        .collect()
}

proptest! {
    #[test]
    fn each_level_is_the_means_of_its_window(
        start in -10_000_000_000i64..2_000_000_000_000,
        steps in prop::collection::vec(
            (prop_oneof![6 => 0i64..3000, 2 => -4000i64..0, 1 => -900_000i64..900_000, 1 => -9_000_000_000i64..9_000_000_000],
             prop::option::weighted(0.8, -1e6f64..1e6)),
            0..120,
        ),
        cut in (0i64..100_000, 0i64..100_000),
    ) {
        let mut series = Series::new();
        let mut time = start;
        let mut samples = Vec::new();
        for (step, value) in steps {
            time += step;
            samples.push((time, value));
            series.push(Timestamp::from_millis(time), value);
        }
        for resolution in Resolution::ALL {
            let (got, want) = (everything(&series, resolution), expected(&samples, resolution));
            prop_assert!(got.len() <= resolution.capacity());
            prop_assert_eq!(got.len(), want.len());
            for (g, w) in got.iter().zip(&want) {
                prop_assert_eq!(g.at, w.at);
                match (g.value, w.value) {
                    (Some(g), Some(w)) => prop_assert!((g - w).abs() < 1e-6 * w.abs().max(1.0)),
                    (g, w) => prop_assert_eq!(g, w),
                }
            }
            let (from, to) = (time - cut.0, time - cut.0 + cut.1);
            let millis = resolution.slot_millis();
            let part = series.range(Timestamp::from_millis(from), Timestamp::from_millis(to), resolution);
            let overlaps = |p: &&Point| p.at.as_millis() < to && p.at.as_millis() + millis > from && to > from;
            let same: Vec<_> = got.iter().filter(overlaps).copied().collect();
            prop_assert_eq!(part, same);
        }
    }
}
