//! A context in memory, for testing a job's logic on the host without WebAssembly.
//!
//! It keeps the host's rules for names, so a name that the host would refuse fails here too. It has no limits on
//! number and size: those belong to an execution.

use crate::{Blob, BlobError, Context, Input, Level, Output, ReadAt};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::rc::Rc;

/// The longest name of an output, in bytes: the host's rule.
const MAX_NAME_BYTES: usize = 128;

/// One progress report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Units done.
    pub done: u64,
    /// Units in all, where known.
    pub total: Option<u64>,
    /// What was being done.
    pub note: String,
}

/// Inputs, outputs, log and progress in memory.
#[derive(Debug, Default)]
pub struct MemoryContext {
    inputs: Vec<(String, Rc<[u8]>)>,
    outputs: BTreeMap<String, Rc<RefCell<Vec<u8>>>>,
    lines: Vec<(Level, String)>,
    reports: Vec<Report>,
}

impl MemoryContext {
    /// A context with nothing granted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Grants an input.
    #[must_use]
    pub fn with_input(mut self, name: &str, bytes: &[u8]) -> Self {
        self.inputs.push((name.to_owned(), Rc::from(bytes)));
        self
    }

    /// What the job has written to an output so far; `None` if it created none of that name.
    pub fn output(&self, name: &str) -> Option<Vec<u8>> {
        self.outputs.get(name).map(|bytes| bytes.borrow().clone())
    }

    /// The log, in order.
    pub fn lines(&self) -> &[(Level, String)] {
        &self.lines
    }

    /// The progress reports, in order.
    pub fn reports(&self) -> &[Report] {
        &self.reports
    }
}

impl Context for MemoryContext {
    fn log(&mut self, level: Level, message: &str) {
        self.lines.push((level, message.to_owned()));
    }

    fn progress(&mut self, done: u64, total: Option<u64>, note: &str) {
        self.reports.push(Report { done, total, note: note.to_owned() });
    }

    fn inputs(&mut self) -> Vec<Blob> {
        let blob = |(name, bytes): &(String, Rc<[u8]>)| Blob { name: name.clone(), size: bytes.len() as u64 };
        self.inputs.iter().map(blob).collect()
    }

    fn open(&mut self, name: &str) -> Result<Input, BlobError> {
        let (_, bytes) = self
            .inputs
            .iter()
            .find(|(known, _)| known == name)
            .ok_or_else(|| BlobError::NotFound(name.to_owned()))?;
        let size = bytes.len() as u64;
        Ok(Input::new(Box::new(MemoryInput(Rc::clone(bytes))), size))
    }

    fn create(&mut self, name: &str) -> Result<Output, BlobError> {
        if name.is_empty()
            || name.len() > MAX_NAME_BYTES
            || name.starts_with('.')
            || name.contains(['/', '\\', '\0'])
        {
            return Err(BlobError::InvalidName(name.to_owned()));
        }
        if self.outputs.contains_key(name) {
            return Err(BlobError::AlreadyExists(name.to_owned()));
        }
        let bytes = Rc::<RefCell<Vec<u8>>>::default();
        self.outputs.insert(name.to_owned(), Rc::clone(&bytes));
        Ok(Output::new(Box::new(MemoryOutput(bytes))))
    }
}

struct MemoryInput(Rc<[u8]>);

impl ReadAt for MemoryInput {
    fn read_at(&mut self, offset: u64, length: u32) -> Result<Vec<u8>, BlobError> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let end = start.saturating_add(length as usize).min(self.0.len());
        Ok(self.0[start..end].to_vec())
    }
}

struct MemoryOutput(Rc<RefCell<Vec<u8>>>);

impl Write for MemoryOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, SeekFrom};

    #[test]
    fn inputs_read_and_seek_like_files() {
        let mut context = MemoryContext::new().with_input("a", b"0123456789");
        let mut input = context.open("a").unwrap();
        assert_eq!(input.size(), 10);
        assert_eq!(input.seek(SeekFrom::End(-3)).unwrap(), 7);
        let mut rest = String::new();
        input.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "789");
        assert_eq!(input.seek(SeekFrom::Start(99)).unwrap(), 99);
        assert_eq!(input.read(&mut [0; 4]).unwrap(), 0);
        assert!(input.seek(SeekFrom::Current(-100)).is_err());
        assert_eq!(context.open("b").unwrap_err(), BlobError::NotFound("b".to_owned()));
    }

    #[test]
    fn outputs_keep_what_was_written_and_refuse_what_the_host_would() {
        let mut context = MemoryContext::new();
        context.create("out.txt").unwrap().write_all(b"hello").unwrap();
        assert_eq!(context.output("out.txt").unwrap(), b"hello");
        assert!(matches!(context.create("out.txt"), Err(BlobError::AlreadyExists(_))));
        for bad in ["", ".", "..", ".hidden", "a/b", "/etc/passwd", "a\0b", "a\\b", &"x".repeat(129)] {
            assert!(matches!(context.create(bad), Err(BlobError::InvalidName(_))), "{bad}");
        }
    }
}
