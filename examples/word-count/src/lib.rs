//! A HyperMesh job: counts lines, words and bytes of every granted file.

use hypermesh_guest::{Context, Job, JobError, Operation, call, info};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};

/// The job.
pub struct Guest;

hypermesh_guest::export_job!(Guest);

impl Job for Guest {
    fn operations() -> Vec<Operation> {
        let schema = json!({
            "type": "object",
            "properties": { "skip_empty": { "type": "boolean", "default": false } },
            "additionalProperties": false
        });
        vec![Operation::new("count", "Lines, words and bytes of every granted file", schema)]
    }

    fn run(context: &mut dyn Context, operation: &str, parameters: Value) -> Result<Value, JobError> {
        match operation {
            "count" => call(context, parameters, count),
            _ => Err(JobError::UnknownOperation),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    #[serde(default)]
    skip_empty: bool,
}

#[derive(Serialize)]
struct Count {
    name: String,
    lines: u64,
    words: u64,
    bytes: u64,
}

fn count(context: &mut dyn Context, parameters: Parameters) -> Result<Vec<Count>, JobError> {
    let blobs = context.inputs();
    if blobs.is_empty() {
        return Err(JobError::coded("no-input", "grant a file, e.g. by --input FILE"));
    }
    let mut counts = Vec::new();
    for blob in blobs {
        let mut count = Count { name: blob.name, lines: 0, words: 0, bytes: 0 };
        let mut reader = BufReader::new(context.open(&count.name)?);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            let is_counted = line.ends_with(b"\n") && !(parameters.skip_empty && line == b"\n");
            count.lines += u64::from(is_counted);
            count.words += line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count() as u64;
            count.bytes += line.len() as u64;
            line.clear();
        }
        context.progress(count.bytes, Some(blob.size), &count.name);
        info!(context, "{}: {} lines", count.name, count.lines);
        counts.push(count);
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_guest::{dispatch, testing::MemoryContext};

    #[test]
    fn counts_as_wc_does() {
        let mut context = MemoryContext::new().with_input("poem", b"roses are red\n\n  violets\tblue");
        let result = dispatch::<Guest>(&mut context, "count", "{}");
        assert_eq!(result.as_deref(), Ok(r#"[{"bytes":29,"lines":2,"name":"poem","words":5}]"#));
    }

    #[test]
    fn empty_lines_are_left_out_where_that_is_wanted() {
        let mut context = MemoryContext::new().with_input("poem", b"roses\n\nviolets\n");
        let result = dispatch::<Guest>(&mut context, "count", r#"{ "skip_empty": true }"#);
        assert_eq!(result.as_deref(), Ok(r#"[{"bytes":15,"lines":2,"name":"poem","words":2}]"#));
    }

    #[test]
    fn without_a_file_there_is_nothing_to_count() {
        let error = dispatch::<Guest>(&mut MemoryContext::new(), "count", "{}").unwrap_err();
        assert_eq!(error.code(), "no-input");
    }
}
