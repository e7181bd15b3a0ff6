//! A job that misbehaves, one way an operation. For tests of the engine, the worker and the node; no sample.
//!
//! Every operation does what a careless or malicious guest could do with the public SDK and the standard library.
//! Those of [`probe`] look for ambient authority, those of [`folder`] for ways out of the lease's folder, and report what
//! they found; [`tree`] leaves in that folder what is hard to remove. What ends them is the host's matter.

mod folder;
mod memory;
mod probe;
mod tree;

use hypermesh_guest::{Context, Job, JobError, MAX_CHUNK, Operation, parse_parameters};
use serde::Deserialize;
use serde_json::{Value, json};
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

/// The job.
pub struct Hostile;

hypermesh_guest::export_job!(Hostile);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Count {
    count: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Milliseconds {
    ms: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    text: String,
}

impl Job for Hostile {
    fn operations() -> Vec<Operation> {
        [
            ("trap", "Panics"),
            ("exit", "Calls exit(1)"),
            ("fail", "Returns its own error"),
            ("spin", "Never ends"),
            ("recurse", "Recurses until the stack is gone"),
            ("spin-clock", "Never ends, and asks for the time in between"),
            ("eat-memory", "Allocates and touches memory until there is none"),
            ("hold-memory", "Allocates and touches memory until it is refused, and goes on without more"),
            ("sleep", "Sleeps for {ms} milliseconds"),
            ("log-for-ever", "Never ends, and logs in between"),
            ("flood-log", "Logs {count} lines of 100 bytes"),
            ("flood-controls", "Logs {count} lines of 100 control characters"),
            ("flood-stdout", "Prints {count} lines of 100 bytes, half of them to stderr"),
            ("endless-line", "Prints {count} bytes and no newline"),
            ("flood-progress", "Reports progress {count} times"),
            ("big-output", "Writes {count} bytes to the output `big`"),
            ("big-write", "Passes {count} bytes in one call of the host"),
            ("big-result", "Returns {count} bytes"),
            ("big-error", "Returns an error of {count} control characters"),
            ("measure", "Returns the length of the text {text}"),
            ("many-outputs", "Creates {count} outputs"),
            ("many-handles", "Keeps {count} inputs open"),
            ("output-named", "Creates an output called {name}"),
            ("read-past-end", "Reads an input beyond its end"),
            (
                "folder-use",
                "Writes the text {text} to the file {name} of its lease's folder and reads it back",
            ),
            ("folder-fill", "Writes to its lease's folder until it is refused"),
            ("folder-escape", "Looks for a way out of its lease's folder"),
            ("folder-handles", "Keeps files of its lease's folder open until it is refused"),
            ("folder-crowd", "Creates {count} files in its lease's folder, or until it is refused"),
            ("folder-pit", "Makes folders in its lease's folder {count} times deeper than a path is long"),
            ("folder-links", "Leaves links of every kind in its lease's folder"),
            ("probe", "Looks for environment, arguments, files, standard input"),
        ]
        .map(|(name, description)| Operation::new(name, description, json!({ "type": "object" })))
        .to_vec()
    }

    fn run(context: &mut dyn Context, operation: &str, parameters: Value) -> Result<Value, JobError> {
        match operation {
            "trap" => panic!("a guest that panics"),
            "exit" => std::process::exit(1),
            "fail" => Err(JobError::Failed("it was not to be".to_owned())),
            "spin" => spin(),
            "spin-clock" => loop {
                black_box(Instant::now());
            },
            "log-for-ever" => loop {
                context.info("and again");
            },
            "recurse" => Ok(json!(recurse(black_box(u32::MAX)))),
            "eat-memory" => Ok(json!(memory::eat())),
            "hold-memory" => Ok(json!(memory::hold())),
            "sleep" => {
                let Milliseconds { ms } = parse_parameters(parameters)?;
                std::thread::sleep(Duration::from_millis(ms));
                Ok(json!(ms))
            }
            "flood-log" => {
                let Count { count } = parse_parameters(parameters)?;
                (0..count).for_each(|n| context.info(&format!("{n:0>100}")));
                Ok(json!(count))
            }
            "flood-controls" => {
                let Count { count } = parse_parameters(parameters)?;
                (0..count).for_each(|_| context.info(&"\u{1}".repeat(100)));
                Ok(json!(count))
            }
            "flood-stdout" => flood_stdout(parse_parameters(parameters)?),
            "endless-line" => endless_line(parse_parameters(parameters)?),
            "flood-progress" => {
                let Count { count } = parse_parameters(parameters)?;
                (1..=count).for_each(|n| context.progress(n, Some(count), "flood"));
                Ok(json!(count))
            }
            "big-output" => big_output(context, parse_parameters(parameters)?),
            "big-write" => big_write(context, parse_parameters(parameters)?),
            "big-result" => {
                let Count { count } = parse_parameters(parameters)?;
                Ok(json!("x".repeat(usize::try_from(count).map_err(JobError::failed)?)))
            }
            "big-error" => {
                let Count { count } = parse_parameters(parameters)?;
                Err(JobError::failed("\u{1}".repeat(usize::try_from(count).map_err(JobError::failed)?)))
            }
            "measure" => {
                let Text { text } = parse_parameters(parameters)?;
                Ok(json!(text.len()))
            }
            "many-outputs" => {
                let Count { count } = parse_parameters(parameters)?;
                (0..count).try_for_each(|n| context.create(&format!("{n}")).map(drop))?;
                Ok(json!(count))
            }
            "many-handles" => many_handles(context, parse_parameters(parameters)?),
            "output-named" => {
                let Named { name } = parse_parameters(parameters)?;
                context.create(&name)?.write_all(b"here")?;
                Ok(json!(name))
            }
            "read-past-end" => probe::read_past_end(context),
            "folder-use" => folder::use_it(parse_parameters(parameters)?),
            "folder-fill" => folder::fill(),
            "folder-escape" => folder::escape(),
            "folder-handles" => folder::handles(),
            "folder-crowd" => {
                let Count { count } = parse_parameters(parameters)?;
                folder::crowd(count)
            }
            "folder-pit" => {
                let Count { count } = parse_parameters(parameters)?;
                tree::pit(count)
            }
            "folder-links" => tree::links(),
            "probe" => Ok(probe::everything()),
            _ => Err(JobError::UnknownOperation),
        }
    }
}

fn spin() -> ! {
    let mut n = 0_u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

/// Too deep for any stack, and no loop in disguise: what a step does with the result depends on its depth.
#[inline(never)]
fn recurse(depth: u32) -> u32 {
    if depth == 0 { 1 } else { recurse(depth - 1).wrapping_mul(3).rotate_left(depth % 31) }
}

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn flood_stdout(Count { count }: Count) -> Result<Value, JobError> {
    for n in 0..count {
        if n % 2 == 0 { println!("{n:0>100}") } else { eprintln!("{n:0>100}") }
    }
    print!("no newline at the end");
    std::io::stdout().flush()?;
    Ok(json!(count))
}

/// What is never ended is never a line, so it may not be kept.
#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn endless_line(Count { count }: Count) -> Result<Value, JobError> {
    let piece = "x".repeat(1 << 16);
    for _ in 0..count.div_ceil(1 << 16) {
        print!("{piece}");
        std::io::stdout().flush()?;
    }
    Ok(json!(count))
}

fn big_output(context: &mut dyn Context, Count { count }: Count) -> Result<Value, JobError> {
    let mut output = context.create("big")?;
    let chunk = vec![b'x'; MAX_CHUNK];
    let mut left = count;
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(MAX_CHUNK).min(MAX_CHUNK);
        output.write_all(&chunk[..length])?;
        left -= length as u64;
    }
    Ok(json!(count))
}

/// Goes around the SDK, which splits writes.
#[cfg(target_family = "wasm")]
fn big_write(_: &mut dyn Context, Count { count }: Count) -> Result<Value, JobError> {
    use hypermesh_guest::wasm::job::hypermesh::guest::blobs;
    let output = blobs::create("big").map_err(|error| JobError::Failed(format!("{error:?}")))?;
    let bytes = vec![b'x'; usize::try_from(count).map_err(JobError::failed)?];
    output.write(&bytes).map_err(|error| JobError::Failed(format!("{error:?}")))?;
    Ok(json!(count))
}

#[cfg(not(target_family = "wasm"))]
fn big_write(context: &mut dyn Context, count: Count) -> Result<Value, JobError> {
    big_output(context, count)
}

fn many_handles(context: &mut dyn Context, Count { count }: Count) -> Result<Value, JobError> {
    let blob = context.inputs().into_iter().next().ok_or_else(|| JobError::failed("needs an input"))?;
    let held: Result<Vec<_>, _> = (0..count).map(|_| context.open(&blob.name)).collect();
    Ok(json!(held?.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_guest::{dispatch, testing::MemoryContext};

    #[test]
    fn every_operation_that_ends_by_itself_does_what_it_says() {
        let mut context = MemoryContext::new().with_input("a", b"abc");
        for (operation, parameters) in [
            ("flood-log", r#"{ "count": 3 }"#),
            ("flood-progress", r#"{ "count": 3 }"#),
            ("big-output", r#"{ "count": 2000000 }"#),
            ("many-outputs", r#"{ "count": 3 }"#),
            ("many-handles", r#"{ "count": 3 }"#),
            ("big-result", r#"{ "count": 3 }"#),
            ("read-past-end", "{}"),
            ("flood-controls", r#"{ "count": 3 }"#),
            ("measure", r#"{ "text": "four" }"#),
        ] {
            let result = dispatch::<Hostile>(&mut context, operation, parameters);
            assert!(result.is_ok(), "{operation}: {result:?}");
        }
        assert_eq!(context.lines().len(), 6);
        assert_eq!(context.output("big").map(|bytes| bytes.len()), Some(2_000_000));
    }

    #[test]
    fn every_operation_that_it_names_it_has() {
        for operation in Hostile::operations() {
            let never_ends = [
                "trap",
                "exit",
                "spin",
                "spin-clock",
                "log-for-ever",
                "recurse",
                "eat-memory",
                "hold-memory",
            ];
            if never_ends.contains(&operation.name.as_str()) {
                continue;
            }
            let result = dispatch::<Hostile>(&mut MemoryContext::new(), &operation.name, "{}");
            assert_ne!(result, Err(JobError::UnknownOperation), "{}", operation.name);
        }
    }
}
