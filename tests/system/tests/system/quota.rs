//! Quotas bound what a requester holds at a time.

use hypermesh_harness::{Node, allocation, problem, require_cgroups};
use hypermesh_wire::allocations::{CreateAllocation, Phase, ResizeAllocation};
use hypermesh_wire::quotas::QuotaLimits;
use hypermesh_wire::tokens::Role;

#[test]
fn a_quota_refuses_with_its_numbers_and_bounds_only_its_requester() {
    let mut node = Node::start();
    require_cgroups!(node);
    let pool = node.client().allocate(&allocation("cpu", 100.0)).unwrap();
    node.client().release(&pool.id).unwrap();
    let half = pool.resources.cpu_millis.unwrap() / 2;
    let tenant = node.client_of("tenant", Role::Operator);
    let limits = QuotaLimits { cpu_millis: Some(half), leases: Some(2), ..QuotaLimits::default() };
    let set = node.client().set_quota("tenant", &limits).unwrap();
    assert_eq!((set.limits, set.used.leases), (limits.clone(), 0));
    let by_tenant = problem(tenant.set_quota("tenant", &QuotaLimits::default()));
    assert_eq!(by_tenant.status, 403, "{by_tenant:?}");

    let lease = tenant.allocate(&allocation("cpu", 30.0)).unwrap();
    let refused = problem(tenant.allocate(&allocation("cpu", 30.0)));
    let reason = &refused.reasons[0];
    assert_eq!((refused.status, &reason["dimension"]), (409, &"quota_cpu".into()), "{refused:?}");
    let cores = |percent: f64| f64::from(half) * 2.0 * percent / 100.0 / 1000.0;
    for (member, expected) in [("requested", cores(30.0)), ("available", cores(20.0))] {
        let said = reason[member].as_f64().unwrap();
        assert!((said - expected).abs() < 0.002, "{member}: {said}, not {expected}: {refused:?}");
    }
    let grow = ResizeAllocation { cpu: Some(60.0), ..ResizeAllocation::default() };
    let refused = problem(tenant.resize(&lease.id, &grow, None));
    assert_eq!(refused.reasons[0]["dimension"], "quota_cpu", "growing is bounded as well: {refused:?}");
    let used = node.client().quota("tenant").unwrap().used;
    assert_eq!((used.leases, used.cpu_millis), (1, u64::from(lease.resources.cpu_millis.unwrap())));
    tenant.allocate(&allocation("cpu", 5.0)).unwrap();
    let third = problem(tenant.allocate(&allocation("cpu", 1.0)));
    assert_eq!(third.reasons[0]["dimension"], "quota_leases", "{third:?}");
    let beyond = CreateAllocation { wait_s: Some(60), ..allocation("cpu", 60.0) };
    let never = problem(tenant.allocate(&beyond));
    assert_eq!(never.status, 409, "more than the quota is never granted, so it need not wait: {never:?}");

    let others = node.client().allocate(&allocation("cpu", 50.0)).unwrap();
    assert_eq!(others.phase, Phase::Active, "nobody else is bound by it");
    node.kill9();
    node.restart();
    let kept = node.client().quota("tenant").unwrap();
    assert_eq!((kept.limits, kept.used.leases), (limits, 2), "it is remembered");
    node.client().remove_quota("tenant").unwrap();
    let renamed = node.client().quotas().unwrap();
    assert!(renamed.iter().all(|quota| quota.limits == QuotaLimits::default()), "{renamed:?}");
}
