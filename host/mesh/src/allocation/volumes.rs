//! Folders of bounded size that leases hold, and those that are kept after them.

use crate::Mesh;
use crate::error::MeshError;
use hypermesh_model::{Bytes, LeaseId};
use hypermesh_volume::{Method, Preference, Removal, VolumeError, Volumes};
use std::path::{Path, PathBuf};

/// A folder as callers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeView {
    /// The lease that it was made for.
    pub lease: LeaseId,
    /// Where it is.
    pub path: PathBuf,
    /// How much it can hold.
    pub size: Bytes,
    /// How much it holds; `None` when it can't be read now.
    pub used: Option<Bytes>,
    /// What bounds it: `project_quota` or `loop_image`.
    pub method: &'static str,
    /// Whether its lease has ended and it was kept.
    pub kept: bool,
}

/// The folders, with their errors as the domain's.
#[derive(Debug)]
pub struct LeaseFolders(Volumes);

impl LeaseFolders {
    /// Opens what an earlier run left.
    ///
    /// # Errors
    /// When the data folder can't be read.
    pub fn open(data_dir: &Path) -> Result<Self, MeshError> {
        let opened = Volumes::open(&data_dir.join("volumes"), Path::new("/"), Preference::default());
        opened.map(Self).map_err(fault("opening the folders of leases"))
    }

    /// Why no folder can be made; `None` when they can.
    pub fn unavailable_reason(&self) -> Option<String> {
        match self.0.method() {
            Method::ProjectQuota | Method::LoopImage => None,
            Method::Unavailable { reason } => Some(reason.clone()),
        }
    }

    /// Makes the folder of a lease, or puts right one that is there: of this size, or of the one that it was being changed
    /// to when the node died.
    pub(crate) fn create(
        &self,
        lease: &LeaseId,
        size: Bytes,
        changing_to: Option<Bytes>,
    ) -> Result<hypermesh_volume::Volume, MeshError> {
        let made = match self.0.create(lease, size, None) {
            Err(VolumeError::Exists { size: has, .. }) if Some(has) == changing_to => {
                self.0.create(lease, has, None)
            }
            made => made,
        };
        made.map_err(fault("making a lease's folder"))
    }

    pub(crate) fn resize(&self, lease: &LeaseId, size: Bytes) -> Result<hypermesh_volume::Volume, MeshError> {
        self.0.resize(lease, size).map_err(fault("changing a lease's folder"))
    }

    pub(crate) fn path(&self, lease: &LeaseId) -> PathBuf {
        self.0.path(lease)
    }

    pub(crate) fn usage(&self, lease: &LeaseId) -> Option<hypermesh_volume::VolumeUsage> {
        self.0.usage(lease).ok()
    }

    pub(crate) fn keep(&self, lease: &LeaseId) -> Result<(), MeshError> {
        self.0.keep(lease).map_err(fault("keeping a lease's folder"))
    }

    pub(crate) fn remove(&self, lease: &LeaseId) -> Result<(), MeshError> {
        let removed = self.0.remove(lease).map_err(fault("removing a lease's folder"))?;
        if removed == Removal::Held {
            tracing::warn!(%lease, "a process still holds its folder open; it is removed when that ends");
        }
        Ok(())
    }

    pub(crate) fn list(&self) -> Result<Vec<hypermesh_volume::Volume>, MeshError> {
        self.0.list().map_err(fault("listing the folders of leases"))
    }
}

/// What a caller can do something about is told; the rest is a fault.
fn fault(doing: &'static str) -> impl FnOnce(VolumeError) -> MeshError {
    move |error| {
        let told = hypermesh_model::error_chain(&error);
        if matches!(error, VolumeError::Unavailable { .. }) {
            let detail = "this node can't make folders of bounded size".into();
            return MeshError::Unprocessable { detail, reasons: vec![told] };
        }
        let is_refusal = matches!(
            error,
            VolumeError::InUse { .. }
                | VolumeError::NoRoom { .. }
                | VolumeError::TooSmall { .. }
                | VolumeError::ShrinkImage { .. }
                | VolumeError::Busy { .. }
                | VolumeError::Removing { .. }
        );
        if is_refusal {
            return MeshError::Conflict { detail: told };
        }
        MeshError::internal(doing)(Box::new(error))
    }
}

impl Mesh {
    /// All folders, live and kept.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn volumes(&self) -> Result<Vec<VolumeView>, MeshError> {
        self.blocking_mesh(|mesh| {
            let view = |volume: hypermesh_volume::Volume| VolumeView {
                used: mesh.volumes.usage(&volume.lease).map(|usage| usage.used),
                method: method_name(&volume.method),
                lease: volume.lease,
                path: volume.path,
                size: volume.size,
                kept: volume.kept,
            };
            Ok(mesh.volumes.list()?.into_iter().map(view).collect())
        })
        .await
    }

    /// Removes a folder that was kept, with what is in it.
    ///
    /// # Errors
    /// [`MeshError::NotFound`]; [`MeshError::Conflict`] while its lease lives.
    pub async fn remove_volume(&self, lease: &LeaseId) -> Result<(), MeshError> {
        let id = lease.clone();
        self.blocking_mesh(move |mesh| {
            let volume = mesh.volumes.list()?.into_iter().find(|volume| volume.lease == id);
            match volume {
                None => Err(MeshError::not_found("volume", &id)),
                Some(volume) if !volume.kept => {
                    let detail =
                        format!("the folder belongs to allocation `{id}`, which lives; release it first");
                    Err(MeshError::Conflict { detail })
                }
                Some(_) => mesh.volumes.remove(&id),
            }
        })
        .await
    }
    /// Where a lease's folder is; `None` when it holds none.
    pub fn storage_path(&self, lease: &LeaseId) -> Option<PathBuf> {
        let lease = self.lease(lease).ok().filter(|lease| lease.status.has_group())?;
        lease.grant.storage.map(|_| self.volumes.path(&lease.id))
    }
}

fn method_name(method: &Method) -> &'static str {
    match method {
        Method::ProjectQuota => "project_quota",
        Method::LoopImage => "loop_image",
        Method::Unavailable { .. } => "none",
    }
}
