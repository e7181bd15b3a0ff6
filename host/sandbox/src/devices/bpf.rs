//! The six commands of bpf(2) that a device filter needs: load a program, attach, detach, ask what is attached, open
//! one of those, and read what the kernel says about it.
//!
//! No libbpf: that is a C library and a tool chain for what are five small structures (`include/uapi/linux/bpf.h`). The
//! kernel takes a structure of any length and treats what is not there as zero, so each command passes only the members
//! that it uses; all are there since Linux 4.15, except those for replacing (5.6).
//!
//! Loading needs CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN; opening by id needs CAP_SYS_ADMIN. Fails with
//! [`BpfError`]. The unsafe code is the call and taking ownership of the descriptor that it returns.
#![allow(unsafe_code)]

use super::rules::Instruction;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use thiserror::Error;

/// A command that the kernel refused.
#[derive(Debug, Error)]
#[error("bpf({command}) failed")]
pub(crate) struct BpfError {
    command: &'static str,
    /// What the kernel said.
    #[source]
    pub(crate) source: io::Error,
}

#[derive(Debug, Clone, Copy)]
enum Command {
    Load = 5,
    Attach = 8,
    Detach = 9,
    OpenById = 13,
    Info = 15,
    Query = 16,
}

impl Command {
    fn name(self) -> &'static str {
        match self {
            Self::Load => "BPF_PROG_LOAD",
            Self::Attach => "BPF_PROG_ATTACH",
            Self::Detach => "BPF_PROG_DETACH",
            Self::OpenById => "BPF_PROG_GET_FD_BY_ID",
            Self::Info => "BPF_OBJ_GET_INFO_BY_FD",
            Self::Query => "BPF_PROG_QUERY",
        }
    }
}

/// `BPF_PROG_TYPE_CGROUP_DEVICE`
const TYPE: u32 = 15;
/// `BPF_CGROUP_DEVICE`
const ATTACH_TYPE: u32 = 6;
/// `BPF_F_ALLOW_MULTI`: beside programs of others, here and below; all of them have to allow.
const ALLOW_MULTI: u32 = 1 << 1;
/// `BPF_F_REPLACE`
const REPLACE: u32 = 1 << 2;
/// As many programs as a group can have (`BPF_CGROUP_MAX_PROGS`).
const MAX_PROGRAMS: usize = 64;
/// What the kernel checks is only that it is a string: none of the helpers that want the GPL is called.
const LICENCE: &[u8] = b"Apache-2.0\0";
/// Tells our programs from those of others on the same group.
pub(crate) const NAME: &str = "hypermesh_dev";
/// How often a program is given to the verifier again, which gives up (EAGAIN) when a signal arrives,
/// as libbpf does.
const LOAD_TRIES: u32 = 20;
/// `BPF_OBJ_NAME_LEN`
const NAME_BYTES: usize = 16;

#[repr(C)]
struct Load {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    licence: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; NAME_BYTES],
}

#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
    replaced: u32,
}

#[repr(C)]
struct Query {
    target: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    padding: u32,
}

#[repr(C)]
struct OpenById {
    id: u32,
    next: u32,
    flags: u32,
}

#[repr(C)]
struct Info {
    descriptor: u32,
    length: u32,
    info: u64,
}

/// `struct bpf_prog_info` up to the name.
#[repr(C)]
#[derive(Default)]
struct RawProgram {
    program_type: u32,
    id: u32,
    tag: [u8; 8],
    jited_length: u32,
    translated_length: u32,
    jited: u64,
    translated: u64,
    loaded_at: u64,
    owner: u32,
    map_count: u32,
    maps: u64,
    name: [u8; NAME_BYTES],
}

/// What the kernel says about a loaded program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    /// Its number, unique until the machine starts again.
    pub(crate) id: u32,
    /// A hash of its instructions as they were loaded.
    pub(crate) tag: [u8; 8],
    /// Its length after the verifier, in bytes.
    pub(crate) length: u32,
    /// The name that it was loaded with.
    pub(crate) name: String,
}

fn call<T>(command: Command, attributes: &mut T) -> Result<RawFd, BpfError> {
    // SAFETY: every `T` here is a `repr(C)` beginning of the kernel's `union bpf_attr` without padding, its length is
    // passed, and the pointers in it are valid during the call and as long as the lengths beside them say.
    let answer = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_long, std::ptr::from_mut(attributes), size_of::<T>())
    };
    if answer < 0 {
        return Err(BpfError { command: command.name(), source: io::Error::last_os_error() });
    }
    // Descriptors and zero fit.
    RawFd::try_from(answer)
        .map_err(|error| BpfError { command: command.name(), source: io::Error::other(error) })
}

/// For the commands that answer with a new descriptor.
fn open<T>(command: Command, attributes: &mut T) -> Result<OwnedFd, BpfError> {
    let descriptor = call(command, attributes)?;
    // SAFETY: the kernel has just opened it for this call (close-on-exec, as all of bpf's), so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// A pointer as bpf(2) wants it: 64 bits on every machine.
fn address<T>(pointer: *const T) -> u64 {
    pointer.expose_provenance() as u64
}

/// An open descriptor is never negative.
fn number(descriptor: BorrowedFd<'_>) -> u32 {
    descriptor.as_raw_fd().cast_unsigned()
}

/// What fits in the kernel's 32 bits; a longer program than that is refused by its other limits.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Has the kernel check and keep a program. It lives as long as a descriptor or a group holds it.
///
/// # Errors
/// EPERM without the capabilities; EAGAIN when signals keep arriving; EINVAL from a kernel without cgroup programs; ENOSYS from one without bpf(2).
pub(crate) fn load(program: &[Instruction]) -> Result<OwnedFd, BpfError> {
    let mut name = [0; NAME_BYTES];
    name[..NAME.len()].copy_from_slice(NAME.as_bytes());
    let mut attributes = Load {
        program_type: TYPE,
        instruction_count: count(program.len()),
        instructions: address(program.as_ptr()),
        licence: address(LICENCE.as_ptr()),
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
        name,
    };
    let mut tries = 1;
    loop {
        match open(Command::Load, &mut attributes) {
            Err(error) if error.source.kind() == io::ErrorKind::WouldBlock && tries < LOAD_TRIES => {
                tries += 1
            }
            loaded => return loaded,
        }
    }
}

/// Attaches a program to a group, in the place of another one of that group if given.
///
/// # Errors
/// EBADF when that is no cgroup2 folder; EPERM when a group above allows no programs below it; EINVAL when the program
/// is there already, or, with `replaced`, from a kernel before 5.6.
pub(crate) fn attach(
    group: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    replaced: Option<BorrowedFd<'_>>,
) -> Result<(), BpfError> {
    let mut attributes = Attach {
        target: number(group),
        program: number(program),
        attach_type: ATTACH_TYPE,
        flags: ALLOW_MULTI | if replaced.is_some() { REPLACE } else { 0 },
        replaced: replaced.map_or(0, number),
    };
    call(Command::Attach, &mut attributes).map(|_zero| ())
}

/// Takes a program off a group.
///
/// # Errors
/// ENOENT when it is not there.
pub(crate) fn detach(group: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), BpfError> {
    let (target, program) = (number(group), number(program));
    let mut attributes = Attach { target, program, attach_type: ATTACH_TYPE, flags: 0, replaced: 0 };
    call(Command::Detach, &mut attributes).map(|_zero| ())
}

/// The programs attached to a group itself, by id.
///
/// # Errors
/// EPERM without CAP_NET_ADMIN; EBADF when that is no cgroup2 folder.
pub(crate) fn attached(group: BorrowedFd<'_>) -> Result<Vec<u32>, BpfError> {
    let mut ids = [0_u32; MAX_PROGRAMS];
    let mut attributes = Query {
        target: number(group),
        attach_type: ATTACH_TYPE,
        query_flags: 0,
        attach_flags: 0,
        ids: address(ids.as_mut_ptr()),
        count: count(MAX_PROGRAMS),
        padding: 0,
    };
    call(Command::Query, &mut attributes)?;
    let found = usize::try_from(attributes.count).unwrap_or(MAX_PROGRAMS);
    Ok(ids.into_iter().take(found).collect())
}

/// Opens a loaded program.
///
/// # Errors
/// ENOENT when it is gone.
pub(crate) fn open_by_id(id: u32) -> Result<OwnedFd, BpfError> {
    open(Command::OpenById, &mut OpenById { id, next: 0, flags: 0 })
}

/// What the kernel says about a program.
///
/// # Errors
/// As bpf(2).
pub(crate) fn describe(program: &OwnedFd) -> Result<Program, BpfError> {
    let mut raw = RawProgram::default();
    let mut attributes = Info {
        descriptor: number(program.as_fd()),
        length: count(size_of::<RawProgram>()),
        info: address(std::ptr::from_mut(&mut raw)),
    };
    call(Command::Info, &mut attributes)?;
    let end = raw.name.iter().position(|byte| *byte == 0).unwrap_or(NAME_BYTES);
    let name = String::from_utf8_lossy(&raw.name[..end]).into_owned();
    Ok(Program { id: raw.id, tag: raw.tag, length: raw.translated_length, name })
}
