//! The zygote, its workers and their jail, for real: this program starts itself as a zygote, whose workers do what a job
//! says and report how it went. Without a harness, since a zygote has one thread.
//!
//! Everything runs as the user that started the tests; as root, what needs no root runs again as a user without rights.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a test prints what it did")]

mod attempts;
mod bed;
mod confined;
mod dial;
mod escape;
mod folders;
mod groups;
mod life;
mod network;
mod worker;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// A test: its name, which it shows when it skips something, and itself.
pub(crate) type Test = (&'static str, fn(&str));

/// A user that has nothing: `nobody` of most distributions.
const USER: u32 = 65534;
/// In the environment of the tests as that user.
const UNPRIVILEGED: &str = "SANDBOX_TEST_UNPRIVILEGED";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == worker::ZYGOTE) {
        return ExitCode::from(worker::zygote());
    }
    if arguments.first().is_some_and(|first| first == life::NODE) {
        life::node();
    }
    if let [first, task, folder] = arguments.as_slice()
        && first == confined::CONFINED
    {
        return ExitCode::from(confined::work(task, folder));
    }
    let is_wanted = |name: &str| {
        arguments.iter().filter(|a| !a.starts_with('-')).all(|filter| name.contains(filter.as_str()))
    };
    let tests =
        [life::TESTS, escape::TESTS, folders::TESTS, groups::TESTS, network::TESTS, confined::TESTS].concat();
    let who = if rustix::process::geteuid().is_root() { "root" } else { "a user" };
    for (name, test) in tests.iter().filter(|(name, _)| is_wanted(name)) {
        test(name);
        println!("test {name} as {who} ... ok");
    }
    if rustix::process::geteuid().is_root() && !as_user(&arguments) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Runs the tests again without rights; whether they passed. This program is copied to where any user may start it.
fn as_user(arguments: &[String]) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("jail");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut command = Command::new(program);
    command.args(arguments).env(UNPRIVILEGED, "1").current_dir("/").uid(USER).gid(USER);
    command.status().unwrap().success()
}
