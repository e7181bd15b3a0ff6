//! What a question is answered with: records, another name for them, somebody else's servers, or that there is nothing.

use super::Context;
use super::builder::{Builder, Owner, Section};
use crate::dnssec::{Dnssec, SignError};
use crate::message::{QUESTION, Request};
use crate::name::Name;
use crate::record::RecordData;
use crate::types::{Rcode, RecordType};
use crate::zone::{Found, Node, Path, Rrset};
use std::sync::Arc;

/// Most CNAMEs that are followed; also what ends a circle of them.
const MAX_CHAIN: usize = 8;

/// What was said.
pub(super) enum Said {
    /// The name is of another zone.
    Elsewhere,
    /// There is an answer.
    Here { rcode: Rcode, positive: bool, wildcard: bool },
}

struct Query<'q, 'o> {
    context: Context<'q>,
    /// There if signatures are wanted.
    dnssec: Option<&'q Dnssec>,
    compact: bool,
    record_type: RecordType,
    builder: &'q mut Builder<'o>,
    /// The name that is looked up, and where it is written.
    path: Path,
    at: usize,
    positive: bool,
    wildcard: bool,
}

/// One look-up's end.
enum Step {
    Done(Rcode),
    Follow(Name),
}

/// Answers a question.
pub(super) fn query(
    request: &Request<'_>,
    context: Context<'_>,
    builder: &mut Builder<'_>,
) -> Result<Said, SignError> {
    let mut query = Query {
        context,
        dnssec: context.dnssec.filter(|_| request.wants_dnssec()),
        compact: request.edns.is_some_and(|edns| edns.compact),
        record_type: if request.record_type == RecordType::IXFR {
            RecordType::SOA
        } else {
            request.record_type
        },
        builder,
        path: request.path.clone(),
        at: QUESTION,
        positive: false,
        wildcard: false,
    };
    let mut rcode = Rcode::NOERROR;
    for hop in 0..=MAX_CHAIN {
        let step = match context.zone.find(&query.path) {
            Found::Outside if hop == 0 => return Ok(Said::Elsewhere),
            Found::Outside => break,
            Found::Cut { node, exact } if !(exact && query.record_type == RecordType::DS) => {
                query.referral(node)?;
                break;
            }
            Found::Cut { node, .. } | Found::Exact(node) => query.existing(node, false, hop)?,
            Found::Wildcard(node) => query.existing(node, true, hop)?,
            Found::Missing => Step::Done(query.missing(hop)?),
        };
        match step {
            Step::Done(code) => {
                rcode = code;
                break;
            }
            Step::Follow(target) if hop < MAX_CHAIN => {
                // It was written last, and whole.
                let Some(path) = Path::read(target.wire()) else { break };
                query.path = path;
            }
            Step::Follow(_) => {}
        }
    }
    Ok(Said::Here { rcode, positive: query.positive, wildcard: query.wildcard })
}

impl Query<'_, '_> {
    fn existing(&mut self, node: &Arc<Node>, wildcard: bool, hop: usize) -> Result<Step, SignError> {
        if hop == 0 {
            self.builder.authoritative();
        }
        self.wildcard |= wildcard;
        if self.record_type == RecordType::ANY || self.record_type == RecordType::RRSIG {
            return self.any(node, wildcard);
        }
        let is_apex = node.name == *self.context.zone.origin();
        let keys = self.context.dnssec.filter(|_| is_apex).and_then(|dnssec| dnssec.keys(self.record_type));
        if let Some(set) = node.set(self.record_type).or(keys) {
            self.put(node, set, wildcard)?;
            return Ok(Step::Done(Rcode::NOERROR));
        }
        if let Some(set) = node.set(RecordType::CNAME)
            && let Some((_, RecordData::Cname(target))) = set.records.first()
        {
            self.builder.put(Section::Answer, set.wire(), Owner::At(self.at));
            // The target is what was written last.
            let next = self.builder.length() - target.wire().len();
            self.sign(node, set, wildcard)?;
            self.positive = true;
            self.at = next;
            return Ok(Step::Follow(target.clone()));
        }
        if self.record_type == RecordType::NSEC
            && let Some(dnssec) = self.context.dnssec
        {
            let denial = dnssec.denial(self.context.zone, node, &self.path, wildcard, self.context.now)?;
            self.builder.put(Section::Answer, &denial.wire, Owner::At(self.at));
            self.positive = true;
            return Ok(Step::Done(Rcode::NOERROR));
        }
        self.nothing()?;
        if let Some(dnssec) = self.dnssec {
            let denial = dnssec.denial(self.context.zone, node, &self.path, wildcard, self.context.now)?;
            self.builder.put(Section::Authority, &denial.wire, Owner::At(self.at));
        }
        Ok(Step::Done(Rcode::NOERROR))
    }

    /// One set of whatever there is (RFC 8482, 4.1).
    fn any(&mut self, node: &Arc<Node>, wildcard: bool) -> Result<Step, SignError> {
        let Some(set) = node.sets.first() else {
            self.nothing()?;
            if let Some(dnssec) = self.dnssec {
                let denial =
                    dnssec.denial(self.context.zone, node, &self.path, wildcard, self.context.now)?;
                self.builder.put(Section::Authority, &denial.wire, Owner::At(self.at));
            }
            return Ok(Step::Done(Rcode::NOERROR));
        };
        if self.record_type == RecordType::ANY {
            self.put(node, set, wildcard)?;
        } else if self.context.dnssec.is_some() {
            self.dnssec = self.context.dnssec;
            self.sign(node, set, wildcard)?;
            self.positive = true;
        } else {
            self.nothing()?;
        }
        Ok(Step::Done(Rcode::NOERROR))
    }

    fn put(&mut self, node: &Node, set: &Rrset, wildcard: bool) -> Result<(), SignError> {
        self.positive = true;
        self.builder.put(Section::Answer, set.wire(), Owner::At(self.at));
        self.sign(node, set, wildcard)
    }

    /// Appends the signature of a set in the answer.
    fn sign(&mut self, node: &Node, set: &Rrset, wildcard: bool) -> Result<(), SignError> {
        let Some(dnssec) = self.dnssec else { return Ok(()) };
        let signature = if wildcard {
            dnssec.synthesised(&self.path, set, self.context.now)?
        } else {
            dnssec.signature(node.name.wire(), set, self.context.now)?
        };
        self.builder.put(Section::Answer, &signature.wire, Owner::At(self.at));
        Ok(())
    }

    fn missing(&mut self, hop: usize) -> Result<Rcode, SignError> {
        if hop == 0 {
            self.builder.authoritative();
        }
        self.nothing()?;
        let Some(dnssec) = self.dnssec else { return Ok(Rcode::NXDOMAIN) };
        let denial = dnssec.missing(self.context.zone, &self.path, self.context.now)?;
        self.builder.put(Section::Authority, &denial.wire, Owner::At(self.at));
        // The name "exists" with NXNAME alone; the code says otherwise only to those who know (RFC 9824, 4).
        Ok(if self.compact { Rcode::NXDOMAIN } else { Rcode::NOERROR })
    }

    /// The SOA, which says how long it may be remembered that there is nothing.
    fn nothing(&mut self) -> Result<(), SignError> {
        let zone = self.context.zone;
        let below = self.path.below(zone.origin().wire(), zone.origin().label_count()).unwrap_or(0);
        let owner = Owner::At(self.at + self.path.offset(below));
        self.builder.put(Section::Authority, zone.negative().wire(), owner);
        if let Some(dnssec) = self.dnssec {
            let signature = dnssec.signature(zone.origin().wire(), zone.negative(), self.context.now)?;
            self.builder.put(Section::Authority, &signature.wire, owner);
        }
        Ok(())
    }

    /// The servers of the zone that begins at `node`, whether it is signed, and addresses that lie in this zone.
    fn referral(&mut self, node: &Arc<Node>) -> Result<(), SignError> {
        let below = self.path.labels() - node.name.label_count();
        let owner = Owner::At(self.at + self.path.offset(below));
        let Some(servers) = node.set(RecordType::NS) else { return Ok(()) };
        self.builder.put(Section::Authority, servers.wire(), owner);
        let ds = node.set(RecordType::DS);
        if let Some(dnssec) = self.dnssec {
            let proof = match ds {
                Some(ds) => {
                    self.builder.put(Section::Authority, ds.wire(), owner);
                    dnssec.signature(node.name.wire(), ds, self.context.now)?
                }
                None => {
                    let Some(cut) = Path::read(node.name.wire()) else { return Ok(()) };
                    dnssec.denial(self.context.zone, node, &cut, false, self.context.now)?
                }
            };
            self.builder.put(Section::Authority, &proof.wire, owner);
        }
        for (_, data) in &servers.records {
            let RecordData::Ns(host) = data else { continue };
            let Some(host_node) = self.context.zone.node(host.wire()) else { continue };
            for record_type in [RecordType::A, RecordType::AAAA] {
                if let Some(glue) = host_node.set(record_type) {
                    self.builder.put(Section::Additional, glue.wire(), Owner::Name(host));
                }
            }
        }
        Ok(())
    }
}
