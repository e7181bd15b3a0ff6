//! Parameters and names of a request at their limits and over them.

use crate::ground::{Ground, Vigil, result, run};
use hypermesh_harness::{job, problem, require_cgroups};
use hypermesh_wire::executions::{ExecuteVm, Input};
use serde_json::json;

/// The largest JSON body.
const BODY: usize = 1 << 20;
/// What the rest of the request takes of it, at most.
const ENVELOPE: usize = 1 << 10;

#[test]
fn parameters_are_passed_whole_up_to_the_limit_and_refused_over_it() {
    let ground = Ground::shared();
    require_cgroups!(ground.node);
    let _vigil = Vigil::over(&ground.node);
    let with = |length: usize| job(&ground.hostile, "measure", json!({ "text": "x".repeat(length) }));
    let largest = BODY - ENVELOPE;
    assert_eq!(result(&run(&ground.node, &with(largest))), json!(largest));
    let refused = problem(ground.node.client().execute(&with(BODY), 0));
    assert_eq!(refused.status, 413, "{refused:?}");
    // Written as long as it can be: an escape for every byte.
    let escaped = "\u{1}".repeat(largest / 6);
    let request = job(&ground.hostile, "measure", json!({ "text": escaped }));
    assert_eq!(result(&run(&ground.node, &request)), json!(largest / 6));
}

#[test]
fn names_of_operations_and_inputs_are_bounded() {
    let ground = Ground::shared();
    require_cgroups!(ground.node);
    let _vigil = Vigil::over(&ground.node);
    let client = ground.node.client();
    for (operation, status) in [
        ("x".repeat(128), 422),
        ("x".repeat(129), 400),
        ("a\u{7}b".to_owned(), 400),
        ("../run".to_owned(), 422),
    ] {
        let refused = problem(client.execute(&job(&ground.hostile, &operation, json!({})), 0));
        assert_eq!((refused.status, refused.member.as_deref()), (status, Some("operation")), "{refused:?}");
    }
    let digest = ground.node.upload(b"abc");
    let granting = |names: &[String]| ExecuteVm {
        inputs: names.iter().map(|name| Input { name: name.clone(), digest: digest.clone() }).collect(),
        ..job(&ground.hostile, "probe", json!({}))
    };
    for names in [vec!["x".repeat(129)], vec![String::new()], vec!["a\nb".to_owned()]] {
        let refused = problem(client.execute(&granting(&names), 0));
        assert_eq!(refused.status, 400, "{names:?}: {refused:?}");
    }
    let many = |count: usize| (0..count).map(|n| format!("{n:0>128}")).collect::<Vec<_>>();
    assert_eq!(problem(client.execute(&granting(&many(257)), 0)).status, 400);
    let execution = run(&ground.node, &granting(&many(256)));
    assert!(result(&execution).is_object(), "{execution:?}");
}
