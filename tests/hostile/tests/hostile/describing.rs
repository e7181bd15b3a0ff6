//! Components that misbehave when they are asked what they can do, at upload: refused with the cause, and nothing is left.

use crate::ground::{
    Vigil, assert_guest_memory, assert_stack, cause_at_upload, nothing_is_left, offer, refused,
};
use hypermesh_harness::{Node, require_cgroups};
use hypermesh_tests_hostile::bombs;
use hypermesh_tests_hostile::forge::{FOR_EVER, Job, OPERATION, OPERATIONS, OPERATIONS_COUNT, PAGE};
use hypermesh_wire::executions::CauseView;
use serde_json::Value;

/// Code that says that there are so many operations, in memory that nothing was written to: all their texts are empty.
fn operations(count: u32) -> Job {
    Job::describing(8, &(store(OPERATIONS, PAGE) + &store(OPERATIONS_COUNT, count)))
}

/// Code that stores a number.
fn store(address: u32, value: u32) -> String {
    format!("(i32.store (i32.const {address}) (i32.const {value}))")
}

fn view(cause: &Value) -> CauseView {
    let mut data = cause.as_object().unwrap().clone();
    let text = |value: Option<Value>| value.and_then(|value| Some(value.as_str()?.to_owned()));
    let message = text(data.get("message").cloned()).unwrap_or_default();
    CauseView { kind: text(data.remove("kind")).unwrap(), message, data }
}

#[test]
fn one_that_never_answers_is_ended_at_its_deadline() {
    let node = Node::start();
    require_cgroups!(node);
    let _vigil = Vigil::over(&node);
    let inner = format!("(core module $m (func $s {FOR_EVER}) (start $s)) (core instance (instantiate $m))");
    let inside =
        Job { after: format!("(component $c {inner}) (instance (instantiate $c))"), ..Job::default() };
    for (name, job) in [
        ("describe", Job { describe: FOR_EVER.into(), ..Job::default() }),
        ("start", Job::starting(FOR_EVER)),
        ("start-inside", inside),
    ] {
        let refused = refused(&node, name, &job.component());
        assert!(refused.detail.contains("took longer than 10 s"), "{name}: {refused:?}");
    }
    nothing_is_left(&node);
}

#[test]
fn one_that_traps_is_refused_with_the_trap() {
    let node = Node::start();
    require_cgroups!(node);
    let _vigil = Vigil::over(&node);
    let deep = Job {
        fields: "(func $deep (result i32) (i32.add (call $deep) (i32.const 1)))".into(),
        describe: "call $deep".into(),
        ..Job::default()
    };
    assert_stack(&view(&cause_at_upload(&node, "deep", &deep.component())));
    for (name, job, said) in [
        ("describe", Job { describe: "unreachable".into(), ..Job::default() }, "unreachable"),
        ("start", Job::starting("unreachable"), "unreachable"),
        ("nowhere", Job { describe: "i32.const -8".into(), ..Job::default() }, ""),
        ("odd", Job { describe: "i32.const 17".into(), ..Job::default() }, ""),
        ("list-outside", Job::describing(1, &store(OPERATIONS_COUNT, u32::MAX)), ""),
        ("string-outside", Job::describing(1, &store(OPERATION + 4, 1 << 30)), ""),
        ("no-text", Job::describing(1, &store(96, 0xffff_ffff)), ""),
    ] {
        let cause = cause_at_upload(&node, name, &job.component());
        assert_eq!(cause["kind"], "trap", "{name}: {cause}");
        let message = cause["message"].as_str().unwrap();
        assert!(!message.is_empty() && message.contains(said), "{name}: {cause}");
    }
    nothing_is_left(&node);
}

#[test]
fn what_it_says_of_itself_is_bounded() {
    let node = Node::start();
    require_cgroups!(node);
    let _vigil = Vigil::over(&node);
    // A text of 60 MiB is in its memory, and one of 64 MiB and more isn't any more.
    let (pages, long) = (1000, 60 << 20);
    for (name, job, kind, said) in [
        ("many", operations(10_000), "guest_error", "10000 operations; at most 64"),
        ("over", operations(65), "guest_error", "65 operations; at most 64"),
        ("name", Job::describing(1, &store(OPERATION + 4, 65)), "guest_error", "name has 65 bytes"),
        (
            "description",
            Job::describing(1, &store(OPERATION + 12, 1025)),
            "guest_error",
            "description has 1025 bytes",
        ),
        (
            "schema",
            Job::describing(2, &store(OPERATION + 20, (64 << 10) + 1)),
            "guest_error",
            "parameters has 65537 bytes",
        ),
        ("text", Job::describing(pages, &store(OPERATION + 4, long)), "output_limit", ""),
    ] {
        let cause = cause_at_upload(&node, name, &job.component());
        assert_eq!(cause["kind"], kind, "{name}: {cause}");
        let message = cause["message"].as_str().unwrap_or_default();
        assert!(message.contains(said), "{name}: {cause}");
        assert!(kind != "output_limit" || cause["limit"].as_u64() == Some(1 << 20), "{name}: {cause}");
    }
    let large = Job::describing(16 << 10, &store(OPERATION + 4, 1 << 30));
    assert_guest_memory(&cause_at_upload(&node, "gigabyte", &large.component()));
    assert_eq!(offer(&node, "fewer", &operations(64).component()), None);
    nothing_is_left(&node);
}

#[test]
fn what_it_begins_with_is_bounded() {
    let node = Node::start();
    require_cgroups!(node);
    let _vigil = Vigil::over(&node);
    for (name, bytes) in [
        ("memory", bombs::memory(1 << 16)),
        ("memory-over", bombs::memory(1 << 10)),
        ("table", bombs::table(9_999_999)),
        ("memories", bombs::instances(200, "(memory 10)")),
    ] {
        let limit = assert_guest_memory(&cause_at_upload(&node, name, &bytes));
        assert_eq!(limit, 64 << 20, "{name}");
    }
    // Numbers of things have limits of their own, which the engine names.
    for (name, bytes, said) in [
        ("instances", bombs::instances(600, ""), "instance"),
        ("empty-memories", bombs::instances(300, "(memory 0)"), "memor"),
        ("empty-tables", bombs::instances(300, "(table 0 funcref)"), "table"),
    ] {
        let cause = cause_at_upload(&node, name, &bytes);
        let text = cause.to_string();
        assert!(text.contains(said) && text.contains("too high"), "{name}: {cause}");
    }
    let thousands = refused(&node, "thousands", &bombs::instances(5000, ""));
    assert!(thousands.detail.contains("1025 instances; at most 1024"), "{thousands:?}");
    nothing_is_left(&node);
}
