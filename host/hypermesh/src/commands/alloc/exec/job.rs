//! A command as a job: it has the terminal while it is in the foreground, gets every signal that this process gets, and
//! stops and goes on with it.
//!
//! ```text
//! started, stopped ──terminal given──▶ runs ──Ctrl-Z──▶ stopped: terminal taken back, this process stops too
//!                                       ▲ │                             │ fg, bg
//!                                       │ └──ends──▶ terminal taken back │
//!                                       └────────────────────────────────┘
//! ```
//! With stdin on a terminal the command gets a process group of its own and the foreground, as a shell does it: Ctrl-C,
//! Ctrl-\ and Ctrl-Z reach the command alone, and what this process receives was sent by somebody, so it is passed on. A
//! shell that stands above sees this process stop when the command stops.
//!
//! Otherwise (a pipe, a script, a service) the command stays in this process' group. What a terminal sends to that group
//! reaches the command by itself and is not sent twice; so a SIGINT, SIGQUIT or SIGTSTP that somebody else sends to this
//! process alone, while its group is in the foreground, is not passed on. All other signals are.

use super::terminal::{self, Terminal};
use crate::hidden;
use anyhow::Context;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, kill_process_group, waitpid,
};
use std::ffi::OsString;
use std::future::poll_fn;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::task::Poll;
use tokio::signal::unix::{self, SignalKind, signal};

/// What is passed on. SIGSTOP and SIGKILL can't be noticed; what a fault of this program raises is its own.
const PASSED_ON: [Signal; 10] = [
    Signal::TERM,
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::USR1,
    Signal::USR2,
    Signal::ALARM,
    Signal::WINCH,
    Signal::TSTP,
    Signal::CONT,
];

/// Runs a command that first joins these cgroups, and gives its end.
///
/// # Errors
/// When it can't be started or waited for.
pub(super) fn run(
    folders: &[PathBuf],
    environment: &[(&str, String)],
    command: &[OsString],
) -> anyhow::Result<WaitStatus> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Registered before the start: from here on a signal is for the command, and the leaves are always removed.
        let mut notices = Notices::listen()?;
        let mut job = Job::start(folders, environment, command)?;
        let end = loop {
            match notices.next().await {
                Notice::Child => {
                    if let Some(end) = job.look()? {
                        break end;
                    }
                }
                Notice::Signal(signal) => job.pass_on(signal),
            }
        };
        job.take_terminal();
        Ok(end)
    })
}

/// What this process is told by the kernel.
enum Notice {
    /// A child changed its state.
    Child,
    /// A signal for the command.
    Signal(Signal),
}

struct Notices {
    child: unix::Signal,
    others: Vec<(Signal, unix::Signal)>,
}

impl Notices {
    fn listen() -> io::Result<Self> {
        let other = |passed: Signal| Ok((passed, signal(SignalKind::from_raw(passed.as_raw()))?));
        let others = PASSED_ON.into_iter().map(other).collect::<io::Result<_>>()?;
        Ok(Self { child: signal(SignalKind::child())?, others })
    }

    async fn next(&mut self) -> Notice {
        poll_fn(|context| {
            for (signal, stream) in &mut self.others {
                if let Poll::Ready(Some(())) = stream.poll_recv(context) {
                    return Poll::Ready(Notice::Signal(*signal));
                }
            }
            match self.child.poll_recv(context) {
                Poll::Ready(_) => Poll::Ready(Notice::Child),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

struct Job {
    pid: Pid,
    /// Where there is one to give.
    terminal: Option<Terminal>,
    /// Whether the command has it.
    given: bool,
    /// Whether the command still waits for it before it begins.
    waits: bool,
}

impl Job {
    fn start(
        folders: &[PathBuf],
        environment: &[(&str, String)],
        command: &[OsString],
    ) -> anyhow::Result<Self> {
        let terminal = Terminal::foreground();
        let program = std::env::current_exe().context("this program's own file can't be found")?;
        let mut join = Command::new(program);
        join.arg(hidden::JOIN);
        if terminal.is_some() {
            join.arg(hidden::STOPPED).process_group(0);
        }
        let join = join.args(folders).arg(hidden::SEPARATOR).args(command);
        join.envs(environment.iter().map(|(name, value)| (name, value)));
        let child = join.spawn().context("could not start the command")?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.context("the command has no process id")?;
        let waits = terminal.is_some();
        Ok(Self { pid, terminal, given: false, waits })
    }

    /// What has become of the command; `Some` when it has ended.
    fn look(&mut self) -> io::Result<Option<WaitStatus>> {
        let changes = WaitOptions::NOHANG | WaitOptions::UNTRACED;
        while let Some((_, status)) = waitpid(Some(self.pid), changes)? {
            if !status.stopped() {
                return Ok(Some(status));
            }
            if !std::mem::take(&mut self.waits) {
                self.take_terminal();
                self.stop();
            }
            self.go_on();
        }
        Ok(None)
    }

    /// Stops this process, so that its shell notices; returns when it was told to go on.
    fn stop(&self) {
        // Nothing but a missing process can be refused here, and this one is there.
        let _ = kill_process(getpid(), Signal::STOP);
    }

    /// Lets the command go on, in the foreground if this process is there.
    fn go_on(&mut self) {
        if let Some(terminal) = self.terminal.as_ref().filter(|terminal| terminal.is_ours()) {
            // Refused only for a group that is gone; then there is nobody to give it to.
            self.given = terminal.give(self.pid).is_ok();
        }
        self.send(Signal::CONT);
    }

    /// Takes the terminal back, if the command has it.
    fn take_terminal(&mut self) {
        if std::mem::take(&mut self.given)
            && let Some(terminal) = &self.terminal
        {
            // Refused only when the terminal is gone.
            let _ = terminal.give(rustix::process::getpgrp());
        }
    }

    fn pass_on(&mut self, signal: Signal) {
        let by_terminal = [Signal::INT, Signal::QUIT, Signal::TSTP, Signal::WINCH].contains(&signal);
        if signal == Signal::CONT {
            return self.go_on();
        }
        if self.terminal.is_some() {
            return self.send(signal);
        }
        if !(by_terminal && terminal::sends_to_us()) {
            self.send(signal);
        }
        if signal == Signal::TSTP {
            self.stop();
            self.go_on();
        }
    }

    /// To the command's whole group where that is its own, as a terminal does it.
    fn send(&self, signal: Signal) {
        // It has not been waited for, so the id is its own; if it has ended there is nothing to tell.
        let _ = match self.terminal {
            Some(_) => kill_process_group(self.pid, signal),
            None => kill_process(self.pid, signal),
        };
    }
}
