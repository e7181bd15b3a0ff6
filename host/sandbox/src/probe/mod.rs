//! What a person wants to know when limits are not enforced: read-only, for `doctor`.

mod features;

use crate::detect::{Layout, Place, detect};
use crate::{CgroupVersion, kernel_fs};
use rustix::fs::{Access, access};
use std::path::Path;

/// One line of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, e.g. `cgroup memory`.
    pub name: String,
    /// What was found, for people.
    pub value: String,
    /// Whether that is enough for all features.
    pub ok: bool,
}

/// Looks at the machine: cgroup version, where each controller is and whether groups can be made there, kernel release,
/// `cgroup.kill`, and each feature that leases may want, with what to do where it is missing. Changes nothing and never fails; what cannot be read is a finding.
pub fn probe(system_root: &Path) -> Vec<Finding> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut findings = vec![finding("kernel", release, true)];
    match detect(system_root) {
        Ok(layout) => {
            let ok = layout.version != CgroupVersion::None;
            findings.push(finding("cgroup version", layout.version.to_string(), ok));
            findings.extend(layout.v1.iter().map(|place| place_finding(&place.controllers.join(","), place)));
            findings.extend(layout.unified.as_ref().map(|place| place_finding("v2", place)));
            findings.extend(missing_controllers(&layout));
            findings.push(kill_finding(&layout));
            findings.extend(features::features(system_root, &layout));
        }
        Err(error) => findings.push(finding("cgroup version", error.reason(), false)),
    }
    findings
}

fn finding(name: impl Into<String>, value: impl Into<String>, ok: bool) -> Finding {
    Finding { name: name.into(), value: value.into(), ok }
}

fn place_finding(name: &str, place: &Place) -> Finding {
    let writable = access(&place.own, Access::WRITE_OK);
    let state = match writable {
        Ok(()) => "writable".to_owned(),
        Err(error) => format!("not writable: {error}"),
    };
    let value = format!("{} (own group {}), {state}", place.mount.display(), place.own.display());
    finding(format!("cgroup {name}"), value, writable.is_ok())
}

/// The controllers that limits need and that no hierarchy has.
fn missing_controllers(layout: &Layout) -> Vec<Finding> {
    let held: Vec<String> = match &layout.unified {
        Some(place) if layout.version == CgroupVersion::V2 => {
            kernel_fs::words(&place.own.join("cgroup.controllers")).unwrap_or_default()
        }
        Some(_) | None => layout.v1.iter().flat_map(|place| place.controllers.clone()).collect(),
    };
    let missing = |c: &&str| !held.iter().any(|have| have == c);
    let wanted = ["cpu", "memory", "pids"].into_iter().filter(missing);
    wanted.map(|c| finding(format!("cgroup {c}"), "no hierarchy here has it: not enforced", false)).collect()
}

/// The root group has no `cgroup.kill`; any other tells whether the kernel has it.
fn kill_finding(layout: &Layout) -> Finding {
    let name = "cgroup.kill";
    let Some(place) = &layout.unified else {
        return finding(name, "no cgroup2 mount: processes are frozen and killed one by one", true);
    };
    let below = kernel_fs::children(&place.own).unwrap_or_default();
    let mut groups = std::iter::once(&place.own).chain(&below);
    if groups.any(|group| group.join(name).exists()) {
        finding(name, "available", true)
    } else if below.is_empty() {
        finding(name, "unknown until the first group is made (Linux 5.14 and later have it)", true)
    } else {
        finding(name, "not in this kernel (5.14 and later): processes are frozen and killed one by one", true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_proc_is_a_finding_not_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let findings = probe(folder.path());
        assert!(findings.iter().any(|f| f.name == "cgroup version" && !f.ok), "{findings:?}");
    }

    #[test]
    fn a_v2_machine_without_pids_says_so() {
        let folder = tempfile::tempdir().unwrap();
        crate::fixture::machine(folder.path(), "cpu memory io", "/unit", &[1]);
        let findings = probe(folder.path());
        assert!(findings.iter().any(|f| f.name == "cgroup version" && f.value == "v2"));
        assert!(findings.iter().any(|f| f.name == "cgroup pids" && !f.ok), "{findings:?}");
        assert!(findings.iter().any(|f| f.name == "cgroup v2" && f.ok));
    }
}
