//! A HyperMesh guest: counts lines, words and bytes of every granted file.

use hypermesh_guest::{Context, Job, JobError, Operation};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};

struct WordCount;

hypermesh_guest::export_job!(WordCount);

impl Job for WordCount {
    fn operations() -> Vec<Operation> {
        let schema = json!({ "type": "object", "additionalProperties": false });
        vec![Operation::new("count", "Lines, words and bytes of every granted file", schema)]
    }

    fn run(context: &mut dyn Context, _operation: &str, _parameters: Value) -> Result<Value, JobError> {
        let mut counts = Vec::new();
        for blob in context.inputs() {
            let mut reader = BufReader::new(context.open(&blob.name)?);
            let (mut lines, mut words, mut bytes) = (0_u64, 0_u64, 0_u64);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line)? > 0 {
                lines += u64::from(line.ends_with(b"\n"));
                words += line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count() as u64;
                bytes += line.len() as u64;
                line.clear();
            }
            context.progress(bytes, Some(blob.size), &blob.name);
            counts.push(json!({ "name": blob.name, "lines": lines, "words": words, "bytes": bytes }));
        }
        Ok(json!(counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_guest::{dispatch, testing::MemoryContext};

    #[test]
    fn counts_as_wc_does() {
        let mut context = MemoryContext::new().with_input("poem", b"roses are red\n\n  violets\tblue");
        let result = dispatch::<WordCount>(&mut context, "count", "{}").unwrap();
        assert_eq!(result, r#"[{"bytes":29,"lines":2,"name":"poem","words":5}]"#);
    }
}
