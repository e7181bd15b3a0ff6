//! `alloc exec` as a job of a shell on a terminal, and as a process that gets signals from anybody.
//!
//! A small server answers what the program asks a node, and the lease's "cgroup" is a plain file: this is about
//! terminals, signals and exit codes. What joins which group is tested with a real node.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails there")]

use nix::pty::{OpenptyResult, openpty};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers for a node with one active lease, until the test ends.
fn node() -> (String, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let group = folder.path().join("cgroup.procs");
    fs::write(&group, "").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let time = "2026-01-02T03:04:05Z";
    let lease = format!(
        r#"{{"id":"a1","asset_id":"cpu","requester_id":"admin","amount":5.0,"unit":"percentage","duration":60,
            "start_time":"{time}","end_time":"{time}","status":"active","consensus_proofs":[],"proxy_address":null,
            "resources":{{"cpus":[],"mems":[],"gpus":[]}},"enforced":true,"end_reason":null,"phase":"active",
            "generation":1,"priority":50,"preemptible":false,"min_runtime_s":0,"on_expiry":"kill","grace_s":0,
            "warn_s":0,"keep_storage":false,"frozen_until":null,"queue":null}}"#
    );
    let receipt = format!(
        r#"{{"allocation_id":"a1","cgroup_version":"v1","cgroups":[],"join":["{}"],"entries":[],"usage":null,
            "read_at":"{time}"}}"#,
        group.display()
    );
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = answer(stream.unwrap(), &lease, &receipt);
        }
    });
    (url, folder)
}

fn answer(mut stream: TcpStream, lease: &str, receipt: &str) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let target = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let body = if target.contains("/enforcement ") { receipt } else { lease };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

/// An interactive shell on a terminal of its own.
struct Shell {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
}

impl Shell {
    /// `None`, said, where there is no bash or setsid.
    fn start(name: &str) -> Option<Self> {
        let OpenptyResult { master, slave } = openpty(None, None).unwrap();
        let slave = File::from(slave);
        let stdio = || Stdio::from(slave.try_clone().unwrap());
        let mut command = Command::new("setsid");
        command.args(["--ctty", "bash", "--norc", "--noprofile", "-i"]).env("PS1", "$ ").env("TERM", "dumb");
        command.env("PROGRAM", env!("CARGO_BIN_EXE_hypermesh")).env_remove("HYPERMESH_TOKEN");
        let child = match command.stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn() {
            Ok(child) => child,
            Err(error) => {
                let _ = writeln!(io::stderr(), "SKIPPED {name}: setsid can't be run: {error}");
                return None;
            }
        };
        let keyboard = File::from(master);
        let mut reader = keyboard.try_clone().unwrap();
        let (sender, screen) = mpsc::channel();
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            // A terminal that nobody has open any more gives an error in place of an end.
            while let Ok(count @ 1..) = reader.read(&mut chunk) {
                if sender.send(chunk[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Some(Self { child, keyboard, screen, seen: String::new() })
    }

    fn type_in(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until `text` is on the screen, and forgets what stood there before.
    #[track_caller]
    fn expect(&mut self, text: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.seen.contains(text) {
            let left = end.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(chunk) => self.seen.push_str(&String::from_utf8_lossy(&chunk)),
                Err(_) => panic!("no {text:?} on the screen: {:?}", self.seen),
            }
        }
        let (_, rest) = self.seen.split_once(text).unwrap();
        self.seen = rest.to_owned();
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The quotes inside words keep what is typed apart from what is printed.
fn exec(url: &str, script: &str) -> String {
    format!("\"$PROGRAM\" --server {url} alloc exec a1 -- sh -c '{script}'\n")
}

#[test]
fn a_job_stops_with_ctrl_z_goes_on_in_the_foreground_and_reads_the_terminal() {
    let (url, _folder) = node();
    let Some(mut shell) = Shell::start("a_job_stops_with_ctrl_z") else { return };
    shell.type_in(&exec(&url, "echo be\"\"gun; read line; echo \"go\"\"t $line\"; exit 7"));
    shell.expect("begun");
    shell.type_in("\u{1a}");
    shell.expect("Stopped");
    shell.type_in("echo sh\"\"ell; jobs\n");
    shell.expect("shell");
    shell.expect("Stopped");
    shell.type_in("fg\n");
    shell.expect("alloc exec");
    shell.type_in("hello\n");
    shell.expect("got hello");
    shell.type_in("echo co\"\"de=$?\n");
    shell.expect("code=7");
}

#[test]
fn a_job_goes_on_in_the_background_and_the_shell_keeps_the_terminal() {
    let (url, _folder) = node();
    let Some(mut shell) = Shell::start("a_job_goes_on_in_the_background") else { return };
    // The pause is started before the first word: a shell that is inside `vfork` can't stop before its child has.
    shell.type_in(&exec(&url, "sleep 0.3 & echo be\"\"gun; wait; echo en\"\"ded; exit 5"));
    shell.expect("begun");
    shell.type_in("\u{1a}");
    shell.expect("Stopped");
    shell.type_in("bg\n");
    shell.expect("ended");
    shell.type_in("wait %1; echo co\"\"de=$?\n");
    shell.expect("code=");
    shell.type_in("read word; echo \"he\"\"ard $word\"\n");
    shell.type_in("me\n");
    shell.expect("heard me");
}

#[test]
fn ctrl_c_reaches_the_command_alone_and_its_exit_code_comes_back() {
    let (url, _folder) = node();
    let Some(mut shell) = Shell::start("ctrl_c_reaches_the_command_alone") else { return };
    let script = "trap \"echo cau\"\"ght; exit 3\" INT; echo be\"\"gun; while :; do sleep 0.05; done";
    shell.type_in(&exec(&url, script));
    shell.expect("begun");
    shell.type_in("\u{3}");
    shell.expect("caught");
    shell.type_in("echo co\"\"de=$?\n");
    shell.expect("code=3");
    shell.type_in(&exec(&url, "echo be\"\"gun; exec sleep 60"));
    shell.expect("begun");
    shell.type_in("\u{3}");
    shell.type_in("echo co\"\"de=$?\n");
    shell.expect("code=130");
}

#[test]
fn a_script_s_next_command_has_the_terminal_again() {
    let (url, _folder) = node();
    let Some(mut shell) = Shell::start("a_script_s_next_command") else { return };
    let line = exec(&url, "read line; echo \"fir\"\"st $line\"");
    let script = format!("{}; read line; echo \"sec\"\"ond $line\"\n", line.trim_end());
    let quoted = script.trim_end().replace('\'', r"'\''");
    shell.type_in(&format!("bash -c '{quoted}'\n"));
    shell.type_in("a\n");
    shell.expect("first a");
    shell.type_in("b\n");
    shell.expect("second b");
}

#[test]
fn signals_from_anybody_are_passed_on_without_a_terminal() {
    let (url, _folder) = node();
    for (signal, name, code) in [
        (Signal::INT, "INT", 11),
        (Signal::QUIT, "QUIT", 12),
        (Signal::TERM, "TERM", 13),
        (Signal::HUP, "HUP", 14),
        (Signal::USR1, "USR1", 15),
        (Signal::USR2, "USR2", 16),
        (Signal::WINCH, "WINCH", 17),
    ] {
        let script = format!("trap 'exit {code}' {name}; echo begun; while :; do sleep 0.02; done");
        let mut command = Command::new("setsid");
        command.args([
            "--wait",
            env!("CARGO_BIN_EXE_hypermesh"),
            "--server",
            &url,
            "alloc",
            "exec",
            "a1",
            "--",
        ]);
        let child = command.args(["sh", "-c", &script]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) => {
                let _ = writeln!(io::stderr(), "SKIPPED signals_from_anybody: setsid can't be run: {error}");
                return;
            }
        };
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert_eq!(first, "begun\n");
        // Not a group's leader, so setsid did not fork and is the program by now.
        kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{name}");
    }
}
