//! `api`: any request to the node's API, and its answer as it came.
//!
//! The body goes to stdout whatever the status, untouched with `-o json`; the status line goes to stderr. The exit code follows the status.

use crate::context::{Context, Service};
use crate::failure::{Failure, of_status};
use crate::output::Format;
use anyhow::Context as _;
use clap::Args;
use std::io::{self, Read, Write};

/// `api …`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// GET, POST, PUT or DELETE
    method: String,
    /// The path with its query, e.g. /api/v1/assets?type=cpu
    path: String,
    /// The body, JSON: text, @FILE, or - for stdin
    #[arg(short, long, value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    data: Option<String>,
    /// To the node's TrustChain service, port 8444, instead of HyperMesh
    #[arg(long)]
    trustchain: bool,
}

/// Longest body that is read from stdin: the node takes no JSON above 1 MiB.
const MAX_BODY: u64 = 16 << 20;

/// Runs `api …`.
pub(crate) fn run(context: &Context, arguments: Arguments) -> anyhow::Result<()> {
    if !arguments.path.starts_with('/') {
        return Err(Failure::Usage(format!("the path must begin with `/`, not {:?}", arguments.path)).into());
    }
    let body = arguments.data.as_deref().map(read_body).transpose()?;
    let service = if arguments.trustchain { Service::TrustChain } else { Service::HyperMesh };
    let client = context.client_of(service)?;
    let answer = client.raw(&arguments.method.to_uppercase(), &arguments.path, body.as_deref())?;
    crate::say!("HTTP {}", answer.status);
    let text = readable(context.output.format, answer.body);
    let mut out = io::stdout().lock();
    out.write_all(&text)?;
    out.flush()?;
    match of_status(answer.status) {
        0 => Ok(()),
        code => Err(Failure::Quiet(code).into()),
    }
}

/// The body as it came with `-o json`; else, if it is JSON, laid out for reading, its members in alphabetical order.
fn readable(format: Format, body: Vec<u8>) -> Vec<u8> {
    let parsed = || serde_json::from_slice::<serde_json::Value>(&body).ok();
    let text = match format {
        Format::Table => parsed().and_then(|value| serde_json::to_string_pretty(&value).ok()),
        Format::Yaml => parsed().and_then(|value| serde_yaml_ng::to_string(&value).ok()),
        Format::Json => None,
    };
    let mut text = text.map_or(body, String::into_bytes);
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    text
}

fn read_body(data: &str) -> anyhow::Result<Vec<u8>> {
    if data == "-" {
        let mut body = Vec::new();
        io::stdin().lock().take(MAX_BODY).read_to_end(&mut body).context("could not read stdin")?;
        return Ok(body);
    }
    match data.strip_prefix('@') {
        Some(file) => std::fs::read(file).with_context(|| format!("could not read {file}")),
        None => Ok(data.as_bytes().to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_laid_out_for_people_and_left_alone_for_programs() {
        let body = || br#"{"b":1,"a":[]}"#.to_vec();
        assert_eq!(readable(Format::Json, body()), b"{\"b\":1,\"a\":[]}\n");
        assert_eq!(readable(Format::Table, body()), b"{\n  \"a\": [],\n  \"b\": 1\n}\n");
        assert_eq!(readable(Format::Yaml, body()), b"a: []\nb: 1\n");
        assert_eq!(readable(Format::Table, b"not json\n".to_vec()), b"not json\n");
    }

    #[test]
    fn a_body_is_text_or_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("body");
        std::fs::write(&file, "{}").unwrap();
        assert_eq!(read_body("[1]").unwrap(), b"[1]");
        assert_eq!(read_body(&format!("@{}", file.display())).unwrap(), b"{}");
        assert!(read_body("@/nowhere").is_err());
    }
}
