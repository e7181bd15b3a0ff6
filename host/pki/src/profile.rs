//! Profiles: what a certificate is for, and so every field of it but key, names and dates.

use crate::certificate::{ExtendedKeyUsage, KeyUsages};
use crate::key::PublicKeyAlgorithm;
use crate::name::{DistinguishedName, Names};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

const DAY_S: u64 = 86_400;

/// How far before the moment of issuance a certificate may begin, in seconds: clocks differ.
pub const BACKDATE_S: u64 = 300;

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Profile {
    /// A TLS server: DNS names and addresses.
    Server,
    /// A TLS client: a subject or names.
    Client,
    /// A node of the mesh, server and client: its SPIFFE id, DNS names and addresses.
    Node,
    /// Who signs packages: a subject, and mailboxes or URIs.
    CodeSigning,
}

/// No profile of that name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is none of the profiles: server, client, node, code-signing")]
pub struct UnknownProfile(String);

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 4] = [Self::Server, Self::Client, Self::Node, Self::CodeSigning];

    /// Its name in requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Node => "node",
            Self::CodeSigning => "code-signing",
        }
    }

    /// The longest life, in seconds: a day for nodes, which renew by themselves; 398 days for others (BR §6.3.2).
    /// A certificate may begin [`BACKDATE_S`] earlier.
    pub fn longest_s(self) -> u64 {
        match self {
            Self::Node => DAY_S,
            Self::Server | Self::Client | Self::CodeSigning => 398 * DAY_S,
        }
    }

    pub(crate) fn key_usages(self, key: PublicKeyAlgorithm) -> KeyUsages {
        // TLS 1.2 with an RSA key may encrypt to it (RFC 5246 §7.4.2).
        let encipherment = matches!(key, PublicKeyAlgorithm::Rsa { .. }) && self != Self::CodeSigning;
        let signature = KeyUsages::DIGITAL_SIGNATURE;
        if encipherment { signature.with(KeyUsages::KEY_ENCIPHERMENT) } else { signature }
    }

    pub(crate) fn extended_key_usages(self) -> &'static [ExtendedKeyUsage] {
        match self {
            Self::Server => &[ExtendedKeyUsage::ServerAuth],
            Self::Client => &[ExtendedKeyUsage::ClientAuth],
            Self::Node => &[ExtendedKeyUsage::ServerAuth, ExtendedKeyUsage::ClientAuth],
            Self::CodeSigning => &[ExtendedKeyUsage::CodeSigning],
        }
    }

    /// What is wrong with these names for this profile.
    pub(crate) fn refusal(self, subject: &DistinguishedName, names: &Names) -> Option<&'static str> {
        let hosts = names.dns().len() + names.ips().len();
        match self {
            Self::Server if hosts == 0 => Some("a server needs a DNS name or an address"),
            Self::Server if names.len() > hosts => Some("a server has DNS names and addresses alone"),
            Self::Client if subject.is_empty() && names.is_empty() => {
                Some("a client needs a subject or a name")
            }
            Self::Client if names.dns().iter().any(|name| name.starts_with('*')) => {
                Some("a client is no wildcard")
            }
            Self::Node if names.uris().len() != 1 || !names.uris().iter().all(|uri| is_spiffe_id(uri)) => {
                Some("a node needs its SPIFFE id, `spiffe://<trust domain>/<path>`, and no other URI")
            }
            Self::Node if names.dns().is_empty() => Some("a node needs a DNS name"),
            Self::Node if !names.emails().is_empty() => Some("a node has no mailbox"),
            Self::CodeSigning if subject.is_empty() => Some("who signs code needs a subject"),
            Self::CodeSigning if hosts > 0 => Some("who signs code is no host"),
            Self::Server | Self::Client | Self::Node | Self::CodeSigning => None,
        }
    }
}

/// SPIFFE-ID §2: a trust domain and a path, without query, port or user.
fn is_spiffe_id(uri: &str) -> bool {
    let Some((domain, path)) = uri.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    let of_domain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
    let of_segment = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_segment = |segment: &str| {
        !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(of_segment)
    };
    !domain.is_empty() && domain.bytes().all(of_domain) && path.split('/').all(is_segment)
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, UnknownProfile> {
        let named = |profile: &Self| profile.as_str() == text;
        Self::ALL.into_iter().find(named).ok_or_else(|| UnknownProfile(text.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_says_which_names_it_takes() {
        let subject = DistinguishedName::common("x").unwrap();
        let names = |dns: &[&str], uris: &[&str]| {
            let owned = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect();
            Names::new(owned(dns), vec![], owned(uris), vec![]).unwrap()
        };
        let spiffe = "spiffe://mesh.example/node/7";
        for (profile, dns, uris, fits) in [
            (Profile::Server, &["a.example"][..], &[][..], true),
            (Profile::Server, &[], &[], false),
            (Profile::Server, &["a.example"], &[spiffe], false),
            (Profile::Client, &[], &[], true),
            (Profile::Client, &["*.a.example"], &[], false),
            (Profile::Node, &["n.mesh.example"], &[spiffe], true),
            (Profile::Node, &[], &[spiffe], false),
            (Profile::Node, &["n.mesh.example"], &[], false),
            (Profile::Node, &["n.mesh.example"], &["spiffe://mesh.example"], false),
            (Profile::Node, &["n.mesh.example"], &["spiffe://Mesh/a"], false),
            (Profile::Node, &["n.mesh.example"], &["spiffe://mesh/../a"], false),
            (Profile::CodeSigning, &[], &["urn:x"], true),
            (Profile::CodeSigning, &["a.example"], &[], false),
        ] {
            let refusal = profile.refusal(&subject, &names(dns, uris));
            assert_eq!(refusal.is_none(), fits, "{profile} {dns:?} {uris:?}: {refusal:?}");
        }
        assert!(Profile::Client.refusal(&DistinguishedName::empty(), &Names::default()).is_some());
        assert!(Profile::ALL.into_iter().all(|profile| profile.as_str().parse() == Ok(profile)));
    }
}
