//! The namespaces that all workers of a zygote share, entered once: making one for each worker would cost milliseconds.
//!
//! | of | what is in it |
//! |---|---|
//! | mounts | a read-only tmpfs with nothing in it, as the root and only mount |
//! | networks | a loopback interface that is down |
//! | IPC | no System V objects, no message queues |
//! | UTS | the machine's name, as it was |
//! | users | only without root: the node's user and group, and nobody else |
//!
//! That of PIDs is made by each fork. Sharing is no channel between workers: nothing in them can be written, and the calls
//! that would (`msgget`, `socket`, `sethostname`) are not on the list of the last layer.

use super::layer;
use crate::zygote::unshare;
use hypermesh_model::JailLayer;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, mount_move, unmount,
};
use rustix::process::{chdir, chroot, getegid, geteuid, pivot_root};
use rustix::thread::UnshareFlags;
use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

/// Where the empty root is mounted before it becomes the root: there is no machine without it.
const PLACE: &str = "/proc";

/// Which of them were made; the reason where not.
#[derive(Debug)]
pub(super) struct Namespaces {
    /// `None`: not wanted, since the zygote has the rights without.
    pub(super) users: Option<Result<(), String>>,
    pub(super) mounts: Result<&'static str, String>,
    network: Result<(), String>,
    ipc: Result<(), String>,
    names: Result<(), String>,
    /// What the forks will have.
    pub(super) pids: Result<(), String>,
    /// `/proc` of the machine, which has no path any more. For the zygote alone: workers close it.
    pub(super) proc: OwnedFd,
}

impl Namespaces {
    /// Enters what the kernel allows.
    ///
    /// # Errors
    /// When there is no `/proc`.
    pub(super) fn enter() -> io::Result<Self> {
        let proc =
            rustix::fs::open("/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let users =
            (!has_rights()).then(|| enter_users().map_err(|(what, error)| format!("{what}: {error}")));
        let made = |what: UnshareFlags| unshare(what).map_err(|error| format!("unshare(2): {error}"));
        let network = made(UnshareFlags::NEWNET);
        let ipc = made(UnshareFlags::NEWIPC);
        let names = made(UnshareFlags::NEWUTS);
        let mounts = empty_root().map_err(|(what, error)| format!("{what}: {error}"));
        let pids = super::probe_pids().map_err(|error| format!("clone(2): {error}"));
        Ok(Self { users, mounts, network, ipc, names, pids, proc })
    }

    pub(super) fn layers(&self) -> Vec<JailLayer> {
        let mounts = self.mounts.as_ref().map(|_| ()).map_err(String::clone);
        let users = match &self.users {
            Some(state) => state.clone(),
            None => Err("not needed: the node may make the others without".to_owned()),
        };
        vec![
            layer("user_namespace", &users, "the node's user and group, and nobody else"),
            layer("mount_namespace", &mounts, self.mounts.as_ref().copied().unwrap_or_default()),
            layer("pid_namespace", &self.pids, "a worker sees no process but itself"),
            layer("network_namespace", &self.network, "no network, shared by the workers"),
            layer("ipc_namespace", &self.ipc, "no System V objects or message queues, shared by the workers"),
            layer("uts_namespace", &self.names, "shared by the workers"),
        ]
    }
}

/// Whether namespaces can be made without one of users.
fn has_rights() -> bool {
    rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(rustix::thread::CapabilitySet::SYS_ADMIN))
}

type Failure = (&'static str, io::Error);

/// For `map_err`.
fn at<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Failure {
    move |error| (what, error.into())
}

/// A user namespace in which this user and group are themselves (user_namespaces(7)).
fn enter_users() -> Result<(), Failure> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    unshare(UnshareFlags::NEWUSER).map_err(at("unshare(2)"))?;
    std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1")).map_err(at("/proc/self/uid_map"))?;
    // Without rights outside, groups can be mapped only once they can't be left any more.
    std::fs::write("/proc/self/setgroups", "deny").map_err(at("/proc/self/setgroups"))?;
    std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1")).map_err(at("/proc/self/gid_map"))
}

/// Makes an empty tmpfs the root and takes every other mount away; says which way.
fn empty_root() -> Result<&'static str, Failure> {
    unshare(UnshareFlags::NEWNS).map_err(at("unshare(2)"))?;
    // Nothing that happens here may reach the machine's mounts, nor the other way round.
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(at("mount(2), private"))?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let options: &CStr = c"size=4k,nr_inodes=2,mode=555";
    mount("none", PLACE, "tmpfs", flags, options).map_err(at("mount(2), tmpfs"))?;
    chdir(PLACE).map_err(at("chdir(2)"))?;
    // The old root comes to lie over the new one, and goes (pivot_root(2), "pivot_root(".", ".")").
    match pivot_root(".", ".") {
        Ok(()) => {
            unmount(".", UnmountFlags::DETACH).map_err(at("umount(2)"))?;
            chdir("/").map_err(at("chdir(2)"))?;
            Ok("an empty root, with no other mount")
        }
        // On the machine's initial root (`Documentation/filesystems/ramfs-rootfs-initramfs.rst`), which can't be taken away.
        Err(Errno::INVAL) => {
            mount_move(".", "/").map_err(at("mount(2), move"))?;
            chroot(".").map_err(at("chroot(2)"))?;
            chdir("/").map_err(at("chdir(2)"))?;
            Ok("an empty root over the machine's initial one, which can't be unmounted")
        }
        Err(error) => Err(at("pivot_root(2)")(error)),
    }
}
