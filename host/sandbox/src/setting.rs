//! One limit as the kernel wants it, and the rule that turns it into an entry of the receipt: written, read back,
//! compared.
//!
//! The plans of [`crate::v1`] and [`crate::v2`] are pure lists of settings; only this module touches files. A missing
//! file means a missing controller or an older kernel and makes an `Unenforced` entry; a refused value is an error.

use crate::CgroupError;
use crate::kernel_fs::{read_optional, write};
use hypermesh_model::{EnforcementEntry, EnforcementState};
use std::path::Path;

/// What the machine adds to a plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// The kernel rounds memory limits down to this many bytes.
    pub(crate) page_size: u64,
    /// Whether there is swap that a lease could escape to.
    pub(crate) has_swap: bool,
}

/// What a missing file means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfMissing {
    /// The limit is not enforced.
    Unenforced,
    /// There is nothing to enforce (swap on a machine without swap) or the file only refines another limit.
    LeaveOut,
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
    pub(crate) if_missing: IfMissing,
}

/// Whether to write or only to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Write,
    Check,
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
            if_missing: IfMissing::Unenforced,
        }
    }

    /// The entry for a limit that has no group to hold it.
    pub(crate) fn unenforced(&self, reason: String) -> Option<EnforcementEntry> {
        (self.if_missing == IfMissing::Unenforced).then(|| EnforcementEntry {
            limit: self.limit.to_owned(),
            state: EnforcementState::Unenforced,
            requested: self.value.clone(),
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
        if mode == Mode::Write {
            let before = self.before.iter().try_for_each(|(file, value)| write(&dir.join(file), value));
            match before.and_then(|()| write(&path, &self.value)) {
                // Read back as missing, below.
                Err(error) if error.is_missing() => {}
                written => written?,
            }
        }
        let Some(actual) = read_optional(&path)? else {
            return Ok(self.unenforced(format!("there is no {}", path.display())));
        };
        let mut reason = (actual != self.expected).then(|| format!("the kernel holds `{actual}`"));
        for (file, value) in &self.before {
            let held = read_optional(&dir.join(file))?;
            if held.as_ref() != Some(value) {
                reason = Some(format!("{file} holds {held:?} instead of `{value}`"));
            }
        }
        Ok(Some(EnforcementEntry {
            limit: self.limit.to_owned(),
            state: if reason.is_none() { EnforcementState::Enforced } else { EnforcementState::Unenforced },
            requested: self.value.clone(),
            actual: Some(actual),
            file: Some(path.display().to_string()),
            reason,
        }))
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
}
