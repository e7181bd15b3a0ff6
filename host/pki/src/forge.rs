//! Certificates that no authority of ours would sign, for the tests of what must notice.

use crate::certificate::Certificate;
use crate::certificate::extensions::{BasicConstraints, Extension, basic_constraints, key_ids};
use crate::certificate::{ExtendedKeyUsage, KeyUsages};
use crate::der::{self, oid, tag, to_vec};
use crate::key::{KeyAlgorithm, PrivateKey};
use crate::name::{DistinguishedName, Names};
use hypermesh_model::Timestamp;

/// A fixed now, in 2026.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000)
}

pub(crate) fn key() -> PrivateKey {
    PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap()
}

/// Every field of a certificate, to be changed.
#[derive(Clone)]
pub(crate) struct Forge {
    pub(crate) version: u64,
    pub(crate) serial: Vec<u8>,
    pub(crate) subject: DistinguishedName,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) key: PrivateKey,
    pub(crate) extensions: Vec<Extension>,
}

impl Forge {
    fn new(subject: &str, extensions: Vec<Extension>) -> Self {
        Self {
            version: 3,
            serial: (1..=16).collect(),
            subject: DistinguishedName::parse(subject).unwrap(),
            not_before: now().minus_seconds(3600),
            not_after: now().plus_seconds(3600),
            key: key(),
            extensions,
        }
    }

    /// A CA as it should be.
    pub(crate) fn ca(subject: &str, path_len: Option<u64>) -> Self {
        let usages = KeyUsages::KEY_CERT_SIGN.with(KeyUsages::CRL_SIGN);
        let basic = BasicConstraints { ca: true, path_len };
        Self::new(subject, vec![usage(usages), basic_constraints(basic)])
    }

    /// A server as it should be.
    pub(crate) fn server(name: &str) -> Self {
        let names = Names::of_dns([name]).unwrap();
        let usages = [ExtendedKeyUsage::ServerAuth];
        let extensions = vec![
            usage(KeyUsages::DIGITAL_SIGNATURE),
            Extension::new(oid::EXTENDED_KEY_USAGE, false, |w| ExtendedKeyUsage::write_all(&usages, w)),
            Extension::new(oid::SUBJECT_ALT_NAME, false, |w| names.write(w)),
        ];
        Self::new(&format!("CN={name}"), extensions)
    }

    /// Replaces an extension, or takes it away.
    pub(crate) fn set(mut self, id: &[u8], with: Option<Extension>) -> Self {
        self.extensions.retain(|extension| extension.oid != id);
        self.extensions.extend(with);
        self
    }

    /// Signed by its own key.
    pub(crate) fn root(self) -> Forged {
        let (key, subject) = (self.key.clone(), self.subject.clone());
        self.sign(&key, &subject)
    }

    pub(crate) fn under(self, issuer: &Forged) -> Forged {
        self.sign(&issuer.key, issuer.certificate.subject())
    }

    /// Signed by any key, in any name.
    pub(crate) fn sign(mut self, signer: &PrivateKey, issuer: &DistinguishedName) -> Forged {
        let [authority, subject] = key_ids(&self.key.public().key_id(), &signer.public().key_id());
        for extension in [authority, subject] {
            if !self.extensions.iter().any(|it| it.oid == extension.oid) {
                self.extensions.push(extension);
            }
        }
        let tbs = to_vec(|w| {
            w.sequence(|w| {
                w.nested(tag::constructed(0), |w| w.number(self.version - 1));
                w.element(tag::INTEGER, &self.serial);
                signer.algorithm().signature().write(w);
                w.raw(issuer.der());
                w.sequence(|w| {
                    der::time::write(w, self.not_before);
                    der::time::write(w, self.not_after);
                });
                w.raw(self.subject.der());
                w.raw(self.key.public().spki_der());
                w.nested(tag::constructed(3), |w| {
                    w.sequence(|w| self.extensions.iter().for_each(|extension| extension.write(w)));
                });
            });
        });
        let signature = signer.sign(&tbs).unwrap();
        let der = to_vec(|w| {
            w.sequence(|w| {
                w.raw(&tbs);
                signer.algorithm().signature().write(w);
                w.bits(&signature);
            });
        });
        Forged { certificate: Certificate::from_der(&der).unwrap(), key: self.key }
    }
}

pub(crate) fn usage(usages: KeyUsages) -> Extension {
    Extension::new(oid::KEY_USAGE, true, |w| usages.write(w))
}

/// A certificate and its key.
pub(crate) struct Forged {
    pub(crate) certificate: Certificate,
    pub(crate) key: PrivateKey,
}
