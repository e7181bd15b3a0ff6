//! Guests run in their own cgroup, give right results, and are counted by the kernel.

use crate::guests::guests;
use hypermesh_artifacts::{HASH_FILES, MATRIX_MULTIPLY};
use hypermesh_client::ClientError;
use hypermesh_harness::cgroups::{cpu_time_ns, memory_peak};
use hypermesh_harness::{Node, allocation, has_tool, job, repository, require_cgroups};
use hypermesh_wire::allocations::AllocationStatus;
use hypermesh_wire::executions::{ConsensusState, ExecutionStatus, Input, LogQuery, VmExecution};
use image::{DynamicImage, ImageFormat, RgbImage};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Cursor;
use std::process::Command;

fn result(execution: &VmExecution) -> Value {
    assert_eq!(execution.status, ExecutionStatus::Completed, "{:?}", execution.cause);
    serde_json::from_str(execution.execution.output.as_ref().unwrap()).unwrap()
}

#[test]
fn hash_files_gives_the_digest_that_others_compute() {
    let guests = guests();
    require_cgroups!(guests.node);
    let path = repository().join("Cargo.lock");
    let bytes = fs::read(&path).unwrap();
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(guests.node.upload(&bytes), digest, "blobs are stored under their SHA-256");
    let mut request = job(&guests.hash_files, "hash", json!({}));
    request.inputs = vec![Input { name: "Cargo.lock".into(), digest: digest.clone() }];
    let execution = guests.node.run(&request);
    let file = &result(&execution)["files"][0];
    assert_eq!((&file["sha256"], &file["size"]), (&json!(digest), &json!(bytes.len())));
    if has_tool("sha256sum") {
        let said = Command::new("sha256sum").arg(&path).output().unwrap();
        assert!(String::from_utf8(said.stdout).unwrap().starts_with(&digest));
    }
    let logs = guests.node.client().logs(&execution.id, &LogQuery::default()).unwrap();
    assert!(logs.complete && logs.dropped_log_lines == 0);
    assert!(
        logs.lines.iter().any(|line| line.level == "info" && line.message.contains("bytes hashed")),
        "{logs:?}"
    );
    let rest = LogQuery { after: Some(logs.next), ..LogQuery::default() };
    assert!(guests.node.client().logs(&execution.id, &rest).unwrap().lines.is_empty());
}

#[test]
fn a_thumbnail_can_be_fetched_and_is_an_image() {
    let guests = guests();
    require_cgroups!(guests.node);
    let picture =
        RgbImage::from_fn(640, 320, |x, y| image::Rgb([x.to_le_bytes()[0], y.to_le_bytes()[0], 90]));
    let mut png = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(picture).write_to(&mut png, ImageFormat::Png).unwrap();
    let digest = guests.node.upload(&png.into_inner());
    let parameters = json!({ "max_width": 64, "max_height": 64, "format": "jpeg" });
    let mut request = job(&guests.thumbnail, "thumbnail", parameters);
    request.inputs = vec![Input { name: "photo.png".into(), digest }];
    let execution = guests.node.run(&request);
    let made = &result(&execution)["thumbnails"][0];
    let [output] = &execution.outputs[..] else { panic!("{execution:?}") };
    assert_eq!((&made["output"], &made["size"]), (&json!(output.name), &json!(output.size)));
    let mut fetched = Vec::new();
    let length =
        guests.node.client().download_output(&execution.id, &output.name, &mut fetched, &mut |_| {}).unwrap();
    assert_eq!((length, fetched.len() as u64), (output.size, output.size));
    let image = image::load_from_memory_with_format(&fetched, ImageFormat::Jpeg).unwrap();
    assert_eq!((image.width(), image.height()), (64, 32));
    let missing =
        guests.node.client().download_output(&execution.id, "job.json", &mut Vec::new(), &mut |_| {});
    assert_eq!(missing.unwrap_err().status(), Some(404), "only what the guest wrote is shown");
}

#[test]
fn what_the_kernel_counted_is_plausible() {
    let guests = guests();
    require_cgroups!(guests.node);
    let request = job(&guests.matrix_multiply, "multiply", json!({ "size": 300, "seed": 7 }));
    let (first, second) = (guests.node.run(&request), guests.node.run(&request));
    assert_eq!(result(&first), result(&second), "the same on every run");
    assert_eq!(result(&first)["flops"], 54_000_000);
    let usage = &first.execution.resource_usage;
    let (cpu, peak) = (usage.cpu_time.unwrap(), usage.memory_peak.unwrap());
    let wall = first.execution.end_time.unwrap().duration_since(first.execution.start_time.unwrap());
    assert!(cpu > 0.0 && cpu <= wall.as_secs_f64() * 2.0, "{cpu} s of CPU in {wall}");
    assert!((1 << 20..=256 << 20).contains(&peak), "{peak} bytes at most");
    assert_eq!(first.execution.exit_code, Some(0));
    let lease = guests.node.client().allocation(&first.allocation_id).unwrap();
    assert_eq!((lease.status, lease.enforced), (AllocationStatus::Completed, true), "{lease:?}");
}

#[test]
fn executions_in_a_given_lease_are_what_the_kernel_counted_there() {
    let node = Node::start();
    require_cgroups!(node);
    let vm = node.install(&MATRIX_MULTIPLY, None);
    let mut lease = allocation("cpu", 50.0);
    lease.requirements.memory = Some("200MiB".into());
    let lease = node.client().allocate(&lease).unwrap();
    let cgroups = node.enforcement(&lease.id).cgroups;
    let mut request = job(&vm, "multiply", json!({ "size": 200 }));
    request.allocation_id = Some(lease.id.clone());
    let runs = [node.run(&request), node.run(&request)];
    assert!(runs.iter().all(|run| run.allocation_id == lease.id && run.status == ExecutionStatus::Completed));
    let reported: f64 = runs.iter().map(|run| run.execution.resource_usage.cpu_time.unwrap()).sum();
    let counted = cpu_time_ns(&cgroups).unwrap() as f64 / 1e9;
    // Beside the two workers nothing ran there; the rest is what a process uses between its end and its burial.
    // To the nanosecond: two numbers were added.
    assert!(
        reported <= counted + 1e-9 && counted - reported < 0.1,
        "{reported} s reported, {counted} s counted"
    );
    let peak = runs.iter().map(|run| run.execution.resource_usage.memory_peak.unwrap()).max().unwrap();
    let counted = memory_peak(&cgroups).unwrap();
    assert!(peak <= counted && counted < 2 * peak + (4 << 20), "{peak} bytes reported, {counted} counted");
    assert_eq!(node.client().allocation(&lease.id).unwrap().status, AllocationStatus::Active);
    node.client().release(&lease.id).unwrap();
    let ended = node.client().execute(&request, 0).unwrap_err();
    assert_eq!(ended.status(), Some(409), "{ended}");
}

#[test]
fn a_lease_without_memory_is_no_place_for_a_guest() {
    let guests = guests();
    require_cgroups!(guests.node);
    let mut lease = allocation("cpu", 1.0);
    lease.duration = 60;
    let lease = guests.node.client().allocate(&lease).unwrap();
    let mut request = job(&guests.matrix_multiply, "multiply", json!({ "size": 2 }));
    request.allocation_id = Some(lease.id.clone());
    let refused = guests.node.client().execute(&request, 0).unwrap_err();
    assert_eq!(refused.status(), Some(409), "{refused}");
    guests.node.client().release(&lease.id).unwrap();
}

#[test]
fn what_can_not_be_run_is_refused_by_name() {
    let guests = guests();
    require_cgroups!(guests.node);
    let client = guests.node.client();
    let refused = |request| match client.execute(&request, 0) {
        Err(ClientError::Problem(problem)) => (problem.status, problem.member, problem.detail),
        other => panic!("{other:?}"),
    };
    let known = job(&guests.hash_files, "hash", json!({}));
    let unknown = job(&guests.hash_files, "mine-bitcoin", json!({}));
    let (status, member, detail) = refused(unknown);
    assert_eq!((status, member.as_deref()), (422, Some("operation")));
    assert!(detail.contains("hash"), "{detail}");
    let inputs = vec![Input { name: "a".into(), digest: "0".repeat(64) }];
    let (status, member, _) = refused(hypermesh_wire::executions::ExecuteVm { inputs, ..known.clone() });
    assert_eq!((status, member.as_deref()), (422, Some("inputs[0].digest")));
    let nowhere = hypermesh_wire::executions::ExecuteVm { allocation_id: Some("alloc-0".into()), ..known };
    let (status, member, _) = refused(nowhere);
    assert_eq!((status, member.as_deref()), (422, Some("allocation_id")));
}

#[test]
fn proofs_that_are_wanted_are_recorded_as_not_configured() {
    let guests = guests();
    require_cgroups!(guests.node);
    let mut request = job(&guests.matrix_multiply, "multiply", json!({ "size": 2 }));
    request.requires_consensus = true;
    let wanted = guests.node.run(&request);
    assert_eq!(wanted.consensus, ConsensusState::NoValidatorConfigured);
    assert!(wanted.consensus_proofs.is_empty() && wanted.request.requires_consensus);
    request.requires_consensus = false;
    assert_eq!(guests.node.run(&request).consensus, ConsensusState::NotRequired);
}

#[test]
fn what_is_no_component_or_wants_too_much_is_not_admitted() {
    use hypermesh_wire::catalog::UploadQuery;
    let node = Node::start();
    let about = |name: &str| UploadQuery { name: Some(name.into()), ..UploadQuery::default() };
    let core_module = b"\0asm\x01\0\0\0";
    let cut = &HASH_FILES.component[..HASH_FILES.component.len() / 2];
    for (name, bytes) in [("text", &b"hello"[..]), ("empty", b""), ("core", core_module), ("cut", cut)] {
        let error = node.upload_package(&about(name), bytes).unwrap_err();
        assert!(matches!(error.status(), Some(400 | 422)), "{name}: {error}");
    }
    let named = node.upload_package(&about("No Such Name!"), HASH_FILES.component).unwrap_err();
    assert_eq!(named.status(), Some(400), "{named}");
    assert!(node.client().applications(&Default::default()).unwrap().is_empty());
    assert!(node.groups().is_empty(), "the compiler's groups are gone: {:?}", node.groups());
}
