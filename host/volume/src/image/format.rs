//! Making an image: a filesystem of the right size in a file whose blocks are all the host's to lose.
//!
//! It gets its name only when it is whole and on disk. The search for the right length works on holes; then the blocks are
//! reserved, under the gate that lets one volume at a time count what is free.

use super::programs;
use super::search::{Next, Search, whole_blocks};
use super::superblock::Superblock;
use crate::error::{Doing, VolumeError};
use crate::record::{Place, flush_folder};
use crate::room::Room;
use crate::steps::{Step, Steps};
use hypermesh_model::Bytes;
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// The unit of `st_blocks`, stat(2).
const STAT_BLOCK: u64 = 512;

/// Makes the image of a volume. An unfinished one of an earlier try is overwritten.
pub(crate) fn make(place: &Place, size: Bytes, room: &Room, steps: &Steps) -> Result<(), VolumeError> {
    // Before anything is written: the search's first length is close to the last.
    drop(room.claim(Search::new(size.0).length())?);
    let path = place.unfinished_image();
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(&path);
    let file = file.doing("make", &path)?;
    let length = fit(&file, &path, whole_blocks(size.0))?;
    steps.reach(Step::Formatted);
    {
        let _claim = room.claim(length)?;
        reserve(&file, &path)?;
    }
    file.sync_all().doing("flush", &path)?;
    fs::rename(&path, place.image()).doing("rename", &path)?;
    flush_folder(place.root())?;
    steps.reach(Step::ImageNamed);
    Ok(())
}

/// Formats until files can hold `size` bytes; the length.
fn fit(file: &File, path: &Path, size: u64) -> Result<u64, VolumeError> {
    let mut search = Search::new(size);
    loop {
        file.set_len(0).and_then(|()| file.set_len(search.length())).doing("stretch", path)?;
        programs::format(path, size)?;
        match search.next(Superblock::read(path)?.free_capacity()) {
            Next::Try(_) => {}
            Next::Accept => return Ok(search.length()),
            Next::GiveUp { closest } => {
                return Err(VolumeError::Format { size: Bytes(size), closest: Bytes(closest) });
            }
        }
    }
}

/// Gives every block of the file its place on the host's disk, also those that somebody punched out. What is there stays.
pub(crate) fn reserve(file: &File, path: &Path) -> Result<(), VolumeError> {
    let length = file.metadata().doing("measure", path)?.len();
    match fallocate(file, FallocateFlags::empty(), 0, length) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT) => {
            Err(VolumeError::NoRoom { needed: Bytes(length), free: crate::room::free(path)? })
        }
        Err(error) => Err(error).doing("reserve the blocks of", path),
    }
}

/// How many bytes of an image have no place on the host's disk.
pub(crate) fn unreserved(image: &Path) -> io::Result<Bytes> {
    let held = fs::metadata(image)?;
    Ok(Bytes(held.len().saturating_sub(held.blocks() * STAT_BLOCK)))
}
