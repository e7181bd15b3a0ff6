//! Components that are small and take more to compile than anything honest: ended at a limit, with the number, while the
//! node and the leases go on.

use crate::ground::{Vigil, nothing_is_left, offer, refused};
use hypermesh_harness::{Node, require_cgroups};
use hypermesh_tests_hostile::bombs;

/// Four kilobytes ask for 27 million instances, and two for a thousand.
#[test]
fn a_component_that_multiplies_is_refused_before_it_is_compiled() {
    let node = Node::start();
    require_cgroups!(node);
    let _vigil = Vigil::over(&node);
    for (width, levels) in [(300, 3), (10, 3), (2, 12), (1000, 2)] {
        let bytes = bombs::laughs(width, levels);
        assert!(bytes.len() < 16 << 10, "{} bytes", bytes.len());
        let refused = refused(&node, "laughs", &bytes);
        assert!(refused.detail.contains("instances; at most 1024"), "{refused:?}");
    }
    assert_eq!(offer(&node, "fewer", &bombs::laughs(10, 2)), None, "and a small one is taken");
    nothing_is_left(&node);
}

/// A hundred kilobytes of one function: the product of its loops and its variables is what registers are allocated from.
#[test]
fn a_function_that_takes_for_ever_is_ended_at_the_compilers_time() {
    let node = Node::start();
    require_cgroups!(node);
    let _vigil = Vigil::over(&node);
    let bytes = bombs::loops(20_000, 4000);
    assert!(bytes.len() < 1 << 20, "{} bytes", bytes.len());
    let refused = refused(&node, "loops", &bytes);
    let at_a_limit =
        refused.detail.contains("took longer than") || refused.detail.contains("needed more than");
    assert!(at_a_limit && refused.reasons.len() == 1, "{refused:?}");
    nothing_is_left(&node);
}

/// As many functions as there may be, each of which costs something: slow, and within the limits.
#[test]
fn a_component_at_the_limits_of_structure_is_answered() {
    let node = Node::start();
    require_cgroups!(node);
    let _vigil = Vigil::over(&node);
    for (name, bytes) in
        [("functions", bombs::functions(30_000)), ("long", bombs::long_function((1 << 20) - 8))]
    {
        assert_eq!(offer(&node, name, &bytes), None, "{name}");
    }
    nothing_is_left(&node);
}
