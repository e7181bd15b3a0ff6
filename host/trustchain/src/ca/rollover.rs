//! The intermediate's rollover (see `hypermesh_model::Rollover` for the phases), by hand or by the schedule.
//!
//! | step | what is done | what a crash before the row leaves |
//! |---|---|---|
//! | prepare | key and certificate on disk, then the rows | a pair that the next start takes in as retiring |
//! | distribute | rows: it is in bundles and the hierarchy | — |
//! | activate | rows: the new one signs, the old one retires; then memory | — |
//! | retire | rows: nothing of the old one is valid any more; then its key goes | a key, which the next start removes |
//!
//! Rows of authority and rollover change in one commit, and memory after it, so a restart goes on where it was. Whoever is
//! issuing under the old one ends under it: the snapshot that he took stays.

use super::bootstrap::{self, assemble, row};
use super::{Ca, Issuer};
use crate::TrustChain;
use crate::error::TrustError;
use crate::records::AuthorityState;
use hypermesh_model::{
    CertificateId, CertificateRecord, EventKind, Rollover, RolloverId, RolloverPhase, RolloverStep,
    Timestamp, error_chain,
};
use hypermesh_store::Batch;
use serde_json::json;
use std::sync::{Arc, PoisonError};

/// Who asks, in records of what the schedule did.
const SCHEDULE: &str = "schedule";
/// The schedule prepares a successor when the one that signs has this long to live, seconds: 120 days, so that
/// certificates of the usual 90 can be issued at any time.
const PREPARE_BEFORE: u64 = 120 * 86_400;

impl TrustChain {
    /// Every rollover, oldest first.
    pub fn rollovers(&self) -> Vec<Rollover> {
        self.tables.rollovers.all()
    }

    fn rollover(&self, id: &RolloverId) -> Result<Rollover, TrustError> {
        self.tables.rollovers.get(id).ok_or_else(|| TrustError::not_found("rollover", id))
    }

    /// The rollover whose new authority doesn't sign yet.
    fn open_rollover(&self) -> Option<Rollover> {
        let open = |rollover: &Rollover| {
            matches!(rollover.phase(), RolloverPhase::Prepared | RolloverPhase::Distributed)
        };
        self.tables.rollovers.filter(open).pop()
    }

    /// Begins a rollover: makes the new intermediate. That takes the root's key.
    ///
    /// # Errors
    /// [`TrustError::Conflict`] while another one is open, or when the root's key is not on this machine.
    pub async fn prepare_rollover(&self, by: &str) -> Result<Rollover, TrustError> {
        let _turn = self.rolling.lock().await;
        if let Some(open) = self.open_rollover() {
            return Err(TrustError::conflict(format!(
                "the rollover `{}` is {}",
                open.id,
                open.phase().name()
            )));
        }
        let domain = self.clone();
        let made = tokio::task::spawn_blocking(move || {
            let root = bootstrap::root_authority(&domain.keys, &domain.ca().root)?;
            bootstrap::make_intermediate(
                &domain.settings,
                &domain.files,
                &domain.keys,
                &root,
                Timestamp::now(),
            )
        });
        let new = made.await.map_err(TrustError::internal("waiting for a thread"))??;
        self.log
            .add_issuer(new.certificate.der())
            .map_err(TrustError::internal("telling the log of an intermediate"))?;
        let rollover = Rollover {
            id: RolloverId::generate(),
            from: self.ca().active.id.clone(),
            to: new.id.clone(),
            steps: vec![RolloverStep {
                phase: RolloverPhase::Prepared,
                at: Timestamp::now(),
                by: by.to_owned(),
            }],
        };
        let mut next = Ca::clone(&self.ca());
        next.intermediates.push(Arc::new(new));
        self.enter(next, &rollover).await?;
        Ok(rollover)
    }

    /// Takes a rollover to its next phase.
    ///
    /// # Errors
    /// [`TrustError::NotFound`]; [`TrustError::Conflict`] at its end, and for `retire` while certificates of the old
    /// authority are valid.
    pub async fn advance_rollover(&self, id: &RolloverId, by: &str) -> Result<Rollover, TrustError> {
        let _turn = self.rolling.lock().await;
        let rollover = self.rollover(id)?;
        let Some(next) = rollover.phase().next() else {
            let detail = format!("the rollover is {}: nothing comes after that", rollover.phase().name());
            return Err(TrustError::conflict(detail));
        };
        self.reach(rollover, next, by).await
    }

    /// Gives a rollover up, before its new authority signed anything.
    ///
    /// # Errors
    /// [`TrustError::NotFound`]; [`TrustError::Conflict`] when it signs already.
    pub async fn abandon_rollover(&self, id: &RolloverId, by: &str) -> Result<Rollover, TrustError> {
        let _turn = self.rolling.lock().await;
        let rollover = self.rollover(id)?;
        self.reach(rollover, RolloverPhase::Abandoned, by).await
    }

    async fn reach(
        &self,
        mut rollover: Rollover,
        phase: RolloverPhase,
        by: &str,
    ) -> Result<Rollover, TrustError> {
        if !rollover.phase().may_become(phase) {
            let detail =
                format!("a rollover that is {} can't become {}", rollover.phase().name(), phase.name());
            return Err(TrustError::conflict(detail));
        }
        let (old, new) = (rollover.from.clone(), rollover.to.clone());
        let mut states = Vec::new();
        match phase {
            RolloverPhase::Prepared => {}
            RolloverPhase::Distributed => states.push((new, AuthorityState::Distributed)),
            RolloverPhase::Activated => {
                states.push((old, AuthorityState::Retiring));
                states.push((new, AuthorityState::Active));
            }
            RolloverPhase::Retired => {
                if let Some(last) = self.last_valid_of(&old) {
                    return Err(TrustError::conflict(format!(
                        "certificates of the old authority are valid until {last}; revoke them or wait"
                    )));
                }
                states.push((old, AuthorityState::Retired));
            }
            RolloverPhase::Abandoned => states.push((new, AuthorityState::Retired)),
        }
        let gone: Vec<_> =
            states.iter().filter(|(_, state)| *state == AuthorityState::Retired).cloned().collect();
        let next = with_states(&self.ca(), &states)?;
        rollover.steps.push(RolloverStep { phase, at: Timestamp::now(), by: by.to_owned() });
        self.enter(next, &rollover).await?;
        crate::failpoint::at("rollover.recorded");
        for (id, _) in gone {
            self.destroy_key(&id)?;
        }
        self.work.notify_one();
        Ok(rollover)
    }

    /// Puts the new state on record, then has it used.
    async fn enter(&self, next: Ca, rollover: &Rollover) -> Result<(), TrustError> {
        let mut batch = Batch::new();
        for issuer in next.all() {
            batch.put(&self.tables.authorities, row(issuer));
        }
        batch.put(&self.tables.rollovers, rollover.clone());
        let data = json!({ "from": rollover.from, "to": rollover.to, "phase": rollover.phase().name() });
        batch.event(EventKind::RolloverAdvanced, rollover.id.as_str(), data);
        self.commit(batch, "recording a rollover").await?;
        *self.ca.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        tracing::info!(rollover = %rollover.id, phase = rollover.phase().name(), "the intermediate's rollover went on");
        Ok(())
    }

    fn destroy_key(&self, id: &CertificateId) -> Result<(), TrustError> {
        match self.ca().get(id) {
            Some(issuer) => self
                .keys
                .remove(&issuer.key_name())
                .map_err(TrustError::internal("destroying a retired authority's key")),
            None => Ok(()),
        }
    }

    /// Until when the last certificate of an authority is valid that is neither expired nor revoked.
    fn last_valid_of(&self, id: &CertificateId) -> Option<Timestamp> {
        let now = Timestamp::now();
        let mut last = None;
        let valid = |record: &CertificateRecord| {
            record.issuer_id == *id && record.valid_to >= now && self.revocation(&record.id).is_none()
        };
        self.index.each(|record| {
            if valid(record) {
                last = last.max(Some(record.valid_to));
            }
        });
        last
    }

    /// What the schedule does: a successor in time, handed out for a while, then the change, then the end.
    pub(crate) async fn roll_over_due(&self) {
        if let Err(error) = self.roll_over_once().await {
            tracing::warn!(error = error_chain(&error), "the intermediate's rollover didn't go on");
        }
    }

    async fn roll_over_once(&self) -> Result<(), TrustError> {
        let now = Timestamp::now();
        let active = self.ca().active.clone();
        let left = now.until(active.certificate.not_after()).as_secs();
        let open = self.open_rollover();
        if left < PREPARE_BEFORE && open.is_none() && self.keys.has(&self.ca().root.key_name()) {
            let rollover = self.prepare_rollover(SCHEDULE).await?;
            self.advance_rollover(&rollover.id, SCHEDULE).await?;
        }
        for rollover in self.tables.rollovers.filter(|rollover| !rollover.phase().is_final()) {
            match rollover.phase() {
                // Prepared by hand is handed out by hand.
                RolloverPhase::Prepared | RolloverPhase::Retired | RolloverPhase::Abandoned => {}
                RolloverPhase::Distributed => {
                    let since = rollover.reached(RolloverPhase::Distributed).unwrap_or(now);
                    if now >= since.plus_seconds(self.settings.distribute_for.as_secs()) {
                        self.advance_rollover(&rollover.id, SCHEDULE).await?;
                    }
                }
                RolloverPhase::Activated => {
                    if self.last_valid_of(&rollover.from).is_none() {
                        self.advance_rollover(&rollover.id, SCHEDULE).await?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The authorities with other states. One that is retired has no key any more.
fn with_states(ca: &Ca, states: &[(CertificateId, AuthorityState)]) -> Result<Ca, TrustError> {
    let changed = |issuer: &Arc<Issuer>| {
        let mut issuer = Issuer::clone(issuer);
        if let Some((_, state)) = states.iter().find(|(id, _)| *id == issuer.id) {
            issuer.state = *state;
        }
        if issuer.state == AuthorityState::Retired {
            issuer.authority = None;
        }
        issuer
    };
    assemble(Issuer::clone(&ca.root), ca.intermediates.iter().map(changed).collect())
}
