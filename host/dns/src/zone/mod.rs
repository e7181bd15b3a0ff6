//! A zone as it is at one moment: never changed, replaced by the next.
//!
//! Names lie in 256 maps by a hash of theirs. A change copies the maps that it touches and shares the others, so that it
//! costs the same in a zone of fifty names and of fifty thousand, while every reader keeps the snapshot it began with.
//! Nodes exist for names with records and for the empty ones between them and the apex (RFC 4592, 2.2.2), each with
//! the number of its children: so a name that doesn't exist is known by one look that finds nothing, and never by a scan.
//!
//! What a name's answer is, is [`find`](Zone::find)'s; how it is written, `answer`'s.

mod change;
mod error;
mod find;
mod handle;
mod rrset;

pub use change::Change;
pub use error::ZoneError;
pub(crate) use find::{Found, Path};
pub use handle::Zones;
pub(crate) use rrset::{Cached, Rrset, head, records};

use crate::name::Name;
use crate::record::{Record, RecordData, Soa};
use crate::types::RecordType;
use arc_swap::ArcSwapOption;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Most records of a zone; more would not fit the memory of a small machine.
pub const MAX_RECORDS: usize = 1_000_000;
/// How many maps the names are in.
const SHARDS: usize = 256;

type Shard = HashMap<Name, Arc<Node>>;

/// One moment of a zone. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Zone {
    origin: Name,
    origin_labels: usize,
    shards: Vec<Arc<Shard>>,
    soa: Soa,
    /// The SOA as it stands in negative answers, with their time to live (RFC 2308, 3).
    negative: Arc<Rrset>,
    records: usize,
    names: usize,
}

/// A name that exists.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: Name,
    /// By type; at most one of a type.
    pub(crate) sets: Vec<Arc<Rrset>>,
    /// Names directly below that exist.
    children: u32,
    /// The signed statement of which types exist here, once somebody asked.
    pub(crate) denial: ArcSwapOption<Cached>,
}

impl Node {
    fn new(name: Name, sets: Vec<Arc<Rrset>>, children: u32) -> Arc<Self> {
        Arc::new(Self { name, sets, children, denial: ArcSwapOption::empty() })
    }

    #[cfg(test)]
    fn children(&self) -> u32 {
        self.children
    }

    /// The records of one type.
    pub(crate) fn set(&self, record_type: RecordType) -> Option<&Arc<Rrset>> {
        self.sets.iter().find(|set| set.record_type == record_type)
    }
}

impl Zone {
    /// Makes a zone of its records. The SOA is made of `soa`; one among the records must be at the apex and equal to it.
    ///
    /// # Errors
    /// [`ZoneError`], which names the record that can't be.
    pub fn build(
        origin: Name,
        soa: Soa,
        soa_ttl: u32,
        records: impl IntoIterator<Item = Record>,
    ) -> Result<Self, ZoneError> {
        let mut zone = Self::empty(origin, soa, soa_ttl);
        let mut sets: BTreeMap<(Name, RecordType), Vec<(u32, RecordData)>> = BTreeMap::new();
        for record in records {
            zone.admits(&record.name)?;
            if let RecordData::Soa(soa) = &record.data {
                if record.name != zone.origin || *soa != zone.soa {
                    return Err(ZoneError::StraySoa { name: record.name });
                }
                continue;
            }
            sets.entry((record.name.clone(), record.record_type()))
                .or_default()
                .push((record.ttl, record.data));
        }
        let mut nodes: BTreeMap<Name, Vec<Arc<Rrset>>> = BTreeMap::new();
        for ((name, record_type), records) in sets {
            let set = Rrset::new(&name, record_type, records)?;
            nodes.entry(name).or_default().push(Arc::new(set));
        }
        for (name, mut sets) in nodes {
            if name == zone.origin {
                sets.extend(zone.apex().sets.iter().cloned());
            }
            change::compatible(&name, &zone.origin, &sets)?;
            zone.put(&name, sets);
        }
        zone.complete()?;
        Ok(zone)
    }

    fn empty(origin: Name, soa: Soa, soa_ttl: u32) -> Self {
        let mut zone = Self {
            origin_labels: origin.label_count(),
            origin: origin.clone(),
            shards: vec![Arc::default(); SHARDS],
            negative: Arc::new(Rrset::negative(&soa, soa_ttl)),
            soa: soa.clone(),
            records: 0,
            names: 0,
        };
        let set = Arc::new(Rrset::of_one(soa_ttl, RecordData::Soa(soa)));
        zone.records = set.records.len();
        zone.insert(Node::new(origin, vec![set], 0));
        zone
    }

    /// The name at its apex.
    pub fn origin(&self) -> &Name {
        &self.origin
    }

    /// The SOA.
    pub fn soa(&self) -> &Soa {
        &self.soa
    }

    /// The serial number of this snapshot.
    pub fn serial(&self) -> u32 {
        self.soa.serial
    }

    /// How many records there are, the SOA included.
    pub fn len(&self) -> usize {
        self.records
    }

    /// Never: there is always an SOA.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// How many names there are, empty ones included.
    pub fn names(&self) -> usize {
        self.names
    }

    /// Every record, the SOA first, then by the canonical order of names.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        let nodes = self.sorted();
        let soa = Record {
            name: self.origin.clone(),
            ttl: self.soa_ttl(),
            data: RecordData::Soa(self.soa.clone()),
        };
        let rest = nodes.into_iter().flat_map(|node| {
            let sets: Vec<_> = node.sets.clone();
            sets.into_iter().filter(|set| set.record_type != RecordType::SOA).flat_map(move |set| {
                let name = node.name.clone();
                let records = set.records.clone();
                records.into_iter().map(move |(ttl, data)| Record { name: name.clone(), ttl, data })
            })
        });
        std::iter::once(soa).chain(rest)
    }

    /// The records of one name and type, exactly as they are kept: no wildcard, no CNAME, no delegation.
    pub fn set(&self, name: &Name, record_type: RecordType) -> Vec<Record> {
        let set = self.node(name.wire()).and_then(|node| node.set(record_type));
        let records = set.map_or(&[][..], |set| &set.records);
        records
            .iter()
            .map(|(ttl, data)| Record { name: name.clone(), ttl: *ttl, data: data.clone() })
            .collect()
    }

    /// All nodes in canonical order.
    pub(crate) fn sorted(&self) -> Vec<Arc<Node>> {
        let mut nodes: Vec<_> = self.shards.iter().flat_map(|shard| shard.values().cloned()).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        nodes
    }

    pub(crate) fn soa_ttl(&self) -> u32 {
        self.apex().set(RecordType::SOA).map_or(0, |set| set.ttl)
    }

    pub(crate) fn negative(&self) -> &Arc<Rrset> {
        &self.negative
    }

    pub(crate) fn apex(&self) -> &Arc<Node> {
        self.node(self.origin.wire()).expect("a zone begins with its apex, which is never removed")
    }

    pub(crate) fn node(&self, wire: &[u8]) -> Option<&Arc<Node>> {
        self.shards[shard_of(wire)].get(wire)
    }

    fn admits(&self, name: &Name) -> Result<(), ZoneError> {
        if name.is_within(&self.origin) {
            return Ok(());
        }
        Err(ZoneError::Outside { name: name.clone(), origin: self.origin.clone() })
    }

    fn insert(&mut self, node: Arc<Node>) {
        let shard = Arc::make_mut(&mut self.shards[shard_of(node.name.wire())]);
        self.names += usize::from(shard.insert(node.name.clone(), node).is_none());
    }

    fn remove(&mut self, name: &Name) {
        let shard = Arc::make_mut(&mut self.shards[shard_of(name.wire())]);
        self.names -= usize::from(shard.remove(name).is_some());
    }

    /// Gives a name its records; none removes it, and with it the empty names that led to it alone.
    fn put(&mut self, name: &Name, sets: Vec<Arc<Rrset>>) {
        let count = |sets: &[Arc<Rrset>]| sets.iter().map(|set| set.records.len()).sum::<usize>();
        let (was, children) =
            self.node(name.wire()).map_or((0, None), |node| (count(&node.sets), Some(node.children)));
        self.records = self.records + count(&sets) - was;
        match children {
            None if sets.is_empty() => {}
            None => {
                self.insert(Node::new(name.clone(), sets, 0));
                self.grow(name);
            }
            Some(0) if sets.is_empty() => {
                self.remove(name);
                self.shrink(name);
            }
            Some(children) => self.insert(Node::new(name.clone(), sets, children)),
        }
    }

    /// Notes a new name at its parent, and makes the parents that are missing.
    fn grow(&mut self, name: &Name) {
        let mut above = name.parent();
        while let Some(parent) = above {
            if let Some(node) = self.node(parent.wire()) {
                let node = Node::new(parent, node.sets.clone(), node.children + 1);
                return self.insert(node);
            }
            above = parent.parent();
            self.insert(Node::new(parent, Vec::new(), 1));
        }
    }

    /// Notes at its parent that a name is gone, and removes the parents that are left with nothing.
    fn shrink(&mut self, name: &Name) {
        let mut above = name.parent();
        while let Some(parent) = above {
            let Some(node) = self.node(parent.wire()) else { return };
            if node.children > 1 || !node.sets.is_empty() {
                let node = Node::new(parent, node.sets.clone(), node.children.saturating_sub(1));
                return self.insert(node);
            }
            self.remove(&parent);
            above = parent.parent();
        }
    }
}

/// FNV-1a, folded. It only spreads names over maps, whose own hash is keyed.
fn shard_of(wire: &[u8]) -> usize {
    let hash =
        wire.iter().fold(0x811c_9dc5_u32, |hash, octet| (hash ^ u32::from(*octet)).wrapping_mul(0x0100_0193));
    usize::try_from((hash ^ hash >> 16) & 0xff).unwrap_or(0)
}
