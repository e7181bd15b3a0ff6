//! What a challenge's name resolves to: our own zone as it is served now, everything else from the resolver that is
//! configured. So a TXT record of our zone counts from the moment it is committed.

use super::Link;
use async_trait::async_trait;
use hypermesh_acme::probe::{CaaRecord, Resolve, ResolveError};
use hypermesh_dns::{AskError, Name, Rcode, RecordData, RecordType, ask};
use std::net::{IpAddr, SocketAddr};

/// Aliases that are followed.
const MAX_ALIASES: usize = 8;

/// Our zone first.
pub(super) struct ZoneFirst {
    link: Link,
    resolver: Option<SocketAddr>,
}

impl ZoneFirst {
    pub(super) fn new(link: Link, resolver: Option<SocketAddr>) -> Self {
        Self { link, resolver }
    }

    fn server(&self, name: &Name) -> Result<SocketAddr, ResolveError> {
        let domain = self.link.domain();
        let own = domain.as_ref().filter(|domain| name.is_within(&domain.dns.origin));
        let address = own.map_or(self.resolver, |domain| domain.dns.address());
        address.ok_or_else(|| {
            ResolveError::Failed(format!(
                "`{name}` is not in this node's zone, and no resolver is configured"
            ))
        })
    }

    /// Whether a name is above our zone and nobody can be asked about it. Who runs the zone says in it what holds for it
    /// (RFC 8659 §3 climbs up to the root), so a node without a resolver goes no further.
    fn is_above_us(&self, name: &str) -> bool {
        let domain = self.link.domain();
        let (Ok(name), Some(domain)) = (Name::parse(name), domain.as_ref()) else { return false };
        let origin = &domain.dns.origin;
        self.resolver.is_none() && origin.is_within(&name) && *origin != name
    }

    /// The records of a type, whoever answers; aliases are followed from one zone to the other.
    async fn look_up(&self, name: &str, wanted: RecordType) -> Result<Vec<RecordData>, ResolveError> {
        let mut name = Name::parse(name).map_err(|e| ResolveError::Failed(e.to_string()))?;
        for _ in 0..MAX_ALIASES {
            let reply = match ask(self.server(&name)?, &name, wanted).await {
                Ok(reply) => reply,
                Err(AskError::Silent(_)) => return Err(ResolveError::Timeout),
                Err(error) => return Err(ResolveError::Failed(error.to_string())),
            };
            if reply.rcode != Rcode::NOERROR && reply.rcode != Rcode::NXDOMAIN {
                return Err(ResolveError::Failed(format!("the name server answered {}", reply.rcode)));
            }
            let found: Vec<RecordData> = reply
                .records
                .iter()
                .filter(|record| record.record_type() == wanted)
                .map(|record| record.data.clone())
                .collect();
            let alias = reply.records.iter().rev().find_map(|record| match &record.data {
                RecordData::Cname(target) => Some(target.clone()),
                RecordData::A(_)
                | RecordData::Aaaa(_)
                | RecordData::Txt(_)
                | RecordData::Mx { .. }
                | RecordData::Srv { .. }
                | RecordData::Caa { .. }
                | RecordData::Tlsa { .. }
                | RecordData::Ns(_)
                | RecordData::Ds { .. }
                | RecordData::Soa(_) => None,
            });
            match alias {
                Some(target) if found.is_empty() => name = target,
                Some(_) | None => return Ok(found),
            }
        }
        Err(ResolveError::Failed(format!("more than {MAX_ALIASES} aliases lead from it")))
    }
}

#[async_trait]
impl Resolve for ZoneFirst {
    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let (v4, v6) = tokio::join!(self.look_up(name, RecordType::A), self.look_up(name, RecordType::AAAA));
        let found = v4?.into_iter().chain(v6?);
        let address = |data| {
            if let RecordData::A(v4) = data {
                Some(IpAddr::V4(v4))
            } else if let RecordData::Aaaa(v6) = data {
                Some(IpAddr::V6(v6))
            } else {
                None
            }
        };
        Ok(found.filter_map(address).collect())
    }

    async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, ResolveError> {
        let found = self.look_up(name, RecordType::TXT).await?;
        let text = |data| if let RecordData::Txt(texts) = data { Some(texts.concat()) } else { None };
        Ok(found.into_iter().filter_map(text).collect())
    }

    async fn caa(&self, name: &str) -> Result<Vec<CaaRecord>, ResolveError> {
        if self.is_above_us(name) {
            return Ok(Vec::new());
        }
        let found = self.look_up(name, RecordType::CAA).await?;
        let caa = |data| {
            if let RecordData::Caa { flags, tag, value } = data {
                Some(CaaRecord { flags, tag, value })
            } else {
                None
            }
        };
        Ok(found.into_iter().filter_map(caa).collect())
    }
}
