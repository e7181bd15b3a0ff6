//! Extensions (RFC 5280 §4.2): read into what the rules ask about, and written by the authority.

use super::usage::{ExtendedKeyUsage, KeyUsages};
use crate::der::{DerError, Reader, Writer, oid, tag, to_vec};
use crate::name::{NameConstraints, Names};

/// Most extensions of a certificate that is read.
const MAX_EXTENSIONS: usize = 64;

/// One extension as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extension {
    pub(crate) oid: Vec<u8>,
    pub(crate) critical: bool,
    pub(crate) value: Vec<u8>,
}

impl Extension {
    /// One that is written: `value` is its content.
    pub(crate) fn new(oid: &[u8], critical: bool, value: impl FnOnce(&mut Writer)) -> Self {
        Self { oid: oid.to_vec(), critical, value: to_vec(value) }
    }

    pub(crate) fn write(&self, w: &mut Writer) {
        w.sequence(|w| {
            w.oid(&self.oid);
            if self.critical {
                w.yes();
            }
            w.element(tag::OCTET_STRING, &self.value);
        });
    }
}

/// Whether a certificate is a CA's, and how many may follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct BasicConstraints {
    pub(crate) ca: bool,
    pub(crate) path_len: Option<u64>,
}

/// All extensions, and what the known ones say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Extensions {
    pub(crate) all: Vec<Extension>,
    pub(crate) basic: Option<BasicConstraints>,
    pub(crate) key_usages: Option<KeyUsages>,
    pub(crate) extended: Option<Vec<ExtendedKeyUsage>>,
    pub(crate) names: Names,
    /// Alternative names of kinds that aren't known here.
    pub(crate) other_names: usize,
    pub(crate) authority_key: Option<Vec<u8>>,
    pub(crate) subject_key: Option<Vec<u8>>,
    pub(crate) constraints: Option<NameConstraints>,
    pub(crate) crl_urls: Vec<String>,
    pub(crate) ocsp_urls: Vec<String>,
    pub(crate) issuer_urls: Vec<String>,
}

impl Extensions {
    /// Reads a sequence of extensions, as a certificate and a request have it.
    pub(crate) fn read(mut list: Reader<'_>) -> Result<Self, DerError> {
        let mut read = Self::default();
        while !list.is_empty() {
            let mut reader = list.sequence()?;
            let id = reader.oid()?;
            let critical = reader.flag()?;
            let value = reader.expect(tag::OCTET_STRING)?;
            reader.end()?;
            if read.get(id).is_some() || read.all.len() == MAX_EXTENSIONS {
                return Err(DerError::Value("an extension is there twice, or there are more than 64"));
            }
            read.understand(id, value)?;
            read.all.push(Extension { oid: id.to_vec(), critical, value: value.to_vec() });
        }
        if read.all.is_empty() { Err(DerError::Value("the list of extensions is empty")) } else { Ok(read) }
    }

    fn understand(&mut self, id: &[u8], value: &[u8]) -> Result<(), DerError> {
        match id {
            oid::BASIC_CONSTRAINTS => self.basic = Some(basic(value)?),
            oid::KEY_USAGE => self.key_usages = Some(KeyUsages::read(value)?),
            oid::EXTENDED_KEY_USAGE => self.extended = Some(ExtendedKeyUsage::read_all(value)?),
            oid::SUBJECT_ALT_NAME => (self.names, self.other_names) = Names::read(value)?,
            oid::NAME_CONSTRAINTS => self.constraints = Some(NameConstraints::read(value)?),
            oid::SUBJECT_KEY_ID => {
                let mut reader = Reader::new(value);
                self.subject_key = Some(reader.expect(tag::OCTET_STRING)?.to_vec());
                reader.end()?;
            }
            oid::AUTHORITY_KEY_ID => {
                let mut reader = Reader::only(value, tag::SEQUENCE)?;
                self.authority_key = reader.optional(tag::context(0))?.map(<[u8]>::to_vec);
            }
            oid::CRL_DISTRIBUTION_POINTS => self.crl_urls = distribution_points(value)?,
            oid::AUTHORITY_INFO_ACCESS => self.access(value)?,
            _ => {}
        }
        Ok(())
    }

    fn access(&mut self, value: &[u8]) -> Result<(), DerError> {
        let mut reader = Reader::only(value, tag::SEQUENCE)?;
        while !reader.is_empty() {
            let mut description = reader.sequence()?;
            let method = description.oid()?;
            let place = description.element()?;
            let url =
                (place.tag == tag::context(6)).then(|| String::from_utf8_lossy(place.content).into_owned());
            match method {
                oid::ACCESS_OCSP => self.ocsp_urls.extend(url),
                oid::ACCESS_CA_ISSUERS => self.issuer_urls.extend(url),
                _ => {}
            }
        }
        Ok(())
    }

    pub(crate) fn get(&self, id: &[u8]) -> Option<&Extension> {
        self.all.iter().find(|extension| extension.oid == id)
    }

    /// Whether the extension is there and critical.
    pub(crate) fn is_critical(&self, id: &[u8]) -> Option<bool> {
        self.get(id).map(|extension| extension.critical)
    }
}

fn basic(value: &[u8]) -> Result<BasicConstraints, DerError> {
    let mut reader = Reader::only(value, tag::SEQUENCE)?;
    let ca = reader.flag()?;
    let path_len = if reader.is_empty() { None } else { Some(reader.number()?) };
    reader.end()?;
    Ok(BasicConstraints { ca, path_len })
}

fn distribution_points(value: &[u8]) -> Result<Vec<String>, DerError> {
    let mut reader = Reader::only(value, tag::SEQUENCE)?;
    let mut urls = Vec::new();
    while !reader.is_empty() {
        let mut point = reader.sequence()?;
        let Some(name) = point.optional(tag::constructed(0))? else { continue };
        let Some(full) = Reader::new(name).optional(tag::constructed(0))? else { continue };
        let mut full = Reader::new(full);
        while !full.is_empty() {
            let name = full.element()?;
            if name.tag == tag::context(6) {
                urls.push(String::from_utf8_lossy(name.content).into_owned());
            }
        }
    }
    Ok(urls)
}

/// The key identifiers of a certificate's key and of its issuer's.
pub(crate) fn key_ids(subject: &[u8], authority: &[u8]) -> [Extension; 2] {
    [
        Extension::new(oid::AUTHORITY_KEY_ID, false, |w| {
            w.sequence(|w| w.element(tag::context(0), authority));
        }),
        Extension::new(oid::SUBJECT_KEY_ID, false, |w| w.element(tag::OCTET_STRING, subject)),
    ]
}

pub(crate) fn basic_constraints(constraints: BasicConstraints) -> Extension {
    Extension::new(oid::BASIC_CONSTRAINTS, true, |w| {
        w.sequence(|w| {
            if constraints.ca {
                w.yes();
                constraints.path_len.into_iter().for_each(|length| w.number(length));
            }
        });
    })
}

/// Where an issuer's revocations and its certificate are found.
pub(crate) fn places(urls: &crate::IssuerUrls) -> [Extension; 2] {
    let access = Extension::new(oid::AUTHORITY_INFO_ACCESS, false, |w| {
        w.sequence(|w| {
            for (method, url) in [(oid::ACCESS_OCSP, &urls.ocsp), (oid::ACCESS_CA_ISSUERS, &urls.ca_issuers)]
            {
                w.sequence(|w| {
                    w.oid(method);
                    w.element(tag::context(6), url.as_bytes());
                });
            }
        });
    });
    let points = Extension::new(oid::CRL_DISTRIBUTION_POINTS, false, |w| {
        w.sequence(|w| {
            w.sequence(|w| {
                w.nested(tag::constructed(0), |w| {
                    w.nested(tag::constructed(0), |w| w.element(tag::context(6), urls.crl.as_bytes()));
                });
            });
        });
    });
    [access, points]
}
