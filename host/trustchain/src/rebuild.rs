//! Making the index again from log and archive, while the node runs.
//!
//! Issuing waits meanwhile, so that nobody is between the log and the archive. What is in the table and in neither of the
//! two goes; what they have and it lacks is written. Revocations, policies and the zone are no index and stay.

use crate::TrustChain;
use crate::error::TrustError;
use crate::index::CatchUp;
use crate::views::Rebuilt;

impl TrustChain {
    /// Makes the index again.
    ///
    /// # Errors
    /// When log, archive or database can't be read or written; what was written until then is right.
    pub async fn rebuild(&self) -> Result<Rebuilt, TrustError> {
        let _alone = self.issuing.write().await;
        let domain = self.clone();
        tokio::task::spawn_blocking(move || domain.rebuild_now())
            .await
            .map_err(TrustError::internal("waiting for a thread"))?
    }

    fn rebuild_now(&self) -> Result<Rebuilt, TrustError> {
        let mut frames = Vec::new();
        self.archive
            .scan(&mut |frame| frames.push(frame))
            .map_err(TrustError::internal("reading the archive of issued certificates"))?;
        let ca = self.ca();
        let catch_up = CatchUp {
            ca: &ca,
            log: &self.log,
            archive: &self.archive,
            store: &self.store,
            table: &self.tables.certificates,
            marks: &self.tables.marks,
        };
        let (records, _, rebuilt) = catch_up.run(frames, 0, true)?;
        self.index.note(&records);
        tracing::info!(?rebuilt, "the index of certificates was made again");
        Ok(rebuilt)
    }
}
