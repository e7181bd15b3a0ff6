//! The device filter of cgroup2: a BPF program attached to the lease's group, where it stays until the group goes.
//!
//! One program serves all leases with the same rules. What the kernel holds is compared by tag, the kernel's own hash of
//! a program's instructions: since its kind changed (SHA-1, SHA-256 from Linux 6.18) the tag to expect is not computed
//! here but read from a program that was loaded for the comparison. A node that was started again therefore recognises
//! what it attached before. Programs of others on the same group are left alone; they can only deny more.
//!
//! Other rules replace the old program in one step, or, before Linux 5.6, by attaching the new one and then detaching the
//! old: in between both have to allow. Fails with [`BpfError`], when the kernel has no such programs or the node may not
//! use them.

use super::bpf::{self, BpfError, Program};
use super::rules::{Rule, assemble};
use crate::setting::Mode;
use rustix::fs::{Mode as FileMode, OFlags};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Programs that are kept loaded for the next lease with the same rules. A machine has few sets of rules at a time; when
/// there are more they are all let go of, which takes nothing from the groups that have them.
const MAX_KEPT: usize = 64;

/// Loaded programs.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    kept: Mutex<HashMap<Vec<Rule>, Arc<Loaded>>>,
}

#[derive(Debug)]
struct Loaded {
    descriptor: OwnedFd,
    program: Program,
}

/// What a group holds, compared with what was asked.
#[derive(Debug)]
pub(crate) struct Held {
    /// Our programs on the group, for people; `None` without any.
    pub(crate) programs: Option<String>,
    /// Whether that is exactly the one that was asked for.
    pub(crate) is_asked: bool,
}

impl Programs {
    /// Attaches the program of these rules (or not) and reads back what is attached.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn settle(&self, group: &Path, rules: &[Rule], mode: Mode) -> Result<Held, FilterError> {
        let wanted = self.loaded(rules)?;
        let group =
            rustix::fs::open(group, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, FileMode::empty())
                .map_err(|error| FilterError::Group(error.into()))?;
        if mode == Mode::Write {
            put(group.as_fd(), &wanted)?;
        }
        let ours = ours(group.as_fd())?;
        let is_asked = matches!(ours.as_slice(), [only] if only.is_like(&wanted.program));
        let named: Vec<_> = ours.iter().map(|loaded| name(&loaded.program)).collect();
        Ok(Held { programs: (!named.is_empty()).then(|| named.join(", ")), is_asked })
    }

    fn loaded(&self, rules: &[Rule]) -> Result<Arc<Loaded>, BpfError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = kept.get(rules) {
            return Ok(Arc::clone(loaded));
        }
        let descriptor = bpf::load(&assemble(rules))?;
        let program = bpf::describe(&descriptor)?;
        let loaded = Arc::new(Loaded { descriptor, program });
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(rules.to_owned(), Arc::clone(&loaded));
        Ok(loaded)
    }
}

/// Why a filter could not be set up or read back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilterError {
    /// The kernel refused a command.
    #[error(transparent)]
    Bpf(#[from] BpfError),
    /// The group's folder could not be opened.
    #[error("cannot open the group")]
    Group(#[source] io::Error),
}

impl FilterError {
    /// The error and its source in one line.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Bpf(error) => format!("{error}: {}", error.source),
            Self::Group(source) => format!("{self}: {source}"),
        }
    }
}

impl Loaded {
    /// Whether it decides the same. The name was compared before.
    fn is_like(&self, wanted: &Program) -> bool {
        self.program.tag == wanted.tag && self.program.length == wanted.length
    }
}

/// Leaves exactly one of our programs on the group: the wanted one.
fn put(group: BorrowedFd<'_>, wanted: &Loaded) -> Result<(), BpfError> {
    let (same, mut others): (Vec<_>, Vec<_>) =
        ours(group)?.into_iter().partition(|loaded| loaded.is_like(&wanted.program));
    if same.is_empty() {
        let replaced = others.pop();
        match &replaced {
            None => bpf::attach(group, wanted.descriptor.as_fd(), None)?,
            Some(old) => replace(group, wanted, old)?,
        }
    }
    // What an interrupted replacement left.
    others.iter().chain(same.iter().skip(1)).try_for_each(|old| bpf::detach(group, old.descriptor.as_fd()))
}

fn replace(group: BorrowedFd<'_>, wanted: &Loaded, old: &Loaded) -> Result<(), BpfError> {
    let (new, old) = (wanted.descriptor.as_fd(), old.descriptor.as_fd());
    match bpf::attach(group, new, Some(old)) {
        Err(error) if error.source.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
            bpf::attach(group, new, None)?;
            bpf::detach(group, old)
        }
        replaced => replaced,
    }
}

/// The programs on the group that a node of ours attached.
fn ours(group: BorrowedFd<'_>) -> Result<Vec<Loaded>, BpfError> {
    let mut found = Vec::new();
    for id in bpf::attached(group)? {
        let descriptor = bpf::open_by_id(id)?;
        let program = bpf::describe(&descriptor)?;
        if program.name == bpf::NAME {
            found.push(Loaded { descriptor, program });
        }
    }
    Ok(found)
}

fn name(program: &Program) -> String {
    let mut text = format!("bpf program {} tag ", program.id);
    for byte in program.tag {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
