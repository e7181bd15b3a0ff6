//! What a guest is granted beside its inputs, and how it is run: flags that several commands take.

use crate::failure::Failure;
use crate::files::LocalFile;
use crate::job;
use crate::parse;
use clap::Args;
use hypermesh_client::Client;
use hypermesh_model::Bytes;
use hypermesh_wire::executions::{ExecuteVm, Folder, Host, Limits, Retries, Stdin};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Stands for this command's own standard input.
const HERE: &str = "-";

/// Grants and limits.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Terms {
    /// Arguments of a command (a component with `wasi:cli/run`), behind `--`
    #[arg(last = true, value_name = "ARGUMENT")]
    pub(crate) arguments: Vec<String>,
    /// A variable of a command's environment
    #[arg(long = "env", value_parser = variable, value_name = "NAME=VALUE")]
    pub(crate) environment: Vec<(String, String)>,
    /// Standard input: a file, or - to stream this command's own
    #[arg(long, value_name = "FILE|-")]
    pub(crate) stdin: Option<PathBuf>,
    /// A folder of the node's machine: PATH[:GUEST_PATH][:rw]; the node's operator lists which (`grant_folders`)
    #[arg(long = "dir", value_parser = folder, value_name = "PATH")]
    pub(crate) folders: Vec<Folder>,
    /// A TCP port that the guest may connect to
    #[arg(long = "net", value_parser = host, value_name = "HOST:PORT")]
    pub(crate) network: Vec<Host>,
    /// Most fuel: about one unit an instruction
    #[arg(long, value_name = "UNITS")]
    pub(crate) fuel: Option<u64>,
    /// Most bytes of output files and standard output together, e.g. 16MiB
    #[arg(long, value_parser = parse::size, value_name = "SIZE")]
    pub(crate) output_limit: Option<Bytes>,
    /// Most bytes of log; what is over it is dropped and counted
    #[arg(long, value_parser = parse::size, value_name = "SIZE")]
    pub(crate) log_limit: Option<Bytes>,
    /// Most open files
    #[arg(long, value_name = "NUMBER")]
    pub(crate) open_files: Option<u32>,
    /// Try it so often again when it fails
    #[arg(long, value_name = "TIMES")]
    pub(crate) retries: Option<u32>,
    /// Wait so long before the first further try, twice as long before each one after it
    #[arg(long, value_parser = parse::seconds_or_none, value_name = "TIME", requires = "retries")]
    pub(crate) backoff: Option<u64>,
    /// Wait so long for room instead of being refused
    #[arg(long, value_parser = parse::seconds, value_name = "TIME")]
    pub(crate) wait: Option<u64>,
    /// Place among those that wait, 0 to 100; the higher goes first
    #[arg(long, value_name = "NUMBER")]
    pub(crate) priority: Option<u8>,
}

impl Terms {
    /// Whether standard input comes from this command's own.
    pub(crate) fn streams_stdin(&self) -> bool {
        self.stdin.as_deref() == Some(Path::new(HERE))
    }

    /// The parameters of a command.
    pub(crate) fn command_parameters(&self) -> Map<String, Value> {
        let environment: Map<String, Value> =
            self.environment.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let mut parameters = Map::new();
        parameters.insert("arguments".into(), json!(self.arguments));
        parameters.insert("environment".into(), environment.into());
        parameters
    }

    /// A job has neither.
    pub(crate) fn refuse_for_job(&self) -> Result<(), Failure> {
        if self.arguments.is_empty() && self.environment.is_empty() {
            return Ok(());
        }
        Err(Failure::Usage(
            "arguments behind `--` and --env are for commands; this package is a job: use --param".into(),
        ))
    }

    /// Puts the terms into a request; uploads what standard input is read from.
    pub(crate) fn apply(&self, client: &Client, request: &mut ExecuteVm) -> anyhow::Result<()> {
        request.stdin = match &self.stdin {
            None => None,
            Some(_) if self.streams_stdin() => Some(Stdin { digest: None, stream: Some(true) }),
            Some(path) => {
                let input = job::grant(client, &mut LocalFile::open(path)?)?;
                Some(Stdin { digest: Some(input.digest), stream: None })
            }
        };
        request.folders.clone_from(&self.folders);
        request.network.clone_from(&self.network);
        let size = |size: Option<Bytes>| size.map(|size| format!("{}B", size.0));
        let limits = Limits {
            memory: None,
            fuel: self.fuel,
            output: size(self.output_limit),
            log: size(self.log_limit),
            open_files: self.open_files,
        };
        request.limits = (limits != Limits::default()).then_some(limits);
        request.retries = self.retries.map(|max| Retries { max, backoff_s: self.backoff });
        request.wait_s = self.wait;
        request.priority = self.priority;
        Ok(())
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("must be NAME=VALUE".to_owned()),
    }
}

/// `PATH`, `PATH:GUEST_PATH`, each with `:rw` or `:ro` behind it. The path is made absolute here.
fn folder(text: &str) -> Result<Folder, String> {
    let (text, writable) = match text.rsplit_once(':') {
        Some((rest, "rw")) => (rest, true),
        Some((rest, "ro")) => (rest, false),
        Some(_) | None => (text, false),
    };
    let (path, guest) = match text.split_once(':') {
        Some((path, guest)) => (path, Some(guest.to_owned())),
        None => (text, None),
    };
    let real = std::fs::canonicalize(path).map_err(|error| format!("{path}: {error}"))?;
    let real = real.into_os_string().into_string().map_err(|_| format!("{path} is not UTF-8"))?;
    let guest_path = guest.or_else(|| Some(real.clone()));
    Ok(Folder { path: real, guest_path, writable: Some(writable) })
}

/// `HOST:PORT`, `[ADDRESS]:PORT`.
fn host(text: &str) -> Result<Host, String> {
    let wrong = || "must be HOST:PORT".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port: u16 = port.parse().map_err(|_| wrong())?;
    if host.is_empty() || port == 0 { Err(wrong()) } else { Ok(Host { host: host.to_owned(), port }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_only_unless_it_says_otherwise() {
        let read = |text: &str| folder(text).map(|f| (f.path, f.guest_path.unwrap(), f.writable.unwrap()));
        assert_eq!(read("/tmp"), Ok(("/tmp".into(), "/tmp".into(), false)));
        assert_eq!(read("/tmp:/data"), Ok(("/tmp".into(), "/data".into(), false)));
        assert_eq!(read("/tmp:/data:rw"), Ok(("/tmp".into(), "/data".into(), true)));
        assert_eq!(read("/tmp:rw"), Ok(("/tmp".into(), "/tmp".into(), true)));
        assert!(read("/does/not/exist").is_err());
    }

    #[test]
    fn a_host_has_a_port() {
        assert_eq!(host("[::1]:80"), Ok(Host { host: "::1".into(), port: 80 }));
        assert_eq!(host("example.org:443"), Ok(Host { host: "example.org".into(), port: 443 }));
        for wrong in ["example.org", ":80", "a:0", "a:x", "a:70000"] {
            assert!(host(wrong).is_err(), "{wrong}");
        }
    }
}
