//! Growing an image, while it is used where the kernel lets us.
//!
//! A mounted ext4 grows by an ioctl that takes `CAP_SYS_RESOURCE`. A node without it unmounts the volume, grows it with
//! resize2fs and mounts it again; while a process uses it that can't be, and the answer says so. Each round adds what is
//! missing and no more, so that files never hold more than the size; a round that was interrupted left blocks that the
//! next one uses.

use super::search::whole_blocks;
use super::superblock::{BLOCK, Superblock};
use super::{Depth, Release, attach, capacity, format, mounted, programs, released, unmount_once};
use crate::error::{Doing, VolumeError};
use crate::record::Place;
use crate::room::Room;
use crate::steps::{Step, Steps};
use crate::sys::SystemRoot;
use crate::sys::{ext4, loop_device::LoopDevice};
use hypermesh_model::{Bytes, LeaseId};
use std::fs::{File, OpenOptions};
use std::io;

/// How often a filesystem grows before it is large enough; one round is usual.
const ROUNDS: u32 = 4;
/// Less than this is not worth a round: a group's own overhead.
const TOLERATED_PART: u64 = 64;

/// What growing one volume needs.
pub(crate) struct Growth<'a> {
    pub(crate) system: &'a SystemRoot,
    pub(crate) place: &'a Place,
    pub(crate) lease: &'a LeaseId,
    /// What files shall be able to hold, about, and not more.
    pub(crate) size: Bytes,
    pub(crate) room: &'a Room,
    pub(crate) steps: &'a Steps,
}

/// What came of growing the mounted filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Online {
    Done,
    /// This process has no `CAP_SYS_RESOURCE`. The image is as it was.
    Refused,
}

impl Growth<'_> {
    /// Grows the volume.
    pub(crate) fn run(&self) -> Result<(), VolumeError> {
        attach(self.system, self.place, self.steps)?;
        let unknown = || VolumeError::Unknown { lease: self.lease.clone() };
        let number = mounted(self.system, self.place)?.ok_or_else(unknown)?;
        if self.online(number)? == Online::Refused {
            self.offline(number)?;
        }
        self.steps.reach(Step::Resized);
        Ok(())
    }

    fn online(&self, number: u32) -> Result<Online, VolumeError> {
        let path = self.place.folder();
        let folder = File::open(&path).doing("open", &path)?;
        let device = LoopDevice::open(self.system, number).doing("open the device of", &path)?;
        let mut held = capacity(self.system, number, &path)?;
        for _ in 0..ROUNDS {
            let Some(missing) = missing(held, self.size) else { break };
            let blocks = Superblock::read(&device.path)?.grown_by(missing);
            let length = self.stretch(blocks)?;
            device.refresh_size().doing("stretch", &device.path)?;
            match ext4::grow(&folder, blocks) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    // Refused before it began, so nothing beyond the old length is used.
                    self.cut(length)?;
                    device.refresh_size().doing("cut", &device.path)?;
                    return Ok(Online::Refused);
                }
                Err(error) => return Err(error).doing("grow", &path),
            }
            let now = capacity(self.system, number, &path)?;
            if now <= held {
                break;
            }
            held = now;
        }
        Ok(Online::Done)
    }

    fn offline(&self, number: u32) -> Result<(), VolumeError> {
        let busy = || VolumeError::Busy { lease: self.lease.clone() };
        let held = capacity(self.system, number, &self.place.folder())?;
        if unmount_once(self.system, self.place)? == Release::Held {
            return Err(busy());
        }
        self.steps.reach(Step::Unmounted);
        // Another mount namespace may still have it: then nobody else may write to the image.
        let grown = match released(self.system, self.place) {
            Ok(Release::Free) => self.grow_unmounted(held),
            Ok(Release::Held) => Err(busy()),
            Err(error) => Err(error),
        };
        // Whatever came of it: the lease's files come back.
        attach(self.system, self.place, self.steps).and(grown)
    }

    fn grow_unmounted(&self, held: Bytes) -> Result<(), VolumeError> {
        let image = self.place.image();
        programs::check(&image, Depth::Whole)?;
        let before = Superblock::read(&image)?;
        let mut now = before;
        for _ in 0..ROUNDS {
            // What is free grows; what files hold stays what it is.
            let gained = now.free_capacity().saturating_sub(before.free_capacity());
            let Some(missing) = missing(Bytes(held.0.saturating_add(gained)), self.size) else { break };
            let blocks = now.grown_by(missing);
            self.stretch(blocks)?;
            programs::grow(&image, blocks)?;
            let grown = Superblock::read(&image)?;
            if grown.blocks <= now.blocks {
                break;
            }
            now = grown;
        }
        Ok(())
    }

    /// Makes the image long enough for so many blocks and reserves them; the length that it had.
    fn stretch(&self, blocks: u64) -> Result<u64, VolumeError> {
        let path = self.place.image();
        let file = OpenOptions::new().read(true).write(true).open(&path).doing("open", &path)?;
        let length = file.metadata().doing("measure", &path)?.len();
        let wanted = blocks.saturating_mul(BLOCK);
        if wanted > length {
            let _claim = self.room.claim(wanted - length)?;
            file.set_len(wanted).doing("stretch", &path)?;
            if let Err(error) = format::reserve(&file, &path) {
                self.cut(length)?;
                return Err(error);
            }
        }
        file.sync_all().doing("flush", &path)?;
        Ok(length)
    }

    fn cut(&self, length: u64) -> Result<(), VolumeError> {
        let path = self.place.image();
        let cut = OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(length));
        cut.doing("cut", &path)
    }
}

/// How many bytes files can't hold yet; `None` when it is too few to matter.
fn missing(held: Bytes, size: Bytes) -> Option<u64> {
    let missing = whole_blocks(size.0.saturating_sub(held.0));
    (missing > size.0 / TOLERATED_PART).then_some(missing)
}
