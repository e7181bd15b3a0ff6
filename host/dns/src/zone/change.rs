//! Changes: from one snapshot to the next, all of them or none.

use super::{MAX_RECORDS, Node, Rrset, Zone, ZoneError};
use crate::name::Name;
use crate::record::{Record, RecordData, Soa};
use crate::types::RecordType;
use std::sync::Arc;

/// One step from a snapshot to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The record is there afterwards. One with the same owner and data gets its time to live; an SOA takes the other's
    /// place.
    Add(Record),
    /// The record isn't there afterwards; its time to live doesn't matter.
    Remove(Record),
}

impl Node {
    /// Whether another zone begins here. The apex is never asked.
    pub(crate) fn is_cut(&self) -> bool {
        self.set(RecordType::NS).is_some()
    }
}

impl Zone {
    /// The zone after these changes, in their order. If anything changed, its serial number is a later one: the next, or
    /// what a changed SOA says if that is later (RFC 1982).
    ///
    /// # Errors
    /// [`ZoneError`] of the first change that can't be.
    pub fn apply(&self, changes: &[Change]) -> Result<Self, ZoneError> {
        let mut next = self.clone();
        let mut changed = false;
        for change in changes {
            changed |= next.step(change)?;
        }
        next.complete()?;
        Ok(if changed { next.after(self.serial()) } else { next })
    }

    /// Makes one change without touching the serial number; `false` if it was so already.
    pub(crate) fn step(&mut self, change: &Change) -> Result<bool, ZoneError> {
        match change {
            Change::Add(record) => self.add(record),
            Change::Remove(record) => self.take(record),
        }
    }

    fn add(&mut self, record: &Record) -> Result<bool, ZoneError> {
        self.admits(&record.name)?;
        if let RecordData::Soa(soa) = &record.data {
            if record.name != self.origin {
                return Err(ZoneError::StraySoa { name: record.name.clone() });
            }
            let changed = *soa != self.soa || record.ttl != self.soa_ttl();
            self.set_soa(soa.clone(), record.ttl);
            return Ok(changed);
        }
        let record_type = record.record_type();
        let mut sets = self.sets(&record.name);
        let place = sets.iter().position(|set| set.record_type == record_type);
        let mut records = place.map_or_else(Vec::new, |place| sets[place].records.clone());
        match records.iter().position(|(_, data)| *data == record.data) {
            Some(known) if records[known].0 == record.ttl => return Ok(false),
            Some(known) => records[known].0 = record.ttl,
            None if record_type == RecordType::CNAME && !records.is_empty() => {
                return Err(ZoneError::SecondCname { name: record.name.clone() });
            }
            None => records.push((record.ttl, record.data.clone())),
        }
        let set = Arc::new(Rrset::new(&record.name, record_type, records)?);
        match place {
            Some(place) => sets[place] = set,
            None => sets.push(set),
        }
        compatible(&record.name, &self.origin, &sets)?;
        self.put(&record.name, sets);
        if self.records > MAX_RECORDS {
            return Err(ZoneError::TooManyRecords { limit: MAX_RECORDS });
        }
        Ok(true)
    }

    fn take(&mut self, record: &Record) -> Result<bool, ZoneError> {
        self.admits(&record.name)?;
        let record_type = record.record_type();
        if record_type == RecordType::SOA {
            let is_there = record.name == self.origin && record.data == RecordData::Soa(self.soa.clone());
            return if is_there { Err(ZoneError::SoaRemoved) } else { Ok(false) };
        }
        let mut sets = self.sets(&record.name);
        let Some(place) = sets.iter().position(|set| set.record_type == record_type) else {
            return Ok(false);
        };
        let mut records = sets[place].records.clone();
        records.retain(|(_, data)| *data != record.data);
        if records.len() == sets[place].records.len() {
            return Ok(false);
        }
        if records.is_empty() {
            sets.remove(place);
        } else {
            sets[place] = Arc::new(Rrset::new(&record.name, record_type, records)?);
        }
        self.put(&record.name, sets);
        Ok(true)
    }

    fn sets(&self, name: &Name) -> Vec<Arc<Rrset>> {
        self.node(name.wire()).map_or_else(Vec::new, |node| node.sets.clone())
    }

    /// This zone with a serial number that is later than another (RFC 1982).
    pub(super) fn after(mut self, serial: u32) -> Self {
        let ahead = self.soa.serial.wrapping_sub(serial);
        if ahead == 0 || ahead > 0x7fff_ffff {
            // Zero is left out: some take it for "none" (RFC 2136, 7.11).
            let serial = serial.checked_add(1).unwrap_or(1);
            self.set_soa(Soa { serial, ..self.soa.clone() }, self.soa_ttl());
        }
        self
    }

    fn set_soa(&mut self, soa: Soa, ttl: u32) {
        let mut sets = self.apex().sets.clone();
        sets.retain(|set| set.record_type != RecordType::SOA);
        sets.push(Arc::new(Rrset::of_one(ttl, RecordData::Soa(soa.clone()))));
        self.negative = Arc::new(Rrset::negative(&soa, ttl));
        self.soa = soa;
        let origin = self.origin.clone();
        self.put(&origin, sets);
    }

    /// What must be true of the whole, and may be untrue between two changes.
    pub(super) fn complete(&self) -> Result<(), ZoneError> {
        if self.records > MAX_RECORDS {
            return Err(ZoneError::TooManyRecords { limit: MAX_RECORDS });
        }
        match self.apex().set(RecordType::NS) {
            Some(_) => Ok(()),
            None => Err(ZoneError::NoNameServer { origin: self.origin.clone() }),
        }
    }
}

/// Whether one name can have all of these.
pub(super) fn compatible(name: &Name, origin: &Name, sets: &[Arc<Rrset>]) -> Result<(), ZoneError> {
    if name == origin && sets.iter().any(|set| set.record_type == RecordType::DS) {
        return Err(ZoneError::DsAtApex { name: name.clone() });
    }
    let Some(cname) = sets.iter().find(|set| set.record_type == RecordType::CNAME) else { return Ok(()) };
    if sets.len() > 1 {
        return Err(ZoneError::CnameBeside { name: name.clone() });
    }
    if cname.records.len() > 1 {
        return Err(ZoneError::SecondCname { name: name.clone() });
    }
    Ok(())
}
