//! The routes of the contract on port 8446, and those that the first version adds to it.

/// Methods and paths of the contract.
pub const CONTRACT: [(&str, &str); 33] = [
    ("GET", "/health"),
    ("GET", "/metrics"),
    ("GET", "/api/v1/system/status"),
    ("GET", "/api/v1/assets"),
    ("GET", "/api/v1/assets/{id}"),
    ("POST", "/api/v1/assets"),
    ("PUT", "/api/v1/assets/{id}"),
    ("DELETE", "/api/v1/assets/{id}"),
    ("POST", "/api/v1/allocations"),
    ("GET", "/api/v1/allocations"),
    ("POST", "/api/v1/allocations/{id}/release"),
    ("POST", "/api/v1/consensus/validate"),
    ("GET", "/api/v1/consensus/history/{asset_id}"),
    ("POST", "/api/v1/consensus/proof"),
    ("GET", "/api/v1/byzantine/detections"),
    ("POST", "/api/v1/byzantine/report"),
    ("GET", "/api/v1/proxy/list"),
    ("POST", "/api/v1/proxy/create"),
    ("PUT", "/api/v1/proxy/{id}"),
    ("GET", "/api/v1/proxy/{id}/validate-trust"),
    ("POST", "/api/v1/proxy/execute"),
    ("GET", "/api/v1/nodes/health"),
    ("GET", "/api/v1/nodes/{id}/health"),
    ("GET", "/api/v1/network/topology"),
    ("GET", "/api/v1/catalog/applications"),
    ("POST", "/api/v1/catalog/install"),
    ("POST", "/api/v1/assets/vm"),
    ("POST", "/api/v1/vm/execute"),
    ("GET", "/api/v1/vm/executions"),
    ("GET", "/api/v1/vm/executions/{id}"),
    ("POST", "/api/v1/vm/executions/{id}/cancel"),
    // Served beside the document, which doesn't list itself.
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
];

/// Routes outside the document: it and its page.
pub const UNDOCUMENTED: [&str; 2] = ["/docs", "/openapi.json"];

/// Further routes that are added to the contract.
pub const ADDED: [(&str, &str); 13] = [
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/api/v1/events"),
    ("GET", "/api/v1/allocations/{id}"),
    ("GET", "/api/v1/allocations/{id}/enforcement"),
    ("GET", "/api/v1/catalog/applications/{id}"),
    ("GET", "/api/v1/vm/executions/{id}/logs"),
    ("GET", "/api/v1/vm/executions/{id}/outputs/{name}"),
    ("GET", "/api/v1/blobs"),
    ("POST", "/api/v1/blobs"),
    ("GET", "/api/v1/blobs/{digest}"),
    ("DELETE", "/api/v1/blobs/{digest}"),
    ("POST", "/api/v1/catalog/packages"),
];
