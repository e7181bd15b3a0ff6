//! seccomp(2) as seccompiler does not call it: asking what the kernel can do, and a program with a listener.
#![allow(unsafe_code)]

use seccompiler::sock_filter;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// `struct sock_fprog` of `include/uapi/linux/filter.h`.
#[repr(C)]
struct Program {
    length: libc::c_ushort,
    instructions: *const sock_filter,
}

/// Instructions of classic BPF (`include/uapi/linux/bpf_common.h`): load a word, jump if equal, return.
const LOAD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// Whether the kernel can kill a process for a call (Linux 4.14).
pub(super) fn can_kill() -> io::Result<()> {
    can(libc::SECCOMP_RET_KILL_PROCESS)
}

/// Whether the kernel can ask another process for an answer.
pub(super) fn can_answer() -> io::Result<()> {
    can(libc::SECCOMP_RET_USER_NOTIF)
}

fn can(action: u32) -> io::Result<()> {
    // SAFETY: the kernel reads one `u32`, which lives during the call.
    let answer = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, std::ptr::from_ref(&action))
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Has `calls` answered by who gets the descriptor; everything else is left to other programs, which also check the
/// architecture that the numbers are of.
///
/// # Errors
/// EBUSY when there is a listener already; EACCES without no_new_privs.
pub(super) fn install(calls: &[libc::c_long]) -> io::Result<OwnedFd> {
    let instructions = program(calls).ok_or(io::Error::from(rustix::io::Errno::INVAL))?;
    // A call that the node has begun to answer is interrupted by a kill only; before Linux 5.19 by every signal.
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    match set(&instructions, flags | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => set(&instructions, flags),
        result => result,
    }
}

fn set(instructions: &[sock_filter], flags: libc::c_ulong) -> io::Result<OwnedFd> {
    let length = libc::c_ushort::try_from(instructions.len()).map_err(io::Error::other)?;
    let program = Program { length, instructions: instructions.as_ptr() };
    // SAFETY: the kernel copies the program, whose length is passed, during the call.
    let answer = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, std::ptr::from_ref(&program))
    };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = RawFd::try_from(answer).map_err(io::Error::other)?;
    // SAFETY: the kernel has just opened it for this call (close-on-exec), so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Load the number, a comparison a call, allow, or ask. `None` for more calls than a jump reaches over.
fn program(calls: &[libc::c_long]) -> Option<Vec<sock_filter>> {
    let instruction = |code, jt, k| sock_filter { code, jt, jf: 0, k };
    // `seccomp_data.nr` is at 0.
    let mut program = vec![instruction(LOAD, 0, 0)];
    for (index, call) in calls.iter().enumerate() {
        // Over the rest of the comparisons, and `allow`.
        let over = u8::try_from(calls.len() - index).ok()?;
        program.push(instruction(JUMP_IF_EQUAL, over, u32::try_from(*call).ok()?));
    }
    program.push(instruction(RETURN, 0, libc::SECCOMP_RET_ALLOW));
    program.push(instruction(RETURN, 0, libc::SECCOMP_RET_USER_NOTIF));
    Some(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the program says to a call, as the kernel would run it.
    fn answer(program: &[sock_filter], call: u32) -> u32 {
        let mut at = 1;
        loop {
            let step = &program[at];
            match step.code {
                RETURN => return step.k,
                JUMP_IF_EQUAL if step.k == call => at += usize::from(step.jt) + 1,
                JUMP_IF_EQUAL => at += 1,
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn only_the_calls_of_the_list_are_asked_about() {
        let program = program(&[41, 42, 288]).unwrap();
        for call in [0, 40, 43, 287, 289, u32::MAX] {
            assert_eq!(answer(&program, call), libc::SECCOMP_RET_ALLOW, "{call}");
        }
        for call in [41, 42, 288] {
            assert_eq!(answer(&program, call), libc::SECCOMP_RET_USER_NOTIF, "{call}");
        }
    }
}
