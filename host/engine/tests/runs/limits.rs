//! Fuel, stack, and the ways in which a component can misbehave before its first function: each has its own cause.

use crate::support::{Bench, cause};
use hypermesh_artifacts::{ECHO_COMMAND, HOSTILE};
use hypermesh_engine::{Call, JobOutcome};
use hypermesh_model::{Bytes, Cause};
use serde_json::json;
use std::collections::BTreeMap;

fn counting(to: &str) -> Call {
    let arguments = ["echo", "count", to].map(str::to_owned).to_vec();
    Call::Command { arguments, environment: BTreeMap::new() }
}

/// A command whose core module starts so, and whose `run` succeeds.
fn command(core: &str) -> String {
    format!(
        r#"(component
            (core module $m {core} (func (export "run") (result i32) i32.const 0))
            (core instance $i (instantiate $m))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (component $c
                (import "run" (func $run (result (result))))
                (export "run" (func $run)))
            (instance $e (instantiate $c (with "run" (func $run))))
            (export "wasi:cli/run@0.2.6" (instance $e)))"#
    )
}

fn nothing() -> Call {
    Call::Command { arguments: Vec::new(), environment: BTreeMap::new() }
}

/// The least fuel with which it ends well, by bisection.
fn fuel_of(call: &Call) -> u64 {
    let ends_well = |fuel| {
        let (outcome, _) = Bench::metered(ECHO_COMMAND, fuel).call(call.clone());
        match outcome {
            JobOutcome::Completed { .. } => true,
            JobOutcome::Failed { cause: Cause::Fuel { limit }, .. } => {
                assert_eq!(limit, fuel);
                false
            }
            outcome @ (JobOutcome::Described(_) | JobOutcome::Failed { .. }) => panic!("{outcome:?}"),
        }
    };
    let (mut too_little, mut enough) = (0, 100_000_000);
    assert!(ends_well(enough));
    while enough - too_little > 1 {
        let middle = u64::midpoint(too_little, enough);
        if ends_well(middle) { enough = middle } else { too_little = middle }
    }
    enough
}

#[test]
fn the_same_run_takes_the_same_fuel_to_the_instruction() {
    let once = fuel_of(&counting("1000"));
    assert_eq!(once, fuel_of(&counting("1000")));
    assert!(fuel_of(&counting("2000")) > once);
}

#[test]
fn an_endless_loop_ends_with_its_fuel() {
    let bench = Bench::metered(HOSTILE, 10_000_000);
    assert_eq!(bench.fail("spin", json!({})), Cause::Fuel { limit: 10_000_000 });
}

#[test]
fn an_artefact_of_the_other_profile_is_not_loaded() {
    let mut bench = Bench::new(ECHO_COMMAND);
    bench.spec.fuel = Some(1000);
    let Cause::WorkerLost { detail } = cause(bench.call(counting("1")).0) else { panic!() };
    assert!(detail.contains("does not fit this engine"), "{detail}");
}

#[test]
fn endless_recursion_ends_with_the_stack_and_a_backtrace() {
    let Cause::Stack { limit, backtrace } = Bench::new(HOSTILE).fail("recurse", json!({})) else { panic!() };
    assert_eq!(limit, Bytes(512 << 10));
    assert!(backtrace.iter().any(|line| line.contains("recurse")), "{backtrace:?}");
}

#[test]
fn a_start_function_counts_as_the_guests_code() {
    let endless = command("(func $s (loop $l (br $l))) (start $s)");
    let component = wat::parse_str(&endless).unwrap();
    let bench = Bench::of("endless-start", &component, Some(1_000_000));
    let (outcome, seen) = bench.call(nothing());
    assert_eq!(cause(outcome), Cause::Fuel { limit: 1_000_000 });
    assert_eq!(seen.running, 1, "the deadline runs while it starts");

    let deep = Bench::of_text("deep-start", &command("(func $s (call $s)) (start $s)"));
    assert!(matches!(cause(deep.call(nothing()).0), Cause::Stack { .. }));

    let broken = Bench::of_text("broken-start", &command("(func $s unreachable) (start $s)"));
    let Cause::Trap { message, backtrace } = cause(broken.call(nothing()).0) else { panic!() };
    assert!(message.contains("unreachable") && !backtrace.is_empty());
}

#[test]
fn memories_and_tables_that_start_over_the_limit_end_as_guest_memory() {
    // 4 GiB of memory; ten million elements of eight bytes; two memories that are too large together.
    for (name, core) in [
        ("huge-memory", "(memory 65536)"),
        ("huge-table", "(table 10000000 funcref)"),
        ("two-memories", "(memory 600) (memory 600)"),
    ] {
        let (outcome, _) = Bench::of_text(name, &command(core)).call(nothing());
        let Cause::GuestMemory { limit, wanted } = cause(outcome) else { panic!("{name}") };
        assert!(limit == Bytes::mib(64) && wanted > limit, "{name}: {wanted}");
    }
}

#[test]
fn a_table_that_grows_for_ever_ends_at_the_limit() {
    let core = "(table $t 1 funcref)
        (func $s (loop $l
            (if (i32.eq (table.grow $t (ref.null func) (i32.const 100000)) (i32.const -1)) (then unreachable))
            (br $l)))
        (start $s)";
    let (outcome, _) = Bench::of_text("table-bomb", &command(core)).call(nothing());
    let Cause::GuestMemory { limit, wanted } = cause(outcome) else { panic!() };
    assert!(limit == Bytes::mib(64) && wanted > limit);
}

#[test]
fn a_data_segment_beyond_its_memory_is_a_trap() {
    let core = r#"(memory 1) (data (i32.const 1073741824) "far out")"#;
    let (outcome, _) = Bench::of_text("far-segment", &command(core)).call(nothing());
    assert!(matches!(cause(outcome), Cause::Trap { .. }));
}

#[test]
fn a_small_guest_costs_little() {
    let bench = Bench::of_text("nothing", &command(""));
    let mut times: Vec<_> = (0..50)
        .map(|_| {
            let started = std::time::Instant::now();
            bench.call(nothing());
            started.elapsed()
        })
        .collect();
    times.sort();
    eprintln!("opening, loading and running an empty command: p50 {:?}, least {:?}", times[25], times[0]);
}
