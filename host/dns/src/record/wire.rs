//! Data on the wire. Names in it are written uncompressed and in lower case, which is also the form that DNSSEC signs
//! (RFC 4034, 6.2); read, they may be compressed where RFC 3597 allows it.

use super::{RecordData, Soa, check};
use crate::types::RecordType;
use crate::wire::{Malformed, Reader, length16};

impl RecordData {
    /// Appends the data, without its length.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::A(address) => out.extend_from_slice(&address.octets()),
            Self::Aaaa(address) => out.extend_from_slice(&address.octets()),
            Self::Cname(name) | Self::Ns(name) => out.extend_from_slice(name.wire()),
            Self::Txt(texts) => texts.iter().for_each(|text| string(out, text)),
            Self::Mx { preference, exchange } => {
                out.extend_from_slice(&preference.to_be_bytes());
                out.extend_from_slice(exchange.wire());
            }
            Self::Srv { priority, weight, port, target } => {
                [priority, weight, port]
                    .iter()
                    .for_each(|number| out.extend_from_slice(&number.to_be_bytes()));
                out.extend_from_slice(target.wire());
            }
            Self::Caa { flags, tag, value } => {
                out.push(*flags);
                string(out, tag.as_bytes());
                out.extend_from_slice(value);
            }
            Self::Tlsa { usage, selector, matching, data } => {
                out.extend_from_slice(&[*usage, *selector, *matching]);
                out.extend_from_slice(data);
            }
            Self::Ds { key_tag, algorithm, digest_type, digest } => {
                out.extend_from_slice(&key_tag.to_be_bytes());
                out.extend_from_slice(&[*algorithm, *digest_type]);
                out.extend_from_slice(digest);
            }
            Self::Soa(soa) => {
                out.extend_from_slice(soa.primary.wire());
                out.extend_from_slice(soa.mailbox.wire());
                for number in [soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum] {
                    out.extend_from_slice(&number.to_be_bytes());
                }
            }
        }
    }

    /// Reads data of `length` octets from inside a message. `None` for types that aren't kept here; the reader is behind
    /// the data either way.
    pub(crate) fn decode(
        record_type: RecordType,
        reader: &mut Reader<'_>,
        length: usize,
    ) -> Result<Option<Self>, Malformed> {
        let end = reader.at() + length;
        let mut fields = reader.until(end)?;
        let data = Self::fields(record_type, &mut fields)?;
        reader.take(length)?;
        let Some(data) = data else { return Ok(None) };
        if fields.at() != end {
            return Err(Malformed("data of a record is longer than its type has it"));
        }
        check::data(&data).map_err(|_| Malformed("data of a record is none of its type"))?;
        Ok(Some(data))
    }

    fn fields(record_type: RecordType, from: &mut Reader<'_>) -> Result<Option<Self>, Malformed> {
        Ok(Some(match record_type {
            RecordType::A => Self::A(from.array::<4>()?.into()),
            RecordType::AAAA => Self::Aaaa(from.array::<16>()?.into()),
            RecordType::CNAME => Self::Cname(from.name()?),
            RecordType::NS => Self::Ns(from.name()?),
            RecordType::TXT => {
                let mut texts = vec![from.string()?];
                while from.left() > 0 {
                    texts.push(from.string()?);
                }
                Self::Txt(texts)
            }
            RecordType::MX => Self::Mx { preference: from.u16()?, exchange: from.name()? },
            RecordType::SRV => Self::Srv {
                priority: from.u16()?,
                weight: from.u16()?,
                port: from.u16()?,
                target: from.name()?,
            },
            RecordType::CAA => {
                let flags = from.u8()?;
                let tag =
                    String::from_utf8(from.string()?).map_err(|_| Malformed("a CAA's tag is no text"))?;
                Self::Caa { flags, tag: tag.to_ascii_lowercase(), value: from.rest().to_vec() }
            }
            RecordType::TLSA => Self::Tlsa {
                usage: from.u8()?,
                selector: from.u8()?,
                matching: from.u8()?,
                data: from.rest().to_vec(),
            },
            RecordType::DS => Self::Ds {
                key_tag: from.u16()?,
                algorithm: from.u8()?,
                digest_type: from.u8()?,
                digest: from.rest().to_vec(),
            },
            RecordType::SOA => Self::Soa(Soa {
                primary: from.name()?,
                mailbox: from.name()?,
                serial: from.u32()?,
                refresh: from.u32()?,
                retry: from.u32()?,
                expire: from.u32()?,
                minimum: from.u32()?,
            }),
            _ => return Ok(None),
        }))
    }
}

/// A string with its length in front. Longer ones can't be constructed; what is over would be cut.
fn string(out: &mut Vec<u8>, text: &[u8]) {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    out.push(length);
    out.extend_from_slice(&text[..usize::from(length)]);
}

/// Appends the length of what `write` appends, and that.
pub(crate) fn with_length(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0, 0]);
    write(out);
    let length = length16(out.len() - at - 2);
    out[at..at + 2].copy_from_slice(&length.to_be_bytes());
}
