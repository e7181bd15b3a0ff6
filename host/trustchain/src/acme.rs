//! ACME over this domain: its records in our store, its certificates from our authority, its questions to our zone.
//!
//! The protocol is `hypermesh_acme`'s. What an account has proven decides its names here, not the name policy.

mod authority;
mod records;
mod resolve;
mod store;

use crate::error::TrustError;
use crate::settings::Settings;
use crate::{Inner, TrustChain};
use hypermesh_acme::probe::{NetworkProbe, Reach};
use hypermesh_acme::{Acme, ExternalAccounts};
use hypermesh_store::Store;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};

pub(crate) use store::AcmeStore;

/// The way from the ACME server to the domain, which owns it.
#[derive(Clone, Default)]
pub(crate) struct Link(Arc<OnceLock<Weak<Inner>>>);

impl Link {
    /// From now on certificates are issued.
    pub(crate) fn open(&self, domain: &TrustChain) {
        // Set once, by who made it.
        let _ = self.0.set(Arc::downgrade(&domain.0));
    }

    fn domain(&self) -> Option<TrustChain> {
        self.0.get().and_then(Weak::upgrade).map(TrustChain)
    }
}

/// Sets the server up.
pub(crate) fn open(settings: &Settings, store: &Store, link: &Link) -> Result<Acme, TrustError> {
    let mut own = hypermesh_acme::Settings::new(format!("{}/acme", settings.base_url));
    own.caa_identities = vec![settings.zone.clone()];
    let keys: HashMap<String, Vec<u8>> =
        settings.acme.eab_keys.iter().map(|key| (key.id.clone(), key.secret.to_vec())).collect();
    if settings.acme.require_eab || !keys.is_empty() {
        own.external = Some(ExternalAccounts { required: settings.acme.require_eab, keys: Arc::new(keys) });
    }
    let resolve = Arc::new(resolve::ZoneFirst::new(link.clone(), settings.acme.resolver));
    let reach = if settings.acme.allow_loopback {
        Reach::Loopback { http_port: settings.acme.http_port, tls_port: settings.acme.tls_port }
    } else {
        Reach::Public
    };
    let probe = Arc::new(NetworkProbe::new(resolve, reach, own.caa_identities.clone()));
    let store = Arc::new(AcmeStore::open(store)?);
    let authority = Arc::new(authority::Ours(link.clone()));
    Acme::new(own, store, authority, probe).map_err(|e| TrustError::invalid("acme", e.to_string()))
}
