//! What the logs of executions and of services have in common: they are followed, and read in pages.

use crate::error::MeshError;
use crate::requests::LogPage;
use hypermesh_model::LogLine;
use std::time::Duration;
use tokio::time::Instant;

/// A log and how far it was read.
pub trait FollowLog: Send {
    /// Lines that are there now with their numbers from 1, at most about a piece; and whether there will never be more.
    ///
    /// # Errors
    /// [`MeshError::NotFound`] when what wrote it was forgotten meanwhile; a fault when it can't be read.
    fn read(&mut self) -> impl Future<Output = Result<(Vec<(u64, LogLine)>, bool), MeshError>> + Send;

    /// Waits until there may be more, at most until `deadline`.
    ///
    /// # Errors
    /// When the kernel can't watch the file.
    fn changed(&mut self, deadline: Instant) -> impl Future<Output = Result<(), MeshError>> + Send;

    /// Lines that are no longer there, or never were.
    ///
    /// # Errors
    /// [`MeshError::NotFound`] when what wrote it was forgotten meanwhile.
    fn dropped(&self) -> Result<u64, MeshError>;
}

/// Reads up to `limit` lines; waits up to `wait` for the first when there is none yet. `after` is where the follower
/// stands.
pub(crate) async fn page(
    mut log: impl FollowLog,
    after: u64,
    limit: usize,
    wait: Duration,
) -> Result<LogPage, MeshError> {
    let deadline = Instant::now() + wait;
    let mut lines = Vec::new();
    loop {
        let (mut more, ended) = log.read().await?;
        let none = more.is_empty();
        lines.append(&mut more);
        let enough = lines.len() >= limit;
        if enough || ended || (none && (!lines.is_empty() || Instant::now() >= deadline)) {
            lines.truncate(limit);
            return Ok(LogPage {
                next: lines.last().map_or(after, |(number, _)| *number),
                complete: ended && !enough,
                lines: lines.into_iter().map(|(_, line)| line).collect(),
                dropped: log.dropped()?,
            });
        }
        if none {
            log.changed(deadline).await?;
        }
    }
}
