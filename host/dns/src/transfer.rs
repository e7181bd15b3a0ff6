//! The whole zone as a sequence of messages (RFC 5936), whatever its size.
//!
//! One snapshot from beginning to end, name by name, so that memory doesn't grow with the zone. A signed zone is sent with
//! the signatures and the chain of NSEC that a zone signed beforehand has (RFC 4035, 2): who takes it can serve it to
//! validators, which compact denials, made for one question each, would not allow.

use crate::dnssec::{Dnssec, SignError, bitmap, types_of};
use crate::message::{AA, HEADER, QR, Request};
use crate::name::Name;
use crate::types::RecordType;
use crate::wire::length16;
use crate::zone::{Node, Rrset, Zone, records};
use std::collections::VecDeque;
use std::sync::Arc;

/// Where a message ends, in octets, unless one record is longer: up to here compression pointers reach (RFC 5936, 3.4).
const MESSAGE: usize = 16_384;

/// A transfer under way.
#[derive(Debug)]
pub(crate) struct Transfer {
    zone: Arc<Zone>,
    dnssec: Option<Arc<Dnssec>>,
    now: u64,
    id: [u8; 2],
    /// The question, for the first message.
    question: Option<Vec<u8>>,
    /// In canonical order; there once the first was asked for, since sorting a large zone takes its time.
    nodes: Option<Vec<Arc<Node>>>,
    next: usize,
    /// The delegation that the names now lie below.
    cut: Option<Name>,
    /// Whole records that wait for room.
    waiting: VecDeque<Vec<u8>>,
    ended: bool,
}

impl Transfer {
    pub(crate) fn new(request: &Request<'_>, zone: Arc<Zone>, dnssec: Option<Arc<Dnssec>>, now: u64) -> Self {
        let mut transfer = Self {
            dnssec,
            now,
            id: [request.message[0], request.message[1]],
            question: Some(request.message[HEADER..request.question_end].to_vec()),
            nodes: None,
            next: 0,
            cut: None,
            waiting: VecDeque::new(),
            ended: false,
            zone,
        };
        transfer.soa();
        transfer
    }

    /// The next message, with room for `reserved` octets behind it; `None` after the last.
    pub(crate) fn message(&mut self, reserved: usize) -> Result<Option<Vec<u8>>, SignError> {
        let mut out = vec![self.id[0], self.id[1], QR | AA, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        if let Some(question) = self.question.take() {
            out.extend_from_slice(&question);
            out[5] = 1;
        }
        let mut count = 0_usize;
        while let Some(record) = self.front()? {
            if count > 0 && out.len() + record.len() + reserved > MESSAGE {
                break;
            }
            out.extend_from_slice(record);
            self.waiting.pop_front();
            count += 1;
        }
        out[6..8].copy_from_slice(&length16(count).to_be_bytes());
        Ok((count > 0).then_some(out))
    }

    /// The record that is next.
    fn front(&mut self) -> Result<Option<&[u8]>, SignError> {
        while self.waiting.is_empty() {
            let nodes = self.nodes.get_or_insert_with(|| self.zone.sorted());
            if let Some(node) = nodes.get(self.next).cloned() {
                self.node(&node)?;
                self.next += 1;
            } else if self.ended {
                return Ok(None);
            } else {
                self.ended = true;
                self.soa();
            }
        }
        Ok(self.waiting.front().map(Vec::as_slice))
    }

    fn soa(&mut self) {
        let apex = Arc::clone(self.zone.apex());
        if let Some(set) = apex.set(RecordType::SOA) {
            self.put(apex.name.wire(), set.wire());
        }
    }

    fn put(&mut self, owner: &[u8], wire: &[u8]) {
        self.waiting.extend(records(wire).map(|record| [owner, &record[2..]].concat()));
    }

    fn node(&mut self, node: &Node) -> Result<(), SignError> {
        let owner = node.name.wire();
        let below_cut = self.cut.as_ref().is_some_and(|cut| node.name.is_within(cut));
        let is_apex = node.name == *self.zone.origin();
        let is_cut = !below_cut && !is_apex && node.is_cut();
        if is_cut {
            self.cut = Some(node.name.clone());
        }
        for set in &node.sets {
            if set.record_type != RecordType::SOA {
                self.put(owner, set.wire());
            }
            let signed = !below_cut && (!is_cut || set.record_type == RecordType::DS);
            self.sign(owner, set, signed)?;
        }
        if below_cut || node.sets.is_empty() {
            return Ok(());
        }
        let Some(dnssec) = self.dnssec.clone() else { return Ok(()) };
        if is_apex {
            for set in dnssec.all_keys() {
                self.put(owner, set.wire());
                self.sign(owner, set, true)?;
            }
        }
        let mut data = self.following().wire().to_vec();
        bitmap(&mut data, &types_of(node, self.zone.origin(), dnssec.all_keys()));
        let ttl = self.zone.negative().ttl;
        let nsec = Rrset::raw(RecordType::NSEC, ttl, &[&data]);
        self.put(owner, nsec.wire());
        self.sign(owner, &nsec, true)
    }

    fn sign(&mut self, owner: &[u8], set: &Rrset, signed: bool) -> Result<(), SignError> {
        if let Some(dnssec) = self.dnssec.clone().filter(|_| signed) {
            let signature = dnssec.signature(owner, set, self.now)?;
            self.put(owner, &signature.wire);
        }
        Ok(())
    }

    /// The next name of the chain: neither empty nor below a delegation; after the last comes the apex.
    fn following(&self) -> &Name {
        let visible = |node: &&Arc<Node>| {
            let below = self.cut.as_ref().is_some_and(|cut| node.name.is_within(cut));
            !below && !node.sets.is_empty()
        };
        let rest = self.nodes.as_ref().and_then(|nodes| nodes.get(self.next + 1..)).unwrap_or_default();
        rest.iter().find(visible).map_or(self.zone.origin(), |node| &node.name)
    }
}
