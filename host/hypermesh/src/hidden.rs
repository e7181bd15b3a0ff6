//! Subcommands that only this program starts: the zygote of workers, a compiler, and a command that joins a lease.
//!
//! They are looked at before anything else happens in the process, so that a worker's address space holds no thread, no
//! runtime and no parser. `__join DIR... -- COMMAND...` exists because a process can only put *itself* into a cgroup
//! without a race: it joins, then becomes the command. With `--stopped` before the folders it stops in between, until it was given
//! the terminal and told to go on. It fails as `env(1)` does: 125 if it can't join, 126 if the
//! command can't be started, 127 if there is none.

use rustix::process::{Signal, getpid, kill_process};
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

/// The name under which `alloc exec` starts this program again.
pub(crate) const JOIN: &str = "__join";
/// Makes it stop before it becomes the command.
pub(crate) const STOPPED: &str = "--stopped";
/// Separates cgroup directories from the command.
pub(crate) const SEPARATOR: &str = "--";

const CANNOT_JOIN: u8 = 125;
const CANNOT_START: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Runs the hidden subcommand that the arguments name; `None` if they name none.
pub(crate) fn dispatch(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    let name = arguments.next()?;
    match name.to_str()? {
        "__zygote" => Some(hypermesh_node::zygote_main()),
        "__compile" => Some(hypermesh_node::compile_main(arguments.collect())),
        JOIN => Some(join(arguments.collect())),
        _ => None,
    }
}

fn usage(form: &str) -> ExitCode {
    say(&format!("started by the node only, as: {form}"));
    ExitCode::from(2)
}

fn say(text: &str) {
    // With stderr gone there is nobody to tell.
    let _ = writeln!(io::stderr(), "hypermesh: {text}");
}

fn join(mut arguments: Vec<OsString>) -> ExitCode {
    let Some(separator) = arguments.iter().position(|argument| argument == SEPARATOR) else {
        return usage("__join DIR... -- COMMAND...");
    };
    let command = arguments.split_off(separator);
    let Some((program, rest)) = command.get(1..).and_then(<[_]>::split_first) else {
        return usage("__join DIR... -- COMMAND...");
    };
    let stops = arguments.first().is_some_and(|first| first == STOPPED);
    for folder in arguments.iter().skip(usize::from(stops)) {
        let file = Path::new(folder).join("cgroup.procs");
        if let Err(error) = join_one(&file) {
            say(&format!("could not join {}: {error}", file.display()));
            return ExitCode::from(CANNOT_JOIN);
        }
    }
    if let Err(error) = hypermesh_volume::give_up_exemption() {
        say(&format!("could not give up the exemption from quotas: {error}"));
        return ExitCode::from(CANNOT_JOIN);
    }
    if stops && let Err(error) = kill_process(getpid(), Signal::STOP) {
        say(&format!("could not wait for the terminal: {error}"));
        return ExitCode::from(CANNOT_START);
    }
    let error = Command::new(program).args(rest).exec();
    say(&format!("could not start {}: {error}", program.display()));
    ExitCode::from(if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { CANNOT_START })
}

/// "0" means the writer itself (`cgroups(7)`). The file must exist: creating one would be no cgroup.
fn join_one(file: &Path) -> io::Result<()> {
    std::fs::OpenOptions::new().write(true).open(file)?.write_all(b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_commands_are_not_hidden_ones() {
        for arguments in [&["hypermesh"][..], &["hypermesh", "status"], &["hypermesh", "worker", "x"]] {
            assert!(dispatch(arguments.iter().map(OsString::from)).is_none(), "{arguments:?}");
        }
    }
}
