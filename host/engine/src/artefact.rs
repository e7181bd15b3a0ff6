//! Loading a compiled artefact from a descriptor: the one unsafe step, since it maps machine code.
//!
//! wasmtime opens artefacts by path, and a worker has no file system to open one in. So the file is mapped here,
//! privately and read-only, and wasmtime is given the mapping; its text becomes executable by the hook that wasmtime
//! has for memory that it doesn't own. No code is copied: the pages are the page cache's. What wasmtime can't do
//! with such a mapping is to use it as the image of a linear memory, so an instance copies its data segments (see
//! [`crate::profile`]).
#![allow(unsafe_code)]

use rustix::fs::{FileType, fstat};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mprotect, munmap};
use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use thiserror::Error;
use wasmtime::component::Component;
use wasmtime::{CustomCodeMemory, Engine};

/// Write permission for group and others (`inode(7)`).
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Why an artefact was not loaded.
#[derive(Debug, Error)]
pub(crate) enum LoadError {
    /// It can't be read.
    #[error("cannot map the compiled artefact")]
    Map(#[source] io::Error),
    /// Somebody else could have written it.
    #[error("the compiled artefact could have been written by others (owner {owner}, mode {mode:o})")]
    Untrusted { owner: u32, mode: u32 },
    /// It was made by another wasmtime or another configuration, or is damaged.
    #[error("the compiled artefact does not fit this engine")]
    Mismatch(#[source] wasmtime::Error),
}

/// A mapped file, unmapped at the end.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<c_void>,
    length: usize,
}

// SAFETY: the mapping is owned, only ever read, and unmapping works from every thread.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(file: &OwnedFd, length: usize) -> Result<Self, LoadError> {
        // SAFETY: a new private mapping at an address of the kernel's choice aliases nothing.
        let mapped =
            unsafe { mmap(ptr::null_mut(), length, ProtFlags::READ, MapFlags::PRIVATE, file.as_fd(), 0) };
        let start = mapped.map_err(|error| LoadError::Map(error.into()))?;
        let start = NonNull::new(start).ok_or_else(|| LoadError::Map(io::ErrorKind::InvalidData.into()))?;
        Ok(Self { start, length })
    }

    fn bytes(&self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.start.cast(), self.length)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: our own mapping, whole. Whoever holds the component is dropped before it (see `load`).
        if let Err(error) = unsafe { munmap(self.start.as_ptr(), self.length) } {
            debug_assert!(false, "munmap: {error}");
        }
    }
}

/// Maps an artefact that our own compiler wrote. The mapping must be dropped after everything that holds the component:
/// it comes first, since locals are dropped in reverse.
///
/// # Errors
/// [`LoadError`]; also for a file that anybody but `owner` or root owns, or that others may write.
pub(crate) fn load(engine: &Engine, file: &OwnedFd, owner: u32) -> Result<(Mapping, Component), LoadError> {
    let stat = fstat(file).map_err(|error| LoadError::Map(error.into()))?;
    let mode = stat.st_mode & 0o7777;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if !is_file || mode & WRITABLE_BY_OTHERS != 0 || (stat.st_uid != owner && stat.st_uid != 0) {
        return Err(LoadError::Untrusted { owner: stat.st_uid, mode });
    }
    let length = usize::try_from(stat.st_size).ok().filter(|&length| length > 0);
    let length = length.ok_or_else(|| LoadError::Map(io::ErrorKind::UnexpectedEof.into()))?;
    let mapping = Mapping::new(file, length)?;
    // SAFETY: `deserialize_raw` needs bytes that `Component::serialize` made, that live as long as the component and
    // don't change. Only our own compile process makes these, users' precompiled files are refused at upload, the store
    // replaces files by rename and never writes into one, and the check above leaves no other user who could. The
    // mapping outlives the component by this function's contract, which is held by the order of `Loaded`'s fields.
    let component = unsafe { Component::deserialize_raw(engine, mapping.bytes()) };
    let component = component.map_err(LoadError::Mismatch)?;
    Ok((mapping, component))
}

/// Makes the text of a [`Mapping`] executable.
struct Publish;

impl CustomCodeMemory for Publish {
    fn required_alignment(&self) -> usize {
        rustix::param::page_size()
    }

    fn publish_executable(&self, start: *const u8, length: usize) -> wasmtime::Result<()> {
        // SAFETY: wasmtime passes the text section of memory that it was given to run: page-aligned, of a mapping that
        // nobody writes. No cache needs flushing: the kernel does it for pages of files.
        unsafe { mprotect(start.cast_mut().cast(), length, MprotectFlags::READ | MprotectFlags::EXEC) }?;
        Ok(())
    }

    fn unpublish_executable(&self, _: *const u8, _: usize) -> wasmtime::Result<()> {
        // It is unmapped next.
        Ok(())
    }
}

/// The hook for an engine that [`load`]s.
pub(crate) fn publisher() -> Arc<dyn CustomCodeMemory> {
    Arc::new(Publish)
}
