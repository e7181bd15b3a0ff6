//! The program as a process: exit codes, streams, and joining a real cgroup.
//!
//! What needs a running node is the system tests' business.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails there")]

use std::fs;
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn hypermesh(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hypermesh"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for name in ["HYPERMESH_DATA_DIR", "HYPERMESH_SERVER", "HYPERMESH_TOKEN", "NO_COLOR"] {
        command.env_remove(name);
    }
    command
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = hypermesh(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn data_goes_to_stdout_and_talk_to_stderr() {
    let (code, out, err) = run(&["--version"]);
    assert_eq!((code, out.starts_with("hypermesh 0."), err.as_str()), (Some(0), true, ""));

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, out, err) = run(&["status", "--server", &format!("http://{free}"), "--data-dir", "/nowhere"]);
    assert_eq!((code, out.as_str()), (Some(5), ""));
    assert!(err.starts_with(&format!("error: no answer from http://{free}: ")), "{err}");
    assert!(err.ends_with("hypermesh serve\n"), "{err}");
}

#[test]
fn wrong_usage_and_bad_configuration_have_their_codes() {
    assert_eq!(run(&["frobnicate"]).0, Some(2));
    assert_eq!(run(&["api", "GET", "no-slash"]).0, Some(2));
    assert_eq!(run(&["status", "--server", "not a url"]).0, Some(64));
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_str().unwrap();
    assert_eq!(run(&["serve", "--data-dir", data_dir, "--listen-hypermesh", "192.0.2.1:1"]).0, Some(64));
    fs::write(folder.path().join("endpoints.json"), "{").unwrap();
    let (code, _, err) = run(&["status", "--data-dir", data_dir]);
    assert_eq!(code, Some(64), "{err}");
    assert!(err.contains("endpoints.json is not what a node writes"), "{err}");
}

#[test]
fn colours_are_only_where_they_were_asked_for() {
    let escape = '\u{1b}';
    let coloured = |when: &str, no_color: &str| {
        let mut command = hypermesh(&["--color", when, "run", "x", "--server", "http://127.0.0.1:1"]);
        let output = command.env("NO_COLOR", no_color).output().unwrap();
        String::from_utf8(output.stderr).unwrap().contains(escape)
    };
    assert!(!coloured("auto", ""));
    assert!(coloured("always", ""));
    assert!(coloured("always", "1"));
    assert!(!coloured("never", ""));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut child = hypermesh(&["completions", "bash"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}

/// Two nested groups of the v1 pids controller, removed when dropped.
struct Groups(PathBuf);

impl Groups {
    fn make() -> io::Result<Self> {
        let parent = Path::new("/sys/fs/cgroup/pids/hypermesh");
        let groups = Self(parent.join(format!("process-test-{}", std::process::id())));
        fs::create_dir_all(groups.0.join("leaf"))?;
        Ok(groups)
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for folder in [&self.0.join("leaf"), &self.0] {
            if let Err(error) = fs::remove_dir(folder) {
                let _ = writeln!(io::stderr(), "{}: {error}", folder.display());
            }
        }
        // Another test may have its groups there.
        let _ = fs::remove_dir("/sys/fs/cgroup/pids/hypermesh");
    }
}

#[test]
fn a_joining_command_runs_inside_the_cgroup_and_its_end_is_passed_on() {
    if !Path::new("/sys/fs/cgroup/pids/cgroup.procs").exists() {
        let _ = writeln!(io::stderr(), "SKIPPED a_joining_command: no v1 pids controller");
        return;
    }
    let groups = match Groups::make() {
        Ok(groups) => groups,
        Err(error) => {
            let _ = writeln!(io::stderr(), "SKIPPED a_joining_command: can't make a cgroup: {error}");
            return;
        }
    };
    let leaf = groups.0.join("leaf");
    let leaf = leaf.to_str().unwrap();
    let (code, out, err) = run(&["__join", leaf, "--", "sh", "-c", "cat /proc/self/cgroup; exit 42"]);
    assert_eq!(code, Some(42), "{err}");
    let inside = format!(":pids:{}\n", leaf.strip_prefix("/sys/fs/cgroup/pids").unwrap());
    assert!(out.contains(&inside), "{out}");
    assert_eq!(run(&["__join", leaf, "--", "/nowhere/command"]).0, Some(127));
}

#[test]
fn joining_what_is_no_cgroup_runs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let (code, out, err) = run(&["__join", path, "--", "echo", "ran"]);
    assert_eq!((code, out.as_str()), (Some(125), ""), "{err}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    for wrong in [&["__join"][..], &["__join", path], &["__join", path, "--"], &["__worker"]] {
        assert_eq!(run(wrong).0, Some(2), "{wrong:?}");
    }
}
