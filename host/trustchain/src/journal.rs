//! Revocations in a file of their own, one JSON document a line, beside SQLite's table.
//!
//! SQLite has each of them synced before it is acknowledged. This file is for the day on which the database is lost: a
//! certificate that was taken back must not come back with an index that is made again from the log. It is written before
//! the database and not synced, so of the two at most one misses a revocation that was acknowledged, whatever crashes.

use crate::files::FILE_MODE;
use hypermesh_model::Revocation;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The open file.
#[derive(Debug)]
pub(crate) struct Journal(Mutex<File>);

impl Journal {
    /// Opens the file, and reads what it holds. A line that is not whole, as a crash may leave it, is skipped.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Vec<Revocation>)> {
        let mut file = OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(path)?;
        let text = fs::read(path)?;
        if text.last().is_some_and(|last| *last != b'\n') {
            file.write_all(b"\n")?;
        }
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut known = Vec::new();
        for line in lines {
            match serde_json::from_slice(line) {
                Ok(revocation) => known.push(revocation),
                Err(error) => tracing::warn!(%error, "a line of the revocations' journal is not readable"),
            }
        }
        Ok((Self(Mutex::new(file)), known))
    }

    /// Adds revocations, as one write.
    pub(crate) fn append(&self, revocations: &[Revocation]) -> io::Result<()> {
        let mut lines = Vec::new();
        for revocation in revocations {
            serde_json::to_writer(&mut lines, revocation)?;
            lines.push(b'\n');
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_model::{CertificateId, Timestamp};

    fn revocation(id: &str) -> Revocation {
        let at = Timestamp::from_millis(0);
        Revocation {
            certificate_id: CertificateId::parse(id).unwrap(),
            issuer_id: CertificateId::parse("aa").unwrap(),
            at,
            reason: "keyCompromise".into(),
            valid_to: at,
            by: "admin".into(),
        }
    }

    #[test]
    fn half_a_line_costs_itself_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("revocations.jsonl");
        let (journal, none) = Journal::open(&path).unwrap();
        assert!(none.is_empty());
        journal.append(&[revocation("01"), revocation("02")]).unwrap();
        drop(journal);
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() - 9]).unwrap();
        let (journal, known) = Journal::open(&path).unwrap();
        assert_eq!(known, [revocation("01")]);
        journal.append(&[revocation("03")]).unwrap();
        assert_eq!(Journal::open(&path).unwrap().1, [revocation("01"), revocation("03")]);
    }
}
