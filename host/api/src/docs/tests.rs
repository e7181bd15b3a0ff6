//! The document against the contract and against the golden file.

use super::*;
use serde_json::Value;
use std::path::Path;

mod trustchain;

/// Every route of the contract for port 8446, and those that are added to it.
const ROUTES: [(&str, &str); 92] = [
    ("get", "/health"),
    ("get", "/livez"),
    ("get", "/readyz"),
    ("get", "/metrics"),
    ("get", "/api/v1/system/status"),
    ("get", "/api/v1/assets"),
    ("post", "/api/v1/assets"),
    ("get", "/api/v1/assets/{id}"),
    ("put", "/api/v1/assets/{id}"),
    ("delete", "/api/v1/assets/{id}"),
    ("post", "/api/v1/assets/vm"),
    ("post", "/api/v1/allocations"),
    ("get", "/api/v1/allocations"),
    ("get", "/api/v1/allocations/{id}"),
    ("get", "/api/v1/allocations/{id}/enforcement"),
    ("post", "/api/v1/allocations/{id}/release"),
    ("post", "/api/v1/consensus/validate"),
    ("get", "/api/v1/consensus/history/{asset_id}"),
    ("post", "/api/v1/consensus/proof"),
    ("get", "/api/v1/byzantine/detections"),
    ("post", "/api/v1/byzantine/report"),
    ("get", "/api/v1/proxy/list"),
    ("post", "/api/v1/proxy/create"),
    ("put", "/api/v1/proxy/{id}"),
    ("get", "/api/v1/proxy/{id}/validate-trust"),
    ("post", "/api/v1/proxy/execute"),
    ("get", "/api/v1/nodes/health"),
    ("get", "/api/v1/nodes/{id}/health"),
    ("get", "/api/v1/network/topology"),
    ("get", "/api/v1/catalog/applications"),
    ("get", "/api/v1/catalog/applications/{id}"),
    ("delete", "/api/v1/catalog/applications/{id}"),
    ("put", "/api/v1/catalog/applications/{id}/deprecation"),
    ("delete", "/api/v1/catalog/applications/{id}/deprecation"),
    ("get", "/api/v1/catalog/applications/{id}/export"),
    ("post", "/api/v1/catalog/applications/{id}/push"),
    ("post", "/api/v1/catalog/applications/{id}/signatures"),
    ("post", "/api/v1/catalog/pull"),
    ("get", "/api/v1/catalog/resolve"),
    ("post", "/api/v1/catalog/install"),
    ("post", "/api/v1/catalog/packages"),
    ("post", "/api/v1/vm/execute"),
    ("get", "/api/v1/vm/executions"),
    ("get", "/api/v1/vm/executions/{id}"),
    ("post", "/api/v1/vm/executions/{id}/cancel"),
    ("get", "/api/v1/vm/executions/{id}/logs"),
    ("get", "/api/v1/vm/executions/{id}/outputs/{name}"),
    ("get", "/api/v1/blobs"),
    ("post", "/api/v1/blobs"),
    ("get", "/api/v1/blobs/{digest}"),
    ("delete", "/api/v1/blobs/{digest}"),
    ("get", "/api/v1/events"),
    ("patch", "/api/v1/allocations/{id}"),
    ("post", "/api/v1/allocations/{id}/renew"),
    ("post", "/api/v1/allocations/{id}/attach"),
    ("get", "/api/v1/allocations/{id}/usage"),
    ("get", "/api/v1/queue"),
    ("get", "/api/v1/volumes"),
    ("delete", "/api/v1/volumes/{id}"),
    ("get", "/api/v1/quotas"),
    ("get", "/api/v1/quotas/{requester}"),
    ("put", "/api/v1/quotas/{requester}"),
    ("delete", "/api/v1/quotas/{requester}"),
    ("get", "/api/v1/tokens"),
    ("post", "/api/v1/tokens"),
    ("delete", "/api/v1/tokens/{name}"),
    ("get", "/api/v1/schedules"),
    ("post", "/api/v1/schedules"),
    ("get", "/api/v1/schedules/{id}"),
    ("patch", "/api/v1/schedules/{id}"),
    ("delete", "/api/v1/schedules/{id}"),
    ("get", "/api/v1/schedules/{id}/runs"),
    ("post", "/api/v1/schedules/{id}/run"),
    ("get", "/api/v1/vm/arrays"),
    ("post", "/api/v1/vm/arrays"),
    ("get", "/api/v1/vm/arrays/{id}"),
    ("get", "/api/v1/vm/arrays/{id}/items"),
    ("post", "/api/v1/vm/arrays/{id}/cancel"),
    ("get", "/api/v1/vm/executions/{id}/logs/stream"),
    ("get", "/api/v1/vm/executions/{id}/stdout"),
    ("put", "/api/v1/vm/executions/{id}/stdin"),
    ("get", "/api/v1/services"),
    ("post", "/api/v1/services"),
    ("get", "/api/v1/services/{name}"),
    ("delete", "/api/v1/services/{name}"),
    ("get", "/api/v1/services/{name}/logs"),
    ("get", "/api/v1/services/{name}/logs/stream"),
    ("get", "/guests/{name}/{path}"),
    ("post", "/guests/{name}/{path}"),
    ("put", "/guests/{name}/{path}"),
    ("patch", "/guests/{name}/{path}"),
    ("delete", "/guests/{name}/{path}"),
];

fn document() -> Value {
    serde_json::to_value(openapi()).unwrap()
}

/// Both documents, each with its tags and the name of the file that it is compared with.
fn documents() -> [(Value, &'static About, &'static str); 2] {
    let trustchain = serde_json::to_value(trustchain_openapi()).unwrap();
    [(document(), &HYPERMESH, "hypermesh"), (trustchain, &TRUSTCHAIN, "trustchain")]
}

fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of = |path: &str, item: &Value| -> Vec<(String, String, Value)> {
        let all = item.as_object().unwrap().iter();
        all.map(|(method, operation)| (method.clone(), path.to_owned(), operation.clone())).collect()
    };
    paths.iter().flat_map(|(path, item)| of(path, item)).collect()
}

#[test]
fn the_documents_are_the_golden_files() {
    for (document, name) in [(openapi(), "hypermesh"), (trustchain_openapi(), "trustchain")] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("openapi/{name}.json"));
        let now = format!("{}\n", serde_json::to_string_pretty(&document).unwrap());
        if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
            std::fs::write(&path, &now).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            golden == now,
            "the API {name} changed; if that is meant, run again with UPDATE_GOLDEN=1 and review the file"
        );
    }
}

#[test]
fn every_route_of_the_contract_is_there_and_no_other() {
    let routes: [&[(&str, &str)]; 2] = [&ROUTES, &trustchain::ROUTES];
    for ((document, _, name), routes) in documents().iter().zip(routes) {
        let mut found: Vec<_> = operations(document).into_iter().map(|(m, p, _)| (m, p)).collect();
        let mut expected: Vec<_> = routes.iter().map(|(m, p)| ((*m).to_owned(), (*p).to_owned())).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn every_operation_has_a_tag_an_id_of_its_own_and_its_parameters() {
    for (document, about, _) in documents() {
        let mut ids = std::collections::BTreeSet::new();
        for (method, path, operation) in operations(&document) {
            let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
            assert!(!id.is_empty() && ids.insert(id), "{method} {path}");
            assert!(about.tags.iter().any(|(tag, _)| operation["tags"][0] == *tag), "{method} {path}");
            let declared = operation["parameters"].as_array().cloned().unwrap_or_default();
            for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
                let is = |p: &Value| p["name"] == name && p["in"] == "path" && p["required"] == true;
                assert!(declared.iter().any(is), "{method} {path} {name}");
            }
        }
    }
}

#[test]
fn every_write_needs_the_token_and_every_error_is_a_problem() {
    for (document, ..) in documents() {
        for (method, path, operation) in operations(&document) {
            let proven = method == "post" && roles::proves_itself(&Method::POST, &path);
            let write = method != "get" && !proven;
            assert_eq!(operation["security"][0][BEARER].is_array(), write, "{method} {path}");
            let responses = operation["responses"].as_object().unwrap();
            // Whose proof fails gets a 401 too.
            assert!(responses.contains_key("401") == write || proven, "{method} {path}");
            for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
                let response = match response["$ref"].as_str() {
                    Some(reference) => document.pointer(&reference[1..]).unwrap(),
                    None => response,
                };
                let schema = &response["content"][PROBLEM_JSON]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/Problem", "{method} {path} {status}");
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(value: &Value, root: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                    assert!(root.pointer(&reference[1..]).is_some(), "{reference}");
                }
                members.values().for_each(|member| walk(member, root));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, root)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    for (document, ..) in documents() {
        assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
        walk(&document, &document);
    }
}

#[test]
fn requests_refuse_unknown_members() {
    let document = document();
    for name in [
        "CreateAsset",
        "UpdateAsset",
        "CreateVm",
        "CreateAllocation",
        "ExecuteVm",
        "Install",
        "Deprecate",
        "PullPackage",
        "PushPackage",
        "RegistryCredentials",
        "SignPackage",
        "Requirements",
        "IoLimits",
        "GpuWish",
        "ResizeAllocation",
        "RenewAllocation",
        "AttachProcess",
        "QuotaLimits",
        "CreateToken",
        "CreateSchedule",
        "ChangeSchedule",
        "CreateArray",
        "ArrayRange",
        "CreateService",
    ] {
        assert_eq!(document["components"]["schemas"][name]["additionalProperties"], false, "{name}");
    }
}
