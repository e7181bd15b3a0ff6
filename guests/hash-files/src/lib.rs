//! Sample job `hash-files`: SHA-256 and BLAKE3 of every granted file.
//!
//! Streams, so that a file may be larger than the guest's memory, and reads each file once for all algorithms. Fails
//! when a granted file cannot be read to its end.

use hypermesh_guest::{Blob, Context, Job, JobError, MAX_CHUNK, Operation, parse_parameters, to_result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::Read;

/// The job.
pub struct HashFiles;

hypermesh_guest::export_job!(HashFiles);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Algorithm {
    Sha256,
    Blake3,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    #[serde(default = "every_algorithm")]
    algorithms: Vec<Algorithm>,
}

fn every_algorithm() -> Vec<Algorithm> {
    vec![Algorithm::Sha256, Algorithm::Blake3]
}

/// What is known of one file. Digests are in lower-case hex; an algorithm that wasn't asked for is left out.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct FileHash {
    name: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blake3: Option<String>,
}

impl Job for HashFiles {
    fn operations() -> Vec<Operation> {
        let schema = json!({
            "type": "object",
            "properties": {
                "algorithms": {
                    "type": "array",
                    "items": { "enum": ["sha256", "blake3"] },
                    "minItems": 1,
                    "uniqueItems": true,
                    "default": ["sha256", "blake3"]
                }
            },
            "additionalProperties": false
        });
        vec![Operation::new("hash", "Size and digests of every granted file", schema)]
    }

    fn run(context: &mut dyn Context, _operation: &str, parameters: Value) -> Result<Value, JobError> {
        let Parameters { algorithms } = parse_parameters(parameters)?;
        if algorithms.is_empty() {
            return Err(JobError::InvalidParameters("`algorithms` is empty".to_owned()));
        }
        let blobs = context.inputs();
        if blobs.is_empty() {
            return Err(JobError::Failed("no file was granted".to_owned()));
        }
        let total = blobs.iter().map(|blob| blob.size).sum();
        let mut done = 0;
        let mut files = Vec::with_capacity(blobs.len());
        for blob in blobs {
            let file = hash(context, blob, &algorithms, &mut done, total)?;
            context.info(&format!("{}: {} bytes hashed", file.name, file.size));
            files.push(file);
        }
        to_result(&json!({ "files": files, "total_bytes": done }))
    }
}

/// Hashes one file, adding to `done` what it read.
fn hash(
    context: &mut dyn Context,
    blob: Blob,
    algorithms: &[Algorithm],
    done: &mut u64,
    total: u64,
) -> Result<FileHash, JobError> {
    let mut input = context.open(&blob.name)?;
    let mut sha256 = algorithms.contains(&Algorithm::Sha256).then(Sha256::new);
    let mut blake3 = algorithms.contains(&Algorithm::Blake3).then(blake3::Hasher::new);
    let mut buffer = vec![0; MAX_CHUNK];
    let mut size = 0;
    loop {
        let length = input.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        let chunk = &buffer[..length];
        if let Some(hasher) = &mut sha256 {
            hasher.update(chunk);
        }
        if let Some(hasher) = &mut blake3 {
            hasher.update(chunk);
        }
        size += length as u64;
        *done += length as u64;
        context.progress(*done, Some(total), &blob.name);
    }
    Ok(FileHash {
        name: blob.name,
        size,
        sha256: sha256.map(|hasher| hex(&hasher.finalize())),
        blake3: blake3.map(|hasher| hasher.finalize().to_hex().to_string()),
    })
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|&byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_guest::{dispatch, testing::MemoryContext};

    fn run(context: &mut MemoryContext, parameters: &str) -> Result<Value, JobError> {
        dispatch::<HashFiles>(context, "hash", parameters).map(|text| serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn known_vectors() {
        let mut context = MemoryContext::new().with_input("abc", b"abc").with_input("empty", b"");
        let result = run(&mut context, "{}").unwrap();
        // FIPS 180-4 appendix; BLAKE3's own test vectors.
        let [abc, empty] = [&result["files"][0], &result["files"][1]];
        assert_eq!(abc["sha256"], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(abc["blake3"], "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
        assert_eq!(empty["blake3"], "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
        assert_eq!((&abc["size"], &empty["size"]), (&json!(3), &json!(0)));
        assert_eq!(result["total_bytes"], 3);
    }

    #[test]
    fn files_longer_than_a_chunk_are_read_to_the_end_with_progress() {
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| i.to_le_bytes()[1]).collect();
        let mut context = MemoryContext::new().with_input("big", &bytes);
        let result = run(&mut context, r#"{ "algorithms": ["sha256"] }"#).unwrap();
        assert_eq!(result["files"][0]["sha256"], hex(&Sha256::digest(&bytes)));
        assert_eq!(result["files"][0].get("blake3"), None);
        let reports = context.reports();
        assert_eq!(reports.len(), 3);
        assert_eq!(reports.last().map(|r| (r.done, r.total)), Some((3_000_000, Some(3_000_000))));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in
            [r#"{ "algorithms": ["md5"] }"#, r#"{ "algorithms": [] }"#, r#"{ "algoritms": ["sha256"] }"#]
        {
            let mut context = MemoryContext::new().with_input("a", b"a");
            assert!(matches!(run(&mut context, bad), Err(JobError::InvalidParameters(_))), "{bad}");
        }
        assert!(matches!(run(&mut MemoryContext::new(), "{}"), Err(JobError::Failed(_))));
    }
}
