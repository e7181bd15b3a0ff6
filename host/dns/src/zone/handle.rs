//! The snapshots of one zone, one after the other: readers take the newest without waiting, writers take turns.

use super::{Change, Zone, ZoneError};
use arc_swap::{ArcSwap, Guard};
use std::sync::{Arc, Mutex, PoisonError};

/// One zone through all its snapshots. Clones are the same zone.
#[derive(Debug, Clone)]
pub struct Zones(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    current: ArcSwap<Zone>,
    writing: Mutex<()>,
}

impl Zones {
    /// Begins with this snapshot.
    pub fn new(zone: Zone) -> Self {
        Self(Arc::new(Inner { current: ArcSwap::from_pointee(zone), writing: Mutex::new(()) }))
    }

    /// The newest snapshot, to keep.
    pub fn current(&self) -> Arc<Zone> {
        self.0.current.load_full()
    }

    /// The newest snapshot, for the time of an answer.
    pub(crate) fn load(&self) -> Guard<Arc<Zone>> {
        self.0.current.load()
    }

    /// Makes these changes; the next answer has them. Gives the new serial number.
    ///
    /// # Errors
    /// [`ZoneError`]; nothing is changed then.
    pub fn apply(&self, changes: &[Change]) -> Result<u32, ZoneError> {
        let _turn = self.0.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let next = self.0.current.load().apply(changes)?;
        let serial = next.serial();
        self.0.current.store(Arc::new(next));
        Ok(serial)
    }

    /// Puts another snapshot of the same zone in place, e.g. one that was imported. If its serial number isn't later than
    /// the one that is served (RFC 1982), it gets the next. Gives the number.
    ///
    /// # Errors
    /// [`ZoneError::OtherZone`] if its origin is another.
    pub fn replace(&self, zone: Zone) -> Result<u32, ZoneError> {
        let _turn = self.0.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.0.current.load();
        if zone.origin() != current.origin() {
            return Err(ZoneError::OtherZone {
                given: zone.origin().clone(),
                origin: current.origin().clone(),
            });
        }
        let next = zone.after(current.serial());
        let serial = next.serial();
        self.0.current.store(Arc::new(next));
        Ok(serial)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{name, record, zone};
    use crate::{Change, Zones};

    #[test]
    fn a_change_is_in_the_next_snapshot_and_in_no_earlier_one() {
        let zones = Zones::new(zone(""));
        let before = zones.current();
        let added = record("new.example.org. 60 IN A 192.0.2.9");
        assert_eq!(zones.apply(&[Change::Add(added.clone())]), Ok(before.serial() + 1));
        let there = zones.current().set(&name("new.example.org"), added.record_type());
        assert_eq!(there, std::slice::from_ref(&added));
        assert!(before.set(&name("new.example.org"), added.record_type()).is_empty());
        assert_eq!(zones.apply(&[Change::Add(added)]), Ok(before.serial() + 1), "it was there already");
    }

    #[test]
    fn a_change_that_cannot_be_changes_nothing() {
        let zones = Zones::new(zone("a IN A 192.0.2.1"));
        let serial = zones.current().serial();
        let changes = [
            Change::Add(record("b.example.org. 60 IN A 192.0.2.2")),
            Change::Add(record("a.example.org. 60 IN CNAME b.example.org.")),
        ];
        let error = zones.apply(&changes).unwrap_err().to_string();
        assert_eq!(error, "a.example.org. can't have a CNAME beside other records");
        assert_eq!(zones.current().serial(), serial);
        assert!(zones.current().set(&name("b.example.org"), crate::RecordType::A).is_empty());
    }

    #[test]
    fn a_serial_number_only_grows() {
        let zones = Zones::new(zone(""));
        let soa = |serial: u32| {
            Change::Add(record(&format!("example.org. 60 IN SOA ns.example.org. a. {serial} 1 1 1 1")))
        };
        assert_eq!(zones.apply(&[soa(7)]), Ok(7));
        assert_eq!(zones.apply(&[soa(3)]), Ok(8));
        assert_eq!(zones.apply(&[soa(u32::MAX)]), Ok(9), "that is behind, by RFC 1982");
        assert_eq!(zones.apply(&[soa(0x7fff_ffff)]), Ok(0x7fff_ffff));
        assert_eq!(zones.apply(&[soa(0xffff_fffe)]), Ok(0xffff_fffe));
        assert_eq!(zones.apply(&[Change::Add(record("old.example.org. 60 IN A 192.0.2.9"))]), Ok(u32::MAX));
        assert_eq!(zones.apply(&[Change::Add(record("new.example.org. 60 IN A 192.0.2.9"))]), Ok(1));
    }

    #[test]
    fn another_snapshot_gets_a_later_serial_number() {
        let zones = Zones::new(zone("a IN A 192.0.2.1"));
        let serial = zones.current().serial();
        assert_eq!(zones.replace(zone("b IN A 192.0.2.1")), Ok(serial + 1));
        assert!(zones.replace(crate::testing::zone_of("example.net.", "")).is_err());
    }
}
