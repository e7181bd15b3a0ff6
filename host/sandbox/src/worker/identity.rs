//! Naming a process for ever: process ids are reused, a process id with its start time is not.

use serde::{Deserialize, Serialize};

/// One process of this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// The process id in this PID namespace.
    pub pid: u32,
    /// When it started, in clock ticks since boot: field 22 of `/proc/<pid>/stat` (proc_pid_stat(5)).
    pub start_ticks: u64,
}

/// The name of the process that has this id now; `None` when there is none. A zombie still has its name.
pub fn identify(pid: u32) -> Option<ProcessId> {
    Some(ProcessId { pid, start_ticks: read(pid)?.start_ticks })
}

/// Whether exactly this process still runs. One that has ended and waits to be reaped does not.
pub fn is_alive(process: &ProcessId) -> bool {
    read(process.pid).is_some_and(|stat| stat.start_ticks == process.start_ticks && !stat.has_ended)
}

struct Stat {
    start_ticks: u64,
    has_ended: bool,
}

fn read(pid: u32) -> Option<Stat> {
    // Bytes: the command's name in it may be anything.
    parse(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// `pid (comm) state ppid ... starttime ...`: comm may hold spaces and parentheses, so what counts begins after the
/// last one. State is field 3, starttime field 22.
fn parse(stat: &[u8]) -> Option<Stat> {
    let end = stat.iter().rposition(|b| *b == b')')?;
    let mut fields = std::str::from_utf8(&stat[end + 1..]).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    let start_ticks = fields.nth(18)?.parse().ok()?;
    Some(Stat { start_ticks, has_ended: matches!(state, "Z" | "X" | "x") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(comm: &str, state: char, start: u64) -> Vec<u8> {
        format!("7 ({comm}) {state} 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 {start} 4096 1 18446744073709551615\n")
            .into_bytes()
    }

    #[test]
    fn this_process_is_alive_and_another_with_its_number_is_not() {
        let me = identify(std::process::id()).unwrap();
        assert!(is_alive(&me));
        assert!(!is_alive(&ProcessId { start_ticks: me.start_ticks + 1, ..me }));
        assert_eq!(identify(u32::MAX), None);
    }

    #[test]
    fn a_zombie_has_ended() {
        assert!(parse(&line("sh", 'Z', 5)).unwrap().has_ended);
        assert!(!parse(&line("sh", 'S', 5)).unwrap().has_ended);
    }

    proptest! {
        #[test]
        fn any_name_of_a_command_is_skipped(comm in "\\PC{0,15}", start: u64) {
            prop_assert_eq!(parse(&line(&comm, 'R', start)).unwrap().start_ticks, start);
        }

        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) { let _ = parse(&bytes); }
    }
}
