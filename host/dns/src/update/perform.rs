//! An update from its reading to its answer.

use super::plan::plan;
use super::read::{Asked, read};
use super::{Refusal, Update, Updates};
use crate::message::Request;
use crate::tsig::TsigKey;
use crate::types::Rcode;
use crate::zone::Zones;

/// How often an update is tried again when the zone changed under it.
const TRIES: usize = 16;

/// Makes an update that was signed with `key`, and gives the code of its answer.
pub(crate) async fn perform(
    request: &Request<'_>,
    key: &TsigKey,
    zones: &Zones,
    updates: Option<&dyn Updates>,
) -> Rcode {
    let Some(updates) = updates.filter(|_| key.may_update_something()) else { return Rcode::REFUSED };
    let asked = match read(request, zones.current().origin()) {
        Ok(asked) => asked,
        Err(rcode) => return rcode,
    };
    if !asked.steps.iter().all(|step| key.may_update(step.name())) {
        return Rcode::REFUSED;
    }
    match commit(&asked, key, zones, updates).await {
        Ok(()) => Rcode::NOERROR,
        Err(rcode) => rcode,
    }
}

async fn commit(asked: &Asked, key: &TsigKey, zones: &Zones, updates: &dyn Updates) -> Result<(), Rcode> {
    for _ in 0..TRIES {
        let snapshot = zones.current();
        let changes = plan(&snapshot, asked)?;
        if changes.is_empty() {
            return Ok(());
        }
        let update = Update { changes, base_serial: snapshot.serial(), key: key.name().clone() };
        match updates.commit(update).await {
            Ok(()) => return Ok(()),
            Err(Refusal::Stale) => {}
            Err(refusal @ Refusal::Denied(_)) => {
                tracing::info!(key = %key.name(), %refusal, "an update was refused");
                return Err(Rcode::REFUSED);
            }
            Err(refusal @ Refusal::Failed(_)) => {
                tracing::error!(key = %key.name(), %refusal, "an update failed");
                return Err(Rcode::SERVFAIL);
            }
        }
    }
    Err(Rcode::SERVFAIL)
}
