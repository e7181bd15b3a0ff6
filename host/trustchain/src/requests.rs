//! What callers ask for, parsed as far as types go. What the policy says to it is said where it is done.

use hypermesh_model::{
    CertificateId, CertificateProfile, CertificateStatus, DnsRecordStatus, RotationType, Timestamp,
    TrustLevel,
};

/// Where a certificate's key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// It is made here, given out once and not kept: `EC-P256`, `EC-P384` or `Ed25519`.
    Generate(KeyKind),
    /// From a certificate request (PKCS #10), PEM. Of it only the key and the names are taken.
    Csr(String),
    /// The same, DER.
    CsrDer(Vec<u8>),
}

/// Which kind of key is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the curves' names")]
pub enum KeyKind {
    #[default]
    P256,
    P384,
    Ed25519,
}

/// A certificate that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueRequest {
    /// Who it is for (RFC 4514). `None`: from the request's subject, else the first name as its common name.
    pub subject: Option<String>,
    /// Alternative names: DNS names and addresses as they are, URIs and mail addresses by their form. Empty: those of the
    /// certificate request; without one, the subject's common name, if it is a DNS name or an address.
    pub names: Vec<String>,
    /// What it is for.
    pub profile: CertificateProfile,
    /// How long it is valid, seconds; `None`: the profile's own time, as far as the issuer is valid.
    pub validity_seconds: Option<u64>,
    /// Its key.
    pub key: KeySource,
    /// Who asks.
    pub by: String,
}

/// A certificate that is wanted again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewRequest {
    /// `None`: the same key.
    pub key: Option<KeySource>,
    /// How long it is valid, seconds; `None`: as long as the one before.
    pub validity_seconds: Option<u64>,
    /// Who asks.
    pub by: String,
}

/// Which certificates are listed. What is `None` or empty doesn't restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateFilter {
    /// Where it stands now.
    pub status: Option<CertificateStatus>,
    /// How far from the root it is.
    pub trust_level: Option<TrustLevel>,
    /// What it was issued for.
    pub profile: Option<CertificateProfile>,
    /// A part of the subject, in any case.
    pub subject: Option<String>,
    /// A name that it is valid for, in lower case, as text that one of its names contains.
    pub name: Option<String>,
    /// The certificate that signed it.
    pub issuer_id: Option<CertificateId>,
    /// Its validity ends before.
    pub expires_before: Option<Timestamp>,
    /// It was issued after.
    pub issued_after: Option<Timestamp>,
}

/// What a certificate is checked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ValidateRequest {
    /// At which time; `None`: now.
    pub at: Option<Timestamp>,
    /// For which use; `None`: any.
    pub usage: Option<CertificateProfile>,
    /// Under which name it is met; `None`: any.
    pub host: Option<String>,
    /// Trust anchors instead of our root, PEM.
    pub roots_pem: Option<String>,
    /// Further certificates that a path may lead through, PEM.
    pub intermediates_pem: Option<String>,
}

/// A rotation policy that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRotationPolicy {
    /// The certificate that it is about.
    pub certificate_id: CertificateId,
    /// What makes it act.
    pub rotation_type: RotationType,
    /// Longest time between two rotations, days: 1 to 3650.
    pub interval_days: u32,
    /// How long before a rotation its warning comes, days: 0 to 365.
    pub warning_days: u32,
    /// How long the old certificate stays valid, days: 0 to 365.
    pub grace_period_days: u32,
    /// Whether it acts by itself.
    pub enabled: bool,
}

/// A rotation that is asked for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationRequest {
    /// The certificate that is replaced.
    pub certificate_id: CertificateId,
    /// `Emergency` revokes the old one at once.
    pub rotation_type: RotationType,
    /// The new key; `None`: one of the old one's kind is made. The node's own is always made here.
    pub key: Option<KeySource>,
    /// Who asks.
    pub by: String,
}

/// A DNS record that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDnsRecord {
    /// Its owner name, in the zone.
    pub domain: String,
    /// Its type.
    pub record_type: String,
    /// Its value.
    pub value: String,
    /// How long others may keep it, seconds.
    pub ttl: u32,
    /// MX and SRV.
    pub priority: Option<u16>,
    /// SRV.
    pub weight: Option<u16>,
    /// SRV.
    pub port: Option<u16>,
}

/// What is changed of a DNS record; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsRecordChange {
    /// Its owner name.
    pub domain: Option<String>,
    /// Its type.
    pub record_type: Option<String>,
    /// Its value.
    pub value: Option<String>,
    /// How long others may keep it, seconds.
    pub ttl: Option<u32>,
    /// MX and SRV.
    pub priority: Option<u16>,
    /// SRV.
    pub weight: Option<u16>,
    /// SRV.
    pub port: Option<u16>,
}

/// Which DNS records are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsFilter {
    /// Of this owner name.
    pub domain: Option<String>,
    /// Of this type.
    pub record_type: Option<String>,
    /// In this state.
    pub status: Option<DnsRecordStatus>,
}
