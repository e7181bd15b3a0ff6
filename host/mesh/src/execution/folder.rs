//! The folder of one execution: what the node gives the worker, and what the worker leaves.
//!
//! ```text
//! in/           granted inputs, hard links to the blob store; where there are any
//! log.jsonl     one line of JSON a log line (worker → node)
//! outcome.json  how it ended (worker → node): a line of JSON, then the bytes of the result
//! out/          files that the guest wrote
//! stdout        what a command wrote to standard output
//! stderr.txt    what the worker process itself said, when it failed
//! ```
//! The worker has no filesystem and gets these as descriptors. Files and not pipes, so that a worker outlives a crash of the node and its result is still there afterwards. What a
//! worker wrote is read with a cap and believed only as text: it may have been taken over by its guest.

use crate::blobs::{BlobStore, Receiving};
use crate::error::MeshError;
use crate::workers::{Descriptors, Role};
use hypermesh_engine::JobOutcome;
use hypermesh_model::{ExecutionId, InputFile, LogLine};
use rustix::fs::{Mode, OFlags};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Result text of a guest that is kept in its record; a longer one becomes a blob.
pub(super) const MAX_INLINE_RESULT: usize = 1 << 20;
/// Result text of a guest.
pub const MAX_RESULT_BYTES: u64 = 16 << 20;
/// Log text of a guest; what comes after is counted and dropped.
pub const MAX_LOG_BYTES: u64 = 1 << 20;
/// The first line of `outcome.json`: a backtrace, the names of outputs, operations with their schemas.
const MAX_OUTCOME_BYTES: u64 = 8 << 20;
/// The worker's own words.
const MAX_STDERR_BYTES: u64 = 4096;

/// What an execution needs of its folder.
pub(crate) struct Needs<'a> {
    pub(crate) inputs: &'a [InputFile],
    pub(crate) blobs: &'a BlobStore,
    /// Whether it may write files.
    pub(crate) outputs: bool,
    /// Whether it has a standard output of its own.
    pub(crate) stdout: bool,
    /// The user that its worker will be.
    pub(crate) uid: Option<u32>,
}

/// What a worker left.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended. A result in it is empty: it is beside it.
    pub ended: JobOutcome,
    /// JSON text.
    pub result: String,
}

/// Records how it ended. The result goes behind the record as it is, unescaped.
///
/// # Errors
/// When the disk refuses.
pub(crate) fn write_outcome(file: File, mut ended: JobOutcome) -> io::Result<()> {
    let result = match &mut ended {
        JobOutcome::Completed { result, .. } => std::mem::take(result),
        JobOutcome::Described(_) | JobOutcome::Failed { .. } => String::new(),
    };
    let mut writer = BufWriter::new(file);
    serde_json::to_writer(&mut writer, &ended)?;
    writer.write_all(b"\n")?;
    writer.write_all(result.as_bytes())?;
    writer.flush()
}

fn open_folder(path: &Path) -> Result<OwnedFd, MeshError> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|e| fault("opening a folder")(e.into()))
}

/// The folder of one execution.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

fn fault(doing: &'static str) -> impl FnOnce(io::Error) -> MeshError {
    move |source| MeshError::Internal { doing, source: Box::new(source) }
}

impl Folder {
    /// The folder of an execution below the node's data folder; not made yet.
    pub fn of(executions: &Path, id: &ExecutionId) -> Self {
        Self(executions.join(id.as_str()))
    }

    /// A folder by path: the worker's view.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The log.
    pub fn log(&self) -> PathBuf {
        self.file("log.jsonl")
    }

    /// Where the guest's files go.
    pub fn outputs(&self) -> PathBuf {
        self.file("out")
    }

    /// Makes the folder anew, links the inputs into it, and opens what the worker writes.
    ///
    /// # Errors
    /// [`MeshError::NotFound`] when an input is gone; a fault when the disk refuses.
    pub(crate) fn prepare(&self, needs: &Needs<'_>, fds: &mut Descriptors) -> Result<(), MeshError> {
        if self.0.exists() {
            self.remove()?;
        }
        fs::create_dir(&self.0).map_err(fault("making a folder"))?;
        fds.add(Role::Log, self.create("log.jsonl")?);
        fds.add(Role::Outcome, self.create("outcome.json")?);
        fds.add(Role::Stderr, self.create("stderr.txt")?);
        if needs.stdout {
            fds.add(Role::Stdout, self.create("stdout")?);
        }
        if !needs.inputs.is_empty() {
            let folder = self.file("in");
            fs::create_dir(&folder).map_err(fault("making a folder"))?;
            for (index, input) in needs.inputs.iter().enumerate() {
                fs::hard_link(
                    needs.blobs.path(Receiving::Blob, &input.digest),
                    folder.join(index.to_string()),
                )
                .map_err(|_| MeshError::not_found("blob", &input.digest))?;
            }
            fds.add(Role::Inputs, open_folder(&folder)?);
        }
        if needs.outputs {
            let folder = self.outputs();
            fs::create_dir(&folder).map_err(fault("making a folder"))?;
            if let Some(uid) = needs.uid {
                let (user, group) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(uid));
                rustix::fs::chown(&folder, Some(user), Some(group))
                    .map_err(|e| fault("giving a folder away")(e.into()))?;
            }
            fds.add(Role::Outputs, open_folder(&folder)?);
        }
        Ok(())
    }

    fn create(&self, name: &str) -> Result<File, MeshError> {
        File::create_new(self.file(name)).map_err(fault("making a file"))
    }

    /// What the worker itself said, its first bytes.
    pub fn stderr(&self) -> String {
        let mut text = Vec::new();
        let read = File::open(self.file("stderr.txt"))
            .and_then(|file| file.take(MAX_STDERR_BYTES).read_to_end(&mut text));
        if read.is_err() {
            text.clear();
        }
        String::from_utf8_lossy(&text).trim().to_owned()
    }

    /// How it ended; `None` when the worker left nothing that can be read.
    pub fn read_outcome(&self) -> Option<Outcome> {
        read_outcome(File::open(self.file("outcome.json")).ok()?)
    }

    /// What a command writes to standard output.
    pub fn stdout(&self) -> PathBuf {
        self.file("stdout")
    }

    /// A file that the guest wrote, if there is one of that name.
    pub fn output(&self, name: &str) -> Option<PathBuf> {
        if name.contains('/') || name.starts_with('.') || name.is_empty() {
            return None;
        }
        let path = self.outputs().join(name);
        // A link would let a taken-over worker show the node's own files.
        fs::symlink_metadata(&path).ok()?.is_file().then_some(path)
    }

    /// Removes what nobody can ask for any more: the links to inputs, and what a guest left that failed.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn drop_leftovers(&self, failed: bool) -> Result<(), MeshError> {
        let outputs = failed.then(|| self.outputs());
        for folder in [Some(self.file("in")), outputs].into_iter().flatten() {
            match fs::remove_dir_all(folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(fault("removing what was left")(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Removes the folder; a missing one is fine.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remove(&self) -> Result<(), MeshError> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fault("removing a folder")(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// How a worker ended, from what it wrote; `None` when that can't be read.
pub(crate) fn read_outcome(file: File) -> Option<Outcome> {
    let mut reader = BufReader::new(file.take(MAX_OUTCOME_BYTES + MAX_RESULT_BYTES));
    let mut head = Vec::new();
    (&mut reader).take(MAX_OUTCOME_BYTES).read_until(b'\n', &mut head).ok()?;
    let ended: JobOutcome = serde_json::from_slice(&head).ok()?;
    let mut result = Vec::new();
    reader.read_to_end(&mut result).ok()?;
    Some(Outcome { ended, result: String::from_utf8(result).ok()? })
}

/// A line of a log; what is none becomes the text of one.
pub(crate) fn parse_line(line: &[u8]) -> LogLine {
    serde_json::from_slice(line).unwrap_or_else(|_| LogLine {
        at: hypermesh_model::Timestamp::now(),
        level: "error".into(),
        message: format!("not a log line: {}", String::from_utf8_lossy(line).trim_end()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_beside_its_outcome() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::at(dir.path());
        assert!(folder.read_outcome().is_none());
        let ended =
            JobOutcome::Completed { result: "{\"a\":\n1}".into(), outputs: Vec::new(), dropped_log_lines: 3 };
        write_outcome(folder.create("outcome.json").unwrap(), ended).unwrap();
        let Outcome { ended, result } = folder.read_outcome().unwrap();
        assert_eq!(result, "{\"a\":\n1}");
        assert!(matches!(ended, JobOutcome::Completed { dropped_log_lines: 3, .. }));
        fs::write(dir.path().join("outcome.json"), "{\"compl").unwrap();
        assert!(folder.read_outcome().is_none());
    }

    #[test]
    fn an_output_is_a_plain_file_of_the_folder_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::at(dir.path());
        fs::create_dir(folder.outputs()).unwrap();
        fs::write(folder.outputs().join("a.png"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.outputs().join("link")).unwrap();
        assert!(folder.output("a.png").is_some());
        for bad in ["link", "..", "../job.json", "", ".hidden", "missing"] {
            assert!(folder.output(bad).is_none(), "{bad}");
        }
    }
}
