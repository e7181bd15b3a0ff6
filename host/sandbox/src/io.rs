//! Rates on block devices: v2's `io.max` (`Documentation/admin-guide/cgroup-v2.rst`, "IO") and v1's `blkio.throttle.*`
//! (`Documentation/admin-guide/cgroup-v1/blkio-controller.rst`). One entry a rate.
//!
//! v1 knows no hierarchy of rates: a rule holds for what is directly in its group ("Hierarchical Cgroups" there), so that
//! is where processes of such a lease are. It sees I/O where a process does it: reads that miss the page cache, and writes that are direct or synchronous. What
//! the kernel writes back later belongs to nobody there, so a v1 write limit is best effort.

use crate::kernel_fs::{children, processes, read_optional};
use crate::setting::{Part, Setting};
use crate::{CgroupError, IoRule};
use std::path::Path;

/// v1 keeps operations a second in 32 bits.
const V1_MAX_IOPS: u64 = u32::MAX as u64;
const V1_READ_NOTE: &str = "reads from the page cache are not I/O";
const V1_WRITE_NOTE: &str =
    "cgroup v1 limits direct and synchronous writes; what is written back later is not seen";

/// One rate: its entry's name, its key in `io.max`, its file on v1, and the value.
struct Rate {
    limit: &'static str,
    key: &'static str,
    file: &'static str,
    is_write: bool,
    is_ops: bool,
    value: Option<u64>,
}

fn rates(rule: &IoRule) -> [Rate; 4] {
    let limits = rule.limits;
    let rate = |limit, key, file, is_write, is_ops, value| Rate { limit, key, file, is_write, is_ops, value };
    [
        rate("io_read_bps", "rbps", "blkio.throttle.read_bps_device", false, false, limits.read_bps),
        rate("io_write_bps", "wbps", "blkio.throttle.write_bps_device", true, false, limits.write_bps),
        rate("io_read_iops", "riops", "blkio.throttle.read_iops_device", false, true, limits.read_iops),
        rate("io_write_iops", "wiops", "blkio.throttle.write_iops_device", true, true, limits.write_iops),
    ]
}

fn device(rule: &IoRule) -> String {
    format!("{}:{}", rule.device.0, rule.device.1)
}

/// The settings on v1, in the blkio hierarchy.
pub(crate) fn plan_v1(rule: &IoRule) -> Vec<Setting> {
    let device = device(rule);
    let setting = |rate: Rate| {
        let most = if rate.is_ops { V1_MAX_IOPS } else { u64::MAX };
        let value = format!("{device} {}", rate.value?.clamp(1, most));
        let setting = Setting {
            part: Part::Device(device.clone()),
            note: Some(V1_READ_NOTE.to_owned()),
            ..Setting::new(rate.limit, "blkio", rate.file, value)
        };
        Some(if rate.is_write { setting.best_effort(V1_WRITE_NOTE) } else { setting })
    };
    rates(rule).into_iter().filter_map(setting).collect()
}

/// The settings on v2.
pub(crate) fn plan_v2(rule: &IoRule) -> Vec<Setting> {
    let device = device(rule);
    let setting = |rate: Rate| {
        let value = format!("{device} {}={}", rate.key, rate.value?.max(1));
        Some(Setting {
            part: Part::DeviceKey(device.clone(), rate.key),
            ..Setting::new(rate.limit, "io", "io.max", value)
        })
    };
    rates(rule).into_iter().filter_map(setting).collect()
}

/// The files that hold rates on v1.
pub(crate) const V1_FILES: [&str; 4] = [
    "blkio.throttle.read_bps_device",
    "blkio.throttle.write_bps_device",
    "blkio.throttle.read_iops_device",
    "blkio.throttle.write_iops_device",
];

/// Whether a v1 group has rates.
pub(crate) fn has_rates(dir: &Path) -> bool {
    let has_rule = |file: &str| {
        read_optional(&dir.join(file)).is_ok_and(|text| text.is_some_and(|text| !text.is_empty()))
    };
    V1_FILES.iter().any(|file| has_rule(file))
}

/// Why a v1 group's rates do not hold for all of the lease: a command inside it made a group of its own below.
///
/// # Errors
/// When a group cannot be read.
pub(crate) fn beside_rates(dir: &Path) -> Result<Option<String>, CgroupError> {
    for child in children(dir)? {
        if !processes(&child)?.is_empty() {
            return Ok(Some(format!("cgroup v1 does not hold it for the processes in {}", child.display())));
        }
    }
    Ok(None)
}

/// For each device in the text of a file of v1 or of `io.max`, what to write so that it has no rule.
pub(crate) fn without_rules(text: &str) -> Vec<(Part, String)> {
    let keys = ["rbps", "wbps", "riops", "wiops"];
    let mut orders = Vec::new();
    for line in text.lines() {
        let Some((device, rest)) = line.split_once(' ') else { continue };
        if rest.contains('=') {
            let parts = keys.map(|key| Part::DeviceKey(device.to_owned(), key));
            orders.extend(parts.into_iter().map(|part| {
                let order = part.restore("");
                (part, order)
            }));
        } else {
            orders.push((Part::Device(device.to_owned()), format!("{device} 0")));
        }
    }
    orders
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_model::{EnforcementState, IoLimits};
    use proptest::prelude::*;

    fn rule(read_bps: Option<u64>, write_iops: Option<u64>) -> IoRule {
        IoRule { device: (254, 0), limits: IoLimits { read_bps, write_iops, ..IoLimits::default() } }
    }

    #[test]
    fn only_what_is_asked_is_written() {
        let values = |plan: Vec<Setting>| plan.into_iter().map(|s| (s.limit, s.value)).collect::<Vec<_>>();
        assert_eq!(
            values(plan_v2(&rule(Some(1 << 20), Some(0)))),
            [("io_read_bps", "254:0 rbps=1048576".to_owned()), ("io_write_iops", "254:0 wiops=1".to_owned())]
        );
        assert_eq!(
            values(plan_v1(&rule(None, Some(u64::MAX)))),
            [("io_write_iops", "254:0 4294967295".to_owned())]
        );
        let v1 = plan_v1(&rule(Some(5), Some(5)));
        assert_eq!(
            v1.iter().map(|s| s.if_held).collect::<Vec<_>>(),
            [EnforcementState::Enforced, EnforcementState::BestEffort]
        );
        assert!(plan_v2(&rule(None, None)).is_empty());
    }

    #[test]
    fn every_rule_of_every_device_can_be_taken_away() {
        let orders = |text| without_rules(text).into_iter().map(|(_, order)| order).collect::<Vec<_>>();
        assert_eq!(orders("8:0 5\n254:0 7"), ["8:0 0", "254:0 0"]);
        assert_eq!(
            orders("8:0 rbps=1 wbps=max riops=max wiops=max"),
            ["8:0 rbps=max", "8:0 wbps=max", "8:0 riops=max", "8:0 wiops=max"]
        );
        assert!(orders("").is_empty());
    }

    proptest! {
        #[test]
        fn the_kernel_s_order_of_words_does_not_matter(bps in 1u64.., iops in 1u64.., swap: bool) {
            let words = [format!("rbps={bps}"), format!("wiops={iops}")];
            let line = if swap { format!("254:0 {} {}", words[1], words[0]) }
                else { format!("254:0 {} wbps=max riops=max {}", words[0], words[1]) };
            for setting in plan_v2(&rule(Some(bps), Some(iops))) {
                prop_assert_eq!(setting.part.of(&line), Some(setting.expected));
            }
        }
    }
}
