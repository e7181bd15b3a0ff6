//! The zygote's side of the tests: what a worker does is the first word of its job.

use hypermesh_sandbox::{Task, zygote_main};

/// Argument of this program as a zygote.
pub(crate) const ZYGOTE: &str = "zygote";
/// A second argument: a zygote that can't prepare.
pub(crate) const UNPREPARED: &str = "unprepared";
/// What the code of a task exits with whose forbidden call came back with an answer, and was denied as it should be.
pub(crate) const DENIED: u8 = 10;
/// What it exits with when it got what it must not get.
pub(crate) const GOT_OUT: u8 = 11;

pub(crate) fn zygote() -> u8 {
    let is_unprepared = std::env::args().any(|argument| argument == UNPREPARED);
    zygote_main(
        || {
            if is_unprepared {
                Err("nothing to prepare with".to_owned())
            } else {
                Ok(String::from("prepared"))
            }
        },
        |prepared, task| {
            assert_eq!(prepared, "prepared");
            work(task)
        },
    )
}

fn work(mut task: Task) -> u8 {
    let job = String::from_utf8(std::mem::take(&mut task.job)).unwrap();
    let mut words = job.split(' ');
    match words.next().unwrap() {
        "exit" => words.next().unwrap().parse().unwrap(),
        "panic" => panic!("as it was told"),
        "say" => {
            words.for_each(|word| task.say(word.parse().unwrap()));
            0
        }
        // Until the node says that it may end, or is gone: both are the end of the pipe.
        "hold" => {
            close(&mut task);
            task.say(1);
            let mut byte = [0];
            let read = rustix::io::read(&task.fds[0], &mut byte).unwrap();
            if read == 0 { 0 } else { byte[0] }
        }
        "count" => {
            close(&mut task);
            u8::try_from(words.next().unwrap().len()).unwrap_or(u8::MAX)
        }
        other => panic!("no such task: {other}"),
    }
}

pub(crate) fn close(task: &mut Task) {
    task.close_jail().unwrap();
}
