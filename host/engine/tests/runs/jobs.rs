//! Jobs: the samples do what they say, and every way of misbehaving that ends by itself has its own cause.

use crate::support::{Bench, Seen, cause};
use hypermesh_artifacts::{HASH_FILES, HOSTILE, MATRIX_MULTIPLY, THUMBNAIL};
use hypermesh_engine::{Call, JobOutcome, JobSpec};
use hypermesh_model::{Bytes, Cause};
use rustix::process::geteuid;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::time::{Duration, Instant};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs an operation of the hostile guest that must fail.
fn hostile(operation: &str, parameters: Value) -> (Cause, Seen) {
    let bench = Bench::new(HOSTILE);
    let (outcome, seen) = bench.run(operation, parameters);
    (cause(outcome), seen)
}

#[test]
fn hash_files_hashes_a_real_file_as_a_native_program_does() {
    // This very test program: some megabytes that no one made for the purpose.
    let path = std::env::current_exe().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let bench = Bench::new(HASH_FILES).with_input("program", &path);
    let (result, seen) = bench.complete("hash", json!({}));
    let file = &result["files"][0];
    assert_eq!(file["name"], "program");
    assert_eq!(file["size"], bytes.len());
    assert_eq!(file["sha256"], hex(&Sha256::digest(&bytes)));
    assert_eq!(file["blake3"], blake3::hash(&bytes).to_hex().to_string());
    assert_eq!(seen.running, 1);
    assert_eq!(seen.lines, [("info".to_owned(), format!("program: {} bytes hashed", bytes.len()))]);
    let total = bytes.len() as u64;
    assert_eq!(seen.progress.last(), Some(&(total, Some(total), "program".to_owned())));
}

#[test]
fn describe_gives_the_operations_with_their_schemas() {
    for (artifact, operation) in
        [(HASH_FILES, "hash"), (THUMBNAIL, "thumbnail"), (MATRIX_MULTIPLY, "multiply")]
    {
        let (outcome, _) = Bench::new(artifact).call(Call::Describe);
        let JobOutcome::Described(operations) = outcome else { panic!("{outcome:?}") };
        assert_eq!(operations.len(), 1);
        assert_eq!(operations[0].name, operation);
        assert_eq!(operations[0].parameters["type"], "object");
        assert!(!operations[0].description.is_empty());
    }
}

#[test]
fn thumbnail_writes_an_output_file() {
    // A PNG of one pixel.
    const PIXEL: &[u8] = b"\
        \x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x01\x00\x00\x00\x01\
        \x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\x0d\x49\x44\x41\x54\x78\xda\x63\xf8\xcf\xc0\xf0\
        \x1f\x00\x05\x00\x01\xff\x56\xc7\x2f\x0d\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82";
    let mut bench = Bench::new(THUMBNAIL);
    bench.add_input("pixel.png", PIXEL);
    let (outcome, _) = bench.run("thumbnail", json!({ "max_width": 8, "max_height": 8, "format": "jpeg" }));
    let JobOutcome::Completed { result, outputs, .. } = outcome else { panic!("{outcome:?}") };
    let result: Value = serde_json::from_str(&result).unwrap();
    assert_eq!(outputs.len(), 1);
    assert_eq!(outputs[0].name, "pixel-thumbnail.jpg");
    let written = std::fs::read(bench.output_dir().join("pixel-thumbnail.jpg")).unwrap();
    assert_eq!(written[..2], [0xff, 0xd8]);
    assert_eq!(outputs[0].size, Bytes(written.len() as u64));
    assert_eq!(result["thumbnails"][0]["size"], written.len());
}

#[test]
fn matrix_multiply_gives_the_same_answer_as_natively() {
    use hypermesh_guest::{dispatch, testing::MemoryContext};
    use hypermesh_guest_matrix_multiply::MatrixMultiply;
    let parameters = json!({ "size": 150, "seed": 42 });
    let natively = dispatch::<MatrixMultiply>(&mut MemoryContext::new(), "multiply", &parameters.to_string());
    let (result, seen) = Bench::new(MATRIX_MULTIPLY).complete("multiply", parameters);
    assert_eq!(result, serde_json::from_str::<Value>(&natively.unwrap()).unwrap());
    assert_eq!(seen.progress.last().map(|report| report.0), Some(150));
}

#[test]
fn a_guest_finds_nothing_that_it_was_not_granted() {
    let (found, _) = Bench::new(HOSTILE).complete("probe", json!({}));
    let nothing = json!({
        "environment": 0,
        "arguments": 0,
        "standard_input_bytes": 0,
        "read_root": false,
        "read_here": false,
        "read_passwd": false,
        "write_file": false,
    });
    assert_eq!(found, nothing);
}

#[test]
fn a_panic_is_a_trap_with_a_backtrace_and_its_message_in_the_log() {
    let (cause, seen) = hostile("trap", json!({}));
    let Cause::Trap { message, backtrace } = cause else { panic!("{cause:?}") };
    assert_eq!(message, "wasm trap: wasm `unreachable` instruction executed");
    assert!(!backtrace.is_empty());
    assert!(seen.lines.iter().any(|(level, text)| level == "stderr" && text.contains("a guest that panics")));
}

#[test]
fn a_guest_that_eats_memory_ends_at_its_limit_with_the_numbers() {
    let (cause, _) = hostile("eat-memory", json!({}));
    let Cause::GuestMemory { limit, wanted } = cause else { panic!("{cause:?}") };
    assert_eq!(limit, Bytes::mib(64));
    assert!(wanted > limit && wanted < Bytes::mib(130), "{wanted}");
}

#[test]
fn a_limit_below_what_a_guest_starts_with_is_the_same_cause() {
    let mut bench = Bench::new(HOSTILE);
    bench.spec.memory_limit = Bytes(64 << 10);
    let (outcome, _) = bench.run("trap", json!({}));
    let JobOutcome::Failed { cause: Cause::GuestMemory { limit, wanted }, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(wanted > limit);
}

#[test]
fn the_guests_own_errors_are_told_as_they_are() {
    let (cause, _) = hostile("fail", json!({}));
    assert_eq!(cause, Cause::GuestError { message: "it was not to be".to_owned() });
    let (cause, _) = hostile("sleep", json!({ "ms": "long" }));
    assert!(matches!(&cause, Cause::GuestError { message } if message.starts_with("invalid parameters:")));
    let (cause, _) = hostile("exit", json!({}));
    assert!(
        matches!(&cause, Cause::GuestError { message } if message.contains("exited with code 1")),
        "{cause:?}"
    );
}

#[test]
fn an_unknown_operation_names_those_that_there_are() {
    let (outcome, _) = Bench::new(HASH_FILES).run("shred", json!({}));
    let JobOutcome::Failed { cause: Cause::UnknownOperation { known }, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(known, ["hash"]);
}

#[test]
fn outputs_over_the_limit_end_the_run() {
    let (cause, _) = hostile("big-output", json!({ "count": (4 << 20) + 1 }));
    assert_eq!(cause, Cause::OutputLimit { limit: Bytes::mib(4) });
    let bench = Bench::new(HOSTILE);
    let (outcome, _) = bench.run("big-output", json!({ "count": 4 << 20 }));
    assert!(matches!(outcome, JobOutcome::Completed { .. }), "{outcome:?}");
    assert_eq!(std::fs::metadata(bench.output_dir().join("big")).unwrap().len(), 4 << 20);
}

#[test]
fn results_over_the_limit_end_the_run_however_long_they_are() {
    // Over our limit; and over what wasmtime would copy at all.
    for count in [70_000, 8 << 20] {
        let (cause, _) = hostile("big-result", json!({ "count": count }));
        assert_eq!(cause, Cause::OutputLimit { limit: Bytes(64 << 10) }, "{count}");
    }
}

#[test]
fn a_call_that_copies_too_much_is_a_trap() {
    let mut bench = Bench::new(HOSTILE);
    bench.spec.output_bytes_limit = Bytes::mib(100);
    let (outcome, _) = bench.run("big-write", json!({ "count": 16 << 20 }));
    let JobOutcome::Failed { cause: Cause::Trap { message, .. }, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(message.contains("too much data"), "{message}");
}

#[test]
fn files_are_limited_in_number() {
    let (cause, _) = hostile("many-outputs", json!({ "count": 65 }));
    assert_eq!(cause, Cause::GuestError { message: "no more than 64 files at once".to_owned() });
    let mut bench = Bench::new(HOSTILE);
    bench.add_input("a", b"abc");
    let (result, _) = bench.complete("many-handles", json!({ "count": 64 }));
    assert_eq!(result, 64);
    let (outcome, _) = bench.run("many-handles", json!({ "count": 65 }));
    assert!(matches!(outcome, JobOutcome::Failed { cause: Cause::GuestError { .. }, .. }), "{outcome:?}");
    let (result, _) = bench.complete("read-past-end", json!({}));
    assert_eq!(result, json!({ "bytes": 0 }));
}

#[test]
fn an_output_stays_in_its_folder() {
    for name in ["../escaped", "/tmp/escaped", ".hidden", "", "a/b"] {
        let (cause, _) = hostile("output-named", json!({ "name": name }));
        assert!(
            matches!(&cause, Cause::GuestError { message } if message.contains("not a name")),
            "{cause:?}"
        );
    }
}

#[test]
fn a_log_over_its_limit_keeps_its_beginning_and_counts_the_rest() {
    // 64 KiB at 164 bytes a line are 399 lines.
    for operation in ["flood-log", "flood-stdout"] {
        let (outcome, seen) = Bench::new(HOSTILE).run(operation, json!({ "count": 10_000 }));
        let JobOutcome::Completed { dropped_log_lines, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(seen.lines.len(), 399, "{operation}");
        assert!(seen.lines[398].1.ends_with("398"));
        assert!((9_601..=9_602).contains(&dropped_log_lines), "{operation}: {dropped_log_lines}");
    }
}

#[test]
fn what_is_printed_without_a_newline_is_logged_at_the_end() {
    let (_, seen) = Bench::new(HOSTILE).complete("flood-stdout", json!({ "count": 2 }));
    let levels: Vec<_> = seen.lines.iter().map(|(level, _)| level.as_str()).collect();
    assert_eq!(levels, ["stdout", "stderr", "stdout"]);
    assert_eq!(seen.lines[2].1, "no newline at the end");
}

#[test]
fn a_flood_of_progress_is_thinned_out_and_the_last_report_kept() {
    let started = Instant::now();
    let (_, seen) = Bench::new(HOSTILE).complete("flood-progress", json!({ "count": 200_000 }));
    let most = started.elapsed().as_millis() / 100 + 2;
    assert!(seen.progress.len() as u128 <= most, "{} in {:?}", seen.progress.len(), started.elapsed());
    assert_eq!(seen.progress.last().map(|report| report.0), Some(200_000));
}

#[test]
fn a_guest_may_sleep() {
    let started = Instant::now();
    let (result, _) = Bench::new(HOSTILE).complete("sleep", json!({ "ms": 120 }));
    assert_eq!(result, 120);
    assert!(started.elapsed() >= Duration::from_millis(120));
}

#[test]
fn an_artefact_that_does_not_fit_is_a_fault_of_the_host() {
    let bench = Bench::new(HASH_FILES);
    std::fs::write(bench.artefact(), b"not an artefact").unwrap();
    let (outcome, seen) = bench.call(Call::Describe);
    let Cause::WorkerLost { detail } = cause(outcome) else { panic!() };
    assert!(detail.contains("does not fit this engine"), "{detail}");
    assert_eq!(seen.running, 0, "it never began");
}

#[test]
fn an_artefact_that_others_may_write_or_own_is_not_mapped() {
    let bench = Bench::new(HASH_FILES);
    std::fs::set_permissions(bench.artefact(), Permissions::from_mode(0o620)).unwrap();
    let Cause::WorkerLost { detail } = cause(bench.call(Call::Describe).0) else { panic!() };
    assert!(detail.contains("written by others") && detail.contains("620"), "{detail}");

    let mut bench = Bench::new(HASH_FILES);
    bench.spec.artefact_owner += 1;
    let (outcome, _) = bench.call(Call::Describe);
    if geteuid().is_root() {
        // What root owns is trusted by everybody.
        assert!(matches!(outcome, JobOutcome::Described(_)), "{outcome:?}");
        chown(bench.artefact(), Some(4711), None).unwrap();
        let Cause::WorkerLost { detail } = cause(bench.call(Call::Describe).0) else { panic!() };
        assert!(detail.contains("owner 4711"), "{detail}");
    } else {
        assert!(matches!(cause(outcome), Cause::WorkerLost { .. }));
    }
}

#[test]
fn specification_and_outcome_survive_the_way_between_processes() {
    let bench = Bench::new(HASH_FILES);
    let text = serde_json::to_string(&bench.spec).unwrap();
    assert_eq!(serde_json::from_str::<JobSpec>(&text).unwrap(), bench.spec);
    let (outcome, _) = bench.run("hash", json!({}));
    let text = serde_json::to_string(&outcome).unwrap();
    assert_eq!(serde_json::from_str::<JobOutcome>(&text).unwrap(), outcome);
}
