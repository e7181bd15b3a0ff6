//! The terminal as job control sees it: which process group it sends its signals to, and lets read (`credentials(7)`,
//! `tcsetpgrp(3)`).

use nix::sys::signal::{SigSet, Signal};
use rustix::process::{Pid, getpgrp};
use rustix::termios::{tcgetpgrp, tcsetpgrp};
use std::fs::File;
use std::io::{self, Stdin};

/// Stdin, where it is the terminal that this process is in the foreground of.
pub(super) struct Terminal(Stdin);

impl Terminal {
    /// `None` when stdin is something else, or a job in the background has it.
    pub(super) fn foreground() -> Option<Self> {
        let stdin = io::stdin();
        (tcgetpgrp(&stdin).ok()? == getpgrp()).then_some(Self(stdin))
    }

    /// Whether this process' own group is in the foreground.
    pub(super) fn is_ours(&self) -> bool {
        tcgetpgrp(&self.0).is_ok_and(|group| group == getpgrp())
    }

    /// Gives the foreground to a process group.
    ///
    /// # Errors
    /// When there is no such group in this session.
    pub(super) fn give(&self, group: Pid) -> io::Result<()> {
        // The kernel stops a background process that does this (SIGTTOU), unless it blocks that signal.
        let stop = SigSet::from(Signal::SIGTTOU);
        stop.thread_block()?;
        let given = tcsetpgrp(&self.0, group);
        stop.thread_unblock()?;
        Ok(given?)
    }
}

/// Whether this process' group is in the foreground of whatever terminal its session has: then that terminal sends its
/// signals to every process of the group.
pub(super) fn sends_to_us() -> bool {
    let controlling = File::open("/dev/tty");
    controlling.is_ok_and(|tty| tcgetpgrp(&tty).is_ok_and(|group| group == getpgrp()))
}
