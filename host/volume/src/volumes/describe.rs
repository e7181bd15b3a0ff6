//! A volume and its receipt, from what the kernel says now.

use super::Volumes;
use crate::error::{Doing, VolumeError};
use crate::image;
use crate::method::Method;
use crate::quota;
use crate::record::{Bound, Phase, Place, Record};
use crate::sys::mounts;
use crate::volume::Volume;
use hypermesh_model::{Bytes, EnforcementEntry, EnforcementState};

/// What an ext4 quota doesn't bound; see the crate's head.
const QUOTA_EXEMPTIONS: &str = "a process with CAP_SYS_RESOURCE passes it on ext4, and the owner of a file outside a user \
                                namespace can take it out of the project; guests can do neither";

impl Volumes {
    pub(super) fn describe(&self, place: &Place, record: &Record) -> Result<Volume, VolumeError> {
        let (method, receipt) = match record.bound {
            Bound::LoopImage => (Method::LoopImage, self.image_receipt(place, record)?),
            Bound::ProjectQuota { project } => {
                (Method::ProjectQuota, self.quota_receipt(place, record, project)?)
            }
        };
        Ok(Volume {
            lease: record.lease.clone(),
            path: place.folder(),
            size: record.size,
            method,
            receipt,
            kept: record.kept,
            state: record.state.into(),
        })
    }

    fn image_receipt(&self, place: &Place, record: &Record) -> Result<EnforcementEntry, VolumeError> {
        let image = place.image();
        let file = Some(image.display().to_string());
        let usage = match image::usage(&self.system, place) {
            Ok(usage) => usage,
            Err(error @ VolumeError::NotOurs { .. }) => {
                return Ok(entry(record, None, file, Some(error.to_string())));
            }
            Err(error) => return Err(error),
        };
        let Some(usage) = usage else {
            return Ok(entry(record, None, file, Some("the image isn't mounted".into())));
        };
        let actual = Some(usage.size);
        let fits = usage.size <= largest(record);
        let wrong = (!fits).then(|| "the filesystem is larger than the volume".to_owned());
        let mut receipt = entry(record, actual, file, wrong);
        let unreserved = image::unreserved(&image).doing("measure", &image)?;
        if fits && unreserved.0 > 0 {
            receipt.reason = Some(format!("{unreserved} of the image aren't reserved on the host"));
        }
        Ok(receipt)
    }

    fn quota_receipt(
        &self,
        place: &Place,
        record: &Record,
        project: u32,
    ) -> Result<EnforcementEntry, VolumeError> {
        let mount = mounts::around(&self.system, place.root()).doing("look for", place.root())?;
        let file = mount.map(|mount| mount.source);
        let Some((held, bound)) = quota::look(place, project)? else {
            return Ok(entry(record, None, file, Some("the folder isn't there".into())));
        };
        let limit = Bytes(held.limit);
        let wrong = if !bound {
            Some("the folder isn't in its project, or the filesystem enforces no project quotas now")
        } else if held.limit == 0 || limit > largest(record) {
            Some("the project's limit is another")
        } else {
            None
        };
        let mut receipt = entry(record, Some(limit), file, wrong.map(str::to_owned));
        receipt.reason.get_or_insert_with(|| QUOTA_EXEMPTIONS.to_owned());
        Ok(receipt)
    }
}

/// What files may be able to hold at most; while the size changes, the larger of the two.
fn largest(record: &Record) -> Bytes {
    match record.state {
        Phase::Resizing { to } => record.size.max(to),
        Phase::Making | Phase::Ready | Phase::Removing => record.size,
    }
}

/// The limit `storage`; not enforced when something is wrong.
fn entry(
    record: &Record,
    actual: Option<Bytes>,
    file: Option<String>,
    wrong: Option<String>,
) -> EnforcementEntry {
    let state = if wrong.is_none() { EnforcementState::Enforced } else { EnforcementState::Unenforced };
    EnforcementEntry {
        limit: "storage".into(),
        state,
        requested: record.size.0.to_string(),
        actual: actual.map(|bytes| bytes.0.to_string()),
        file,
        reason: wrong,
    }
}
