//! Rows: how long a component takes from its upload to its place in the catalog: vetted, compiled, and asked what it can
//! do, each in a jailed process. Every upload is a component that the node has never seen.

use crate::Effort;
use crate::error::BenchError;
use crate::report::{Baseline, Goal, Row};
use crate::statistics::{milliseconds, summary};
use hypermesh_artifacts::MATRIX_MULTIPLY;
use hypermesh_harness::Node;
use hypermesh_wire::catalog::UploadQuery;
use std::fmt::Write;
use std::time::Instant;

/// What we want for a component of [`SMALL`] bytes, milliseconds.
const MOST_MS: f64 = 300.0;
/// Length of a small component.
const SMALL: usize = 50_000;
/// Uploads for each round of the others.
const UPLOADS: usize = 5;

/// Measures the rows.
///
/// # Errors
/// When the node refuses a component that it must take.
pub(crate) fn measure(node: &Node, effort: &Effort) -> Result<Vec<Row>, BenchError> {
    let small = command(SMALL)?;
    let (mut of_small, mut of_sample) = (Vec::new(), Vec::new());
    // The first of each warms up.
    for turn in 0..=effort.rounds * UPLOADS {
        let took = [
            admit(node, "bench-command", &small, turn)?,
            admit(node, "bench-job", MATRIX_MULTIPLY.component, turn)?,
        ];
        if turn > 0 {
            of_small.push(took[0]);
            of_sample.push(took[1]);
        }
    }
    let row = |what: &str, length: usize, samples: &[f64], goals| Row {
        name: format!("admission of {what}, {} kB: vetted, compiled, in the catalog", length / 1000),
        unit: "ms",
        more_is_better: false,
        ours: summary(samples).ok_or_else(|| "there are no samples".to_owned()),
        baseline: Baseline::None(String::new()),
        goals,
    };
    Ok(vec![
        row("a generated command", small.len(), &of_small, vec![Goal::AtMost(MOST_MS)]),
        row("the sample job matrix-multiply", MATRIX_MULTIPLY.component.len(), &of_sample, Vec::new()),
    ])
}

/// Uploads a component that differs from all others by a custom section. Milliseconds.
fn admit(node: &Node, name: &str, component: &[u8], number: usize) -> Result<f64, BenchError> {
    let mut bytes = component.to_vec();
    bytes.extend(custom_section(number));
    let about = UploadQuery {
        name: Some(name.into()),
        version: Some(format!("1.0.{number}")),
        ..UploadQuery::default()
    };
    let begun = Instant::now();
    node.upload_package(&about, &bytes).map_err(BenchError::node("admitting a component"))?;
    Ok(milliseconds(begun.elapsed()))
}

/// A custom section that nobody reads (WebAssembly core specification, binary format, 5.5.3): id, length, name, content.
fn custom_section(number: usize) -> Vec<u8> {
    let mut body = vec![1, b'n'];
    body.extend_from_slice(&u64::try_from(number).unwrap_or(u64::MAX).to_le_bytes());
    let length = u8::try_from(body.len()).unwrap_or_default();
    [vec![0, length], body].concat()
}

/// A command of about this length, with the code of a program and not its data: functions that loop, branch, use memory
/// and call each other.
fn command(length: usize) -> Result<Vec<u8>, BenchError> {
    let assemble = |functions: usize| {
        wat::parse_str(text(functions))
            .map_err(|error| BenchError::Unexpected(format!("the generated component: {error}")))
    };
    let (few, many) = (assemble(10)?.len(), assemble(110)?.len());
    assemble(length * 100 / (many - few))
}

fn text(functions: usize) -> String {
    let mut code = String::new();
    for n in 0..functions {
        let callee = n.saturating_sub(1);
        let call =
            if n == 0 { String::new() } else { format!("(call $f{callee} (local.get $x) (local.get $y))") };
        let zero = if n == 0 { "(i32.const 1)" } else { "" };
        let written = writeln!(
            code,
            "(func $f{n} (param $x i32) (param $y i32) (result i32) (local $i i32) (local $s f64)
               (loop $again
                 (local.set $s (f64.add (local.get $s)
                   (f64.mul (f64.load (i32.and (local.get $x) (i32.const 0xfff8))) (f64.const {n}.5))))
                 (if (i32.gt_u (local.get $i) (i32.const {n}))
                   (then (local.set $y (i32.xor (local.get $y) (i32.rotl (local.get $x) (i32.const {shift})))))
                   (else (f64.store offset={offset} (i32.and (local.get $y) (i32.const 0xff8)) (local.get $s))))
                 (local.set $i (i32.add (local.get $i) (i32.const 1)))
                 (br_if $again (i32.lt_u (local.get $i) (local.get $y))))
               (i32.add (i32.trunc_sat_f64_s (local.get $s)) {call}{zero}))",
            shift = n % 31,
            offset = n % 64 * 8,
        );
        // Writing to a string never fails.
        debug_assert!(written.is_ok());
    }
    let last = functions.saturating_sub(1);
    format!(
        r#"(component
             (core module $code
               (memory 2)
               (elem declare func $f{last})
               {code}
               (func (export "run") (result i32) (i32.const 0)))
             (core instance $running (instantiate $code))
             (func $run (result (result)) (canon lift (core func $running "run")))
             (instance $command (export "run" (func $run)))
             (export "wasi:cli/run@0.2.3" (instance $command)))"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generated_component_is_one_that_is_taken_and_about_as_long_as_asked() {
        let component = command(SMALL).unwrap();
        assert!((SMALL * 9 / 10..SMALL * 11 / 10).contains(&component.len()), "{}", component.len());
        let vetted = hypermesh_engine::vet(&component).unwrap();
        assert_eq!(vetted.world, hypermesh_model::World::Command);
        let other = [component.clone(), custom_section(7)].concat();
        assert!(hypermesh_engine::vet(&other).is_ok());
        assert_ne!(custom_section(7), custom_section(8));
    }
}
