//! Executions: asking for one, and how one and its log look.

use super::{allocations::seconds, check, same_names, time, vm};
use crate::problem::Draft;
use hypermesh_mesh::{CancelOutcome, ExecuteRequest, LogPage};
use hypermesh_model::{
    self as model, AssetId, BlobDigest, Cause, Execution, ExecutionId, ExecutionLimits, FolderGrant,
    HostGrant, InputFile, LeaseId, Retries, Stdin, Terms,
};
use hypermesh_wire::allocations::{MAX_PRIORITY, MAX_WAIT_S};
use hypermesh_wire::executions::{self as wire, CauseView, ConsensusState, ExecuteVm, VmExecution};
use hypermesh_wire::{MAX_NAME, MAX_SECONDS};
use serde_json::json;

/// Most inputs of one execution: each is a link in a folder and a line in the request.
const MAX_INPUTS: usize = 256;
/// Most folders, and most hosts, that one execution is granted.
const MAX_GRANTS: usize = 16;
/// Longest path of a granted folder, in characters.
const MAX_PATH: usize = 1024;
/// Longest name of a host, in characters (RFC 1035, 2.3.4).
const MAX_HOST: usize = 253;
/// Most fuel: some days of a core.
const MAX_FUEL: u64 = 1_000_000_000_000_000;
/// What a worker needs for itself, and what one may have.
const MIN_OPEN_FILES: u32 = 32;
const MAX_OPEN_FILES: u32 = 1024;
/// Most further tries.
const MAX_RETRIES: u32 = 20;

same_names!(shown_status: model::ExecutionStatus => wire::ExecutionStatus {
    Queued, Starting, Running, Completed, Failed, Cancelled
});

/// An execution to start.
pub(crate) fn new(body: ExecuteVm) -> Result<ExecuteRequest, Draft> {
    if body.inputs.len() > MAX_INPUTS {
        return Err(Draft::invalid("inputs", format!("`inputs` may have {MAX_INPUTS} entries")));
    }
    let lease = body.allocation_id.map(|id| check::id("allocation_id", &id, LeaseId::parse)).transpose()?;
    Ok(ExecuteRequest {
        id: None,
        vm_asset_id: check::id("vm_asset_id", &body.vm_asset_id, AssetId::parse)?,
        operation: check::text("operation", body.operation, 0, vm::MAX_OPERATION)?,
        parameters: body.parameters,
        timeout_seconds: check::range("timeout", body.timeout, 1, MAX_SECONDS)?,
        cpu_limit_seconds: body
            .cpu_time_limit
            .map(|limit| check::range("cpu_time_limit", limit, 1, MAX_SECONDS))
            .transpose()?,
        requires_consensus: body.requires_consensus,
        allocation_seconds: check::range("allocation_duration", body.allocation_duration, 1, MAX_SECONDS)?,
        lease,
        inputs: body
            .inputs
            .into_iter()
            .enumerate()
            .map(|(i, given)| input(i, given))
            .collect::<Result<_, _>>()?,
        stdin: stdin(body.stdin.unwrap_or_default())?,
        folders: each("folders", body.folders, folder)?,
        network: each("network", body.network, host)?,
        limits: limits(body.limits.unwrap_or_default())?,
        retries: retries(body.retries)?,
        wait_seconds: body.wait_s.map(|wait| check::range("wait_s", wait, 0, MAX_WAIT_S)).transpose()?,
        priority: check::range(
            "priority",
            body.priority.unwrap_or(Terms::DEFAULT_PRIORITY),
            0,
            MAX_PRIORITY,
        )?,
    })
}

pub(super) fn each<T, U>(
    member: &str,
    given: Vec<T>,
    read: fn(&str, T) -> Result<U, Draft>,
) -> Result<Vec<U>, Draft> {
    if given.len() > MAX_GRANTS {
        return Err(Draft::invalid(member, format!("`{member}` may have {MAX_GRANTS} entries")));
    }
    given.into_iter().enumerate().map(|(i, one)| read(&format!("{member}[{i}]"), one)).collect()
}

fn stdin(given: wire::Stdin) -> Result<Stdin, Draft> {
    match (given.digest, given.stream.unwrap_or(false)) {
        (None, false) => Ok(Stdin::Closed),
        (None, true) => Ok(Stdin::Stream),
        (Some(digest), false) => Ok(Stdin::Blob(check::id("stdin.digest", &digest, BlobDigest::parse)?)),
        (Some(_), true) => Err(check::not_granted("stdin", "it is either a `digest` or a `stream`")),
    }
}

pub(super) fn folder(member: &str, given: wire::Folder) -> Result<FolderGrant, Draft> {
    let absolute = |name: &str, path: String| {
        let member = format!("{member}.{name}");
        let path = check::text(&member, path, 1, MAX_PATH)?;
        let odd = path.split('/').skip(1).any(|part| matches!(part, "." | ".."));
        if !path.starts_with('/') || odd {
            return Err(check::not_granted(&member, "it must be absolute, without `.` and `..`"));
        }
        Ok(path)
    };
    let path = absolute("path", given.path)?;
    let guest_path = given.guest_path.map_or_else(|| Ok(path.clone()), |p| absolute("guest_path", p))?;
    Ok(FolderGrant { path: path.into(), guest_path, writable: given.writable.unwrap_or(false) })
}

pub(super) fn host(member: &str, given: wire::Host) -> Result<HostGrant, Draft> {
    let name = format!("{member}.host");
    let host = check::text(&name, given.host, 1, MAX_HOST)?;
    if !host.bytes().all(|b| b.is_ascii_alphanumeric() || b".:_-".contains(&b)) {
        return Err(Draft::invalid(&name, format!("`{name}` must be a host's name or address")));
    }
    Ok(HostGrant { host, port: check::range(&format!("{member}.port"), given.port, 1, u16::MAX)? })
}

fn limits(given: wire::Limits) -> Result<ExecutionLimits, Draft> {
    let size = |name: &str, text: Option<String>| {
        text.map(|text| check::size(&format!("limits.{name}"), &text)).transpose()
    };
    Ok(ExecutionLimits {
        memory: size("memory", given.memory)?,
        fuel: given.fuel.map(|fuel| check::range("limits.fuel", fuel, 1, MAX_FUEL)).transpose()?,
        output: size("output", given.output)?,
        log: size("log", given.log)?,
        open_files: given
            .open_files
            .map(|files| check::range("limits.open_files", files, MIN_OPEN_FILES, MAX_OPEN_FILES))
            .transpose()?,
    })
}

fn retries(given: Option<wire::Retries>) -> Result<Retries, Draft> {
    let Some(given) = given else { return Ok(Retries::default()) };
    let backoff = given.backoff_s.unwrap_or(1);
    Ok(Retries {
        max: check::range("retries.max", given.max, 0, MAX_RETRIES)?,
        backoff_seconds: check::range("retries.backoff_s", backoff, 0, model::MAX_BACKOFF_SECONDS)?,
    })
}

/// The request as it was asked.
pub(crate) fn asked(request: ExecuteRequest) -> ExecuteVm {
    let ExecuteRequest {
        id: _,
        vm_asset_id,
        operation,
        parameters,
        timeout_seconds,
        cpu_limit_seconds,
        requires_consensus,
        allocation_seconds,
        lease,
        inputs,
        stdin,
        folders,
        network,
        limits,
        retries,
        wait_seconds,
        priority,
    } = request;
    ExecuteVm {
        vm_asset_id: vm_asset_id.into(),
        operation,
        parameters,
        timeout: timeout_seconds,
        cpu_time_limit: cpu_limit_seconds,
        requires_consensus,
        allocation_duration: allocation_seconds,
        allocation_id: lease.map(Into::into),
        inputs: inputs.into_iter().map(shown_input).collect(),
        stdin: shown_stdin(stdin),
        folders: folders.into_iter().map(shown_folder).collect(),
        network: network.into_iter().map(shown_host).collect(),
        limits: Some(shown_limits(&limits)),
        retries: Some(shown_retries(&retries)),
        wait_s: wait_seconds,
        priority: Some(priority),
    }
}

fn shown_stdin(stdin: Stdin) -> Option<wire::Stdin> {
    match stdin {
        Stdin::Closed => None,
        Stdin::Blob(digest) => Some(wire::Stdin { digest: Some(digest.into()), stream: None }),
        Stdin::Stream => Some(wire::Stdin { digest: None, stream: Some(true) }),
    }
}

fn shown_retries(retries: &Retries) -> wire::Retries {
    wire::Retries { max: retries.max, backoff_s: Some(retries.backoff_seconds) }
}

fn shown_input(file: InputFile) -> wire::Input {
    wire::Input { name: file.name, digest: file.digest.into() }
}

fn input(index: usize, given: wire::Input) -> Result<InputFile, Draft> {
    Ok(InputFile {
        name: check::text(&format!("inputs[{index}].name"), given.name, 1, MAX_NAME)?,
        digest: check::id(&format!("inputs[{index}].digest"), &given.digest, BlobDigest::parse)?,
    })
}

/// An execution as a caller sees it.
pub(crate) fn shown(execution: Execution) -> VmExecution {
    let consensus = match execution.request.requires_consensus {
        true => ConsensusState::NoValidatorConfigured,
        false => ConsensusState::NotRequired,
    };
    let output = |file: model::OutputFile| wire::Output { name: file.name, size: file.size.0 };
    VmExecution {
        id: execution.id.into(),
        vm_asset_id: execution.vm_asset_id.into(),
        allocation_id: execution.lease_id.into(),
        status: shown_status(execution.status),
        request: shown_request(execution.request),
        execution: wire::ExecutionView {
            start_time: execution.started_at.map(time),
            end_time: execution.ended_at.map(time),
            exit_code: execution.exit_code,
            output: execution.output,
            output_digest: execution.output_blob.map(Into::into),
            resource_usage: shown_usage(&execution.usage),
            queued_at: time(execution.queued_at),
            running_at: execution.running_at.map(time),
        },
        consensus_proofs: Vec::new(),
        consensus,
        proxy_address: None,
        cause: execution.cause.as_ref().map(shown_cause),
        outputs: execution.outputs.into_iter().map(output).collect(),
        attempts: execution.attempts.iter().map(shown_attempt).collect(),
        retry_at: execution.retry_at.map(time),
        dropped_log_lines: execution.dropped_log_lines,
        requester_id: execution.requester.0,
    }
}

fn shown_request(request: model::ExecutionRequest) -> wire::RequestView {
    wire::RequestView {
        operation: request.operation,
        parameters: request.parameters,
        timeout: request.timeout_seconds,
        cpu_time_limit: request.cpu_limit_seconds,
        requires_consensus: request.requires_consensus,
        inputs: request.inputs.into_iter().map(shown_input).collect(),
        stdin: shown_stdin(request.stdin),
        folders: request.folders.into_iter().map(shown_folder).collect(),
        network: request.network.into_iter().map(shown_host).collect(),
        limits: shown_limits(&request.limits),
        retries: shown_retries(&request.retries),
    }
}

pub(super) fn shown_folder(grant: FolderGrant) -> wire::Folder {
    wire::Folder {
        path: grant.path.to_string_lossy().into_owned(),
        guest_path: Some(grant.guest_path),
        writable: Some(grant.writable),
    }
}

pub(super) fn shown_host(grant: HostGrant) -> wire::Host {
    wire::Host { host: grant.host, port: grant.port }
}

fn shown_limits(limits: &ExecutionLimits) -> wire::Limits {
    wire::Limits {
        memory: limits.memory.map(check::size_text),
        fuel: limits.fuel,
        output: limits.output.map(check::size_text),
        log: limits.log.map(check::size_text),
        open_files: limits.open_files,
    }
}

fn shown_attempt(attempt: &model::Attempt) -> wire::AttemptView {
    wire::AttemptView {
        start_time: attempt.started_at.map(time),
        end_time: time(attempt.ended_at),
        exit_code: attempt.exit_code,
        cause: shown_cause(&attempt.cause),
        resource_usage: shown_usage(&attempt.usage),
    }
}

fn shown_usage(usage: &model::ResourceUsage) -> wire::ResourceUsage {
    wire::ResourceUsage {
        cpu_time: usage.cpu_time_ns.map(seconds),
        memory_peak: usage.memory_peak.map(|bytes| bytes.0),
        network_bytes: usage.network_bytes,
        storage_io: usage.storage_io,
        throttled_periods: usage.throttled_periods,
    }
}

/// A cause: its name and numbers as the domain writes them, and a sentence.
pub(crate) fn shown_cause(cause: &Cause) -> CauseView {
    let mut data = json!(cause).as_object().cloned().unwrap_or_default();
    let kind = data.remove("kind").and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
    CauseView { kind, message: sentence(cause), data }
}

/// A cause in words.
pub(crate) fn sentence(cause: &Cause) -> String {
    match cause {
        Cause::GuestError { message } => format!("the guest gave an error: {message}"),
        Cause::Trap { message, backtrace: _ } => format!("the guest trapped: {message}"),
        Cause::GuestMemory { limit, wanted } => {
            format!("the guest wanted {wanted} of memory; its limit is {limit}")
        }
        Cause::OutOfMemory { limit } => format!("the kernel ended it at its memory limit of {limit}"),
        Cause::WallTime { limit_seconds } => format!("it ran longer than its limit of {limit_seconds} s"),
        Cause::CpuTime { limit_ms, used_ms } => {
            format!("it used {used_ms} ms of CPU time; its limit is {limit_ms} ms")
        }
        Cause::Fuel { limit } => format!("it used up its fuel of {limit}"),
        Cause::Stack { limit, backtrace: _ } => format!("its calls nested deeper than its stack of {limit}"),
        Cause::ExitCode { code } => format!("it ended with exit code {code}"),
        Cause::OutputLimit { limit } => format!("it wrote more than its limit of {limit}"),
        Cause::Cancelled { by } => format!("cancelled by {by}"),
        Cause::LeaseEnded { lease } => format!("its allocation {lease} ended before it did"),
        Cause::UnknownOperation { known } => {
            format!("the package has no such operation; it has: {}", known.join(", "))
        }
        Cause::WorkerLost { detail } => format!("its worker process was lost: {detail}"),
    }
}

/// A line of a log as a caller sees it.
pub(crate) fn line(line: model::LogLine) -> wire::LogLine {
    wire::LogLine { at: time(line.at), level: line.level, message: line.message }
}

/// A page of a log as a caller sees it.
pub(crate) fn logs(id: ExecutionId, page: LogPage) -> wire::Logs {
    wire::Logs {
        execution_id: id.into(),
        lines: page.lines.into_iter().map(line).collect(),
        next: page.next,
        complete: page.complete,
        dropped_log_lines: page.dropped,
    }
}

/// What a cancel did.
pub(crate) fn cancelled(outcome: CancelOutcome) -> wire::Cancelled {
    match outcome {
        CancelOutcome::Cancelled => wire::Cancelled { cancelled: true, reason: None },
        CancelOutcome::AlreadyEnded { status } => {
            wire::Cancelled { cancelled: false, reason: Some(format!("it had ended before: {status}")) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_model::Bytes;
    use serde_json::Value;

    fn refused(member: &str, value: Value) -> Option<String> {
        let mut body = json!({ "vm_asset_id": "vm", "operation": "run", "parameters": {} });
        body[member] = value;
        new(serde_json::from_value(body).unwrap()).err().and_then(|draft| draft.member().map(str::to_owned))
    }

    #[test]
    fn what_is_out_of_range_is_refused_by_name() {
        assert_eq!(refused("timeout", json!(0)).as_deref(), Some("timeout"));
        assert_eq!(refused("cpu_time_limit", json!(0)).as_deref(), Some("cpu_time_limit"));
        assert_eq!(refused("allocation_duration", json!(u64::MAX)).as_deref(), Some("allocation_duration"));
        assert_eq!(refused("operation", json!("x".repeat(129))).as_deref(), Some("operation"));
        assert_eq!(refused("vm_asset_id", json!("A")).as_deref(), Some("vm_asset_id"));
        assert_eq!(refused("allocation_id", json!("")).as_deref(), Some("allocation_id"));
        let input = json!([{ "name": "a", "digest": "00" }]);
        assert_eq!(refused("inputs", input).as_deref(), Some("inputs[0].digest"));
        let many = vec![json!({ "name": "a", "digest": "0".repeat(64) }); 257];
        assert_eq!(refused("inputs", json!(many)).as_deref(), Some("inputs"));
        assert_eq!(refused("operation", json!("")), None);
    }

    #[test]
    fn a_cause_says_its_numbers_twice() {
        let cause = shown_cause(&Cause::GuestMemory { limit: Bytes::mib(64), wanted: Bytes::mib(65) });
        assert_eq!(cause.kind, "guest_memory");
        assert_eq!(cause.data["limit"], Bytes::mib(64).0);
        assert!(cause.message.contains("65 MiB") && cause.message.contains("64 MiB"));
    }
}
