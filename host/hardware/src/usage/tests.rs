//! Usage from samples made by hand.

use super::*;
use crate::disk::DiskCounters;
use crate::root::fixture::Fixture;
use crate::stat::CoreTimes;
use proptest::prelude::*;

fn sample(busy: u64, total: u64, read_bytes: u64) -> Sample {
    let times = CpuTimes { busy, total };
    let mut sample = Sample::read(&Fixture::new(&[]).root(), None);
    sample.cpu = Some(times);
    sample.cores = vec![CoreTimes { cpu: 3, times }];
    sample.disks = vec![DiskCounters { name: "sda".to_owned(), read_bytes, written_bytes: 0 }];
    sample
}

fn after(earlier: &Sample, interval: Duration, mut later: Sample) -> Usage {
    later.at = earlier.at + interval;
    later.usage_since(earlier)
}

#[test]
fn half_of_two_seconds_is_fifty_percent() {
    let usage = after(&sample(10, 100, 0), Duration::from_secs(2), sample(110, 300, 4000));
    assert_eq!(usage.cpu_percent, Some(50.0));
    assert_eq!(usage.cores, [CoreUsage { cpu: 3, percent: Some(50.0) }]);
    assert_eq!(usage.disk_read, Some(2000.0));
    assert_eq!(usage.disk_written, Some(0.0));
    assert_eq!(usage.network_sent, None, "there is no interface");
}

#[test]
fn too_short_an_interval_has_no_rates() {
    let usage = after(&sample(10, 100, 0), MIN_INTERVAL / 2, sample(11, 105, 9));
    assert_eq!((usage.cpu_percent, usage.disk_read), (None, None));
    let wrong_order = sample(0, 0, 0).usage_since(&{
        let mut later = sample(1, 1, 1);
        later.at += Duration::from_secs(1);
        later
    });
    assert_eq!((wrong_order.seconds, wrong_order.cpu_percent), (0.0, None));
}

#[test]
fn counters_that_ran_backwards_have_no_rate() {
    let usage = after(&sample(50, 100, 9000), Duration::from_secs(1), sample(10, 200, 10));
    assert_eq!((usage.cpu_percent, usage.disk_read), (None, None));
    let usage = after(&sample(50, 100, 0), Duration::from_secs(1), sample(50, 100, 0));
    assert_eq!(usage.cpu_percent, None, "no tick passed");
}

#[test]
fn memory_is_what_new_work_could_not_have() {
    let mut now = sample(0, 1, 0);
    now.memory.total = Some(Bytes(1000));
    now.memory.available = Some(Bytes(250));
    now.memory.swap_total = Some(Bytes(0));
    now.memory.swap_free = Some(Bytes(0));
    let usage = now.usage_since(&now);
    assert_eq!((usage.memory_percent, usage.swap_percent), (Some(75.0), None));
}

proptest! {
    #[test]
    fn a_percentage_is_one(a in any::<[u64; 4]>(), millis in 0u64..10_000) {
        let usage = after(&sample(a[0], a[1], a[2]), Duration::from_millis(millis), sample(a[2], a[3], a[0]));
        if let Some(percent) = usage.cpu_percent {
            prop_assert!((0.0..=100.0).contains(&percent));
        }
        if let Some(rate) = usage.disk_read {
            prop_assert!(rate.is_finite() && rate >= 0.0);
        }
    }
}
