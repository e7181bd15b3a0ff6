//! CPU time counters, as `/proc/stat` gives them (proc_stat(5)).
//!
//! Parsed here and not with the `procfs` crate, which drops the numbers of the processors: with one offline, the
//! counters would go to the wrong cores. Lines that don't parse are left out.

use serde::Serialize;

/// CPU time since boot, in clock ticks (`USER_HZ`, 100 a second on every current architecture).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CpuTimes {
    /// Time that could not be had: everything but idle and waiting for disks. Time that the hypervisor gave to
    /// others ("steal") is in it.
    pub busy: u64,
    /// All of it.
    pub total: u64,
}

/// The counters of one logical processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CoreTimes {
    /// Its number.
    pub cpu: u32,
    /// Its counters.
    pub times: CpuTimes,
}

/// All counters of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stat {
    /// The sum over the processors.
    pub(crate) all: Option<CpuTimes>,
    /// Online processors, ascending.
    pub(crate) cores: Vec<CoreTimes>,
}

pub(crate) fn parse(text: &str) -> Stat {
    let mut stat = Stat::default();
    // The cpu lines come first; the interrupt lines after them are long and not wanted.
    for line in text.lines().take_while(|line| line.starts_with("cpu")) {
        let mut fields = line.split_ascii_whitespace();
        let (Some(name), Some(times)) = (fields.next(), times(fields)) else { continue };
        match name.strip_prefix("cpu").map(str::parse) {
            Some(Ok(cpu)) => stat.cores.push(CoreTimes { cpu, times }),
            Some(Err(_)) if name == "cpu" => stat.all = Some(times),
            Some(Err(_)) | None => {}
        }
    }
    stat
}

/// user nice system idle iowait irq softirq steal. Time of guests (fields 9 and 10) is in user and nice already;
/// fields after idle are absent on old kernels.
fn times<'a>(fields: impl Iterator<Item = &'a str>) -> Option<CpuTimes> {
    let values: Vec<u64> = fields.take(8).map_while(|field| field.parse().ok()).collect();
    let idle = *values.get(3)?;
    let iowait = values.get(4).copied().unwrap_or(0);
    let total = values.iter().try_fold(0u64, |sum, value| sum.checked_add(*value))?;
    Some(CpuTimes { busy: total - idle - iowait, total })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cores_keep_their_numbers_when_one_is_offline() {
        let stat = parse(
            "cpu  4 0 2 90 3 1 0 0 2 0\ncpu0 2 0 1 40 3 1 0 0 1 0\ncpu2 2 0 1 50 0 0 0 7 1 0\nintr 12 3\n",
        );
        assert_eq!(stat.all, Some(CpuTimes { busy: 7, total: 100 }));
        assert_eq!(stat.cores[1], CoreTimes { cpu: 2, times: CpuTimes { busy: 10, total: 60 } });
        assert_eq!(stat.cores.len(), 2);
    }

    #[test]
    fn short_and_broken_lines_are_left_out() {
        assert_eq!(parse("cpu 1 2 3\ncpu0 x\ncpux 1 2 3 4\n"), Stat::default());
        assert_eq!(parse("cpu 1 2 3 4\n").all, Some(CpuTimes { busy: 6, total: 10 }));
        assert_eq!(parse(&format!("cpu {0} {0} {0} {0}\n", u64::MAX)).all, None);
    }

    proptest! {
        #[test]
        fn no_text_panics_and_busy_is_a_part(text in "(cpu[0-9]{0,3}( [0-9]{1,20}){0,10}\n){0,4}|\\PC{0,40}") {
            let stat = parse(&text);
            for times in stat.all.iter().chain(stat.cores.iter().map(|core| &core.times)) {
                prop_assert!(times.busy <= times.total);
            }
        }
    }
}
