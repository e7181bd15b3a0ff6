//! What became of an execution, in words for stderr.

use crate::human;
use crate::output::Style;
use hypermesh_wire::executions::{ConsensusState, ExecutionStatus, VmExecution};

/// One line: how it ended and what the kernel counted.
pub(crate) fn usage(execution: &VmExecution, style: Style) -> String {
    let status = human::named(&execution.status);
    let status = match execution.status {
        ExecutionStatus::Completed => style.good(&status),
        ExecutionStatus::Failed => style.error(&status),
        ExecutionStatus::Cancelled => style.warning(&status),
        ExecutionStatus::Queued | ExecutionStatus::Starting | ExecutionStatus::Running => status,
    };
    let used = &execution.execution.resource_usage;
    let throttled = used.throttled_periods.filter(|periods| *periods > 0);
    let throttled = throttled.map_or_else(String::new, |periods| format!(", held back {periods} times"));
    format!(
        "{status} in {}: CPU {}, peak memory {}{throttled}",
        human::seconds(wall_seconds(execution)),
        human::seconds(used.cpu_time),
        human::bytes(used.memory_peak),
    )
}

/// Why there is no result, where there is none.
pub(crate) fn cause(execution: &VmExecution) -> Option<String> {
    let cause = execution.cause.as_ref()?;
    Some(format!("{}: {}", human::printable(&cause.kind), human::printable_lines(&cause.message)))
}

/// What is known of the four proofs.
pub(crate) fn proofs(execution: &VmExecution) -> String {
    match (execution.consensus_proofs.len(), execution.consensus) {
        (0, ConsensusState::NoValidatorConfigured) => "none yet: no validator is configured".to_owned(),
        (0, ConsensusState::NotRequired) => "not required".to_owned(),
        (count, _) => format!("{count}"),
    }
}

fn wall_seconds(execution: &VmExecution) -> Option<f64> {
    let times = &execution.execution;
    Some(times.end_time?.duration_since(times.start_time?).as_secs_f64())
}

/// What this program exits with for a command that failed: the command's own code where it gave one.
pub(crate) fn exit_code(execution: &VmExecution) -> u8 {
    let own = execution.cause.as_ref().filter(|cause| cause.kind == "exit_code");
    let code = own.and_then(|cause| cause.data.get("code")).and_then(serde_json::Value::as_u64);
    code.and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0).unwrap_or(1)
}
