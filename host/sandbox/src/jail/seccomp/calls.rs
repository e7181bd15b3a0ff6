//! The calls that a worker may make once its jail is closed. What is not here kills it.
//!
//! The list is what a WebAssembly runtime of one thread needs after its code is mapped, each with the reason; it was read
//! from the sources of wasmtime-wasi, cap-primitives, tokio's current-thread runtime, std and glibc, and from traces.
//! Missing on purpose: every way to a new process or thread, a new program, executable memory, a socket of one's own,
//! another process, a mount, a namespace, a key, a kernel interface of its own (io_uring, bpf, perf, userfaultfd).

use libc::c_long;

/// Always.
pub(super) const ALWAYS: &[c_long] = &[
    // What is open already: bytes, positions, sizes, and its end.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_close,
    // A stream socket that was passed. Sending has a condition, see `super`.
    libc::SYS_recvfrom,
    libc::SYS_shutdown,
    libc::SYS_getsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    // Waiting: tokio makes its event queue when it is first used.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    libc::SYS_futex,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_sched_yield,
    // Memory. Mapping and protecting have conditions, see `super`.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // Time, randomness, its own ids, the number of CPUs.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_sched_getaffinity,
    // Signals of its own: wasm traps are SIGSEGV and SIGFPE, with a stack of their own.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // The end.
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// The older names of calls, which only this architecture has.
#[cfg(target_arch = "x86_64")]
pub(super) const ALWAYS_OLD: &[c_long] = &[libc::SYS_epoll_wait, libc::SYS_poll];
/// There are none.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const ALWAYS_OLD: &[c_long] = &[];

/// Asking what a name is: of a descriptor with an empty name (std and glibc ask this way), and harmless where there is no
/// name to find. Only with the empty root, or with folders.
pub(super) const STATUS: &[c_long] = &[libc::SYS_statx, libc::SYS_newfstatat];

/// With folders: what happens in them, where Landlock and the mount say which.
pub(super) const FOLDERS: &[c_long] = &[
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_getdents64,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_utimensat,
    libc::SYS_fadvise64,
    libc::SYS_copy_file_range,
];

/// The older names again.
#[cfg(not(target_arch = "riscv64"))]
pub(super) const FOLDERS_OLD: &[c_long] = &[libc::SYS_renameat];
/// There are none.
#[cfg(target_arch = "riscv64")]
pub(super) const FOLDERS_OLD: &[c_long] = &[];

/// With a network: these stop the worker until the node has answered them ([`super::super::network`]).
pub(super) const ANSWERED: &[c_long] =
    &[libc::SYS_socket, libc::SYS_connect, libc::SYS_bind, libc::SYS_listen, libc::SYS_accept4];

/// With a network: options of a socket, level and name. Not among them are those that would change where its packets go
/// (`IP_OPTIONS` carries source routes), attach programs, or need rights.
pub(super) const OPTIONS: &[(i32, i32)] = &[
    (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
    (libc::SOL_SOCKET, libc::SO_RCVBUF),
    (libc::SOL_SOCKET, libc::SO_SNDBUF),
    (libc::SOL_SOCKET, libc::SO_REUSEADDR),
    (libc::SOL_SOCKET, libc::SO_LINGER),
    (libc::IPPROTO_TCP, libc::TCP_NODELAY),
    (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE),
    (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL),
    (libc::IPPROTO_TCP, libc::TCP_KEEPCNT),
    (libc::IPPROTO_IP, libc::IP_TTL),
    (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS),
    (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
];

/// What may be done to a descriptor (fcntl(2)): copies and flags, not signals or locks.
pub(super) const FCNTL: &[i32] =
    &[libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL];

/// What may be asked of a device (ioctl(2)): whether it blocks, and whether it is a terminal.
pub(super) const IOCTL: &[libc::Ioctl] = &[libc::FIONBIO, libc::TCGETS];

/// For a program of ours that is not a guest's jail ([`crate::confine`]): all is allowed but this, which kills it.
pub(super) const NEVER: &[c_long] = &[
    // Networks, and sockets of other programs.
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    // Other programs and processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    // Mounts, namespaces, roots.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    // Interfaces of the kernel that are large, and of no use to a compiler.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_personality,
];
