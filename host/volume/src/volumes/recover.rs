//! From what is on disk to what was meant, at the start and before each change.
//!
//! | record | becomes |
//! |---|---|
//! | none, or `Making` | nothing: nobody was told of it |
//! | `Ready` | attached, or its limit set again |
//! | `Resizing` | the new size, or the old one if that isn't possible |
//! | `Removing` | nothing, as soon as nobody holds it |

use super::Volumes;
use crate::error::VolumeError;
use crate::image::{self, Depth};
use crate::quota;
use crate::record::{self, Bound, Phase, Place, Record};

impl Volumes {
    /// Settles every volume. What fails is logged, with its causes, and stays as it is.
    pub(super) fn recover(&self) -> Result<(), VolumeError> {
        for lease in record::leases(&self.folder)? {
            let _turn = self.turns.take(&lease);
            match self.settled(&Place::of(&self.folder, &lease)) {
                Ok(_) => {}
                Err(VolumeError::Removing { .. }) => {
                    tracing::warn!(%lease, "a removed volume is still held open by a process");
                }
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(%lease, %error, cause, "a volume can't be recovered");
                }
            }
        }
        Ok(())
    }

    /// The record of a volume that is as its record says; `None` where there is none any more.
    pub(super) fn settled(&self, place: &Place) -> Result<Option<Record>, VolumeError> {
        let Some(mut record) = place.load()? else {
            place.erase()?;
            return Ok(None);
        };
        match record.state {
            Phase::Ready => {
                self.hold(place, &record)?;
                Ok(Some(record))
            }
            Phase::Resizing { to } => {
                self.hold(place, &record)?;
                match self.change_size(place, &record, to) {
                    Ok(()) => record.size = to,
                    Err(error) => {
                        tracing::warn!(lease = %record.lease, %error, "a volume keeps its old size")
                    }
                }
                record.state = Phase::Ready;
                place.save(&record)?;
                Ok(Some(record))
            }
            Phase::Making => {
                self.undo(place)?;
                self.gone(place, &record)
            }
            Phase::Removing => {
                self.finish_removing(place, &record)?;
                self.gone(place, &record)
            }
        }
    }

    /// Makes the kernel hold what the record says.
    fn hold(&self, place: &Place, record: &Record) -> Result<(), VolumeError> {
        match record.bound {
            Bound::LoopImage => {
                let depth = match record.state {
                    Phase::Resizing { .. } => Depth::Whole,
                    Phase::Making | Phase::Ready | Phase::Removing => Depth::AsNeeded,
                };
                image::check_if_unused(&self.system, place, depth)?;
                image::attach(&self.system, place, &self.steps)
            }
            Bound::ProjectQuota { project } => quota::make(place, project, record.size, &self.steps),
        }
    }

    fn gone(&self, place: &Place, record: &Record) -> Result<Option<Record>, VolumeError> {
        match place.load()? {
            None => Ok(None),
            Some(_) => Err(VolumeError::Removing { lease: record.lease.clone() }),
        }
    }
}
