//! The contract's routes of port 8444, and what its requests refuse.

use super::*;

/// Every route of the contract for port 8444, and those that are added to it.
pub(super) const ROUTES: [(&str, &str); 49] = [
    ("get", "/health"),
    ("get", "/livez"),
    ("get", "/readyz"),
    ("get", "/metrics"),
    ("get", "/stats"),
    ("get", "/api/v1/status"),
    ("get", "/api/v1/certificates"),
    ("post", "/api/v1/certificates"),
    ("get", "/api/v1/certificates/{id}"),
    ("get", "/api/v1/certificates/{id}/chain"),
    ("get", "/api/v1/certificates/{id}/inclusion"),
    ("post", "/api/v1/certificates/{id}/renew"),
    ("post", "/api/v1/certificates/{id}/revoke"),
    ("post", "/api/v1/certificates/{id}/validate"),
    ("post", "/api/v1/certificates/validate"),
    ("get", "/api/v1/trust/hierarchy"),
    ("get", "/api/v1/trust/authorities"),
    ("get", "/api/v1/trust/rollovers"),
    ("post", "/api/v1/trust/rollovers"),
    ("post", "/api/v1/trust/rollovers/{id}/advance"),
    ("post", "/api/v1/trust/rollovers/{id}/abandon"),
    ("get", "/api/v1/dns/records"),
    ("post", "/api/v1/dns/records"),
    ("put", "/api/v1/dns/records/{id}"),
    ("delete", "/api/v1/dns/records/{id}"),
    ("post", "/api/v1/dns/resolve"),
    ("get", "/api/v1/dns/zone"),
    ("get", "/api/v1/dns/zone/file"),
    ("post", "/api/v1/dns/zone/file"),
    ("get", "/api/v1/rotation/policies"),
    ("post", "/api/v1/rotation/policies"),
    ("put", "/api/v1/rotation/policies/{id}"),
    ("delete", "/api/v1/rotation/policies/{id}"),
    ("post", "/api/v1/rotation/execute"),
    ("get", "/api/v1/rotation/history"),
    ("get", "/auth/challenge"),
    ("post", "/auth/certificate"),
    ("get", "/crl/{file}"),
    ("get", "/ca/{file}"),
    ("post", "/ocsp"),
    ("get", "/checkpoint"),
    ("get", "/ct/v1/get-sth"),
    ("get", "/ct/v1/get-sth-consistency"),
    ("get", "/ct/v1/get-proof-by-hash"),
    ("get", "/ct/v1/get-entries"),
    ("get", "/ct/v1/get-roots"),
    ("get", "/ct/v1/get-entry-and-proof"),
    ("get", "/log/key.pem"),
    ("post", "/api/v1/log/rebuild"),
];

#[test]
fn requests_refuse_unknown_members() {
    let document = serde_json::to_value(trustchain_openapi()).unwrap();
    for name in [
        "AuthenticateCertificate",
        "ChangeDnsRecord",
        "ChangeRotationPolicy",
        "CreateCertificate",
        "CreateDnsRecord",
        "CreateRotationPolicy",
        "ExecuteRotation",
        "RenewCertificate",
        "ResolveDns",
        "RevokeCertificate",
        "ValidateCertificate",
    ] {
        assert_eq!(document["components"]["schemas"][name]["additionalProperties"], false, "{name}");
    }
}
