//! Certificates: checked, laid out field by field, signed.

use super::{Authority, CaOrder, IssueError, IssuerUrls, Order};
use crate::certificate::extensions::{self, BasicConstraints, Extension};
use crate::certificate::{Certificate, ExtendedKeyUsage, KeyUsages};
use crate::der::{self, Writer, oid, tag, to_vec};
use crate::key::{PrivateKey, PublicKey};
use crate::lint;
use crate::name::{DistinguishedName, Names};
use crate::profile::BACKDATE_S;
use crate::serial::SerialNumber;
use hypermesh_model::Timestamp;

/// Every field of a certificate but the signature.
struct Fields<'a> {
    serial: SerialNumber,
    issuer: &'a DistinguishedName,
    subject: &'a DistinguishedName,
    not_before: Timestamp,
    not_after: Timestamp,
    key: &'a PublicKey,
}

/// A certificate that is about to exist: it goes into a log, and with the log's timestamps it becomes one.
#[derive(Debug)]
pub struct Precertificate {
    /// The TBSCertificate without poison and timestamps, which a log's signature is over (RFC 6962 §3.2).
    pub tbs: Vec<u8>,
    /// SHA-256 of the issuer's SubjectPublicKeyInfo.
    pub issuer_key_hash: [u8; 32],
    /// The precertificate: the same, poisoned and signed (RFC 6962 §3.1).
    pub der: Vec<u8>,
    order: Order,
    extensions: Vec<Extension>,
    authority: Authority,
}

impl Precertificate {
    /// Its serial number, which the certificate will have.
    pub fn serial(&self) -> SerialNumber {
        self.order.serial
    }

    /// Embeds signed certificate timestamps (each serialised, RFC 6962 §3.2) as the last extension, and signs.
    ///
    /// # Errors
    /// [`IssueError::Timestamps`] if there are none or they are too long.
    pub fn finish(self, scts: &[Vec<u8>]) -> Result<Certificate, IssueError> {
        let list = timestamps(scts).ok_or(IssueError::Timestamps)?;
        let mut extensions = self.extensions;
        extensions.push(Extension::new(oid::SCT_LIST, false, |w| w.element(tag::OCTET_STRING, &list)));
        let authority = &self.authority;
        let tbs = fields(authority, &self.order).tbs(&extensions, authority.key());
        signed(&tbs, authority.key())
    }
}

/// SignedCertificateTimestampList (RFC 6962 §3.3).
fn timestamps(scts: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut list = Vec::new();
    for sct in scts {
        list.extend(u16::try_from(sct.len()).ok()?.to_be_bytes());
        list.extend(sct);
    }
    let length = u16::try_from(list.len()).ok().filter(|length| *length > 0)?;
    Some([&length.to_be_bytes(), &list[..]].concat())
}

fn fields<'a>(authority: &'a Authority, order: &'a Order) -> Fields<'a> {
    Fields {
        serial: order.serial,
        issuer: authority.certificate().subject(),
        subject: &order.subject,
        not_before: order.not_before,
        not_after: order.not_after,
        key: &order.key,
    }
}

pub(super) fn prepare(
    authority: &Authority,
    order: &Order,
    urls: &IssuerUrls,
) -> Result<Precertificate, IssueError> {
    check(authority, order)?;
    check_urls(urls)?;
    // A request's subject has its maker's bytes; what is signed has ours.
    let subject = order.subject.written_anew().ok_or(IssueError::Profile {
        profile: order.profile,
        why: "the subject has an attribute that is empty, too long, or of characters that its type can't have",
    })?;
    let order = &Order { subject, ..order.clone() };
    let extensions = leaf_extensions(authority, order, urls);
    let fields = fields(authority, order);
    let tbs = fields.tbs(&extensions, authority.key());
    let poison = Extension::new(oid::CT_POISON, true, |w| w.element(tag::NULL, &[]));
    let poisoned: Vec<Extension> = extensions.iter().cloned().chain([poison]).collect();
    let precertificate = signed(&fields.tbs(&poisoned, authority.key()), authority.key())?;
    Ok(Precertificate {
        tbs,
        issuer_key_hash: authority.certificate().public_key().sha256(),
        der: precertificate.der().to_vec(),
        order: order.clone(),
        extensions,
        authority: authority.clone(),
    })
}

fn check(authority: &Authority, order: &Order) -> Result<(), IssueError> {
    let profile = order.profile;
    order.key.check().map_err(IssueError::Key)?;
    if let Some(why) = profile.refusal(&order.subject, &order.names) {
        return Err(IssueError::Profile { profile, why });
    }
    check_dates(Some(authority), order.not_before, order.not_after)?;
    let longest_s = profile.longest_s();
    if order.not_before.until(order.not_after).as_secs() > longest_s + BACKDATE_S {
        return Err(IssueError::TooLong { profile, longest_s });
    }
    check_constraints(authority, &order.subject, &order.names)
}

fn check_constraints(
    authority: &Authority,
    subject: &DistinguishedName,
    names: &Names,
) -> Result<(), IssueError> {
    let constraints = authority.certificate().parts().extensions.constraints.as_ref();
    match constraints.and_then(|it| it.violation(subject, names, false)) {
        Some(violation) => Err(IssueError::Constrained(violation)),
        None => Ok(()),
    }
}

fn check_dates(
    authority: Option<&Authority>,
    not_before: Timestamp,
    not_after: Timestamp,
) -> Result<(), IssueError> {
    if not_after.as_millis().div_euclid(1000) <= not_before.as_millis().div_euclid(1000) {
        return Err(IssueError::Dates { not_before, not_after });
    }
    let Some(issuer) = authority.map(Authority::certificate) else { return Ok(()) };
    let (from, until) = (issuer.not_before(), issuer.not_after());
    // Whole seconds are written.
    if not_before.as_millis().div_euclid(1000) * 1000 < from.as_millis()
        || not_after.as_millis() / 1000 * 1000 > until.as_millis()
    {
        return Err(IssueError::OutsideIssuer { from, until });
    }
    Ok(())
}

fn check_urls(urls: &IssuerUrls) -> Result<(), IssueError> {
    let is_plain = |url: &&String| {
        url.starts_with("http://") && url.len() <= 2048 && url.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match [&urls.crl, &urls.ocsp, &urls.ca_issuers].into_iter().find(|url| !is_plain(url)) {
        Some(url) => Err(IssueError::Url(url.chars().take(80).collect())),
        None => Ok(()),
    }
}

fn leaf_extensions(authority: &Authority, order: &Order, urls: &IssuerUrls) -> Vec<Extension> {
    let mut extensions = Vec::from(extensions::key_ids(&order.key.key_id(), &authority.0.key_id));
    let usages = order.profile.key_usages(order.key.algorithm());
    extensions.push(Extension::new(oid::KEY_USAGE, true, |w| usages.write(w)));
    extensions.push(Extension::new(oid::EXTENDED_KEY_USAGE, false, |w| {
        ExtendedKeyUsage::write_all(order.profile.extended_key_usages(), w);
    }));
    extensions.push(extensions::basic_constraints(BasicConstraints::default()));
    if !order.names.is_empty() {
        // Without a subject, the names are all there is (RFC 5280 §4.2.1.6).
        let critical = order.subject.is_empty();
        extensions.push(Extension::new(oid::SUBJECT_ALT_NAME, critical, |w| order.names.write(w)));
    }
    extensions.extend(extensions::places(urls));
    extensions
}

fn ca_extensions(key: &PublicKey, path_len: Option<u8>) -> Vec<Extension> {
    // It signs OCSP responses too, for which `digitalSignature` is (BR §7.1.2.2).
    let usages = KeyUsages::DIGITAL_SIGNATURE.with(KeyUsages::KEY_CERT_SIGN).with(KeyUsages::CRL_SIGN);
    vec![
        Extension::new(oid::SUBJECT_KEY_ID, false, |w| w.element(tag::OCTET_STRING, &key.key_id())),
        Extension::new(oid::KEY_USAGE, true, |w| usages.write(w)),
        extensions::basic_constraints(BasicConstraints { ca: true, path_len: path_len.map(u64::from) }),
    ]
}

pub(super) fn root(
    subject: &DistinguishedName,
    key: &PrivateKey,
    serial: SerialNumber,
    not_before: Timestamp,
    not_after: Timestamp,
) -> Result<Certificate, IssueError> {
    if subject.is_empty() {
        return Err(IssueError::NoSubject);
    }
    check_dates(None, not_before, not_after)?;
    let fields = Fields { serial, issuer: subject, subject, not_before, not_after, key: key.public() };
    signed(&fields.tbs(&ca_extensions(key.public(), None), key), key)
}

pub(super) fn certify(authority: &Authority, order: &CaOrder) -> Result<Certificate, IssueError> {
    if order.subject.is_empty() {
        return Err(IssueError::NoSubject);
    }
    order.key.check().map_err(IssueError::Key)?;
    check_dates(Some(authority), order.not_before, order.not_after)?;
    check_constraints(authority, &order.subject, &Names::default())?;
    if authority.basic().path_len.is_some_and(|length| length <= u64::from(order.path_len)) {
        return Err(IssueError::PathLength(order.path_len));
    }
    let mut extensions = ca_extensions(&order.key, Some(order.path_len));
    let [authority_key, _] = extensions::key_ids(&[], &authority.0.key_id);
    extensions.insert(0, authority_key);
    if let Some(constraints) = &order.constraints {
        extensions.push(Extension::new(oid::NAME_CONSTRAINTS, true, |w| constraints.write(w)));
    }
    if let Some(urls) = &order.urls {
        check_urls(urls)?;
        extensions.extend(extensions::places(urls));
    }
    let fields = Fields {
        serial: order.serial,
        issuer: authority.certificate().subject(),
        subject: &order.subject,
        not_before: order.not_before,
        not_after: order.not_after,
        key: &order.key,
    };
    signed(&fields.tbs(&extensions, authority.key()), authority.key())
}

impl Fields<'_> {
    /// The TBSCertificate (RFC 5280 §4.1).
    fn tbs(&self, extensions: &[Extension], signer: &PrivateKey) -> Vec<u8> {
        let mut w = Writer::with_capacity(2048);
        w.sequence(|w| {
            w.nested(tag::constructed(0), |w| w.number(2));
            w.unsigned(self.serial.as_bytes());
            signer.algorithm().signature().write(w);
            w.raw(self.issuer.der());
            w.sequence(|w| {
                der::time::write(w, self.not_before);
                der::time::write(w, self.not_after);
            });
            w.raw(self.subject.der());
            w.raw(self.key.spki_der());
            w.nested(tag::constructed(3), |w| {
                w.sequence(|w| extensions.iter().for_each(|extension| extension.write(w)));
            });
        });
        w.finish()
    }
}

/// Signs, reads the result back and lints it.
fn signed(tbs: &[u8], key: &PrivateKey) -> Result<Certificate, IssueError> {
    let signature = key.sign(tbs).map_err(IssueError::Sign)?;
    let der = to_vec(|w| {
        w.sequence(|w| {
            w.raw(tbs);
            key.algorithm().signature().write(w);
            w.bits(&signature);
        });
    });
    let certificate = Certificate::from_der(&der).map_err(IssueError::Form)?;
    let findings = lint::errors(&certificate);
    if findings.is_empty() { Ok(certificate) } else { Err(IssueError::Lint(findings)) }
}
