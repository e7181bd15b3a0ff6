//! What the host's filesystem has left to promise.
//!
//! Images have their blocks already; a quota is a promise, so what its volume may still grow by counts as taken. One claim
//! at a time: ext4 reserves piece by piece and gives up when the disk is full, so the answer must be known before.

use crate::error::{Doing, VolumeError};
use crate::quota;
use crate::record::{self, Bound, Place};
use hypermesh_model::Bytes;
use rustix::fs::statvfs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The room of one folder of volumes.
#[derive(Debug)]
pub(crate) struct Room {
    volumes: PathBuf,
    gate: Mutex<()>,
}

/// The right to take what was claimed. Nobody else counts meanwhile.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    _gate: MutexGuard<'a, ()>,
}

impl Room {
    pub(crate) fn new(volumes: &Path) -> Self {
        Self { volumes: volumes.to_owned(), gate: Mutex::default() }
    }

    /// Waits for the gate and checks that `needed` more bytes can be taken.
    ///
    /// # Errors
    /// `NoRoom` with the numbers.
    pub(crate) fn claim(&self, needed: u64) -> Result<Claim<'_>, VolumeError> {
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let free = free(&self.volumes)?.0.saturating_sub(self.promised()?);
        if needed > free {
            return Err(VolumeError::NoRoom { needed: Bytes(needed), free: Bytes(free) });
        }
        Ok(Claim { _gate: gate })
    }

    /// What quotas have promised and volumes don't use yet, in bytes.
    fn promised(&self) -> Result<u64, VolumeError> {
        let mut promised = 0_u64;
        for lease in record::leases(&self.volumes)? {
            let place = Place::of(&self.volumes, &lease);
            // An unreadable record has been reported; it must not keep others from getting their volumes.
            let Ok(Some(record)) = place.load() else { continue };
            if let Bound::ProjectQuota { project } = record.bound {
                let held = quota::held(&self.volumes, project)?;
                promised = promised.saturating_add(record.size.0.saturating_sub(held.used));
            }
        }
        Ok(promised)
    }
}

/// What users without privileges could still write on the filesystem that holds a path.
pub(crate) fn free(path: &Path) -> Result<Bytes, VolumeError> {
    let held = statvfs(path).doing("measure", path)?;
    Ok(Bytes(held.f_bavail.saturating_mul(held.f_frsize)))
}
