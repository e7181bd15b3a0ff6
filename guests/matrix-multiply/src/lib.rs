//! Sample job `matrix-multiply`: two generated matrices, multiplied, and a checksum.
//!
//! Work with a size that the caller picks, no input, and an answer that is the same on every machine: the generator
//! is fixed, the order of additions is fixed, and WebAssembly's floating point is IEEE 754. Fails only on parameters.

mod matrix;

use hypermesh_guest::{Context, Job, JobError, Operation, parse_parameters, to_result};
use matrix::Matrix;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The largest size: three matrices of 2048 × 2048 doubles hold 96 MiB, and take some 17 GFLOP to multiply.
const MAX_SIZE: usize = 2048;

/// The job.
pub struct MatrixMultiply;

hypermesh_guest::export_job!(MatrixMultiply);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    size: usize,
    #[serde(default)]
    seed: u64,
}

/// The answer. `trace` and `checksum` (sum of all elements) are of the product.
#[derive(Debug, Serialize)]
struct Answer {
    size: usize,
    seed: u64,
    flops: u64,
    trace: f64,
    checksum: f64,
}

impl Job for MatrixMultiply {
    fn operations() -> Vec<Operation> {
        let schema = json!({
            "type": "object",
            "properties": {
                "size": { "type": "integer", "minimum": 1, "maximum": MAX_SIZE },
                "seed": { "type": "integer", "minimum": 0, "default": 0 }
            },
            "required": ["size"],
            "additionalProperties": false
        });
        vec![Operation::new("multiply", "Multiplies two generated matrices of the given size", schema)]
    }

    fn run(context: &mut dyn Context, _operation: &str, parameters: Value) -> Result<Value, JobError> {
        let Parameters { size, seed } = parse_parameters(parameters)?;
        if !(1..=MAX_SIZE).contains(&size) {
            return Err(JobError::InvalidParameters(format!("`size` is not between 1 and {MAX_SIZE}")));
        }
        let left = Matrix::generated(size, seed);
        let right = Matrix::generated(size, !seed);
        let product = left.times(&right, |rows| {
            context.progress(rows as u64, Some(size as u64), "rows");
        });
        let flops = 2 * (size as u64).pow(3);
        context.info(&format!("{size} × {size}: {flops} floating-point operations"));
        to_result(&Answer { size, seed, flops, trace: product.trace(), checksum: product.sum() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_guest::{dispatch, testing::MemoryContext};

    fn run(context: &mut MemoryContext, parameters: &str) -> Result<String, JobError> {
        dispatch::<MatrixMultiply>(context, "multiply", parameters)
    }

    #[test]
    fn the_answer_is_the_same_every_time_and_depends_on_the_seed() {
        let mut context = MemoryContext::new();
        let once = run(&mut context, r#"{ "size": 100, "seed": 7 }"#).unwrap();
        assert_eq!(once, run(&mut MemoryContext::new(), r#"{ "size": 100, "seed": 7 }"#).unwrap());
        assert_ne!(once, run(&mut MemoryContext::new(), r#"{ "size": 100, "seed": 8 }"#).unwrap());
        assert!(once.contains(r#""flops":2000000"#), "{once}");
        assert_eq!(context.reports().last().map(|r| (r.done, r.total)), Some((100, Some(100))));
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        for bad in
            [r#"{ "size": 0 }"#, r#"{ "size": 2049 }"#, r#"{ "size": -1 }"#, r#"{ "size": 2.5 }"#, "{}"]
        {
            let refused = run(&mut MemoryContext::new(), bad);
            assert!(matches!(refused, Err(JobError::InvalidParameters(_))), "{bad}: {refused:?}");
        }
    }
}
