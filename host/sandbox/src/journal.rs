//! Changing files of a live group, all or nothing: each change notes how to take it back.

use crate::CgroupError;
use crate::kernel_fs::{read_optional, write};
use crate::setting::{Part, Setting};
use std::path::Path;

type Undo<'a> = Box<dyn FnOnce() -> Result<(), CgroupError> + 'a>;

/// What was changed, the oldest first.
#[derive(Default)]
pub(crate) struct Journal<'a> {
    undos: Vec<Undo<'a>>,
}

impl<'a> Journal<'a> {
    /// Notes how to take a change back.
    pub(crate) fn note(&mut self, undo: impl FnOnce() -> Result<(), CgroupError> + 'a) {
        self.undos.push(Box::new(undo));
    }

    /// Writes what a setting asks, unless the kernel holds it. A file that is not there is left: the receipt says so.
    ///
    /// # Errors
    /// When the kernel refuses the value.
    pub(crate) fn set(&mut self, dir: &Path, setting: &Setting) -> Result<(), CgroupError> {
        for (file, value) in &setting.before {
            self.write(dir, file, &Part::Whole, (value, value))?;
        }
        self.write(dir, setting.file, &setting.part, (&setting.value, &setting.expected))
    }

    /// Writes a value, unless the kernel holds what it makes of it.
    ///
    /// # Errors
    /// When the kernel refuses the value.
    pub(crate) fn write(
        &mut self,
        dir: &Path,
        file: &str,
        part: &Part,
        (value, expected): (&str, &str),
    ) -> Result<(), CgroupError> {
        let path = dir.join(file);
        let Some(before) = read_optional(&path)? else { return Ok(()) };
        if part.of(&before).as_deref() == Some(expected) {
            return Ok(());
        }
        match write(&path, value) {
            // A device that the kernel does not know: the receipt says that there is no rule for it.
            Err(error) if error.is_missing() && *part != Part::Whole => return Ok(()),
            written => written?,
        }
        let restore = part.restore(&before);
        self.note(move || write(&path, &restore));
        Ok(())
    }

    /// Takes everything back, the newest change first. What can't be is in the log.
    pub(crate) fn undo(self) {
        for undo in self.undos.into_iter().rev() {
            if let Err(error) = undo() {
                tracing::error!(
                    reason = error.reason(),
                    "a limit is not what it was before a change that failed"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_taken_back_is_as_it_was(
            before in "[1-9]{1,4}", changes in proptest::collection::vec(("[ab]", "[0-9]{1,4}"), 0..8),
        ) {
            let dir = tempfile::tempdir().unwrap();
            for file in ["a", "b"] {
                std::fs::write(dir.path().join(file), &before).unwrap();
            }
            let mut journal = Journal::default();
            for (file, value) in &changes {
                journal.write(dir.path(), file, &Part::Whole, (value, value)).unwrap();
                prop_assert_eq!(&std::fs::read_to_string(dir.path().join(file)).unwrap(), value);
            }
            journal.undo();
            for file in ["a", "b"] {
                prop_assert_eq!(&std::fs::read_to_string(dir.path().join(file)).unwrap(), &before);
            }
        }
    }
}
