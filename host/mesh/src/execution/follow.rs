//! Reading what a worker writes, while it writes: its log and its standard output are files that grow.
//!
//! The kernel tells of a change (inotify(7)), so nobody polls; the end of the execution is told by its driver.

use super::folder::parse_line;
use crate::Mesh;
use crate::error::MeshError;
use crate::logs::{FollowLog, page};
use crate::ready::readable;
use crate::requests::LogPage;
use hypermesh_model::{Execution, ExecutionId, LogLine};
use rustix::fs::inotify;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

/// Bytes read at once.
const PIECE: usize = 256 << 10;
/// How often a file is looked for that isn't there yet: the execution waits for its turn.
const NOT_YET: Duration = Duration::from_millis(100);

/// A growing file of an execution, and how far it was read.
#[derive(Debug)]
pub struct FileFollower {
    mesh: Mesh,
    id: ExecutionId,
    path: PathBuf,
    offset: u64,
    watch: Option<AsyncFd<OwnedFd>>,
}

impl FileFollower {
    /// What is there now beyond what was read, up to a bound, and whether there will never be more.
    ///
    /// # Errors
    /// [`MeshError::NotFound`] when the execution was forgotten meanwhile; a fault when the file can't be read.
    pub async fn read(&mut self) -> Result<(Vec<u8>, bool), MeshError> {
        // The state first: what was written before the end is then in the file.
        let ended = self.mesh.execution(&self.id)?.status.is_final();
        let (path, offset) = (self.path.clone(), self.offset);
        let read = self.mesh.blocking_mesh(move |_| {
            read_from(&path, offset).map_err(|e| MeshError::internal("reading a file")(Box::new(e)))
        });
        let bytes = read.await?;
        self.offset += bytes.len() as u64;
        let complete = ended && bytes.is_empty();
        Ok((bytes, complete))
    }

    /// Gives back bytes that were read and are not whole yet.
    fn unread(&mut self, bytes: usize) {
        self.offset = self.offset.saturating_sub(bytes as u64);
    }

    /// Waits until there may be more, at most until `deadline`.
    ///
    /// # Errors
    /// When the kernel can't watch the file.
    pub async fn changed(&mut self, deadline: Instant) -> Result<(), MeshError> {
        if self.watch.is_none() {
            self.watch =
                watch(&self.path).map_err(|e| MeshError::internal("watching a file")(Box::new(e)))?;
            if self.watch.is_some() {
                return Ok(()); // Read once more: it may have grown before it was watched.
            }
        }
        let Some(mut done) = self.mesh.supervision.done(&self.id) else { return Ok(()) };
        let grown = async {
            match &self.watch {
                Some(watch) => drain(watch).await,
                None => tokio::time::sleep(NOT_YET).await,
            }
        };
        tokio::select! {
            () = grown => {}
            // An error is the driver's end.
            () = async { while done.changed().await.is_ok() {} } => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
        Ok(())
    }
}

fn read_from(path: &Path, offset: u64) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(PIECE as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// `None` while there is no such file.
fn watch(path: &Path) -> io::Result<Option<AsyncFd<OwnedFd>>> {
    let events = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    match inotify::add_watch(&events, path, inotify::WatchFlags::MODIFY) {
        Ok(_) => Ok(Some(readable(events)?)),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn drain(watch: &AsyncFd<OwnedFd>) {
    let Ok(mut ready) = watch.readable().await else { return };
    let mut buffer = [0u8; 4096];
    // What the events say is known; that there were some is the news.
    while matches!(rustix::io::read(watch.get_ref(), &mut buffer), Ok(read) if read > 0) {}
    ready.clear_ready();
}

/// An execution's log, line by line.
#[derive(Debug)]
pub struct LogFollower {
    file: FileFollower,
    /// Lines that were passed so far.
    number: u64,
    after: u64,
}

impl FollowLog for LogFollower {
    async fn read(&mut self) -> Result<(Vec<(u64, LogLine)>, bool), MeshError> {
        loop {
            let (bytes, complete) = self.file.read().await?;
            let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |last| last + 1);
            // A line that is longer than a piece can't be: the engine cuts them.
            self.file.unread(bytes.len() - whole);
            let mut lines = Vec::new();
            for line in bytes[..whole].split_inclusive(|b| *b == b'\n') {
                self.number += 1;
                if self.number > self.after {
                    lines.push((self.number, parse_line(line)));
                }
            }
            let ended = complete || (whole == 0 && self.execution()?.status.is_final());
            if !lines.is_empty() || whole == 0 {
                return Ok((lines, ended));
            }
        }
    }

    async fn changed(&mut self, deadline: Instant) -> Result<(), MeshError> {
        self.file.changed(deadline).await
    }

    fn dropped(&self) -> Result<u64, MeshError> {
        Ok(self.execution()?.dropped_log_lines)
    }
}

impl LogFollower {
    fn execution(&self) -> Result<Execution, MeshError> {
        self.file.mesh.execution(&self.file.id)
    }
}

impl Mesh {
    /// Follows an execution's log from behind the `after`th line.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub fn follow_log(&self, id: &ExecutionId, after: u64) -> Result<LogFollower, MeshError> {
        self.execution(id)?;
        let path = self.folder(id).log();
        Ok(LogFollower { file: self.follow(id, path, 0), number: 0, after })
    }

    /// Follows what a command writes to standard output, from an offset in bytes.
    ///
    /// # Errors
    /// [`MeshError::NotFound`]; [`MeshError::Conflict`] for what is no command.
    pub fn follow_stdout(&self, id: &ExecutionId, offset: u64) -> Result<FileFollower, MeshError> {
        let execution = self.execution(id)?;
        let path = self.folder(id).stdout();
        if execution.status.is_final() && !path.is_file() {
            let detail = format!("execution `{id}` is of no command; its result is in `execution.output`");
            return Err(MeshError::Conflict { detail });
        }
        Ok(self.follow(id, path, offset))
    }

    fn follow(&self, id: &ExecutionId, path: PathBuf, offset: u64) -> FileFollower {
        FileFollower { mesh: self.clone(), id: id.clone(), path, offset, watch: None }
    }

    /// Log lines from the `after`th on; waits up to `wait` for the first when there is none yet.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub async fn logs(
        &self,
        id: &ExecutionId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<LogPage, MeshError> {
        page(self.follow_log(id, after)?, after, limit, wait).await
    }

    /// Where to write a streamed standard input; once.
    ///
    /// # Errors
    /// [`MeshError::NotFound`]; [`MeshError::Conflict`] when it is not streamed, somebody writes it already, or it has ended.
    pub fn stdin_of(&self, id: &ExecutionId) -> Result<io::PipeWriter, MeshError> {
        self.execution(id)?;
        self.supervision.take_stdin(id).ok_or_else(|| MeshError::Conflict {
            detail: format!(
                "execution `{id}` takes no standard input now: it was not asked for with `stdin.stream`, somebody \
                 sends it already, or it has ended"
            ),
        })
    }
}
