//! Loop devices: a file as a block device, loop(4).
//!
//! A device is bound with `LO_FLAGS_AUTOCLEAR`: the kernel releases it when its last user closes it, be that an unmount
//! or the death of a node that had not mounted it yet, so a crash leaks none. Discarding is switched off on each, since
//! a discard punches holes into the file, and blocks that were reserved for a lease would be the host's again: one
//! `fstrim` gave 75 of 80 MiB back when this was measured. The kernel then zeroes by writing zeroes, which is what keeps
//! the blocks, and says so in its log ("operation not supported error … WRITE_ZEROES") when a mounted image grows.
#![allow(unsafe_code)]

use super::SystemRoot;
use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, NoArg, Opcode, Setter, ioctl};
use std::ffi::c_void;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// `<linux/loop.h>`.
const LOOP_SET_CAPACITY: Opcode = 0x4C07;
const LOOP_CONFIGURE: Opcode = 0x4C0A;
const LOOP_CTL_GET_FREE: Opcode = 0x4C82;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// How often another program may take the device that was offered to us.
pub(crate) const BIND_TRIES: u32 = 64;
/// The device's sectors, in bytes: the image's filesystem has blocks of 4 KiB, and no smaller I/O ever comes.
const SECTOR: u32 = 4096;
/// What sysfs takes for "as much as the device can", in bytes: the largest count of sectors of 512.
const ANY_DISCARD: &str = "2199023255040";

/// `struct loop_info64`.
#[repr(C)]
#[derive(Debug)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config`.
#[repr(C)]
#[derive(Debug)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// `LOOP_CTL_GET_FREE` answers with its return value.
struct GetFree;

// SAFETY: the request takes no argument (the pointer is null) and its answer is the ioctl's non-negative return value.
unsafe impl Ioctl for GetFree {
    type Output = IoctlOutput;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        LOOP_CTL_GET_FREE
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(output: IoctlOutput, _: *mut c_void) -> rustix::io::Result<Self::Output> {
        Ok(output)
    }
}

/// A device that holds an image for as long as it is mounted, or open here.
#[derive(Debug)]
pub(crate) struct LoopDevice {
    /// Its node, e.g. `/dev/loop3`.
    pub(crate) path: PathBuf,
    file: File,
}

/// Whether loop devices are offered.
pub(crate) fn check(system: &SystemRoot) -> io::Result<()> {
    free_number(system).map(drop)
}

fn free_number(system: &SystemRoot) -> io::Result<u32> {
    let control = OpenOptions::new().read(true).write(true).open(system.path("/dev/loop-control"))?;
    // SAFETY: `GetFree` describes the request as the kernel defines it.
    let number = unsafe { ioctl(&control, GetFree) }?;
    u32::try_from(number).map_err(io::Error::other)
}

fn queue(system: &SystemRoot, number: u32, file: &str) -> PathBuf {
    system.path(&format!("/sys/block/loop{number}/queue/{file}"))
}

impl LoopDevice {
    /// Binds an image to a free device; `None` when others took every device that was offered.
    pub(crate) fn bind(system: &SystemRoot, image: &File) -> io::Result<Option<Self>> {
        for _ in 0..BIND_TRIES {
            let number = free_number(system)?;
            let device = Self::open(system, number)?;
            match configure(&device.file, image) {
                Ok(()) => {
                    keep_blocks(system, number)?;
                    return Ok(Some(device));
                }
                // Another program was faster.
                Err(Errno::BUSY) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// Opens the device of a number.
    pub(crate) fn open(system: &SystemRoot, number: u32) -> io::Result<Self> {
        let path = system.path(&format!("/dev/loop{number}"));
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        Ok(Self { path, file })
    }

    /// The device that an image is bound to already, if any. A second one would give two filesystems the same blocks.
    pub(crate) fn of(system: &SystemRoot, image: &Path) -> io::Result<Option<Self>> {
        let Some(number) = number_of(system, image)? else { return Ok(None) };
        let device = Self::open(system, number)?;
        // What was true before it was open may not be now; open, it can't change.
        Ok((number_of(system, image)? == Some(number)).then_some(device))
    }

    /// Makes the device as long as its file has become.
    pub(crate) fn refresh_size(&self) -> io::Result<()> {
        // SAFETY: the request takes no argument.
        unsafe { ioctl(&self.file, NoArg::<LOOP_SET_CAPACITY>::new()) }.map_err(io::Error::from)
    }
}

/// The number of the device that a file is bound to, by the path that sysfs shows; also one that was deleted since.
pub(crate) fn number_of(system: &SystemRoot, image: &Path) -> io::Result<Option<u32>> {
    let image = image.as_os_str().as_encoded_bytes();
    for entry in fs::read_dir(system.path("/sys/block"))? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(number) = name.to_str().and_then(|name| name.strip_prefix("loop")?.parse().ok()) else {
            continue;
        };
        // Free devices have no such file.
        let Ok(file) = fs::read(entry.path().join("loop/backing_file")) else { continue };
        let shown = file.strip_suffix(b"\n").unwrap_or(&file);
        if shown.strip_suffix(b" (deleted)").unwrap_or(shown) == image {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// Lets later users of a device discard again: the kernel keeps the setting over a release.
pub(crate) fn restore_discard(system: &SystemRoot, number: u32) {
    let file = queue(system, number, "discard_max_bytes");
    if let Err(error) = fs::write(&file, ANY_DISCARD) {
        tracing::debug!(file = %file.display(), %error, "a released loop device stays without discard");
    }
}

fn keep_blocks(system: &SystemRoot, number: u32) -> io::Result<()> {
    let file = queue(system, number, "discard_max_bytes");
    fs::write(&file, "0")?;
    let held = fs::read_to_string(&file)?;
    if held.trim() != "0" {
        return Err(io::Error::other(format!("{} stays {}", file.display(), held.trim())));
    }
    // Linux 6.17 and later; 0 is its default for loop devices.
    let unmap = queue(system, number, "write_zeroes_unmap_max_bytes");
    if unmap.exists() { fs::write(&unmap, "0") } else { Ok(()) }
}

fn configure(device: &File, image: &File) -> rustix::io::Result<()> {
    let fd = u32::try_from(image.as_raw_fd()).map_err(|_| Errno::BADF)?;
    let info = LoopInfo {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        size_limit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: LO_FLAGS_AUTOCLEAR,
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
    };
    let config = LoopConfig { fd, block_size: SECTOR, info, reserved: [0; 8] };
    // SAFETY: the request reads one `struct loop_config`, which `LoopConfig` is, field by field; both descriptors are
    // open for the whole call.
    unsafe { ioctl(device, Setter::<LOOP_CONFIGURE, LoopConfig>::new(config)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_have_the_kernels_sizes() {
        assert_eq!((size_of::<LoopInfo>(), size_of::<LoopConfig>()), (232, 304));
    }

    #[test]
    fn a_device_is_found_by_its_file_and_only_by_it() {
        let fixture = tempfile::tempdir().unwrap();
        for (name, file) in
            [("loop3", "/data/a\n"), ("loop4", "/data/ab (deleted)\n"), ("sda", ""), ("loop5", "")]
        {
            let folder = fixture.path().join("sys/block").join(name).join("loop");
            fs::create_dir_all(&folder).unwrap();
            if !file.is_empty() {
                fs::write(folder.join("backing_file"), file).unwrap();
            }
        }
        let system = SystemRoot::new(fixture.path());
        assert_eq!(number_of(&system, Path::new("/data/ab")).unwrap(), Some(4));
        assert_eq!(number_of(&system, Path::new("/data")).unwrap(), None);
    }
}
