//! Whose signature a package needs: a mode, and which keys speak for which names.
//!
//! What is protected is the name in the catalog: the rules for a name decide, the longest prefix first. Only for a name
//! that no rule speaks of the place that it was pulled from is looked at, so that a repository's keys can't vouch for a
//! name that has its own. Pure: keys were read and signatures fetched before.

use super::{PublicKey, Signature, decode};
use hypermesh_model::BlobDigest;
use thiserror::Error;

/// What is done about signatures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SignatureMode {
    /// Nothing: nobody looks.
    #[default]
    Off,
    /// Who signed is recorded, and a signature that is given with an upload must be right.
    Verify,
    /// Without a right signature nothing comes in.
    Require,
}

impl SignatureMode {
    /// As configurations name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Verify => "verify",
            Self::Require => "require",
        }
    }

    /// The mode of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Off, Self::Verify, Self::Require].into_iter().find(|mode| mode.name() == name)
    }
}

/// Which keys speak for names, or places, that begin so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustRule {
    /// The beginning of a package's name, or of `registry/repository`; empty for all.
    pub prefix: String,
    /// Any one of them will do.
    pub keys: Vec<PublicKey>,
}

/// Whose signature a package needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustPolicy {
    /// What is done about signatures.
    pub mode: SignatureMode,
    /// Which keys are trusted for what.
    pub rules: Vec<TrustRule>,
}

/// What came with a package.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The name that it will have.
    pub name: &'a str,
    /// `registry/repository`, where it was pulled.
    pub place: Option<&'a str>,
    /// The SHA-256 of its manifest; `None` for a component that came alone.
    pub manifest: Option<&'a BlobDigest>,
    /// Signatures over the manifest.
    pub signatures: &'a [Signature],
    /// A signature over the component's bytes, in base64 (`cosign sign-blob`).
    pub detached: Option<&'a str>,
    /// The component.
    pub component: &'a [u8],
}

/// Why a package does not come in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum PolicyError {
    #[error("packages must be signed here, and no key is trusted for `{name}`")]
    NoKey { name: String },
    #[error("packages must be signed here, and `{name}` is not signed")]
    Unsigned { name: String },
    #[error("none of the {signatures} signatures of `{name}` is by a key that is trusted for it: {trusted}")]
    Untrusted { name: String, signatures: usize, trusted: String },
}

impl TrustPolicy {
    /// The keys that speak for a name.
    pub fn keys_for(&self, name: &str, place: Option<&str>) -> &[PublicKey] {
        let longest = |text: &str| {
            let fitting = self.rules.iter().filter(|rule| text.starts_with(&rule.prefix));
            fitting.max_by_key(|rule| rule.prefix.len())
        };
        let by_name = longest(name).filter(|rule| !rule.prefix.is_empty());
        let by_place = || longest(place?).filter(|rule| !rule.prefix.is_empty());
        let for_all = || self.rules.iter().find(|rule| rule.prefix.is_empty());
        by_name.or_else(by_place).or_else(for_all).map_or(&[], |rule| rule.keys.as_slice())
    }

    /// Judges a package; gives the ids of the keys that signed it.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn judge(&self, evidence: &Evidence<'_>) -> Result<Vec<String>, PolicyError> {
        let keys = match self.mode {
            SignatureMode::Off => return Ok(Vec::new()),
            SignatureMode::Verify | SignatureMode::Require => self.keys_for(evidence.name, evidence.place),
        };
        let signed: Vec<String> =
            keys.iter().filter(|key| evidence.is_by(key)).map(|key| key.id().to_owned()).collect();
        // A signature that somebody took the trouble to give, and that says nothing, is a mistake or an attack.
        let must = self.mode == SignatureMode::Require || evidence.detached.is_some();
        if !signed.is_empty() || !must {
            return Ok(signed);
        }
        let name = evidence.name.to_owned();
        let signatures = evidence.signatures.len() + usize::from(evidence.detached.is_some());
        if keys.is_empty() {
            Err(PolicyError::NoKey { name })
        } else if signatures == 0 {
            Err(PolicyError::Unsigned { name })
        } else {
            let trusted = keys.iter().map(PublicKey::id).collect::<Vec<_>>().join(", ");
            Err(PolicyError::Untrusted { name, signatures, trusted })
        }
    }
}

impl Evidence<'_> {
    fn is_by(&self, key: &PublicKey) -> bool {
        let detached = self.detached.and_then(decode);
        detached.is_some_and(|signature| key.verifies(self.component, &signature))
            || self.signatures.iter().any(|s| self.manifest.is_some_and(|m| s.signs(m)) && s.is_by(key))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{SigningKey, payload};
    use super::*;
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    struct Party {
        key: SigningKey,
        public: PublicKey,
    }

    fn party() -> Party {
        let key = SigningKey::generate().unwrap();
        Party { public: key.public().unwrap(), key }
    }

    fn policy(mode: SignatureMode, rules: &[(&str, &Party)]) -> TrustPolicy {
        let rules = rules
            .iter()
            .map(|(prefix, party)| TrustRule { prefix: (*prefix).into(), keys: vec![party.public.clone()] });
        TrustPolicy { mode, rules: rules.collect() }
    }

    fn signed_by(party: &Party, manifest: &BlobDigest) -> Signature {
        let payload = payload("r.example/a", manifest);
        let signature = party.key.sign(&payload).unwrap();
        Signature::new(payload, signature)
    }

    fn evidence<'a>(manifest: &'a BlobDigest, signatures: &'a [Signature]) -> Evidence<'a> {
        Evidence {
            name: "acme-hash",
            place: None,
            manifest: Some(manifest),
            signatures,
            detached: None,
            component: b"component",
        }
    }

    #[test]
    fn a_package_needs_a_signature_by_a_key_of_its_name() {
        let (acme, other) = (party(), party());
        let manifest = BlobDigest::from_bytes(&[1; 32]);
        let require = policy(SignatureMode::Require, &[("acme-", &acme), ("", &other)]);
        let judge = |signatures: &[Signature]| require.judge(&evidence(&manifest, signatures));
        assert_eq!(judge(&[signed_by(&acme, &manifest)]), Ok(vec![acme.public.id().to_owned()]));
        assert!(matches!(judge(&[]), Err(PolicyError::Unsigned { .. })));
        let by_other = judge(&[signed_by(&other, &manifest)]);
        assert!(matches!(by_other, Err(PolicyError::Untrusted { signatures: 1, .. })));
        let of_other = signed_by(&acme, &BlobDigest::from_bytes(&[2; 32]));
        assert!(matches!(judge(&[of_other]), Err(PolicyError::Untrusted { .. })), "of another manifest");
        let nobody = policy(SignatureMode::Require, &[("zeta-", &acme)]);
        let found = nobody.judge(&evidence(&manifest, &[]));
        assert!(matches!(found, Err(PolicyError::NoKey { .. })));
    }

    #[test]
    fn a_place_s_keys_do_not_vouch_for_a_name_that_has_its_own() {
        let (acme, place) = (party(), party());
        let manifest = BlobDigest::from_bytes(&[1; 32]);
        let rules = policy(SignatureMode::Require, &[("acme-", &acme), ("r.example/", &place)]);
        let signatures = [signed_by(&place, &manifest)];
        let from = Evidence { place: Some("r.example/x"), ..evidence(&manifest, &signatures) };
        assert!(rules.judge(&from).is_err());
        assert!(rules.judge(&Evidence { name: "free", ..from }).is_ok());
    }

    #[test]
    fn a_detached_signature_is_over_the_component() {
        let acme = party();
        let manifest = BlobDigest::from_bytes(&[1; 32]);
        let good = BASE64_STANDARD.encode(acme.key.sign(b"component").unwrap());
        let wrong = BASE64_STANDARD.encode(acme.key.sign(b"another").unwrap());
        for mode in [SignatureMode::Verify, SignatureMode::Require] {
            let policy = policy(mode, &[("", &acme)]);
            let with = |detached| policy.judge(&Evidence { detached, ..evidence(&manifest, &[]) });
            assert_eq!(with(Some(good.as_str())).unwrap().len(), 1);
            assert!(matches!(with(Some(&wrong)), Err(PolicyError::Untrusted { .. })), "{mode:?}");
            assert!(matches!(with(Some("noise")), Err(PolicyError::Untrusted { .. })), "{mode:?}");
            assert_eq!(with(None).is_ok(), mode == SignatureMode::Verify);
        }
        let off = policy(SignatureMode::Off, &[("", &acme)]);
        assert_eq!(off.judge(&Evidence { detached: Some(&wrong), ..evidence(&manifest, &[]) }), Ok(vec![]));
    }

    #[test]
    fn modes_have_names() {
        for mode in [SignatureMode::Off, SignatureMode::Verify, SignatureMode::Require] {
            assert_eq!(SignatureMode::of_name(mode.name()), Some(mode));
        }
        assert_eq!(SignatureMode::of_name("maybe"), None);
    }
}
