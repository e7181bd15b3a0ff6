//! CPU time as the kernel counts it: quotas, bursts and weights (`Documentation/scheduler/sched-bwc.rst`,
//! `Documentation/scheduler/sched-design-CFS.rst`), and the settings that hold them on v1 and v2.
//!
//! A shared lease has a weight alone. A limited one has a quota and the same weight, so that its part is there when the
//! CPU is contended. A weight holds among leases: what runs outside of them competes with all of them together.
//! Pinned cores are in [`crate::cpuset`].

use crate::Limits;
use crate::setting::{IfMissing, Setting};
use hypermesh_model::{CpuMode, MilliCpu};

/// The period over which a CPU quota holds, in microseconds: the kernel's default, short enough for interactive work.
const PERIOD_US: u64 = 100_000;
/// The kernel's smallest quota, in microseconds (`min_cfs_quota_period`).
const MIN_QUOTA_US: u64 = 1000;
/// The bounds of `cpu.weight`; 100 is the kernel's default and one CPU here.
const WEIGHTS: (u64, u64) = (1, 10_000);
/// The bounds of v1's `cpu.shares`; 1024 is the kernel's default and one CPU here.
const SHARES: (u64, u64) = (2, 1 << 18);
/// What a person should know of every weight.
const WEIGHT_NOTE: &str =
    "a weight: it holds against other leases, and against processes outside only as the parent group does";

/// Quota and period in microseconds. Below 10 milli-CPU the quota would be under the kernel's minimum; the period grows
/// instead, up to the kernel's longest, 1 s.
pub(crate) fn quota_and_period(cpu: MilliCpu) -> (u64, u64) {
    let milli = u64::from(cpu.0.max(1));
    let quota = milli * PERIOD_US / 1000;
    if quota >= MIN_QUOTA_US { (quota, PERIOD_US) } else { (MIN_QUOTA_US, MIN_QUOTA_US * 1000 / milli) }
}

/// `cpu.weight` of an amount: 100 a CPU, rounded to the nearest.
fn weight(cpu: MilliCpu) -> u64 {
    ((u64::from(cpu.0) + 5) / 10).clamp(WEIGHTS.0, WEIGHTS.1)
}

/// `cpu.shares` of an amount: 1024 a CPU, rounded to the nearest. Finer than the weight at the low end.
fn shares(cpu: MilliCpu) -> u64 {
    ((u64::from(cpu.0) * 1024 + 500) / 1000).clamp(SHARES.0, SHARES.1)
}

/// The settings of both modes on v1.
pub(crate) fn plan_v1(limits: &Limits) -> Vec<Setting> {
    let quota = |cpu| {
        let (quota, period) = quota_and_period(cpu);
        Setting {
            before: vec![("cpu.cfs_period_us", period.to_string())],
            ..Setting::new("cpu", "cpu", "cpu.cfs_quota_us", quota.to_string())
        }
    };
    plan(limits, ("cpu.shares", shares), quota, "cpu.cfs_burst_us")
}

/// The settings of both modes on v2.
pub(crate) fn plan_v2(limits: &Limits) -> Vec<Setting> {
    let quota = |cpu| {
        let (quota, period) = quota_and_period(cpu);
        Setting::new("cpu", "cpu", "cpu.max", format!("{quota} {period}"))
    };
    plan(limits, ("cpu.weight", weight), quota, "cpu.max.burst")
}

fn plan(
    limits: &Limits,
    (weight_file, weight): (&'static str, fn(MilliCpu) -> u64),
    quota: impl Fn(MilliCpu) -> Setting,
    burst_file: &'static str,
) -> Vec<Setting> {
    let Some(cpu) = limits.cpu else { return Vec::new() };
    let weight =
        Setting::new("cpu_weight", "cpu", weight_file, weight(cpu).to_string()).best_effort(WEIGHT_NOTE);
    match limits.cpu_mode {
        CpuMode::Pinned => Vec::new(),
        CpuMode::Shared => vec![weight],
        CpuMode::Limited => {
            // The weight only refines the quota: a kernel without it still holds the limit.
            let weight = Setting { if_missing: IfMissing::LeaveOut, ..weight };
            let burst = limits.cpu_burst_us.map(|asked| burst(asked, cpu, burst_file));
            [quota(cpu), weight].into_iter().chain(burst).collect()
        }
    }
}

/// At most the quota, and the receipt says so.
fn burst(asked: u64, cpu: MilliCpu, file: &'static str) -> Setting {
    let (quota, _period) = quota_and_period(cpu);
    let note = (asked > quota).then(|| format!("asked for {asked}, the kernel takes at most the quota"));
    Setting { note, ..Setting::new("cpu_burst", "cpu", file, asked.min(quota).to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn half_a_core_is_half_a_period() {
        assert_eq!(quota_and_period(MilliCpu(500)), (50_000, 100_000));
        assert_eq!(quota_and_period(MilliCpu(1)), (1000, 1_000_000));
        assert_eq!(quota_and_period(MilliCpu(0)), (1000, 1_000_000));
    }

    #[test]
    fn one_cpu_weighs_what_the_kernel_gives_by_default() {
        assert_eq!((weight(MilliCpu(1000)), shares(MilliCpu(1000))), (100, 1024));
        assert_eq!((weight(MilliCpu(250)), shares(MilliCpu(250))), (25, 256));
        assert_eq!((weight(MilliCpu(0)), shares(MilliCpu(0))), (1, 2));
        assert_eq!((weight(MilliCpu(u32::MAX)), shares(MilliCpu(u32::MAX))), (10_000, 1 << 18));
    }

    #[test]
    fn each_mode_has_its_files() {
        let limits = |cpu_mode| Limits {
            cpu: Some(MilliCpu(500)),
            cpu_mode,
            cpu_burst_us: Some(80_000),
            ..Limits::default()
        };
        let files =
            |plan: Vec<Setting>| plan.into_iter().map(|s| (s.limit, s.file, s.value)).collect::<Vec<_>>();
        assert_eq!(
            files(plan_v2(&limits(CpuMode::Limited))),
            [
                ("cpu", "cpu.max", "50000 100000".to_owned()),
                ("cpu_weight", "cpu.weight", "50".to_owned()),
                ("cpu_burst", "cpu.max.burst", "50000".to_owned())
            ]
        );
        assert_eq!(
            files(plan_v1(&limits(CpuMode::Shared))),
            [("cpu_weight", "cpu.shares", "512".to_owned())]
        );
        assert!(plan_v1(&limits(CpuMode::Pinned)).is_empty());
        assert!(plan_v2(&Limits::default()).is_empty());
        let burst = &plan_v1(&limits(CpuMode::Limited))[2];
        assert!(burst.note.as_ref().unwrap().contains("80000"), "{burst:?}");
    }

    proptest! {
        #[test]
        fn a_quota_is_what_was_asked_within_the_kernel_s_bounds(milli in 1u32..1_000_000) {
            let (quota, period) = quota_and_period(MilliCpu(milli));
            prop_assert!(quota >= 1000 && (1000..=1_000_000).contains(&period));
            let share = f64::from(u32::try_from(quota).unwrap()) / f64::from(u32::try_from(period).unwrap());
            prop_assert!((share * 1000.0 - f64::from(milli)).abs() < 0.01 * f64::from(milli));
        }

        #[test]
        fn more_cpu_never_weighs_less_and_stays_in_bounds(a in 0u32.., b in 0u32..) {
            let (less, more) = (MilliCpu(a.min(b)), MilliCpu(a.max(b)));
            prop_assert!(weight(less) <= weight(more) && shares(less) <= shares(more));
            prop_assert!((1..=10_000).contains(&weight(more)) && (2..=262_144).contains(&shares(less)));
        }

        #[test]
        fn a_burst_never_passes_its_quota(milli in 1u32..1_000_000, asked in 0u64..) {
            let setting = burst(asked, MilliCpu(milli), "x");
            prop_assert!(setting.value.parse::<u64>().unwrap() <= quota_and_period(MilliCpu(milli)).0);
        }
    }
}
