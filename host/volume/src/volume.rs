//! What callers see of a volume.

use crate::method::Method;
use hypermesh_model::{Bytes, EnforcementEntry, LeaseId};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The user and group that the granted folder belongs to; it is closed to all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Where a volume is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeState {
    /// Being made; a restart removes it, since nobody was told of it.
    Making,
    /// Usable.
    Ready,
    /// Growing or shrinking; a restart finishes it.
    Resizing {
        /// To this size.
        to: Bytes,
    },
    /// Being removed. It stays listed, with its bytes counted, for as long as a process holds it open.
    Removing,
}

/// A folder that can't hold more than its size.
#[derive(Debug, Clone)]
pub struct Volume {
    /// Whose it is.
    pub lease: LeaseId,
    /// The folder that is granted, absolute.
    pub path: PathBuf,
    /// What was asked: files never hold more.
    pub size: Bytes,
    /// How it is bounded.
    pub method: Method,
    /// The limit `storage`: `requested` is the size, `actual` the bytes that the kernel says files can hold (the quota's
    /// limit, or the capacity of the image's filesystem), `file` the image or the quota's mount source.
    pub receipt: EnforcementEntry,
    /// Whether it outlives its lease.
    pub kept: bool,
    /// Where it is in its life.
    pub state: VolumeState,
}

/// What a volume holds, as the kernel counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VolumeUsage {
    /// What its files can hold, at most: the receipt's `actual`.
    pub size: Bytes,
    /// What they take now, folders and extent blocks included. Of a full image it can be some blocks above the size: the
    /// kernel takes extent blocks from its reserve, file data never.
    pub used: Bytes,
    /// Files and folders in it.
    pub files: u64,
    /// The most that it can have.
    pub max_files: u64,
}

/// How a removal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Nothing is left.
    Done,
    /// The folder is gone, but a process holds a file or working directory in it, so that the kernel keeps the bytes. The
    /// volume stays listed as [`VolumeState::Removing`]; the next `remove`, or the next start, finishes it.
    Held,
}
