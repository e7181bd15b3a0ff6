//! Reading the log of a service, while it grows.

use super::live::Live;
use super::log::Cursor;
use crate::Mesh;
use crate::error::MeshError;
use crate::logs::{FollowLog, page};
use crate::requests::LogPage;
use hypermesh_model::{LogLine, ServiceName, ServiceStatus};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A service's log, and how far it was read.
#[derive(Debug)]
pub struct ServiceLogFollower {
    mesh: Mesh,
    live: Arc<Live>,
    cursor: Cursor,
    grown: watch::Receiver<u64>,
}

impl FollowLog for ServiceLogFollower {
    async fn read(&mut self) -> Result<(Vec<(u64, LogLine)>, bool), MeshError> {
        // Before reading: what comes later wakes.
        self.grown.mark_unchanged();
        let ended = self.live.record().status == ServiceStatus::Ended;
        let (live, mut cursor) = (Arc::clone(&self.live), self.cursor);
        let read = self.mesh.blocking_mesh(move |_| match live.log.read(&mut cursor) {
            Ok(lines) => Ok((lines, cursor)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(MeshError::not_found("service", live.record().name))
            }
            Err(error) => Err(MeshError::internal("reading a service's log")(Box::new(error))),
        });
        let (lines, cursor) = read.await?;
        self.cursor = cursor;
        let complete = ended && lines.is_empty();
        Ok((lines, complete))
    }

    async fn changed(&mut self, deadline: Instant) -> Result<(), MeshError> {
        // Neither the end of the time nor that of the log is an error: the next read sees.
        let _ = tokio::time::timeout_at(deadline, self.grown.changed()).await;
        Ok(())
    }

    fn dropped(&self) -> Result<u64, MeshError> {
        Ok(self.live.log.dropped() + self.live.record().usage.dropped_log_lines)
    }
}

impl Mesh {
    /// Follows a service's log from behind the `after`th line.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub fn follow_service_log(
        &self,
        name: &ServiceName,
        after: u64,
    ) -> Result<ServiceLogFollower, MeshError> {
        let live = self.services.get(name)?;
        let grown = live.log.watch();
        Ok(ServiceLogFollower { mesh: self.clone(), live, cursor: Cursor::behind(after), grown })
    }

    /// Log lines of a service from the `after`th on; waits up to `wait` for the first when there is none yet.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub async fn service_logs(
        &self,
        name: &ServiceName,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<LogPage, MeshError> {
        page(self.follow_service_log(name, after)?, after, limit, wait).await
    }
}
