//! The machine that the numbers are from, as the node measured it.

use hypermesh_harness::{Node, allocation};
use hypermesh_wire::assets::{AssetQuery, AssetType};
use std::fs;

/// Some lines that say what was measured on.
pub(crate) fn facts(node: &Node) -> String {
    let query = AssetQuery { asset_type: Some(AssetType::Cpu), ..AssetQuery::default() };
    let cpu = node.client().assets(&query).ok().and_then(|assets| assets.into_iter().next());
    let specification = |name: &str| {
        let value =
            cpu.as_ref().and_then(|cpu| cpu.specifications.get(name)).filter(|value| !value.is_null());
        let text = value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        text.unwrap_or_else(|| "unknown".to_owned())
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_else(|_| "unknown".to_owned());
    let version = node.client().health().map_or_else(|_| "unknown".to_owned(), |health| health.version);
    format!(
        "HyperMesh {version}\ncpu      {}, {} cores, {} threads\nkernel   {}\ncgroups  {}\n",
        specification("model"),
        specification("cores"),
        specification("threads"),
        kernel.trim(),
        cgroups(node)
    )
}

/// The version of the cgroups that enforce, which a lease's receipt names.
fn cgroups(node: &Node) -> String {
    if let Some(reason) = node.unenforced() {
        return format!("none: {reason}");
    }
    let client = node.client();
    let Ok(lease) = client.allocate(&allocation("cpu", 1.0)) else { return "unknown".to_owned() };
    let version =
        client.enforcement(&lease.id).map_or_else(|_| "unknown".to_owned(), |found| found.cgroup_version);
    // Should this fail, the lease ends with the node.
    let _ = client.release(&lease.id);
    version
}
