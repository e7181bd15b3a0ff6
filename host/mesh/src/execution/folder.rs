//! The folder of one execution: what the node gives the worker, and what the worker leaves.
//!
//! ```text
//! job.json      what to run and within which limits (node → worker)
//! in/           granted inputs, hard links to the blob store
//! log.jsonl     one line of JSON a log line (worker → node)
//! outcome.json  how it ended (worker → node), renamed into place when whole
//! out/          files that the guest wrote
//! stderr.txt    what the worker process itself said, when it failed
//! ```
//! Files and not pipes, so that a worker outlives a crash of the node and its result is still there afterwards. What a
//! worker wrote is read with a cap and believed only as text: it may have been taken over by its guest.

use crate::blobs::{BlobStore, Receiving};
use crate::error::MeshError;
use hypermesh_engine::{JobOutcome, JobSpec};
use hypermesh_model::{ExecutionId, InputFile, LogLine};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Result text of a guest.
pub const MAX_RESULT_BYTES: u64 = 1 << 20;
/// Log text of a guest; what comes after is counted and dropped.
pub const MAX_LOG_BYTES: u64 = 1 << 20;
/// `outcome.json`: the result escaped as JSON, plus a backtrace.
const MAX_OUTCOME_BYTES: u64 = 8 << 20;
/// The worker's own words.
const MAX_STDERR_BYTES: u64 = 4096;

/// What a worker is told.
#[derive(Debug, Serialize, Deserialize)]
pub struct WorkerJob {
    /// What to run.
    pub spec: JobSpec,
    /// The compiled artefact.
    pub artefact: PathBuf,
    /// The folder of the lease, if it was granted.
    pub folder: Option<PathBuf>,
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

    /// Where its inputs are.
    pub fn inputs(&self) -> PathBuf {
        self.file("in")
    }

    /// Where the guest's files go.
    pub fn outputs(&self) -> PathBuf {
        self.file("out")
    }

    /// Makes the folder anew and links the inputs into it.
    ///
    /// # Errors
    /// [`MeshError::NotFound`] when an input is gone; a fault when the disk refuses.
    pub fn prepare(&self, inputs: &[InputFile], blobs: &BlobStore) -> Result<Vec<String>, MeshError> {
        self.remove()?;
        fs::create_dir_all(self.file("in")).map_err(fault("making a folder"))?;
        fs::create_dir_all(self.outputs()).map_err(fault("making a folder"))?;
        let mut granted = Vec::with_capacity(inputs.len());
        for (index, input) in inputs.iter().enumerate() {
            let link = self.file("in").join(index.to_string());
            fs::hard_link(blobs.path(Receiving::Blob, &input.digest), &link)
                .map_err(|_| MeshError::not_found("blob", &input.digest))?;
            granted.push(input.name.clone());
        }
        Ok(granted)
    }

    /// Writes what the worker is told.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write_job(&self, job: &WorkerJob) -> Result<(), MeshError> {
        let text = serde_json::to_vec(job)
            .map_err(|e| MeshError::Internal { doing: "writing a job", source: Box::new(e) })?;
        fs::write(self.file("job.json"), text).map_err(fault("writing a job"))
    }

    /// Reads what the worker is told.
    ///
    /// # Errors
    /// When the file is missing or not a job.
    pub fn read_job(&self) -> io::Result<WorkerJob> {
        Ok(serde_json::from_slice(&fs::read(self.file("job.json"))?)?)
    }

    /// The file for the worker's own words.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn create_stderr(&self) -> Result<File, MeshError> {
        File::create(self.file("stderr.txt")).map_err(fault("making a file"))
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

    /// Records how it ended; whole or not at all.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write_outcome(&self, outcome: &JobOutcome) -> io::Result<()> {
        let temporary = self.file("outcome.tmp");
        fs::write(&temporary, serde_json::to_vec(outcome)?)?;
        fs::rename(temporary, self.file("outcome.json"))
    }

    /// How it ended; `None` when the worker left nothing that can be read.
    pub fn read_outcome(&self) -> Option<JobOutcome> {
        let mut text = Vec::new();
        File::open(self.file("outcome.json")).ok()?.take(MAX_OUTCOME_BYTES).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Log lines from the `after`th on, at most `limit`, and whether that was all there is now. A line that is not
    /// whole yet is left for later; one that is not a log line is shown as it is.
    ///
    /// # Errors
    /// When the file can't be read; a missing one is empty.
    pub fn read_log(&self, after: u64, limit: usize) -> io::Result<Vec<LogLine>> {
        let file = match File::open(self.log()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        // JSON escapes make a line at most six times as long as its text.
        let mut reader = BufReader::new(file.take(6 * MAX_LOG_BYTES + (1 << 20)));
        let (mut lines, mut line, mut number) = (Vec::new(), Vec::new(), 0u64);
        while lines.len() < limit {
            line.clear();
            if reader.read_until(b'\n', &mut line)? == 0 || line.last() != Some(&b'\n') {
                break;
            }
            number += 1;
            if number > after {
                lines.push(parse_line(&line));
            }
        }
        Ok(lines)
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

fn parse_line(line: &[u8]) -> LogLine {
    serde_json::from_slice(line).unwrap_or_else(|_| LogLine {
        at: hypermesh_model::Timestamp::now(),
        level: "error".into(),
        message: format!("not a log line: {}", String::from_utf8_lossy(line).trim_end()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_log_is_read_in_pages_and_half_a_line_waits() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::at(dir.path());
        assert!(folder.read_log(0, 10).unwrap().is_empty());
        let mut file = File::create(folder.log()).unwrap();
        for n in 0..5 {
            writeln!(file, r#"{{"at":"2026-01-01T00:00:00Z","level":"info","message":"{n}"}}"#).unwrap();
        }
        write!(file, r#"{{"at":"2026"#).unwrap();
        let page = folder.read_log(2, 2).unwrap();
        assert_eq!(page.iter().map(|l| l.message.as_str()).collect::<Vec<_>>(), ["2", "3"]);
        assert_eq!(folder.read_log(4, 10).unwrap().len(), 1);
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
