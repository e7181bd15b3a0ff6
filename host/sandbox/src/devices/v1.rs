//! The device filter of the v1 `devices` controller: denials, written one a line.
//!
//! `devices.list` shows no denials while everything else is allowed, so it cannot prove the filter. The kernel can be
//! asked: a scratch child that starts with nothing is refused (EPERM) every device that its parent denies
//! (`Documentation/admin-guide/cgroup-v1/devices.rst`, "Hierarchy").
//!
//! Fails with [`CgroupError`], when the kernel refuses a rule or the scratch group. Writing needs CAP_SYS_ADMIN.

use super::policy::{Denial, Device};
use super::rules::exception;
use crate::CgroupError;
use crate::kernel_fs::{Folders, children, make_group};
use crate::setting::Mode;
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The file that the receipt names.
pub(crate) const FILE: &str = "devices.deny";
/// Distinguishes scratch groups of calls at the same time. The leading dot keeps them apart from leaves.
static SCRATCH: AtomicU64 = AtomicU64::new(0);

/// What the kernel does otherwise than asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Could be opened and should not.
    pub(crate) open: Vec<Device>,
    /// Should be opened and can't be.
    pub(crate) closed: Vec<Device>,
}

/// Denies (or not) and asks the kernel what it denies.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn settle(
    folders: &dyn Folders,
    dir: &Path,
    denials: &[Denial],
    granted: &[Device],
    mode: Mode,
) -> Result<Difference, CgroupError> {
    if mode == Mode::Write {
        let mut deny = Orders::open(dir.join(FILE))?;
        denials.iter().try_for_each(|(major, minor)| deny.write(&exception(*major, *minor)))?;
    }
    let found = compare(folders, dir, denials, granted)?;
    if mode == Mode::Check || found.closed.is_empty() {
        return Ok(found);
    }
    // Left from rules that denied them. The new denials are in place already.
    lift(dir, &found.closed)?;
    compare(folders, dir, denials, granted)
}

/// Takes back denials of these devices, in the group and those below it, where a denial was copied to. One that a group
/// further up makes stays, and shows when compared again. A group below that was made while the whole major was denied
/// keeps that: the kernel takes no denial back while the group above denies a part of it.
fn lift(dir: &Path, devices: &[Device]) -> Result<(), CgroupError> {
    let mut allow = Orders::open(dir.join("devices.allow"))?;
    for (major, minor) in devices {
        for minor in [None, Some(*minor)] {
            match allow.write(&exception(*major, minor)) {
                Err(error) if !is_refused(&error) => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
    }
    children(dir)?.iter().try_for_each(|child| lift(child, devices))
}

/// Asks what a child of the group could be allowed. Of a whole major one device stands for all: it is one denial.
fn compare(
    folders: &dyn Folders,
    dir: &Path,
    denials: &[Denial],
    granted: &[Device],
) -> Result<Difference, CgroupError> {
    let scratch = dir.join(format!(".device-probe-{}", SCRATCH.fetch_add(1, Ordering::Relaxed)));
    make_group(folders, &scratch)?;
    let ask = || -> Result<Difference, CgroupError> {
        Orders::open(scratch.join(FILE))?.write("a")?;
        let mut allow = Orders::open(scratch.join("devices.allow"))?;
        let mut can_open = |device: &Device| match allow.write(&exception(device.0, Some(device.1))) {
            Ok(()) => Ok(true),
            Err(error) if is_refused(&error) => Ok(false),
            Err(error) => Err(error),
        };
        let mut difference = Difference::default();
        for device in denials.iter().map(|(major, minor)| (*major, minor.unwrap_or(0))) {
            if can_open(&device)? {
                difference.open.push(device);
            }
        }
        for device in granted {
            if !can_open(device)? {
                difference.closed.push(*device);
            }
        }
        Ok(difference)
    };
    let answer = ask();
    folders.remove(&scratch).map_err(|source| CgroupError::Io { action: "remove", path: scratch, source })?;
    answer
}

/// Whether the kernel said EPERM to an order.
pub(super) fn is_refused(error: &CgroupError) -> bool {
    let refused = Some(Errno::PERM.raw_os_error());
    matches!(error, CgroupError::Write { source, .. } if source.raw_os_error() == refused)
}

/// A file that takes one order a write; held open, since a GPU lease writes some hundred.
struct Orders {
    path: PathBuf,
    file: File,
}

impl Orders {
    fn open(path: PathBuf) -> Result<Self, CgroupError> {
        match OpenOptions::new().write(true).open(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(source) => Err(CgroupError::Io { action: "open", path, source }),
        }
    }

    fn write(&mut self, order: &str) -> Result<(), CgroupError> {
        self.file.write_all(order.as_bytes()).map_err(|source| {
            let (path, value) = (self.path.clone(), order.to_owned());
            CgroupError::Write { path, value, source }
        })
    }
}
