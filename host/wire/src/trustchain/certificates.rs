//! Certificates: asking for one, how one looks, taking one back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Where a certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CertificateStatus)]
pub enum CertificateStatus {
    /// It may be relied on.
    Active,
    /// Its time is over.
    Expired,
    /// Its issuer took it back.
    Revoked,
    /// Its time has not come.
    Pending,
}

/// How far from the root a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrustLevel {
    /// The trust anchor.
    Root,
    /// Signs leaves.
    Intermediate,
    /// Signs nothing.
    Leaf,
}

/// What a certificate is for: a profile, which decides every field but the key and the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = CertificateUsage)]
pub enum Usage {
    /// A TLS server.
    Server,
    /// A TLS client.
    Client,
    /// A node of the mesh: both, with a SPIFFE id; 24 hours at most.
    Node,
    /// A signer of code.
    CodeSigning,
}

/// The kind of a key that is made here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyType {
    /// ECDSA on the curve P-256.
    EcdsaP256,
    /// ECDSA on the curve P-384.
    EcdsaP384,
    /// Ed25519.
    Ed25519,
}

/// Asks for a certificate: by a subject, and the key is made here, or by a certificate signing request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCertificate {
    /// Who it is for, RFC 4514, e.g. `CN=www.hypermesh.network,O=Example`. With a `csr` the request's own subject counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 512, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub subject: Option<String>,
    /// How long it is valid; 90 when not given (a node's: 1), and never longer than its profile allows or its issuer is.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 1, maximum = 825)]
    pub validity_days: Option<u32>,
    /// Bits of the key that is made: 256 (P-256, when not given) or 384 (P-384). `key_type` says more.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 256, maximum = 384)]
    pub key_size: Option<u32>,
    /// Kind of the key that is made; ECDSA P-256 when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_type: Option<KeyType>,
    /// What it is for: one of them; `server` when not given. `server` and `client` together are the profile `node`'s alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 1)]
    pub usage: Option<Vec<Usage>>,
    /// Alternative names: DNS names, IP addresses, URIs, mail addresses. Without any, a server's common name is its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 100)]
    pub names: Option<Vec<String>>,
    /// A certificate signing request (PKCS #10, PEM). Only its key, its subject and its names are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 131_072, pattern = r"^[\t\n\r -~]*$")]
    pub csr: Option<String>,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Certificate {
    /// Its id.
    pub id: String,
    /// Who it is for, RFC 4514.
    pub subject: String,
    /// Who signed it, RFC 4514.
    pub issuer: String,
    /// Its serial number, hexadecimal.
    pub serial_number: String,
    /// From when it is valid.
    #[schema(value_type = String, format = DateTime)]
    pub valid_from: Timestamp,
    /// Until when it is valid.
    #[schema(value_type = String, format = DateTime)]
    pub valid_to: Timestamp,
    /// `SHA256:` and the hexadecimal SHA-256 of its DER form.
    pub fingerprint: String,
    /// Its key: SubjectPublicKeyInfo, PEM.
    pub public_key: String,
    /// Where it stands.
    pub status: CertificateStatus,
    /// How far from the root it is.
    pub trust_level: TrustLevel,
    /// When it was issued.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When its state last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// What it is for; `null` for an authority's.
    pub usage: Option<Usage>,
    /// Its alternative names.
    pub names: Vec<String>,
    /// Kind of its key, for people.
    pub key_algorithm: String,
    /// Its place in the transparency log; `null` for an authority's.
    pub log_index: Option<u64>,
    /// Why it was taken back; `null` where it wasn't.
    pub revocation_reason: Option<RevocationReason>,
    /// Since when it is taken back.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
}

/// A new certificate with what its holder needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IssuedCertificate {
    /// The certificate.
    #[serde(flatten)]
    pub certificate: Certificate,
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// The certificate and those above it but the root, PEM: what a TLS server sends.
    pub chain_pem: String,
    /// The private key (PKCS #8, PEM), where it was made here. It is in this answer and nowhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_pem: Option<String>,
}

/// Asks for a certificate of the same subject and names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewCertificate {
    /// A certificate signing request with the new key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 131_072, pattern = r"^[\t\n\r -~]*$")]
    pub csr: Option<String>,
    /// The kind of the new key, which is made here; without it and without `csr` the key stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_type: Option<KeyType>,
    /// How long it is valid; as long as the old one when not given.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 1, maximum = 825)]
    pub validity_days: Option<u32>,
}

/// Why a certificate is taken back (RFC 5280 §5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum RevocationReason {
    /// No reason is given.
    Unspecified,
    /// Somebody else has its key.
    KeyCompromise,
    /// Somebody else has its issuer's key.
    #[serde(rename = "cACompromise")]
    CaCompromise,
    /// The subject's name or affiliation changed.
    AffiliationChanged,
    /// Another certificate took its place.
    Superseded,
    /// It is not needed any more.
    CessationOfOperation,
    /// The subject may not do any more what it certifies.
    PrivilegeWithdrawn,
    /// An attribute authority's key is known to others.
    #[serde(rename = "aACompromise")]
    AaCompromise,
}

/// Takes a certificate back, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeCertificate {
    /// Why.
    pub reason: RevocationReason,
}

/// A certificate was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revoked {
    /// What was done, for people.
    pub message: String,
    /// The certificate.
    pub certificate_id: String,
}

/// Which certificates.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CertificateQuery {
    /// Only those of this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub status: Option<CertificateStatus>,
    /// Only those that are this far from the root.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub trust_level: Option<TrustLevel>,
    /// Only those for this.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub usage: Option<Usage>,
    /// Only those whose subject has this in it, whatever the case.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 512)]
    pub subject: Option<String>,
    /// Only those with this alternative name, whatever the case.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 512)]
    pub name: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Only those after this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 64)]
    pub after: Option<String>,
}

/// Who signed whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrustHierarchy {
    /// The trust anchor.
    pub root_ca: Certificate,
    /// The authorities that the root signed, the one that signs now first.
    pub intermediates: Vec<Certificate>,
    /// The newest certificates that they signed and that are valid, at most 1000.
    pub leaves: Vec<Certificate>,
    /// Subjects from the node's own certificate up to the root.
    pub validation_chain: Vec<String>,
    /// When that chain was validated for this answer.
    #[schema(value_type = String, format = DateTime)]
    pub last_validated: Timestamp,
}
