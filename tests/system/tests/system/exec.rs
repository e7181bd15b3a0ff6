//! A command inside a lease behaves as if it were run by hand: terminal, signals, exit code.

use hypermesh_harness::cgroups::{is_running, processes};
use hypermesh_harness::{Node, Signal, allocation, has_tool, require_cgroups, signal, skip, until};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

fn exec(node: &Node, lease: &str, script: &str) -> Command {
    let mut command = node.command(&["alloc", "exec", lease, "--", "sh", "-c", script]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Reads lines until one is as wanted.
fn wait_for(reader: &mut impl BufRead, wanted: &str) {
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).unwrap() > 0, "{wanted:?} did not come: {seen}");
        if line.contains(wanted) {
            return;
        }
        seen.push_str(&line);
    }
}

fn code(mut child: Child) -> Option<i32> {
    until("the command's end", || child.try_wait().unwrap()).code()
}

#[test]
fn input_output_and_exit_code_are_the_command_s() {
    let node = Node::start();
    require_cgroups!(node);
    let lease = node.client().allocate(&allocation("cpu", 10.0)).unwrap();
    let mut child = exec(&node, &lease.id, "read x; echo got $x; echo err >&2; exit 7").spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"this\n").unwrap();
    let ran = child.wait_with_output().unwrap();
    assert_eq!((ran.status.code(), ran.stdout.as_slice()), (Some(7), b"got this\n".as_slice()), "{ran:?}");
    assert!(String::from_utf8_lossy(&ran.stderr).contains("err"), "{ran:?}");
    let killed = exec(&node, &lease.id, "kill -KILL $$").output().unwrap();
    assert_eq!(killed.status.code(), Some(128 + 9), "as a shell says it: {killed:?}");
}

#[test]
fn signals_are_passed_to_the_command() {
    let node = Node::start();
    require_cgroups!(node);
    let lease = node.client().allocate(&allocation("cpu", 10.0)).unwrap();
    let signals = [
        ("TERM", Signal::TERM, 11),
        ("HUP", Signal::HUP, 12),
        ("INT", Signal::INT, 13),
        ("QUIT", Signal::QUIT, 14),
        ("USR1", Signal::USR1, 15),
        ("USR2", Signal::USR2, 16),
    ];
    for (name, number, answer) in signals {
        let script = format!("trap 'exit {answer}' {name}; echo ready; while :; do sleep 0.05; done");
        let mut child = exec(&node, &lease.id, &script).spawn().unwrap();
        wait_for(&mut BufReader::new(child.stdout.take().unwrap()), "ready");
        signal(child.id(), number);
        assert_eq!(code(child), Some(answer), "SIG{name}");
    }
    assert!(processes(&node.enforcement(&lease.id).cgroups).is_empty(), "nothing is left of them");
}

#[test]
fn the_end_of_the_lease_is_the_end_of_the_command() {
    let node = Node::start();
    require_cgroups!(node);
    let lease = node.client().allocate(&allocation("cpu", 10.0)).unwrap();
    let mut child = exec(&node, &lease.id, "echo $$; sleep 1000").spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let inside: u32 = line.trim().parse().unwrap();
    node.client().release(&lease.id).unwrap();
    assert_eq!(code(child), Some(128 + 9));
    assert!(!is_running(inside));
}

/// Runs a shell line on a terminal of its own; `script` (util-linux) makes it, and passes on what is typed.
fn on_terminal(line: &str) -> Child {
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", line, "/dev/null"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn the_terminal_is_the_command_s() {
    if !has_tool("script") {
        skip!("`script` of util-linux is not installed");
    }
    let node = Node::start();
    require_cgroups!(node);
    let lease = node.client().allocate(&allocation("cpu", 10.0)).unwrap();
    let script = "trap \"echo interrupted; exit 9\" INT; test -t 0 && test -t 1 && echo terminal; stty size; \
                  echo ready; while :; do sleep 0.05; done";
    let program = hypermesh_harness::binary().display();
    let data = node.data_dir();
    let line = format!(
        "stty rows 31 cols 97; HYPERMESH_DATA_DIR='{}' '{program}' alloc exec {} -- sh -c '{script}'",
        data.display(),
        lease.id
    );
    let mut child = on_terminal(&line);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    wait_for(&mut output, "terminal");
    wait_for(&mut output, "31 97");
    wait_for(&mut output, "ready");
    // Ctrl-C, as typed.
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"\x03").unwrap();
    input.flush().unwrap();
    wait_for(&mut output, "interrupted");
    let mut rest = String::new();
    // The terminal's end is an error to its reader on Linux.
    let _ = output.read_to_string(&mut rest);
    assert_eq!(code(child), Some(9));
}
