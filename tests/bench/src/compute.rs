//! Rows: guests that compute, in an allocation of one full core. Beside them the same component under plain wasmtime, and
//! the same crate as native code.

use crate::Effort;
use crate::error::BenchError;
use crate::execute::timed;
use crate::plain::Plain;
use crate::report::{Baseline, Goal, Row};
use crate::statistics::{milliseconds, summary};
use hypermesh_artifacts::{Artifact, HASH_FILES, MATRIX_MULTIPLY};
use hypermesh_guest::testing::MemoryContext;
use hypermesh_guest::{Job, dispatch};
use hypermesh_guest_hash_files::HashFiles;
use hypermesh_guest_matrix_multiply::MatrixMultiply;
use hypermesh_harness::{Node, allocation, job, with_limits};
use hypermesh_wire::allocations::Requirements;
use hypermesh_wire::executions::{ExecuteVm, Input};
use serde_json::{Value, json};
use std::time::Instant;

/// One full core.
const CPU_MILLIS: u32 = 1000;
/// Memory of the allocation, in the unit of its asset: the guest's, and pages of the file that it reads.
const MEMORY_GB: f64 = 1.0;
/// Rows and columns.
const SIZE: u32 = 512;
/// Bytes that are hashed.
const HASHED: usize = 256 << 20;
/// By how much plain wasmtime may be faster.
const WITHIN_OF_PLAIN: f64 = 1.1;
/// How often a round computes: the one takes a fifth of a second, the other more than one.
const MULTIPLICATIONS: usize = 5;

/// What is computed.
struct Work {
    name: &'static str,
    artifact: Artifact,
    operation: &'static str,
    parameters: Value,
    /// Granted, if any.
    input: Option<Vec<u8>>,
    /// How often in a round.
    times: usize,
    native: fn(&mut MemoryContext, &str, &str) -> Result<(), BenchError>,
}

/// Measures the rows.
///
/// # Errors
/// When a guest fails that has no reason to.
pub(crate) fn measure(node: &Node, effort: &Effort) -> Result<Vec<Row>, BenchError> {
    let matrix = Work {
        name: "matrix-multiply 512 × 512",
        artifact: MATRIX_MULTIPLY,
        operation: "multiply",
        parameters: json!({ "size": SIZE }),
        input: None,
        times: MULTIPLICATIONS,
        native: natively::<MatrixMultiply>,
    };
    let hash = Work {
        name: "SHA-256 of 256 MiB",
        artifact: HASH_FILES,
        operation: "hash",
        parameters: json!({ "algorithms": ["sha256"] }),
        input: Some(vec![0x5a; HASHED]),
        times: 1,
        native: natively::<HashFiles>,
    };
    let mut rows = Vec::new();
    for work in [matrix, hash] {
        rows.extend(work.measure(node, effort)?);
    }
    Ok(rows)
}

fn natively<J: Job>(
    context: &mut MemoryContext,
    operation: &str,
    parameters: &str,
) -> Result<(), BenchError> {
    let result = dispatch::<J>(context, operation, parameters);
    result.map(drop).map_err(|error| BenchError::Unexpected(format!("native code: {error:?}")))
}

impl Work {
    fn row(&self, beside: &str, ours: Result<&[f64], String>, baseline: Baseline) -> Row {
        Row {
            name: format!("{} in an allocation of one core, REST call → result{beside}", self.name),
            unit: "ms",
            more_is_better: false,
            ours: ours.and_then(|ours| summary(ours).ok_or_else(|| "there are no samples".to_owned())),
            baseline,
            goals: Vec::new(),
        }
    }

    fn measure(&self, node: &Node, effort: &Effort) -> Result<Vec<Row>, BenchError> {
        let skipped = |reason: String| Ok(vec![self.row("", Err(reason), Baseline::None(String::new()))]);
        if let Some(reason) = node.unenforced() {
            return skipped(reason.to_owned());
        }
        let mut wanted = allocation("memory", MEMORY_GB);
        wanted.requirements = Requirements { cpu_millis: Some(CPU_MILLIS), ..Requirements::default() };
        let lease = match node.client().allocate(&wanted) {
            Ok(lease) => lease,
            Err(error) if error.status() == Some(409) => return skipped(error.to_string()),
            Err(error) => return Err(BenchError::node("making an allocation")(error)),
        };
        let vm = node.install(&self.artifact, Some(with_limits(50.0, "512MiB")));
        let mut request = ExecuteVm {
            allocation_id: Some(lease.id.clone()),
            ..job(&vm, self.operation, self.parameters.clone())
        };
        let mut plain = Plain::compile(self.artifact.component)?;
        let mut context = MemoryContext::new();
        if let Some(bytes) = &self.input {
            request.inputs = vec![Input { name: "data".into(), digest: node.upload(bytes) }];
            plain.grant("data", bytes)?;
            context = context.with_input("data", bytes);
        }
        let parameters = self.parameters.to_string();
        let (mut ours, mut theirs, mut native) = (Vec::new(), Vec::new(), Vec::new());
        // The first of each fills caches.
        for turn in 0..=effort.rounds * self.times {
            let took = timed(node.client(), &request)?;
            let plainly = plain.run(self.operation, &self.parameters)?;
            let begun = Instant::now();
            (self.native)(&mut context, self.operation, &parameters)?;
            let natively = begun.elapsed();
            if turn > 0 {
                ours.push(milliseconds(took));
                theirs.push(milliseconds(plainly));
                native.push(milliseconds(natively));
            }
        }
        node.client().release(&lease.id).map_err(BenchError::node("releasing an allocation"))?;
        let beside = |name, samples: &[f64]| match summary(samples) {
            Some(samples) => Baseline::Ourselves(name, samples),
            None => Baseline::None("there are no samples".into()),
        };
        let plainly = beside("the same component, plain wasmtime", &theirs);
        let natively = beside("the same crate, native code", &native);
        Ok(vec![
            Row { goals: vec![Goal::Within(WITHIN_OF_PLAIN)], ..self.row("", Ok(&ours), plainly) },
            self.row(", beside native code", Ok(&ours), natively),
        ])
    }
}
