//! The last layer: which calls of the kernel a worker may make (seccomp(2),
//! `Documentation/userspace-api/seccomp_filter.rst`).
//!
//! A list of what is allowed, with SECCOMP_RET_KILL_PROCESS for the rest: a call that is not on it is a guest that got out
//! of its runtime, or a mistake of ours, and neither should go on. Programs are built once, by the zygote, for each
//! combination of what a worker may need; seccompiler makes them (Firecracker's, pure Rust, also checks the architecture
//! and so the other tables of calls). What is answered by the node is a second program: of two the kernel takes the
//! stricter answer. That the list is a search and not a row of comparisons is for the time that it takes to install it.

mod calls;
mod listener;
mod search;

use super::JailError;
use calls::{ALWAYS, ALWAYS_OLD, ANSWERED, FCNTL, FOLDERS, FOLDERS_OLD, IOCTL, NEVER, OPTIONS, STATUS};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;

/// What a worker needs beside the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) folders: bool,
    pub(super) network: bool,
}

/// What the layers before have made harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Around {
    /// There is no file to find.
    pub(super) empty_root: bool,
    /// There is no other process to name.
    pub(super) own_pids: bool,
}

/// A program for each combination of needs.
#[derive(Debug)]
pub(super) struct Programs([BpfProgram; 4]);

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

impl Programs {
    /// Builds them, where the kernel can kill a process by them.
    pub(super) fn build(around: Around) -> Result<Self, String> {
        can_kill()?;
        let build = |folders, network| search::program(allowed(Needs { folders, network }, around)?);
        let all = || Ok([build(false, false)?, build(false, true)?, build(true, false)?, build(true, true)?]);
        all().map(Self).map_err(|error: seccompiler::BackendError| error.to_string())
    }

    /// Installs the program for these needs; before it, with a network, the one whose listener `hand_over` gets. This
    /// process may make no other calls afterwards.
    pub(super) fn install(
        &self,
        needs: Needs,
        hand_over: impl FnOnce(OwnedFd) -> io::Result<()>,
    ) -> Result<(), JailError> {
        if needs.network {
            let listener =
                listener::install(ANSWERED).map_err(JailError::because("have its network calls answered"))?;
            hand_over(listener).map_err(JailError::because("hand its network calls over"))?;
        }
        let chosen = &self.0[usize::from(needs.folders) * 2 + usize::from(needs.network)];
        apply_filter(chosen).map_err(|error| JailError::because("close its list of calls")(io_of(error)))
    }
}

/// Whether the kernel can kill a process for a call.
pub(super) fn can_kill() -> Result<(), String> {
    listener::can_kill().map_err(|error| format!("seccomp(2): {error}"))
}

/// Whether the kernel can have calls answered by another process (Linux 5.0, descriptors since 5.9).
pub(super) fn can_answer() -> Result<(), String> {
    listener::can_answer().map_err(|error| format!("seccomp(2): {error}"))
}

/// Forbids a program of ours what it never needs.
pub(super) fn forbid() -> Result<(), io::Error> {
    let never = NEVER.iter().map(|call| (*call, Vec::new())).collect();
    let forbidding = || -> Result<BpfProgram, seccompiler::BackendError> {
        let target: TargetArch = std::env::consts::ARCH.try_into()?;
        SeccompFilter::new(never, SeccompAction::Allow, SeccompAction::KillProcess, target)?.try_into()
    };
    let program = forbidding().map_err(io::Error::other)?;
    apply_filter(&program).map_err(io_of)
}

/// The kernel's own words, where they are.
fn io_of(error: seccompiler::Error) -> io::Error {
    if let seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) = error {
        return error;
    }
    io::Error::other(error)
}

fn allowed(needs: Needs, around: Around) -> Result<Rules, seccompiler::BackendError> {
    let mut rules = Rules::new();
    let mut plain = |calls: &[libc::c_long]| rules.extend(calls.iter().map(|call| (*call, Vec::new())));
    plain(ALWAYS);
    plain(ALWAYS_OLD);
    if around.empty_root || needs.folders {
        plain(STATUS);
    }
    if needs.folders {
        plain(FOLDERS);
        plain(FOLDERS_OLD);
    }
    if needs.network {
        plain(ANSWERED);
        let options = OPTIONS.iter().map(|(level, name)| {
            SeccompRule::new(vec![equal(1, level.cast_unsigned())?, equal(2, name.cast_unsigned())?])
        });
        rules.insert(libc::SYS_setsockopt, options.collect::<Result<_, _>>()?);
    }
    // No executable memory: whatever is, was mapped before.
    let executable = u64::from(libc::PROT_EXEC.cast_unsigned());
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        let not = SeccompCmpOp::MaskedEq(executable);
        let rule = SeccompRule::new(vec![SeccompCondition::new(2, SeccompCmpArgLen::Dword, not, 0)?])?;
        rules.insert(call, vec![rule]);
    }
    // Sending on what is connected, to no address: TCP Fast Open would connect to one.
    let none = SeccompCondition::new(4, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?;
    rules.insert(libc::SYS_sendto, vec![SeccompRule::new(vec![none])?]);
    rules.insert(libc::SYS_fcntl, one_of(1, FCNTL.iter().map(|command| command.cast_unsigned()))?);
    // The kernel takes 32 bits of it.
    let commands = IOCTL.iter().filter_map(|command| u32::try_from(*command).ok());
    rules.insert(libc::SYS_ioctl, one_of(1, commands)?);
    // How abort(3) ends a process. Where others can be named, it ends by SIGSYS instead.
    if around.own_pids {
        rules.insert(
            libc::SYS_tgkill,
            vec![SeccompRule::new(vec![equal(2, libc::SIGABRT.cast_unsigned())?])?],
        );
    }
    Ok(rules)
}

fn equal(argument: u8, value: u32) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value.into())
}

fn one_of(
    argument: u8,
    values: impl Iterator<Item = u32>,
) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    values.map(|value| SeccompRule::new(vec![equal(argument, value)?])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_need_adds_its_calls_and_no_other() {
        let around = Around { empty_root: false, own_pids: false };
        let calls = |folders, network, around| -> Vec<i64> {
            allowed(Needs { folders, network }, around).unwrap().into_keys().collect()
        };
        let least = calls(false, false, around);
        for never in
            NEVER.iter().chain(&[libc::SYS_openat, libc::SYS_clone, libc::SYS_clone3, libc::SYS_fork])
        {
            assert!(!least.contains(never), "{never}");
        }
        let full = calls(true, true, Around { empty_root: true, own_pids: true });
        assert!(least.iter().all(|call| full.contains(call)));
        let added: Vec<_> = full.iter().filter(|call| !least.contains(call)).copied().collect();
        let known =
            [STATUS, FOLDERS, FOLDERS_OLD, ANSWERED, &[libc::SYS_setsockopt, libc::SYS_tgkill]].concat();
        assert!(added.iter().all(|call| known.contains(call)) && added.len() == known.len(), "{added:?}");
    }

    /// A program is limited to 4096 instructions (`BPF_MAXINSNS`), and jumps to 255.
    #[test]
    fn every_program_fits() {
        let around = Around { empty_root: true, own_pids: true };
        for program in &Programs::build(around).unwrap().0 {
            assert!(program.len() < 1000, "{}", program.len());
        }
    }
}
