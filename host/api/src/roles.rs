//! What each role may do: the one table of rights.
//!
//! A route that writes stands for an action, and each role may do it never, with what it holds itself, or always. The
//! layer before the handlers refuses what is never allowed; who holds the thing only a handler can know, so it asks
//! [`crate::auth::Caller::must_hold`]. A route that is not in the table is an administrator's: what is forgotten here is
//! closed and not open. Reads are nobody's secret on loopback and don't come here.

use crate::problem::{Draft, Kind};
use axum::http::Method;
use hypermesh_mesh::Role;

/// What a write does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Leases a part of the machine.
    Allocate,
    /// Changes or ends a lease.
    ChangeLease,
    /// Starts an execution, now or later, once or often.
    Execute,
    /// Ends an execution, or an array of them.
    EndExecution,
    /// Changes or removes a schedule, or has it run.
    ChangeSchedule,
    /// Serves an HTTP guest.
    Serve,
    /// Ends a service.
    EndService,
    /// Sends a request to a guest.
    CallGuest,
    /// Adds a component, an input or an asset.
    Add,
    /// Changes or removes an asset.
    ChangeAsset,
    /// Deprecates, signs, pushes or removes a package.
    ChangePackage,
    /// Removes a kept folder.
    RemoveVolume,
    /// Everything else: tokens, quotas, foreign processes, what nobody holds.
    Administer,
}

/// Whether a role may do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    /// Not at all.
    Never,
    /// With what it holds itself.
    Own,
    /// With anybody's.
    Always,
}

/// Below this a request goes to a guest.
const GUESTS: &str = "/guests/";

/// The writing routes that are not an administrator's alone.
const ROUTES: [(Method, &str, Action); 31] = [
    (Method::POST, "/api/v1/allocations", Action::Allocate),
    (Method::PATCH, "/api/v1/allocations/{id}", Action::ChangeLease),
    (Method::POST, "/api/v1/allocations/{id}/renew", Action::ChangeLease),
    (Method::POST, "/api/v1/allocations/{id}/release", Action::ChangeLease),
    (Method::POST, "/api/v1/allocations/{id}/attach", Action::Administer),
    (Method::DELETE, "/api/v1/volumes/{id}", Action::RemoveVolume),
    (Method::POST, "/api/v1/vm/execute", Action::Execute),
    (Method::POST, "/api/v1/vm/executions/{id}/cancel", Action::EndExecution),
    (Method::PUT, "/api/v1/vm/executions/{id}/stdin", Action::EndExecution),
    (Method::POST, "/api/v1/vm/arrays", Action::Execute),
    (Method::POST, "/api/v1/vm/arrays/{id}/cancel", Action::EndExecution),
    (Method::POST, "/api/v1/schedules", Action::Execute),
    (Method::PATCH, "/api/v1/schedules/{id}", Action::ChangeSchedule),
    (Method::DELETE, "/api/v1/schedules/{id}", Action::ChangeSchedule),
    (Method::POST, "/api/v1/schedules/{id}/run", Action::ChangeSchedule),
    (Method::POST, "/api/v1/services", Action::Serve),
    (Method::DELETE, "/api/v1/services/{name}", Action::EndService),
    (Method::POST, "/api/v1/blobs", Action::Add),
    (Method::POST, "/api/v1/catalog/packages", Action::Add),
    (Method::POST, "/api/v1/catalog/install", Action::Add),
    (Method::PUT, "/api/v1/catalog/applications/{id}/deprecation", Action::ChangePackage),
    (Method::DELETE, "/api/v1/catalog/applications/{id}/deprecation", Action::ChangePackage),
    (Method::DELETE, "/api/v1/catalog/applications/{id}", Action::ChangePackage),
    (Method::POST, "/api/v1/catalog/applications/{id}/signatures", Action::ChangePackage),
    (Method::POST, "/api/v1/catalog/applications/{id}/push", Action::ChangePackage),
    (Method::POST, "/api/v1/catalog/pull", Action::Add),
    (Method::POST, "/api/v1/assets", Action::Add),
    (Method::POST, "/api/v1/assets/vm", Action::Add),
    (Method::PUT, "/api/v1/assets/{id}", Action::ChangeAsset),
    (Method::DELETE, "/api/v1/assets/{id}", Action::ChangeAsset),
    (Method::DELETE, "/api/v1/blobs/{digest}", Action::Administer),
];

/// What a write to a route does.
pub(crate) fn action(method: &Method, route: &str) -> Action {
    if route.starts_with(GUESTS) {
        return Action::CallGuest;
    }
    let known = ROUTES.iter().find(|(of, path, _)| of == method && *path == route);
    known.map_or(Action::Administer, |(.., action)| *action)
}

/// The table.
pub(crate) fn permission(role: Role, action: Action) -> Permission {
    match (role, action) {
        (Role::Admin, _) => Permission::Always,
        (Role::Viewer, _) => Permission::Never,
        (
            Role::Operator,
            Action::Allocate | Action::Execute | Action::Serve | Action::CallGuest | Action::Add,
        ) => Permission::Always,
        (
            Role::Operator,
            Action::ChangeLease
            | Action::EndExecution
            | Action::EndService
            | Action::ChangeSchedule
            | Action::ChangePackage
            | Action::ChangeAsset
            | Action::RemoveVolume,
        ) => Permission::Own,
        (Role::Operator, Action::Administer) => Permission::Never,
    }
}

/// What a caller is told whose role never allows it.
pub(crate) fn refusal(role: Role) -> Draft {
    let detail = match role {
        Role::Viewer => "your token is a viewer's: it reads only",
        Role::Operator => "your token is an operator's; this needs an administrator's",
        Role::Admin => "an administrator may do this",
    };
    Draft::new(Kind::ForbiddenRole, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use utoipa::openapi::path::PathItem;

    /// Every writing operation of the document.
    fn writes() -> BTreeSet<(String, String)> {
        let mut found = BTreeSet::new();
        for (path, item) in crate::openapi().paths.paths {
            let PathItem { put, post, delete, patch, .. } = item;
            for (method, operation) in [("PUT", put), ("POST", post), ("DELETE", delete), ("PATCH", patch)] {
                if operation.is_some_and(|operation| !operation.responses.responses.contains_key("501")) {
                    found.insert((method.to_owned(), path.clone()));
                }
            }
        }
        found
    }

    /// Writing routes that only an administrator uses and that the table leaves out.
    const ADMINISTRATIVE: [(&str, &str); 4] = [
        ("POST", "/api/v1/tokens"),
        ("DELETE", "/api/v1/tokens/{name}"),
        ("PUT", "/api/v1/quotas/{requester}"),
        ("DELETE", "/api/v1/quotas/{requester}"),
    ];

    #[test]
    fn every_write_has_its_place_and_every_place_is_a_write() {
        let in_table = ROUTES.iter().map(|(method, path, _)| (method.to_string(), (*path).to_owned()));
        let administrative =
            ADMINISTRATIVE.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned()));
        let known: BTreeSet<_> = in_table.chain(administrative).collect();
        // What guests make of a method is theirs; the table has one line for all of it.
        let written = writes().into_iter().filter(|(_, path)| !path.starts_with(GUESTS)).collect();
        assert_eq!(known, written);
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            assert_eq!(action(&method, "/guests/{name}/{*path}"), Action::CallGuest);
        }
    }

    #[test]
    fn a_viewer_writes_nothing_an_operator_its_own_and_an_administrator_everything() {
        use Action::*;
        let own =
            [ChangeLease, EndExecution, EndService, ChangeSchedule, ChangeAsset, ChangePackage, RemoveVolume];
        for action in [Allocate, Execute, Serve, CallGuest, Add, Administer].into_iter().chain(own) {
            assert_eq!(permission(Role::Viewer, action), Permission::Never);
            assert_eq!(permission(Role::Admin, action), Permission::Always);
            let operator = match action {
                Allocate | Execute | Serve | CallGuest | Add => Permission::Always,
                ChangeLease | EndExecution | EndService | ChangeSchedule | ChangeAsset | ChangePackage
                | RemoveVolume => Permission::Own,
                Administer => Permission::Never,
            };
            assert_eq!(permission(Role::Operator, action), operator, "{action:?}");
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_an_administrator_s() {
        assert_eq!(action(&Method::POST, "/api/v1/allocations"), Action::Allocate);
        for (method, route) in
            [(Method::POST, "/api/v1/tokens"), (Method::PUT, "/api/v1/allocations"), (Method::POST, "")]
        {
            assert_eq!(action(&method, route), Action::Administer, "{route}");
        }
    }
}
