//! User namespaces that exist only for their map: mounts use them to show the owner of a folder as another user
//! (`Documentation/filesystems/idmappings.rst`).
//!
//! A namespace is born with a process. This one is forked by the zygote, since the node never forks, does nothing, and ends
//! as soon as the namespace has a descriptor.

use super::namespaces::Namespaces;
use crate::zygote::{Forked, IdMap, Own, close_all_but, fork};
use rustix::fs::{Mode, OFlags, openat};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

/// Makes one that maps `from_*` to `to`.
pub(super) fn map(namespaces: &Namespaces, ids: IdMap) -> io::Result<OwnedFd> {
    let (reader, writer) = io::pipe()?;
    match fork(Own { pids: false, users: true }, None)? {
        Forked::Child => wait_for_end(reader),
        Forked::Parent { pid, pidfd } => {
            let made = describe(namespaces, pid, ids);
            drop(writer);
            waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)?;
            made
        }
    }
}

/// The child: until the zygote has what it wants, or has ended.
fn wait_for_end(mut reader: io::PipeReader) -> ! {
    close_others(&reader);
    // The end of the pipe, or an error: both are the end.
    let _ = reader.read(&mut [0]);
    std::process::exit(0)
}

#[expect(
    unsafe_code,
    reason = "the owners of what is closed are the zygote's, and never dropped or used here"
)]
fn close_others(reader: &io::PipeReader) {
    // SAFETY: this process only reads from the pipe and then exits, which drops nothing.
    unsafe { close_all_but(&[reader.as_fd()]) };
}

fn describe(namespaces: &Namespaces, pid: Pid, ids: IdMap) -> io::Result<OwnedFd> {
    let write = |file: &str, from: u32| {
        let path = format!("{}/{file}", pid.as_raw_nonzero());
        let file = openat(&namespaces.proc, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        File::from(file).write_all(format!("{from} {} 1", ids.to).as_bytes())
    };
    write("uid_map", ids.from_uid)?;
    write("gid_map", ids.from_gid)?;
    let path = format!("{}/ns/user", pid.as_raw_nonzero());
    Ok(openat(&namespaces.proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}
