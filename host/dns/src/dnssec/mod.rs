//! Signing while answering (RFC 4034, 4035), with compact denial of existence (RFC 9824).
//!
//! Nothing is signed before somebody asks, and what was signed is kept: with its records, so that a change forgets
//! nothing else, or, for names that don't exist, in a bounded memory of what was signed last. A name that doesn't exist is
//! denied by an NSEC at that very name that covers nothing but it, so one signature is made and no neighbour is looked for.
//! A signature is made anew when a quarter of its life is left.

mod key;
mod memory;
mod nsec;
mod sign;

pub use key::{KeyError, PublishedKey, SignError, ZoneKey, ZoneSigner};
pub(crate) use nsec::{bitmap, types_of};

use crate::name::Name;
use crate::types::RecordType;
use crate::zone::{Cached, Node, Path, Rrset, Zone};
use memory::Memory;
use sign::{Signing, unsigned};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How long the keys of the zone may be remembered, in seconds.
const KEY_TTL: u32 = 3600;

/// Signs one zone.
pub(crate) struct Dnssec {
    signer: Arc<dyn ZoneSigner>,
    origin: Name,
    key_tag: u16,
    /// DNSKEY, CDNSKEY, CDS.
    keys: [Arc<Rrset>; 3],
    memory: Memory,
    made: AtomicU64,
}

impl std::fmt::Debug for Dnssec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dnssec")
            .field("origin", &self.origin)
            .field("key_tag", &self.key_tag)
            .finish_non_exhaustive()
    }
}

impl Dnssec {
    pub(crate) fn new(origin: &Name, signer: Arc<dyn ZoneSigner>) -> Self {
        let key = PublishedKey::new(origin, &*signer);
        let mut ds = Vec::new();
        key.ds().encode(&mut ds);
        let set = |record_type, data: &[u8]| Arc::new(Rrset::raw(record_type, KEY_TTL, &[data]));
        Self {
            origin: origin.clone(),
            key_tag: key.key_tag(),
            keys: [
                set(RecordType::DNSKEY, key.data()),
                set(RecordType::CDNSKEY, key.data()),
                set(RecordType::CDS, &ds),
            ],
            signer,
            memory: Memory::default(),
            made: AtomicU64::new(0),
        }
    }

    /// The sets at the apex that are the key's.
    pub(crate) fn keys(&self, record_type: RecordType) -> Option<&Arc<Rrset>> {
        self.keys.iter().find(|set| set.record_type == record_type)
    }

    /// All of them.
    pub(crate) fn all_keys(&self) -> &[Arc<Rrset>] {
        &self.keys
    }

    /// The signature of a set that its owner has.
    pub(crate) fn signature(&self, owner: &[u8], set: &Rrset, now: u64) -> Result<Arc<Cached>, SignError> {
        if let Some(known) = &*set.signature.load()
            && known.until > now
        {
            return Ok(Arc::clone(known));
        }
        let data: Vec<_> = set.data().collect();
        let made = Arc::new(self.make(owner, set.record_type, set.ttl, &data, now)?);
        set.signature.store(Some(Arc::clone(&made)));
        Ok(made)
    }

    /// The signature of a wildcard's set as the name's that was asked for: to who asked, it exists (RFC 9824, 3.3).
    pub(crate) fn synthesised(&self, path: &Path, set: &Rrset, now: u64) -> Result<Arc<Cached>, SignError> {
        let data: Vec<_> = set.data().collect();
        let key = unsigned(path.wire(), set.record_type, set.ttl, &data);
        self.memory.get_or(key, now, || self.make(path.wire(), set.record_type, set.ttl, &data, now))
    }

    /// The signed statement of which types a name has. For a wildcard's name it speaks of the one that was asked for.
    pub(crate) fn denial(
        &self,
        zone: &Zone,
        node: &Node,
        path: &Path,
        wildcard: bool,
        now: u64,
    ) -> Result<Arc<Cached>, SignError> {
        let ttl = zone.negative().ttl;
        if let Some(known) = &*node.denial.load()
            && !wildcard
            && known.until > now
            && known.ttl == ttl
        {
            return Ok(Arc::clone(known));
        }
        let types = types_of(node, &self.origin, self.all_keys());
        let made = self.deny(path, &types, ttl, now)?;
        if !wildcard {
            node.denial.store(Some(Arc::clone(&made)));
        }
        Ok(made)
    }

    /// The signed statement that a name doesn't exist.
    pub(crate) fn missing(&self, zone: &Zone, path: &Path, now: u64) -> Result<Arc<Cached>, SignError> {
        let types = [RecordType::RRSIG, RecordType::NSEC, RecordType::NXNAME];
        self.deny(path, &types, zone.negative().ttl, now)
    }

    fn deny(&self, path: &Path, types: &[RecordType], ttl: u32, now: u64) -> Result<Arc<Cached>, SignError> {
        let mut data = nsec::successor(path);
        bitmap(&mut data, types);
        let key = unsigned(path.wire(), RecordType::NSEC, ttl, &[&data]);
        self.memory.get_or(key, now, || {
            let signature = self.make(path.wire(), RecordType::NSEC, ttl, &[&data], now)?;
            let mut wire = Rrset::raw(RecordType::NSEC, ttl, &[&data]).wire().to_vec();
            wire.extend_from_slice(&signature.wire);
            Ok(Cached { wire: wire.into(), ..signature })
        })
    }

    /// Makes a signature that is kept nowhere.
    pub(crate) fn make(
        &self,
        owner: &[u8],
        record_type: RecordType,
        ttl: u32,
        data: &[&[u8]],
        now: u64,
    ) -> Result<Cached, SignError> {
        self.made.fetch_add(1, Ordering::Relaxed);
        let signing =
            Signing { origin: &self.origin, key_tag: self.key_tag, owner, record_type, ttl, data, now };
        signing.make(&*self.signer)
    }

    /// How many signatures were made.
    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }
}
