//! The zygote's side of the tests: what a worker does is the first word of its job.

use hypermesh_sandbox::{Task, zygote_main};
use rustix::fs::{Dir, Mode, OFlags, mkdirat, openat, renameat};
use std::fs::File;
use std::io::{Read, Seek, Write};

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
        "attempt" => {
            close(&mut task);
            crate::attempts::make(&task, &job["attempt ".len()..])
        }
        "copy" => copy(&mut task),
        "tell" => {
            close(&mut task);
            task.say(1);
            0
        }
        "runtime" => runtime(&mut task),
        "abort" => {
            close(&mut task);
            std::process::abort()
        }
        "count" => {
            close(&mut task);
            u8::try_from(words.next().unwrap().len()).unwrap_or(u8::MAX)
        }
        other => match crate::dial::work(&mut task, other, words.next()) {
            Some(code) => code,
            None => panic!("no such task: {other}"),
        },
    }
}

pub(crate) fn close(task: &mut Task) {
    task.close_jail().unwrap();
}

/// Reads a file of the first folder and writes it to the second one, in ways that a runtime would.
fn copy(task: &mut Task) -> u8 {
    close(task);
    let (source, target) = (&task.fds[0], &task.fds[1]);
    let listed = openat(source, "below", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let names = Dir::read_from(&listed).unwrap().map(|entry| entry.unwrap().file_name().to_owned());
    assert_eq!(
        names.filter(|name| !name.to_bytes().starts_with(b".")).collect::<Vec<_>>(),
        [c"file".to_owned()]
    );
    let mut content = String::new();
    let mut file = File::from(openat(source, "below/file", OFlags::RDONLY, Mode::empty()).unwrap());
    assert_eq!(file.metadata().unwrap().len(), 7);
    file.read_to_string(&mut content).unwrap();
    mkdirat(target, "deep", Mode::RWXU).unwrap();
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
    let mut made = File::from(openat(target, "deep/new", flags, Mode::RUSR | Mode::WUSR).unwrap());
    made.write_all(b"something much longer").unwrap();
    made.set_len(0).unwrap();
    made.rewind().unwrap();
    made.write_all(content.as_bytes()).unwrap();
    made.sync_all().unwrap();
    renameat(target, "deep/new", target, "deep/copy").unwrap();
    assert!(openat(source, "below/file", OFlags::WRONLY, Mode::empty()).is_err());
    0
}

/// What a runtime does after its code is mapped, beside running it: memory, time, randomness, waiting, its output.
fn runtime(task: &mut Task) -> u8 {
    close(task);
    let mut large = vec![1_u8; 64 << 20];
    large.resize(80 << 20, 2);
    large.shrink_to(1 << 20);
    assert!(large.iter().map(|byte| u64::from(*byte)).sum::<u64>() > 64 << 20);
    assert!(crate::attempts::random() != crate::attempts::random());
    let began = std::time::Instant::now();
    std::thread::sleep(std::time::Duration::from_millis(1));
    assert!(began.elapsed().as_micros() >= 1000 && std::time::SystemTime::now().elapsed().is_ok());
    let queue = rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC).unwrap();
    let _copy = rustix::io::fcntl_dupfd_cloexec(&queue, 0).unwrap();
    rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
    let caught = std::panic::catch_unwind(|| panic!("caught"));
    assert!(caught.is_err());
    eprintln!("printed");
    task.say(1);
    0
}
