//! What is meant to be, on disk: one small JSON file a volume.
//!
//! It is written before anything that it speaks of exists and removed after all of it is gone; replaced by renaming, each
//! time with the file and its folder flushed, so that after a crash it is the old one or the new one. A record that can't
//! be read (someone else wrote it) is an error, and its volume is left alone.

use crate::error::{Doing, VolumeError};
use crate::volume::{Owner, VolumeState};
use hypermesh_model::{Bytes, LeaseId};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The format of the file; another number is another program's.
const FORMAT: u32 = 1;

/// Which version of the record's format a file has. Only [`FORMAT`] parses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub(crate) struct Format;

impl TryFrom<u32> for Format {
    type Error = String;
    fn try_from(number: u32) -> Result<Self, String> {
        if number == FORMAT { Ok(Self) } else { Err(format!("format {number} is not {FORMAT}")) }
    }
}

impl From<Format> for u32 {
    fn from(_: Format) -> Self {
        FORMAT
    }
}

/// How a volume is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "method")]
pub(crate) enum Bound {
    /// The folder is a mounted image.
    LoopImage,
    /// The folder has a project.
    ProjectQuota {
        /// Its id.
        project: u32,
    },
}

/// Where a volume is in its life; see [`VolumeState`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase")]
pub(crate) enum Phase {
    Making,
    Ready,
    Resizing { to: Bytes },
    Removing,
}

impl From<Phase> for VolumeState {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Making => Self::Making,
            Phase::Ready => Self::Ready,
            Phase::Resizing { to } => Self::Resizing { to },
            Phase::Removing => Self::Removing,
        }
    }
}

/// One volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) format: Format,
    pub(crate) lease: LeaseId,
    pub(crate) size: Bytes,
    pub(crate) kept: bool,
    pub(crate) owner: Option<Owner>,
    pub(crate) bound: Bound,
    pub(crate) state: Phase,
}

/// Where a volume's files are.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    root: PathBuf,
}

impl Place {
    /// The place of a lease's volume in the folder of volumes.
    pub(crate) fn of(volumes: &Path, lease: &LeaseId) -> Self {
        Self { root: volumes.join(lease.as_str()) }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What is granted.
    pub(crate) fn folder(&self) -> PathBuf {
        self.root.join("folder")
    }

    pub(crate) fn image(&self) -> PathBuf {
        self.root.join("image")
    }

    pub(crate) fn unfinished_image(&self) -> PathBuf {
        self.root.join("image.new")
    }

    fn record(&self) -> PathBuf {
        self.root.join("volume.json")
    }

    fn unfinished_record(&self) -> PathBuf {
        self.root.join("volume.json.new")
    }

    /// Makes the folder of the volume itself, durably.
    pub(crate) fn make(&self) -> Result<(), VolumeError> {
        make_folder(&self.root)?;
        match self.root.parent() {
            Some(volumes) => flush_folder(volumes),
            None => Ok(()),
        }
    }

    /// The record; `None` where there is none.
    pub(crate) fn load(&self) -> Result<Option<Record>, VolumeError> {
        let path = self.record();
        match fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).map(Some).map_err(|source| VolumeError::Record { path, source })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).doing("read", &path),
        }
    }

    /// Replaces the record.
    pub(crate) fn save(&self, record: &Record) -> Result<(), VolumeError> {
        let (path, unfinished) = (self.record(), self.unfinished_record());
        let text = serde_json::to_vec_pretty(record)
            .map_err(|source| VolumeError::Record { path: path.clone(), source })?;
        let mut options = OpenOptions::new();
        let written = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()));
        written.doing("write", &unfinished)?;
        fs::rename(&unfinished, &path).doing("replace", &path)?;
        flush_folder(&self.root)
    }

    /// Removes what is left when the bytes are gone: the record last, so that nothing is ever without one.
    pub(crate) fn erase(&self) -> Result<(), VolumeError> {
        for file in [self.unfinished_image(), self.image(), self.unfinished_record()] {
            absent(fs::remove_file(&file)).doing("remove", &file)?;
        }
        let folder = self.folder();
        absent(fs::remove_dir(&folder)).doing("remove", &folder)?;
        absent(fs::remove_file(self.record())).doing("remove", &self.record())?;
        absent(fs::remove_dir(&self.root)).doing("remove", &self.root)
    }
}

/// The leases that have a place in the folder of volumes, sorted. What isn't named as a lease isn't ours.
pub(crate) fn leases(volumes: &Path) -> Result<Vec<LeaseId>, VolumeError> {
    let mut leases = Vec::new();
    for entry in fs::read_dir(volumes).doing("list", volumes)? {
        let name = entry.doing("list", volumes)?.file_name().into_string();
        leases.extend(name.ok().and_then(|name| LeaseId::parse(name).ok()));
    }
    leases.sort();
    Ok(leases)
}

/// What was to be removed and isn't there is removed.
pub(crate) fn absent(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A folder that only its owner enters; one that exists is fine.
pub(crate) fn make_folder(path: &Path) -> Result<(), VolumeError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.doing("make", path),
    }
}

/// Makes the names in a folder durable.
pub(crate) fn flush_folder(path: &Path) -> Result<(), VolumeError> {
    File::open(path).and_then(|folder| folder.sync_all()).doing("flush", path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(size: u64, kept: bool, bound: Bound, state: Phase) -> Record {
        let lease = LeaseId::parse("alloc-1").unwrap();
        let owner = kept.then_some(Owner { uid: 7, gid: 8 });
        Record { format: Format, lease, size: Bytes(size), kept, owner, bound, state }
    }

    proptest! {
        #[test]
        fn what_was_saved_is_loaded(size: u64, kept: bool, project: u32, to: u64, pick in 0..8usize) {
            let bound = if pick % 2 == 0 { Bound::LoopImage } else { Bound::ProjectQuota { project } };
            let states = [Phase::Making, Phase::Ready, Phase::Resizing { to: Bytes(to) }, Phase::Removing];
            let saved = record(size, kept, bound, states[pick / 2]);
            let folder = tempfile::tempdir().unwrap();
            let place = Place::of(folder.path(), &saved.lease);
            place.make().unwrap();
            prop_assert_eq!(place.load().unwrap(), None);
            place.save(&saved).unwrap();
            prop_assert_eq!(place.load().unwrap(), Some(saved));
            place.erase().unwrap();
            prop_assert!(leases(folder.path()).unwrap().is_empty());
        }
    }

    #[test]
    fn a_record_of_another_program_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::of(folder.path(), &LeaseId::parse("a").unwrap());
        place.make().unwrap();
        for text in ["", "{}", "{\"format\":2}", "not json"] {
            fs::write(place.record(), text).unwrap();
            let error = place.load().unwrap_err();
            assert!(error.to_string().contains("a/volume.json"), "{error}");
        }
    }
}
