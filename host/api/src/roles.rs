//! What each role may do: the one table of rights.
//!
//! A route that writes stands for an action, and each role may do it never, with what it holds itself, or always. The
//! layer before the handlers refuses what is never allowed; who holds the thing only a handler can know, so it asks
//! [`crate::auth::Caller::must_hold`]. A route that is not in the table is an administrator's: what is forgotten here is
//! closed and not open. Reads are nobody's secret on loopback and don't come here; what others may read without being
//! known is [`is_public`].

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
    /// Asks for a certificate of a server.
    Issue,
    /// Everything else: other certificates, the zone, tokens, quotas, foreign processes, what nobody holds.
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
const ROUTES: [(Method, &str, Action); 32] = [
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
    (Method::POST, "/api/v1/certificates", Action::Issue),
];

/// Routes whose POST changes nothing, or whose body proves by itself who sends it: OCSP (RFC 6960 A.1), ACME's signed
/// requests (RFC 8555 §6.2), the proof of a certificate's key.
const SELF_PROVING: [&str; 5] = [
    "/ocsp",
    "/auth/certificate",
    "/api/v1/certificates/validate",
    "/api/v1/certificates/{id}/validate",
    "/api/v1/dns/resolve",
];

/// Where ACME is.
pub(crate) const ACME: &str = "/acme/";

/// What anybody may read from anywhere: whether the process lives, and what relying parties, monitors and ACME clients
/// have to know before they can be known.
const PUBLIC: [&str; 10] =
    ["/livez", "/crl/", "/ocsp", "/ca/", "/ct/v1/", "/tile/", "/issuer/", "/log/", "/checkpoint", "/auth/"];

/// Whether a route's writes need no token.
pub(crate) fn proves_itself(method: &Method, route: &str) -> bool {
    *method == Method::POST && (SELF_PROVING.contains(&route) || route.starts_with(ACME))
}

/// Whether a route is read by anybody from anywhere.
pub(crate) fn is_public(route: &str) -> bool {
    route.starts_with(ACME) || PUBLIC.iter().any(|prefix| route.starts_with(prefix))
}

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
            Action::Allocate
            | Action::Execute
            | Action::Serve
            | Action::CallGuest
            | Action::Add
            | Action::Issue,
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
        let documents = [crate::openapi(), crate::trustchain_openapi()];
        for (path, item) in documents.into_iter().flat_map(|document| document.paths.paths) {
            let PathItem { put, post, delete, patch, .. } = item;
            for (method, operation) in [("PUT", put), ("POST", post), ("DELETE", delete), ("PATCH", patch)] {
                let built =
                    operation.is_some_and(|operation| !operation.responses.responses.contains_key("501"));
                let needs_token = !(method == "POST" && proves_itself(&Method::POST, &path));
                if built && needs_token {
                    found.insert((method.to_owned(), path.clone()));
                }
            }
        }
        found
    }

    /// Writing routes that only an administrator uses and that the table leaves out.
    const ADMINISTRATIVE: [(&str, &str); 18] = [
        ("POST", "/api/v1/log/rebuild"),
        ("POST", "/api/v1/certificates/{id}/renew"),
        ("POST", "/api/v1/certificates/{id}/revoke"),
        ("POST", "/api/v1/trust/rollovers"),
        ("POST", "/api/v1/trust/rollovers/{id}/advance"),
        ("POST", "/api/v1/trust/rollovers/{id}/abandon"),
        ("POST", "/api/v1/dns/records"),
        ("PUT", "/api/v1/dns/records/{id}"),
        ("DELETE", "/api/v1/dns/records/{id}"),
        ("POST", "/api/v1/dns/zone/file"),
        ("POST", "/api/v1/rotation/policies"),
        ("PUT", "/api/v1/rotation/policies/{id}"),
        ("DELETE", "/api/v1/rotation/policies/{id}"),
        ("POST", "/api/v1/rotation/execute"),
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
        for action in [Allocate, Execute, Serve, CallGuest, Add, Issue, Administer].into_iter().chain(own) {
            assert_eq!(permission(Role::Viewer, action), Permission::Never);
            assert_eq!(permission(Role::Admin, action), Permission::Always);
            let operator = match action {
                Allocate | Execute | Serve | CallGuest | Add | Issue => Permission::Always,
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
