//! The volumes of one folder: what callers ask for, as records and the two methods' effects.
//!
//! ```text
//! (nothing) → Making → Ready ⇄ Resizing
//!                 ↘      ↓        ↓
//!                  →  Removing → (nothing)
//! ```
//! - → Making: the intention is on disk before anything else. A failure, or the next start, undoes it.
//! - Making → Ready: the folder is bounded and the kernel's value was read back.
//! - Ready → Resizing → Ready: a failure returns to the old size's record; a crash is finished by the next start.
//! - any → Removing: from here on there is only forwards. It stays while a process holds the bytes.
//!
//! Calls block (mkfs, fsync) and come from blocking threads: one at a time for each lease, different leases in parallel.
//! Starting again after a reboot mounts what is not mounted. What can't be recovered is logged and stays listed with a
//! receipt that says why; it never keeps the others from starting.

use crate::error::{Doing, VolumeError};
use crate::image;
use crate::method::{self, Method, Preference};
use crate::quota;
use crate::record::{self, Bound, Format, Phase, Place, Record};
use crate::room::Room;
use crate::steps::{Step, Steps};
use crate::sys::SystemRoot;
use crate::turns::Turns;
use crate::volume::{Owner, Removal, Volume, VolumeUsage};
use hypermesh_model::{Bytes, LeaseId};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

mod describe;
mod recover;

/// The smallest volume: below it an image would be mostly its own metadata.
pub const MIN_SIZE: Bytes = Bytes::mib(1);

/// All volumes below one folder. One process at a time has it.
pub struct Volumes {
    folder: PathBuf,
    system: SystemRoot,
    method: Method,
    room: Room,
    turns: Turns,
    steps: Steps,
    /// Locked for as long as this lives.
    lock: File,
}

impl Drop for Volumes {
    /// A child of this process that has not come to its exec(2) yet shares the lock; it must not keep it.
    fn drop(&mut self) {
        if let Err(error) = flock(&self.lock, FlockOperation::Unlock) {
            tracing::debug!(folder = %self.folder.display(), %error, "the lock goes when it is closed");
        }
    }
}

impl std::fmt::Debug for Volumes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Volumes")
            .field("folder", &self.folder)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

impl Volumes {
    /// Takes the folder of volumes, which is made if need be, and recovers what is in it: half-made volumes are removed,
    /// removals and changes of size are finished, images are mounted again, kept volumes' too.
    ///
    /// `system_root` holds `proc`, `sys` and `dev`, and is `/` but for tests.
    ///
    /// # Errors
    /// `FolderTaken` when another process has it, and what the kernel says of the folder itself. A single volume that
    /// can't be recovered is no error: it is logged, and [`Self::list`] says what is wrong.
    pub fn open(folder: &Path, system_root: &Path, preference: Preference) -> Result<Self, VolumeError> {
        Self::open_with(folder, system_root, preference, Steps::default())
    }

    pub(crate) fn open_with(
        folder: &Path,
        system_root: &Path,
        preference: Preference,
        steps: Steps,
    ) -> Result<Self, VolumeError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).doing("make", folder)?;
        // mountinfo and sysfs name the real path.
        let folder = folder.canonicalize().doing("resolve", folder)?;
        let lock = File::open(&folder).doing("open", &folder)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(VolumeError::FolderTaken { folder }),
            other => other.doing("lock", &folder)?,
        }
        let volumes = Self {
            system: SystemRoot::new(system_root),
            method: method::probe(&folder, system_root, preference),
            room: Room::new(&folder),
            turns: Turns::default(),
            folder,
            steps,
            lock,
        };
        volumes.recover()?;
        Ok(volumes)
    }

    /// How new volumes are bounded. Those that exist keep the method they were made with.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Where a lease's folder is, or would be.
    pub fn path(&self, lease: &LeaseId) -> PathBuf {
        Place::of(&self.folder, lease).folder()
    }

    /// Makes the volume of a lease: an empty folder for `owner` (mode 0700; the caller's if `None`) that holds at most
    /// `size` bytes. Asked again for the same size it puts right what is not as it should be, e.g. mounts it again.
    ///
    /// # Errors
    /// `Unavailable`, `TooSmall` (below [`MIN_SIZE`]), `NoRoom`, `Exists` with another size, `Removing`, or what failed.
    /// After a failure nothing is left.
    pub fn create(&self, lease: &LeaseId, size: Bytes, owner: Option<Owner>) -> Result<Volume, VolumeError> {
        if size < MIN_SIZE {
            return Err(VolumeError::TooSmall { size, least: MIN_SIZE });
        }
        let _turn = self.turns.take(lease);
        let place = Place::of(&self.folder, lease);
        match self.settled(&place)? {
            Some(record) if record.size == size => self.describe(&place, &record),
            Some(record) => Err(VolumeError::Exists { lease: lease.clone(), size: record.size }),
            None => {
                let made = self.make(&place, lease, size, owner);
                if made.is_err()
                    && let Err(error) = self.undo(&place)
                {
                    tracing::error!(%lease, error = %error, "what is left of a volume that was not made can't be removed");
                }
                self.describe(&place, &made?)
            }
        }
    }

    fn make(
        &self,
        place: &Place,
        lease: &LeaseId,
        size: Bytes,
        owner: Option<Owner>,
    ) -> Result<Record, VolumeError> {
        place.make()?;
        self.steps.reach(Step::FolderMade);
        let mut record = self.intend(place, lease, size, owner)?;
        self.steps.reach(Step::Intended);
        match record.bound {
            Bound::LoopImage => {
                image::make(place, size, &self.room, &self.steps)?;
                image::attach(&self.system, place, &self.steps)?;
            }
            Bound::ProjectQuota { project } => quota::make(place, project, size, &self.steps)?,
        }
        let folder = place.folder();
        if let Some(Owner { uid, gid }) = owner {
            chown(&folder, Some(uid), Some(gid)).doing("give away", &folder)?;
        }
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).doing("close", &folder)?;
        File::open(&folder).and_then(|open| open.sync_all()).doing("flush", &folder)?;
        self.steps.reach(Step::Made);
        record.state = Phase::Ready;
        place.save(&record)?;
        Ok(record)
    }

    /// Chooses how the volume will be bounded, and records it.
    fn intend(
        &self,
        place: &Place,
        lease: &LeaseId,
        size: Bytes,
        owner: Option<Owner>,
    ) -> Result<Record, VolumeError> {
        let record = |bound| Record {
            format: Format,
            lease: lease.clone(),
            size,
            kept: false,
            owner,
            bound,
            state: Phase::Making,
        };
        match &self.method {
            Method::Unavailable { reason } => Err(VolumeError::Unavailable { reason: reason.clone() }),
            Method::LoopImage => {
                let record = record(Bound::LoopImage);
                place.save(&record)?;
                Ok(record)
            }
            Method::ProjectQuota => {
                // Held until the record is there: what it promises counts, and its project is taken.
                let _claim = self.room.claim(size.0)?;
                let project = quota::free_project(&self.folder, &self.projects()?)?;
                let record = record(Bound::ProjectQuota { project });
                place.save(&record)?;
                Ok(record)
            }
        }
    }

    /// The projects of all records.
    fn projects(&self) -> Result<Vec<u32>, VolumeError> {
        let mut projects = Vec::new();
        for lease in record::leases(&self.folder)? {
            // An unreadable record has been reported; its project has files or a limit, which keeps it from being free.
            if let Ok(Some(Record { bound: Bound::ProjectQuota { project }, .. })) =
                Place::of(&self.folder, &lease).load()
            {
                projects.push(project);
            }
        }
        Ok(projects)
    }

    /// Changes the size of a volume. A quota grows and shrinks, an image grows, and both while they are used; growing an
    /// image that is in use takes `CAP_SYS_RESOURCE`.
    ///
    /// # Errors
    /// `Unknown`, `TooSmall`, `InUse` when it holds more than `size`, `ShrinkImage`, `NoRoom`, `Busy`, `Removing`, or
    /// what failed. The volume then has its old size, or one between.
    pub fn resize(&self, lease: &LeaseId, size: Bytes) -> Result<Volume, VolumeError> {
        if size < MIN_SIZE {
            return Err(VolumeError::TooSmall { size, least: MIN_SIZE });
        }
        let _turn = self.turns.take(lease);
        let place = Place::of(&self.folder, lease);
        let mut record = self.known(&place, lease)?;
        if size == record.size {
            return self.describe(&place, &record);
        }
        if size < record.size && record.bound == Bound::LoopImage {
            return Err(self.no_shrinking(&place, &record, size)?);
        }
        record.state = Phase::Resizing { to: size };
        place.save(&record)?;
        self.steps.reach(Step::Intended);
        match self.change_size(&place, &record, size) {
            Ok(()) => record.size = size,
            Err(error) => {
                record.state = Phase::Ready;
                place.save(&record)?;
                return Err(error);
            }
        }
        record.state = Phase::Ready;
        place.save(&record)?;
        self.describe(&place, &record)
    }

    fn change_size(&self, place: &Place, record: &Record, size: Bytes) -> Result<(), VolumeError> {
        match record.bound {
            Bound::LoopImage => {
                let (system, room, steps) = (&self.system, &self.room, &self.steps);
                image::Growth { system, place, lease: &record.lease, size, room, steps }.run()
            }
            Bound::ProjectQuota { project } => {
                let _claim = self.room.claim(size.0.saturating_sub(record.size.0))?;
                let changed = quota::resize(place, project, record.size, size)?;
                self.steps.reach(Step::Resized);
                changed.map_err(|used| VolumeError::InUse {
                    lease: record.lease.clone(),
                    used,
                    requested: size,
                })
            }
        }
    }

    /// An image that holds too much for the new size says so first: that is what the caller can change.
    fn no_shrinking(
        &self,
        place: &Place,
        record: &Record,
        requested: Bytes,
    ) -> Result<VolumeError, VolumeError> {
        let (lease, size) = (record.lease.clone(), record.size);
        Ok(match image::usage(&self.system, place)? {
            Some(VolumeUsage { used, .. }) if used > requested => {
                VolumeError::InUse { lease, used, requested }
            }
            Some(_) | None => VolumeError::ShrinkImage { lease, size },
        })
    }

    /// What a volume holds.
    ///
    /// # Errors
    /// `Unknown`, also for an image that isn't mounted, or what failed.
    pub fn usage(&self, lease: &LeaseId) -> Result<VolumeUsage, VolumeError> {
        let place = Place::of(&self.folder, lease);
        let unknown = || VolumeError::Unknown { lease: lease.clone() };
        match place.load()?.ok_or_else(unknown)?.bound {
            Bound::LoopImage => image::usage(&self.system, &place)?.ok_or_else(unknown),
            Bound::ProjectQuota { project } => {
                let (held, _) = quota::look(&place, project)?.ok_or_else(unknown)?;
                Ok(quota::usage(&held))
            }
        }
    }

    /// Ends a volume and what is in it. Its processes should have ended before: while one still holds a file or working
    /// directory in it, the folder goes, but the bytes can't.
    ///
    /// A volume that isn't there is `Done`.
    ///
    /// # Errors
    /// What failed. The volume is then listed as `Removing`; calling again, or the next start, goes on.
    pub fn remove(&self, lease: &LeaseId) -> Result<Removal, VolumeError> {
        let _turn = self.turns.take(lease);
        let place = Place::of(&self.folder, lease);
        let Some(mut record) = place.load()? else {
            place.erase()?;
            return Ok(Removal::Done);
        };
        if record.state != Phase::Removing {
            record.state = Phase::Removing;
            place.save(&record)?;
        }
        self.steps.reach(Step::Intended);
        self.finish_removing(&place, &record)
    }

    fn finish_removing(&self, place: &Place, record: &Record) -> Result<Removal, VolumeError> {
        let free = match record.bound {
            Bound::LoopImage => {
                let released = image::detach(&self.system, place)?;
                self.steps.reach(Step::Unmounted);
                released == image::Release::Free
            }
            Bound::ProjectQuota { project } => quota::remove(&self.folder, place, project)?,
        };
        if !free {
            return Ok(Removal::Held);
        }
        self.steps.reach(Step::Wiped);
        place.erase()?;
        Ok(Removal::Done)
    }

    /// Removes what an unfinished `create` left.
    fn undo(&self, place: &Place) -> Result<(), VolumeError> {
        match place.load()? {
            None => place.erase(),
            Some(mut record) => {
                record.state = Phase::Removing;
                place.save(&record)?;
                self.finish_removing(place, &record).map(drop)
            }
        }
    }

    /// Marks a volume as one that outlives its lease. From then on only [`Self::remove`] ends it.
    ///
    /// # Errors
    /// `Unknown`, `Removing`, or what failed.
    pub fn keep(&self, lease: &LeaseId) -> Result<(), VolumeError> {
        let _turn = self.turns.take(lease);
        let place = Place::of(&self.folder, lease);
        let mut record = self.known(&place, lease)?;
        record.kept = true;
        place.save(&record)
    }

    /// The kept volumes.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn kept(&self) -> Result<Vec<Volume>, VolumeError> {
        Ok(self.list()?.into_iter().filter(|volume| volume.kept).collect())
    }

    /// What is on disk now: live, kept, being made, being removed; sorted by lease. One that changes while it is looked at
    /// is shown as it was before or after.
    ///
    /// # Errors
    /// When the folder can't be listed. A volume whose record can't be read is left out and logged.
    pub fn list(&self) -> Result<Vec<Volume>, VolumeError> {
        let mut volumes = Vec::new();
        for lease in record::leases(&self.folder)? {
            let place = Place::of(&self.folder, &lease);
            match place
                .load()
                .and_then(|record| record.map(|record| self.describe(&place, &record)).transpose())
            {
                Ok(volume) => volumes.extend(volume),
                Err(error) => tracing::error!(%lease, error = %error, "a volume can't be listed"),
            }
        }
        Ok(volumes)
    }

    /// The record of a volume that can be used.
    fn known(&self, place: &Place, lease: &LeaseId) -> Result<Record, VolumeError> {
        self.settled(place)?.ok_or_else(|| VolumeError::Unknown { lease: lease.clone() })
    }
}
