//! One limit as the kernel wants it, and the rule that turns it into an entry of the receipt: written, read back,
//! compared.
//!
//! The plans of [`crate::v1`] and [`crate::v2`] are pure lists of settings; only this module and [`crate::resize`] write
//! them. A missing file means a missing controller or an older kernel and makes an `Unenforced` entry; a refused value
//! is an error.

use crate::CgroupError;
use crate::kernel_fs::{read_optional, write, write_and_read};
use hypermesh_model::{EnforcementEntry, EnforcementState};
use std::path::Path;

/// What the machine adds to a plan.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// The kernel rounds memory limits down to this many bytes.
    pub(crate) page_size: u64,
    /// Whether there is swap that a lease could escape to.
    pub(crate) has_swap: bool,
    /// v1: the memory nodes that the node's folder in the cpuset hierarchy has; empty without one.
    pub(crate) mems: String,
    /// v2: how much memory the groups above ours keep for us; `None` is all of it.
    pub(crate) kept_above: Option<u64>,
}

/// What a missing file means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfMissing {
    /// The limit is not enforced.
    Unenforced,
    /// There is nothing to enforce (swap on a machine without swap) or the file only refines another limit.
    LeaveOut,
}

/// Which part of the file's text a limit is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// The line `MAJ:MIN value`; a device without a line has no limit.
    Device(String),
    /// The word `key=value` in the line that begins with `MAJ:MIN`.
    DeviceKey(String, &'static str),
}

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Its name in the receipt.
    pub(crate) limit: &'static str,
    /// The controller that has the file.
    pub(crate) controller: &'static str,
    /// Files that must hold a value before, e.g. the period of a quota.
    pub(crate) before: Vec<(&'static str, String)>,
    /// The file that holds the limit.
    pub(crate) file: &'static str,
    /// What is written.
    pub(crate) value: String,
    /// What the kernel then holds, when it rounds.
    pub(crate) expected: String,
    /// Where in the file that is read.
    pub(crate) part: Part,
    /// Files that the kernel derives and that must then read so.
    pub(crate) proof: Vec<(&'static str, String)>,
    /// What a limit that is held is worth.
    pub(crate) if_held: EnforcementState,
    /// What a person should know of a limit that is held.
    pub(crate) note: Option<String>,
    pub(crate) if_missing: IfMissing,
}

/// Whether to write or only to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Write,
    Check,
}

impl Part {
    /// This part of a file's text; `None` when it has none.
    pub(crate) fn of(&self, text: &str) -> Option<String> {
        let line = |device: &str| {
            text.lines().find(|line| line.strip_prefix(device).is_some_and(|rest| rest.starts_with(' ')))
        };
        match self {
            Self::Whole => Some(text.to_owned()),
            Self::Device(device) => line(device).map(str::to_owned),
            Self::DeviceKey(device, key) => {
                let has_key = |word: &&str| word.strip_prefix(*key).is_some_and(|rest| rest.starts_with('='));
                Some(format!("{device} {}", line(device)?.split_whitespace().find(has_key)?))
            }
        }
    }

    /// What to write so that a file that held `text` holds it again, as far as this part goes.
    pub(crate) fn restore(&self, text: &str) -> String {
        self.of(text).filter(|held| !held.is_empty()).unwrap_or_else(|| match self {
            // An empty list of CPUs; a write of no bytes would never reach the kernel.
            Self::Whole => "\n".to_owned(),
            Self::Device(device) => format!("{device} 0"),
            Self::DeviceKey(device, key) => format!("{device} {key}=max"),
        })
    }
}

impl Setting {
    /// A limit that is one file and one value.
    pub(crate) fn new(
        limit: &'static str,
        controller: &'static str,
        file: &'static str,
        value: String,
    ) -> Self {
        let expected = value.clone();
        Self {
            limit,
            controller,
            before: Vec::new(),
            file,
            value,
            expected,
            part: Part::Whole,
            proof: Vec::new(),
            if_held: EnforcementState::Enforced,
            note: None,
            if_missing: IfMissing::Unenforced,
        }
    }

    /// The same as a guarantee that the kernel does not promise to keep, and why.
    pub(crate) fn best_effort(self, why: impl Into<String>) -> Self {
        Self { if_held: EnforcementState::BestEffort, note: Some(why.into()), ..self }
    }

    /// The entry for a limit that has no group to hold it.
    pub(crate) fn unenforced(&self, reason: String) -> Option<EnforcementEntry> {
        (self.if_missing == IfMissing::Unenforced).then(|| EnforcementEntry {
            limit: self.limit.to_owned(),
            state: EnforcementState::Unenforced,
            requested: self.value.trim().to_owned(),
            actual: None,
            file: None,
            reason: Some(reason),
        })
    }

    /// Writes (or not), reads back, compares. `None`: nothing to report.
    ///
    /// # Errors
    /// When a value is refused or a file cannot be read.
    pub(crate) fn settle(&self, dir: &Path, mode: Mode) -> Result<Option<EnforcementEntry>, CgroupError> {
        let path = dir.join(self.file);
        let held = match mode {
            Mode::Check => read_optional(&path)?,
            Mode::Write => match self.prepare(dir).and_then(|()| write_and_read(&path, &self.value)) {
                Ok(text) => Some(text),
                // A missing file; or a device that the kernel does not know, and then the file is there.
                Err(error) if error.is_missing() => read_optional(&path)?,
                Err(error) => return Err(error),
            },
        };
        let Some(text) = held else {
            return Ok(self.unenforced(format!("there is no {}", path.display())));
        };
        let actual = self.part.of(&text);
        let reason = match self.mismatch(dir, actual.as_deref())? {
            Some(reason) => Some(reason),
            None => {
                return Ok(Some(EnforcementEntry {
                    state: self.if_held,
                    reason: self.note.clone(),
                    ..self.entry(&path, actual)
                }));
            }
        };
        Ok(Some(EnforcementEntry { reason, ..self.entry(&path, actual) }))
    }

    /// Makes the files in `before` hold what they should; most hold it already.
    fn prepare(&self, dir: &Path) -> Result<(), CgroupError> {
        self.before.iter().try_for_each(|(file, value)| {
            let path = dir.join(file);
            if read_optional(&path)?.as_ref() == Some(value) { Ok(()) } else { write(&path, value) }
        })
    }

    fn mismatch(&self, dir: &Path, actual: Option<&str>) -> Result<Option<String>, CgroupError> {
        if actual != Some(self.expected.as_str()) {
            return Ok(Some(match actual {
                Some(actual) => format!("the kernel holds `{actual}`"),
                None => "the kernel holds no rule for this device".to_owned(),
            }));
        }
        for (file, value) in self.before.iter().chain(&self.proof) {
            let held = read_optional(&dir.join(file))?;
            if held.as_ref() != Some(value) {
                return Ok(Some(format!("{file} holds {held:?} instead of `{value}`")));
            }
        }
        Ok(None)
    }

    fn entry(&self, path: &Path, actual: Option<String>) -> EnforcementEntry {
        EnforcementEntry {
            limit: self.limit.to_owned(),
            state: EnforcementState::Unenforced,
            requested: self.value.trim().to_owned(),
            actual,
            file: Some(path.display().to_string()),
            reason: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn quota() -> Setting {
        let before = vec![("period", "100000".to_owned())];
        Setting { before, ..Setting::new("cpu", "cpu", "quota", "50000".to_owned()) }
    }

    #[test]
    fn a_limit_is_enforced_only_when_every_file_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("quota"), "-1\n").unwrap();
        fs::write(folder.path().join("period"), "100000\n").unwrap();
        let checked = quota().settle(folder.path(), Mode::Check).unwrap().unwrap();
        assert_eq!((checked.state, checked.actual.as_deref()), (EnforcementState::Unenforced, Some("-1")));
        let written = quota().settle(folder.path(), Mode::Write).unwrap().unwrap();
        assert_eq!((written.state, written.actual.as_deref()), (EnforcementState::Enforced, Some("50000")));
        fs::write(folder.path().join("period"), "1000\n").unwrap();
        let widened = quota().settle(folder.path(), Mode::Check).unwrap().unwrap();
        assert_eq!(widened.state, EnforcementState::Unenforced);
        assert!(widened.reason.unwrap().contains("period"));
    }

    #[test]
    fn a_missing_file_is_said_or_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let entry = quota().settle(folder.path(), Mode::Write).unwrap().unwrap();
        assert_eq!((entry.state, entry.actual), (EnforcementState::Unenforced, None));
        let optional = Setting { if_missing: IfMissing::LeaveOut, ..quota() };
        assert_eq!(optional.settle(folder.path(), Mode::Write).unwrap(), None);
    }

    #[test]
    fn what_is_only_a_guarantee_is_best_effort_when_held_and_unenforced_when_not() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("quota"), "").unwrap();
        fs::write(folder.path().join("period"), "").unwrap();
        let weak = quota().best_effort("weak");
        let held = weak.settle(folder.path(), Mode::Write).unwrap().unwrap();
        assert_eq!((held.state, held.reason.as_deref()), (EnforcementState::BestEffort, Some("weak")));
        fs::write(folder.path().join("quota"), "1").unwrap();
        let lost = weak.settle(folder.path(), Mode::Check).unwrap().unwrap();
        assert_eq!(
            (lost.state, lost.reason.as_deref()),
            (EnforcementState::Unenforced, Some("the kernel holds `1`"))
        );
    }

    #[test]
    fn one_device_s_part_is_read_and_put_back_whatever_else_the_file_holds() {
        let text = "8:0 rbps=max wbps=5 riops=max wiops=max\n254:0 riops=7 rbps=1048576 wbps=max";
        let part = Part::DeviceKey("254:0".into(), "rbps");
        assert_eq!(part.of(text).as_deref(), Some("254:0 rbps=1048576"));
        assert_eq!(part.restore(text), "254:0 rbps=1048576");
        assert_eq!(part.restore("8:0 rbps=1"), "254:0 rbps=max");
        let line = Part::Device("4:0".into());
        assert_eq!((line.of("254:0 9"), line.of("4:0 9").as_deref()), (None, Some("4:0 9")));
        assert_eq!(line.restore("254:0 9"), "4:0 0");
        assert_eq!(Part::Whole.restore(""), "\n");
    }
}
