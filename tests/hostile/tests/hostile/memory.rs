//! Guests that want more memory, table or stack than they have: told so by their own limit, before the kernel has to.

use crate::ground::{Ground, MEMORY, Vigil, assert_guest_memory, assert_stack, failed, install, run, value};
use hypermesh_harness::{job, require_cgroups};
use hypermesh_tests_hostile::forge::Job;
use serde_json::json;

#[test]
fn a_memory_bomb_is_denied_growth_before_the_kernel_ends_it() {
    let ground = Ground::shared();
    require_cgroups!(ground.node);
    let _vigil = Vigil::over(&ground.node);
    let execution = ground.run("eat-memory", json!({}));
    let limit = assert_guest_memory(&value(failed(&execution)));
    let peak = execution.execution.resource_usage.memory_peak.unwrap();
    assert!((limit / 2..=MEMORY).contains(&peak), "{peak} of {MEMORY}, guest limit {limit}");
}

#[test]
fn a_guest_that_sees_the_refusal_goes_on_with_all_that_it_may_have() {
    let ground = Ground::shared();
    require_cgroups!(ground.node);
    let _vigil = Vigil::over(&ground.node);
    let (held, execution) = ground.complete("hold-memory", json!({}));
    let held = held.as_u64().unwrap();
    let peak = execution.execution.resource_usage.memory_peak.unwrap();
    // All of it was touched; what the runtime needs beside it is within the lease too.
    assert!(
        held > MEMORY / 2 && peak >= held && peak <= MEMORY,
        "{held} held, {peak} at most, {MEMORY} leased"
    );
}

#[test]
fn a_table_bomb_is_denied_growth_with_the_same_cause() {
    let ground = Ground::shared();
    require_cgroups!(ground.node);
    let _vigil = Vigil::over(&ground.node);
    let grow =
        "(loop $l (br_if $l (i32.ne (i32.const -1) (table.grow $t (ref.null func) (i32.const 65536)))))";
    let bomb =
        Job { fields: "(table $t 0 funcref)".into(), run: format!("{grow} unreachable"), ..Job::default() };
    let vm = install(&ground.node, "table", &bomb.component());
    let execution = run(&ground.node, &job(&vm, "run", json!({})));
    assert_guest_memory(&value(failed(&execution)));
    let peak = execution.execution.resource_usage.memory_peak.unwrap();
    assert!(peak <= MEMORY, "{peak} of {MEMORY}");
}

#[test]
fn endless_recursion_ends_at_the_stack() {
    let ground = Ground::shared();
    require_cgroups!(ground.node);
    let _vigil = Vigil::over(&ground.node);
    assert_stack(&ground.cause("recurse", json!({})));
    // Through frames that are as large as they can be, and through a table.
    let wide = Job {
        fields: format!(
            "(table $t 1 funcref) (elem (i32.const 0) $deep) (type $f (func (result i32)))
            (func $deep (result i32) (local {}) (i32.add (call_indirect $t (type $f) (i32.const 0)) (i32.const 1)))",
            "i64 ".repeat(2000)
        ),
        run: "call $deep".into(),
        ..Job::default()
    };
    let vm = install(&ground.node, "wide", &wide.component());
    assert_stack(failed(&run(&ground.node, &job(&vm, "run", json!({})))));
}
