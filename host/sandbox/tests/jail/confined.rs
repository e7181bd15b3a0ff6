//! A program of ours that confines itself, as the compiler does: this program, started by name with one task.

use crate::Test;
use hypermesh_sandbox::confine;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};

/// Argument of this program as such a one, before its task and its folder.
pub(crate) const CONFINED: &str = "confined";

/// What the program exits with where the kernel has no seccomp.
const SKIP: u8 = 77;
/// The signal of a call that is not allowed.
const SIGSYS: i32 = 31;

pub(crate) const TESTS: &[Test] =
    &[("a_confined_program_works_on_its_files_alone", a_confined_program_works_on_its_files_alone)];

/// The program's side; what to exit with.
pub(crate) fn work(task: &str, folder: &str) -> u8 {
    let folder = Path::new(folder);
    // What a guest could never leave open, and this may.
    let open = fs::File::open("/proc/self/status").unwrap();
    let layers = confine(&[&folder.join("in")], &[&folder.join("out")]).unwrap();
    let has = |name: &str| layers.iter().find(|layer| layer.layer == name).unwrap().active;
    match task {
        "files" => {
            eprintln!("{layers:?}");
            let text = std::thread::spawn({
                let path = folder.join("in/file");
                move || fs::read(path).unwrap()
            });
            fs::write(folder.join("out/file"), text.join().unwrap()).unwrap();
            assert!(has("capabilities") && std::io::read_to_string(open).unwrap().contains("CapEff:"));
            if has("landlock") {
                for outside in [folder.join("secret"), "/etc/passwd".into(), folder.join("in/../secret")] {
                    let error = fs::read(outside).unwrap_err();
                    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
                }
                assert!(fs::write(folder.join("in/file"), "").is_err());
                assert!(fs::remove_file(folder.join("in/file")).is_err());
            }
            0
        }
        _ if !has("seccomp") => SKIP,
        "connect" => u8::from(std::net::TcpStream::connect("127.0.0.1:1").is_ok()),
        // What is killed is the child, when it would become the program.
        "run" => match Command::new("/bin/true").status() {
            Ok(status) if status.signal() != Some(SIGSYS) => 1,
            Ok(_) | Err(_) => 0,
        },
        other => panic!("no such task: {other}"),
    }
}

fn run(task: &str, folder: &Path) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([CONFINED, task, folder.to_str().unwrap()]).status().unwrap()
}

fn a_confined_program_works_on_its_files_alone(test: &str) {
    let place = tempfile::tempdir().unwrap();
    for folder in ["in", "out"] {
        fs::create_dir(place.path().join(folder)).unwrap();
    }
    fs::write(place.path().join("in/file"), "content").unwrap();
    fs::write(place.path().join("secret"), "secret").unwrap();
    assert_eq!(run("files", place.path()).code(), Some(0));
    assert_eq!(fs::read_to_string(place.path().join("out/file")).unwrap(), "content");
    let (connected, ran) = (run("connect", place.path()), run("run", place.path()));
    if connected.code() == Some(SKIP.into()) {
        eprintln!("SKIPPED {test} (the part about calls): no seccomp");
        return;
    }
    assert_eq!((connected.signal(), ran.code()), (Some(SIGSYS), Some(0)));
}
