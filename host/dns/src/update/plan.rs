//! From what a client asked to the changes that it comes to, against one snapshot: pure.
//!
//! The exceptions are those of RFC 2136, 3.4.2: what would make the zone impossible is left out without a word (a CNAME
//! beside other records, the SOA's or last name server's removal), and what is added takes its set's time to live along.

use super::read::{Asked, Prerequisite, Step};
use crate::name::Name;
use crate::record::{Record, RecordData};
use crate::types::{Rcode, RecordType};
use crate::zone::{Change, Zone};
use std::collections::{BTreeMap, BTreeSet};

/// The changes, or the code that says why not.
pub(crate) fn plan(zone: &Zone, asked: &Asked) -> Result<Vec<Change>, Rcode> {
    prerequisites(zone, &asked.prerequisites)?;
    let mut planning = Planning { zone: zone.clone(), changes: Vec::new() };
    for step in &asked.steps {
        planning.step(step)?;
    }
    Ok(planning.changes)
}

fn prerequisites(zone: &Zone, all: &[Prerequisite]) -> Result<(), Rcode> {
    let mut sets: BTreeMap<(&Name, RecordType), BTreeSet<&RecordData>> = BTreeMap::new();
    let exists = |name: &Name| zone.node(name.wire()).is_some_and(|node| !node.sets.is_empty());
    let has = |name: &Name, record_type| !zone.set(name, record_type).is_empty();
    for prerequisite in all {
        let failed = match prerequisite {
            Prerequisite::NameExists(name) => (!exists(name)).then_some(Rcode::NXDOMAIN),
            Prerequisite::NameMissing(name) => exists(name).then_some(Rcode::YXDOMAIN),
            Prerequisite::SetExists(name, kind) => (!has(name, *kind)).then_some(Rcode::NXRRSET),
            Prerequisite::SetMissing(name, kind) => has(name, *kind).then_some(Rcode::YXRRSET),
            Prerequisite::Holds(name, data) => {
                sets.entry((name, data.record_type())).or_default().insert(data);
                None
            }
        };
        failed.map_or(Ok(()), Err)?;
    }
    for ((name, record_type), wanted) in sets {
        let there = zone.set(name, record_type);
        if there.iter().map(|record| &record.data).collect::<BTreeSet<_>>() != wanted {
            return Err(Rcode::NXRRSET);
        }
    }
    Ok(())
}

struct Planning {
    /// The zone with the changes so far.
    zone: Zone,
    changes: Vec<Change>,
}

impl Planning {
    fn step(&mut self, step: &Step) -> Result<(), Rcode> {
        match step {
            Step::Add(record) => self.add(record),
            Step::Remove(name, data) => self.remove(name, data),
            Step::RemoveSet(name, record_type) => self.remove_set(name, *record_type),
            Step::RemoveName(name) => {
                let node = self.zone.node(name.wire());
                let types: Vec<_> =
                    node.map_or_else(Vec::new, |node| node.sets.iter().map(|set| set.record_type).collect());
                types.into_iter().try_for_each(|record_type| self.remove_set(name, record_type))
            }
        }
    }

    fn add(&mut self, record: &Record) -> Result<(), Rcode> {
        let (name, record_type) = (&record.name, record.record_type());
        if let RecordData::Soa(soa) = &record.data {
            let ahead = soa.serial.wrapping_sub(self.zone.serial());
            let later = ahead != 0 && ahead <= 0x7fff_ffff;
            return if later && name == self.zone.origin() {
                self.change(Change::Add(record.clone()))
            } else {
                Ok(())
            };
        }
        let others = |wanted: &dyn Fn(RecordType) -> bool| {
            self.zone
                .node(name.wire())
                .is_some_and(|node| node.sets.iter().any(|set| wanted(set.record_type)))
        };
        let in_the_way = if record_type == RecordType::CNAME {
            others(&|other| other != RecordType::CNAME)
        } else {
            others(&|other| other == RecordType::CNAME)
        };
        if in_the_way {
            return Ok(());
        }
        for there in self.zone.set(name, record_type) {
            if there.data == record.data {
                continue;
            }
            if record_type == RecordType::CNAME {
                self.change(Change::Remove(there))?;
            } else if there.ttl != record.ttl {
                self.change(Change::Add(Record { ttl: record.ttl, ..there }))?;
            }
        }
        self.change(Change::Add(record.clone()))
    }

    fn remove_set(&mut self, name: &Name, record_type: RecordType) -> Result<(), Rcode> {
        let at_apex = name == self.zone.origin();
        if at_apex && (record_type == RecordType::SOA || record_type == RecordType::NS) {
            return Ok(());
        }
        let records = self.zone.set(name, record_type);
        records.into_iter().try_for_each(|record| self.change(Change::Remove(record)))
    }

    fn remove(&mut self, name: &Name, data: &RecordData) -> Result<(), Rcode> {
        let record_type = data.record_type();
        let there = self.zone.set(name, record_type);
        let last = record_type == RecordType::NS && name == self.zone.origin() && there.len() == 1;
        if record_type == RecordType::SOA || last {
            return Ok(());
        }
        let found = there.into_iter().find(|record| record.data == *data);
        found.map_or(Ok(()), |record| self.change(Change::Remove(record)))
    }

    fn change(&mut self, change: Change) -> Result<(), Rcode> {
        if self.zone.step(&change).map_err(|_| Rcode::REFUSED)? {
            self.changes.push(change);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{name, record, zone};

    const A: RecordType = RecordType::A;

    fn planned(
        zone: &Zone,
        prerequisites: Vec<Prerequisite>,
        steps: Vec<Step>,
    ) -> Result<Vec<Change>, Rcode> {
        plan(zone, &Asked { prerequisites, steps })
    }

    #[test]
    fn every_prerequisite_has_its_code() {
        let zone = zone("a IN A 192.0.2.1\na IN A 192.0.2.2\nx.y IN A 192.0.2.3");
        let holds = |address: &str| {
            Prerequisite::Holds(
                name("a.example.org"),
                record(&format!("a.example.org. 1 IN A {address}")).data,
            )
        };
        for (prerequisites, code) in [
            (vec![Prerequisite::NameExists(name("a.example.org"))], None),
            (vec![Prerequisite::NameExists(name("b.example.org"))], Some(Rcode::NXDOMAIN)),
            (vec![Prerequisite::NameExists(name("y.example.org"))], Some(Rcode::NXDOMAIN)),
            (vec![Prerequisite::NameMissing(name("a.example.org"))], Some(Rcode::YXDOMAIN)),
            (vec![Prerequisite::NameMissing(name("y.example.org"))], None),
            (vec![Prerequisite::SetExists(name("a.example.org"), RecordType::TXT)], Some(Rcode::NXRRSET)),
            (vec![Prerequisite::SetMissing(name("a.example.org"), A)], Some(Rcode::YXRRSET)),
            (vec![holds("192.0.2.2"), holds("192.0.2.1")], None),
            (vec![holds("192.0.2.2")], Some(Rcode::NXRRSET)),
        ] {
            let said = format!("{prerequisites:?}");
            assert_eq!(planned(&zone, prerequisites, vec![]).err(), code, "{said}");
        }
    }

    #[test]
    fn what_would_make_the_zone_impossible_is_left_out() {
        let zone = zone("a IN A 192.0.2.1\nc IN CNAME a");
        let apex = name("example.org");
        let name_server = zone.set(&apex, RecordType::NS)[0].data.clone();
        for step in [
            Step::Add(record("a.example.org. 1 IN CNAME b.example.org.")),
            Step::Add(record("c.example.org. 1 IN A 192.0.2.1")),
            Step::Add(record("example.org. 1 IN SOA a. b. 1 1 1 1 1")),
            Step::RemoveSet(apex.clone(), RecordType::SOA),
            Step::RemoveSet(apex.clone(), RecordType::NS),
            Step::RemoveName(apex.clone()),
            Step::Remove(apex, name_server),
            Step::RemoveName(name("nobody.example.org")),
        ] {
            assert_eq!(planned(&zone, vec![], vec![step.clone()]), Ok(vec![]), "{step:?}");
        }
    }

    #[test]
    fn what_is_added_takes_its_set_along_and_a_cname_takes_the_others_place() {
        let zone = zone("a 60 IN A 192.0.2.1\nc 60 IN CNAME a");
        let added = record("a.example.org. 30 IN A 192.0.2.2");
        let taken = record("a.example.org. 30 IN A 192.0.2.1");
        let changes = planned(&zone, vec![], vec![Step::Add(added.clone())]).unwrap();
        assert_eq!(changes, [Change::Add(taken), Change::Add(added)]);
        let other = record("c.example.org. 60 IN CNAME b.example.org.");
        let changes = planned(&zone, vec![], vec![Step::Add(other.clone())]).unwrap();
        assert_eq!(
            changes,
            [Change::Remove(record("c.example.org. 60 IN CNAME a.example.org.")), Change::Add(other)]
        );
    }

    #[test]
    fn steps_see_those_before_them() {
        let zone = zone("a IN A 192.0.2.1");
        let steps = vec![
            Step::RemoveName(name("a.example.org")),
            Step::Add(record("a.example.org. 60 IN CNAME b.example.org.")),
        ];
        assert_eq!(planned(&zone, vec![], steps).unwrap().len(), 2);
    }
}
