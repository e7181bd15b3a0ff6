//! Pressure stall information of a group: v2's own files, or those of the shadow on hybrid hosts
//! (`Documentation/accounting/psi.rst`). v1 has none, and a kernel may have it compiled out or switched off (`psi=0`,
//! `cgroup.pressure`): then there is no number, which is not the same as no pressure.

use crate::kernel_fs::read;
use crate::{CgroupError, GroupPressure, Pressure, Stall};
use rustix::io::Errno;
use std::path::Path;

/// Reads the three files of a group.
pub(crate) fn pressure(dir: &Path) -> Result<GroupPressure, CgroupError> {
    let file = |name: &str| match read(&dir.join(name)) {
        Ok(text) => Ok(Some(parse(&text))),
        Err(error) if error.is_missing() || is_off(&error) => Ok(None),
        Err(error) => Err(error),
    };
    Ok(GroupPressure {
        cpu: file("cpu.pressure")?,
        memory: file("memory.pressure")?,
        io: file("io.pressure")?,
    })
}

fn is_off(error: &CgroupError) -> bool {
    matches!(error, CgroupError::Io { source, .. } if source.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()))
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and `full` likewise.
fn parse(text: &str) -> Pressure {
    let line = |kind: &str| text.lines().find_map(|line| stall(line.strip_prefix(kind)?));
    Pressure { some: line("some "), full: line("full ") }
}

fn stall(fields: &str) -> Option<Stall> {
    let value =
        |key: &str| fields.split_whitespace().find_map(|field| field.strip_prefix(key)?.strip_prefix('='));
    let percent = |key: &str| value(key)?.parse::<f64>().ok().filter(|percent| percent.is_finite());
    Some(Stall {
        avg10: percent("avg10")?,
        avg60: percent("avg60")?,
        total_us: value("total")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_lines_are_read_and_a_missing_one_is_unknown() {
        let text = "some avg10=1.50 avg60=0.25 avg300=0.00 total=1234\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7";
        let found = parse(text);
        assert_eq!(found.some, Some(Stall { avg10: 1.5, avg60: 0.25, total_us: 1234 }));
        assert_eq!(found.full.unwrap().total_us, 7);
        assert_eq!(parse("some avg10=x avg60=0 total=1"), Pressure::default());
    }

    #[test]
    fn a_kernel_without_it_has_no_numbers() {
        let group = tempfile::tempdir().unwrap();
        std::fs::write(group.path().join("cpu.pressure"), "some avg10=0.00 avg60=0.00 total=5\n").unwrap();
        let found = pressure(group.path()).unwrap();
        assert!(found.cpu.unwrap().full.is_none() && found.memory.is_none() && found.io.is_none());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "((some|full) (avg10=[0-9.a-z]{0,6} ?|total=[0-9]{0,25} ?){0,4}\n){0,3}") {
            let _ = parse(&text);
        }
    }
}
