//! The forbidden calls, each as a task of a worker whose jail is closed. In the worker's process: a call that kills it is
//! seen by the test as SIGSYS; one that comes back has to come back refused, or the worker says that it got out.
#![allow(
    unsafe_code,
    reason = "these are the calls that no safe interface makes, by number where libc has no name"
)]

use crate::worker::{DENIED, GOT_OUT};
use hypermesh_sandbox::Task;
use libc::{c_long, c_void};
use std::io;
use std::os::fd::AsRawFd;

/// How a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The process is killed.
    Killed,
    /// EACCES, EPERM, EROFS, EXDEV or ENOENT.
    Denied,
}

/// A forbidden call: its name, how it is refused to a worker without folders, and to one with a folder at descriptor 0 of
/// its task, which is read-only.
pub(crate) struct Attempt {
    pub(crate) name: &'static str,
    pub(crate) bare: Refused,
    pub(crate) with_folder: Refused,
    call: fn(&Task) -> c_long,
}

const fn killed(name: &'static str, call: fn(&Task) -> c_long) -> Attempt {
    Attempt { name, bare: Refused::Killed, with_folder: Refused::Killed, call }
}

/// Of files: the call exists for a worker with a folder.
const fn file(name: &'static str, call: fn(&Task) -> c_long) -> Attempt {
    Attempt { name, bare: Refused::Killed, with_folder: Refused::Denied, call }
}

/// SAFETY, for all: what a call gets is numbers, or pointers to constants with their length, or null; and whatever it
/// does, it does to a process that ends right after.
macro_rules! sys {
    ($number:ident $(, $argument:expr)*) => {
        // SAFETY: see above.
        |_task: &Task| unsafe { libc::syscall(libc::$number $(, $argument)*) }
    };
}

const PASSWD: *const libc::c_char = c"/etc/passwd".as_ptr();
const NULL: *const c_void = std::ptr::null();
const PAGE: usize = 4096;

pub(crate) const ATTEMPTS: &[Attempt] = &[
    file("open /etc/passwd", sys!(SYS_openat, libc::AT_FDCWD, PASSWD, libc::O_RDONLY)),
    file(
        "open the root",
        sys!(SYS_openat, libc::AT_FDCWD, c"/".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY),
    ),
    file("open its own memory", sys!(SYS_openat, libc::AT_FDCWD, c"/proc/self/mem".as_ptr(), libc::O_RDWR)),
    file("leave its folder upwards", |task| openat(task, c"../secret", libc::O_RDONLY)),
    // In a mount of its own the folder above is itself.
    file("open the folder above", |task| match openat(task, c"..", libc::O_RDONLY | libc::O_DIRECTORY) {
        ..0 => -1,
        // SAFETY: a constant name.
        above => unsafe { libc::syscall(libc::SYS_openat, above, c"secret".as_ptr(), libc::O_RDONLY) },
    }),
    file("follow a link out of its folder", |task| openat(task, c"link", libc::O_RDONLY)),
    file("write a file of a read-only folder", |task| openat(task, c"file", libc::O_WRONLY)),
    file("make a file in a read-only folder", |task| openat(task, c"new", libc::O_WRONLY | libc::O_CREAT)),
    file("make a folder in a read-only folder", |task| {
        // SAFETY: a constant name.
        unsafe { libc::syscall(libc::SYS_mkdirat, task.fds[0].as_raw_fd(), c"new".as_ptr(), 0o700) }
    }),
    file("remove a file of a read-only folder", |task| {
        // SAFETY: a constant name.
        unsafe { libc::syscall(libc::SYS_unlinkat, task.fds[0].as_raw_fd(), c"file".as_ptr(), 0) }
    }),
    killed("change the owner", |task| {
        // SAFETY: numbers.
        unsafe { libc::syscall(libc::SYS_fchown, task.fds[0].as_raw_fd(), 0, 0) }
    }),
    killed("make a device", |task| {
        // SAFETY: a constant name.
        unsafe {
            libc::syscall(
                libc::SYS_mknodat,
                task.fds[0].as_raw_fd(),
                c"dev".as_ptr(),
                libc::S_IFCHR | 0o666,
                0x101,
            )
        }
    }),
    killed("open by handle", sys!(SYS_open_by_handle_at, libc::AT_FDCWD, NULL, libc::O_RDONLY)),
    killed("change the root", sys!(SYS_chroot, c"/".as_ptr())),
    killed("run a program", sys!(SYS_execve, c"/bin/sh".as_ptr(), NULL, NULL)),
    killed(
        "run a program of a descriptor",
        sys!(SYS_execveat, 0, c"".as_ptr(), NULL, NULL, libc::AT_EMPTY_PATH),
    ),
    killed("make a socket", sys!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0)),
    killed("make a raw socket", sys!(SYS_socket, libc::AF_PACKET, libc::SOCK_RAW, 0)),
    killed("make a netlink socket", sys!(SYS_socket, libc::AF_NETLINK, libc::SOCK_RAW, 0)),
    killed("connect", sys!(SYS_connect, 0, NULL, 16)),
    killed("send to an address", sys!(SYS_sendto, 0, NULL, 0, 0, PASSWD, 16)),
    killed("send descriptors", sys!(SYS_sendmsg, 0, NULL, 0)),
    killed("trace", sys!(SYS_ptrace, libc::PTRACE_TRACEME, 0, 0, 0)),
    killed("attach to its parent", sys!(SYS_ptrace, libc::PTRACE_ATTACH, 1, 0, 0)),
    killed("read another's memory", sys!(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0)),
    killed("write another's memory", sys!(SYS_process_vm_writev, 1, NULL, 0, NULL, 0, 0)),
    killed("open a process", sys!(SYS_pidfd_open, 1, 0)),
    killed("signal its parent", |_| {
        // SAFETY: numbers.
        unsafe { libc::syscall(libc::SYS_kill, libc::syscall(libc::SYS_getpid) - 1, libc::SIGKILL) }
    }),
    killed("signal the first process", sys!(SYS_kill, 1, libc::SIGKILL)),
    killed("signal everybody", sys!(SYS_kill, -1, libc::SIGKILL)),
    killed("signal a thread", sys!(SYS_tgkill, 1, 1, libc::SIGKILL)),
    killed("queue a signal", sys!(SYS_rt_sigqueueinfo, 1, libc::SIGKILL, NULL)),
    killed("fork", sys!(SYS_clone, libc::SIGCHLD, 0, 0, 0, 0)),
    killed("fork by clone3", sys!(SYS_clone3, NULL, 64)),
    killed(
        "start a thread",
        sys!(SYS_clone, libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND, 0, 0, 0, 0),
    ),
    killed("mount", sys!(SYS_mount, NULL, c"/".as_ptr(), c"proc".as_ptr(), 0, NULL)),
    killed("unmount", sys!(SYS_umount2, c"/".as_ptr(), libc::MNT_DETACH)),
    killed("mount by descriptor", sys!(SYS_fsopen, c"proc".as_ptr(), 0)),
    killed("copy a mount", sys!(SYS_open_tree, libc::AT_FDCWD, c"/".as_ptr(), 1)),
    killed("get namespaces", sys!(SYS_unshare, libc::CLONE_NEWUSER)),
    killed("enter a namespace", sys!(SYS_setns, 0, 0)),
    killed(
        "map executable memory",
        sys!(
            SYS_mmap,
            NULL,
            PAGE,
            libc::PROT_READ | libc::PROT_EXEC,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0
        ),
    ),
    killed(
        "map writable and executable memory",
        sys!(SYS_mmap, NULL, PAGE, 7, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0),
    ),
    killed("make memory executable", |_| {
        // SAFETY: a fresh page; nobody has it.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let page = libc::mmap(std::ptr::null_mut(), PAGE, libc::PROT_WRITE, flags, -1, 0);
            libc::syscall(libc::SYS_mprotect, page, PAGE, libc::PROT_READ | libc::PROT_EXEC)
        }
    }),
    killed("make memory executable by key", sys!(SYS_pkey_mprotect, NULL, PAGE, 7, -1)),
    killed("bpf", sys!(SYS_bpf, 0, NULL, 0)),
    killed("perf", sys!(SYS_perf_event_open, NULL, 0, -1, -1, 0)),
    killed("userfaultfd", sys!(SYS_userfaultfd, 0)),
    killed("io_uring", sys!(SYS_io_uring_setup, 1, NULL)),
    killed("keyctl", sys!(SYS_keyctl, 0, 0, 0, 0, 0)),
    killed("add_key", sys!(SYS_add_key, PASSWD, PASSWD, NULL, 0, 0)),
    killed("shared memory", sys!(SYS_shmget, 1, PAGE, libc::IPC_CREAT)),
    killed("a message queue", sys!(SYS_msgget, 1, libc::IPC_CREAT)),
    killed("an anonymous file", sys!(SYS_memfd_create, PASSWD, 0)),
    killed("own signals by descriptor", sys!(SYS_fcntl, 0, libc::F_SETOWN, 1)),
    killed("type into a terminal", sys!(SYS_ioctl, 0, libc::TIOCSTI, PASSWD)),
    killed("raise a limit", sys!(SYS_prlimit64, 0, libc::RLIMIT_NOFILE, NULL, NULL)),
    killed("prctl", sys!(SYS_prctl, libc::PR_SET_DUMPABLE, 1, 0, 0, 0)),
    killed("become root", sys!(SYS_setresuid, 0, 0, 0)),
    killed("get capabilities", sys!(SYS_capset, NULL, NULL)),
    killed("set another filter", sys!(SYS_seccomp, 1, 0, NULL)),
    killed("name the machine", sys!(SYS_sethostname, PASSWD, 1)),
    killed("set the clock", sys!(SYS_clock_settime, 0, NULL)),
    killed("load a module", sys!(SYS_init_module, NULL, 0, PASSWD)),
    killed("read the log", sys!(SYS_syslog, 3, NULL, 0)),
    killed("a call of the other table", |_| {
        // The x32 table of x86_64 has this bit (`__X32_SYSCALL_BIT`); elsewhere there is no such call.
        // SAFETY: numbers.
        unsafe { libc::syscall(0x4000_0000 | libc::SYS_getpid) }
    }),
    killed("a call that is none", |_| {
        // SAFETY: numbers.
        unsafe { libc::syscall(1_000_000) }
    }),
];

fn openat(task: &Task, name: &std::ffi::CStr, flags: i32) -> c_long {
    // SAFETY: a name that ends with zero, and numbers.
    unsafe { libc::syscall(libc::SYS_openat, task.fds[0].as_raw_fd(), name.as_ptr(), flags, 0o600) }
}

/// Makes the attempt of this name; what the worker exits with if it still can.
pub(crate) fn make(task: &Task, name: &str) -> u8 {
    let attempt = ATTEMPTS.iter().find(|attempt| attempt.name == name).unwrap();
    if (attempt.call)(task) >= 0 {
        return GOT_OUT;
    }
    let error = io::Error::last_os_error();
    // The standard error of a worker stays open.
    eprintln!("{error}");
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM | libc::EROFS | libc::EXDEV | libc::ENOENT) => DENIED,
        _ => GOT_OUT,
    }
}

/// Not forbidden: randomness, which rustix has as a feature that nothing else here needs.
pub(crate) fn random() -> u128 {
    let mut bytes = [0_u8; 16];
    // SAFETY: the kernel writes as many bytes as there are.
    assert_eq!(unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) }, 16);
    u128::from_ne_bytes(bytes)
}
