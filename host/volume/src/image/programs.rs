//! The programs of e2fsprogs: mkfs.ext4(8), e2fsck(8), resize2fs(8).
//!
//! They run with an environment of our own, so that no `MKE2FS_…` variable of the node's changes what they make, and what
//! they say goes into the error.

use super::search::journal;
use super::superblock::BLOCK;
use crate::error::{Doing, VolumeError};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Where administrators' programs are; `PATH` of a service often lacks the second half.
const FOLDERS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Every feature by name, since the defaults of `mke2fs.conf` differ: what kernels of the last ten years mount.
const FEATURES: &str = "none,has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize,\
                        dir_index,filetype,sparse_super,large_file,ext_attr,resize_inode";
/// One inode for so many bytes, mke2fs's own choice; and an inode's size.
pub(crate) const BYTES_PER_INODE: u64 = 16384;
const INODE_SIZE: u64 = 256;
/// How much of what a program says is kept, in bytes.
const KEPT_OUTPUT: usize = 2000;

/// Where a program is, if it is installed.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.is_file())
}

/// Makes a filesystem whose files can hold about `size` bytes in an image that has its length already.
pub(crate) fn format(image: &Path, size: u64) -> Result<(), VolumeError> {
    let journal = format!("size={}", journal(size) >> 20);
    let numbers = [BLOCK, BYTES_PER_INODE, INODE_SIZE].map(|number| number.to_string());
    // Nothing is left to the kernel to initialise lazily: it would zero by punching holes, and take the host's time later.
    let extended = "nodiscard,lazy_itable_init=0,lazy_journal_init=0";
    let options = ["-q", "-F", "-m", "0", "-b", &numbers[0], "-i", &numbers[1], "-I", &numbers[2]];
    let more = ["-J", &journal, "-E", extended, "-O", FEATURES];
    let output = run("mkfs.ext4", &[&options[..], &more[..]].concat(), image)?;
    succeeded("mkfs.ext4", &output, output.status.success())
}

/// How closely a filesystem is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Only if it says that it needs it.
    AsNeeded,
    /// In any case: resize2fs wants it before it grows one.
    Whole,
}

/// Repairs what can be repaired without asking.
pub(crate) fn check(image: &Path, depth: Depth) -> Result<(), VolumeError> {
    let options: &[&str] = match depth {
        Depth::AsNeeded => &["-p"],
        Depth::Whole => &["-p", "-f"],
    };
    let output = run("e2fsck", options, image)?;
    // 1: errors were corrected.
    succeeded("e2fsck", &output, matches!(output.status.code(), Some(0 | 1)))
}

/// Grows an unmounted filesystem to a number of blocks.
pub(crate) fn grow(image: &Path, blocks: u64) -> Result<(), VolumeError> {
    let mut command = command("resize2fs");
    let output = command.arg(image).arg(blocks.to_string()).output().doing("run resize2fs on", image)?;
    succeeded("resize2fs", &output, output.status.success())
}

fn command(program: &'static str) -> Command {
    let mut command = Command::new(find(program).unwrap_or_else(|| program.into()));
    command.env_clear().env("LC_ALL", "C").env("PATH", FOLDERS.join(":")).stdin(Stdio::null());
    command
}

fn run(program: &'static str, options: &[&str], image: &Path) -> Result<Output, VolumeError> {
    command(program).args(options).arg(image).output().doing("run e2fsprogs on", image)
}

fn succeeded(program: &'static str, output: &Output, success: bool) -> Result<(), VolumeError> {
    if success {
        return Ok(());
    }
    let said = [&output.stderr[..], &output.stdout[..]].concat();
    let said = String::from_utf8_lossy(&said[..said.len().min(KEPT_OUTPUT)]);
    let stderr = said.trim().to_owned();
    Err(VolumeError::Program { program, status: output.status.to_string(), stderr })
}
