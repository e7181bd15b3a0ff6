//! Signed messages between those who share a secret (RFC 8945).
//!
//! A request's signature is checked before anything of it is looked at; what answers it is signed with the same key, and
//! over the request's signature. Of a transfer each message is signed. Signatures that were cut short are refused.

mod key;
mod replay;

pub use key::{InvalidKey, Keys, TsigAlgorithm, TsigKey};
pub(crate) use replay::{Replays, Seen};

use crate::message::{HEADER, Request};
use crate::name::Name;
use crate::types::{Rcode, RecordType};
use crate::wire::{Malformed, Reader, length16};
use aws_lc_rs::hmac;
use std::sync::Arc;

/// How far clocks may be apart, in seconds (RFC 8945, 10), whatever the client says.
const MAX_FUDGE: u16 = 300;
/// The class of a TSIG.
const CLASS_ANY: u16 = 255;

/// A request that was signed rightly, and the chain of signatures that its answers continue.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) key: Arc<TsigKey>,
    /// The signature before the next.
    mac: Vec<u8>,
    /// Whether the next is the first of the answer.
    first: bool,
}

/// A signature that was not accepted.
#[derive(Debug)]
pub(crate) enum Rejected {
    /// The TSIG itself can't be read.
    Malformed,
    /// What is wrong, and the TSIG of the answer.
    With { error: Rcode, record: Vec<u8> },
    /// The clocks differ; the answer is signed.
    Time { session: Session, signed_at: u64 },
}

/// The fields of a TSIG.
struct Fields {
    name: Name,
    algorithm: Name,
    time: u64,
    fudge: u16,
    mac: Vec<u8>,
    id: [u8; 2],
    error: u16,
    other: Vec<u8>,
}

impl Fields {
    fn read(message: &[u8], at: usize) -> Result<Self, Malformed> {
        let mut reader = Reader::new(message, at);
        let name = reader.name()?;
        let (record_type, class, ttl) = (reader.u16()?, reader.u16()?, reader.u32()?);
        if record_type != RecordType::TSIG.code() || class != CLASS_ANY || ttl != 0 {
            return Err(Malformed("a TSIG of another class, or to be remembered"));
        }
        let length = usize::from(reader.u16()?);
        let mut data = reader.until(reader.at() + length)?;
        let algorithm = data.name()?;
        let (high, low) = (data.u16()?, data.u32()?);
        let fudge = data.u16()?;
        let length = usize::from(data.u16()?);
        let mac = data.take(length)?.to_vec();
        let (id, error) = (data.array()?, data.u16()?);
        let length = usize::from(data.u16()?);
        let other = data.take(length)?.to_vec();
        if data.left() > 0 {
            return Err(Malformed("a TSIG is longer than it says"));
        }
        let time = u64::from(high) << 32 | u64::from(low);
        Ok(Self { name, algorithm, time, fudge, mac, id, error, other })
    }

    /// The answer's TSIG, without a signature.
    fn unsigned(&self, error: Rcode, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        record(
            &mut out,
            &Signature {
                name: self.name.wire(),
                algorithm: self.algorithm.wire(),
                time: self.time,
                fudge: self.fudge,
                mac: &[],
                id: [message[0], message[1]],
                error,
                other: &[],
            },
        );
        out
    }
}

struct Signature<'s> {
    name: &'s [u8],
    algorithm: &'s [u8],
    time: u64,
    fudge: u16,
    mac: &'s [u8],
    id: [u8; 2],
    error: Rcode,
    other: &'s [u8],
}

/// Appends a TSIG.
fn record(out: &mut Vec<u8>, signature: &Signature<'_>) {
    out.extend_from_slice(signature.name);
    out.extend_from_slice(&RecordType::TSIG.code().to_be_bytes());
    out.extend_from_slice(&[0, 255, 0, 0, 0, 0]);
    crate::record::with_length(out, |out| {
        out.extend_from_slice(signature.algorithm);
        out.extend_from_slice(&signature.time.to_be_bytes()[2..]);
        out.extend_from_slice(&signature.fudge.to_be_bytes());
        out.extend_from_slice(&length16(signature.mac.len()).to_be_bytes());
        out.extend_from_slice(signature.mac);
        out.extend_from_slice(&signature.id);
        out.extend_from_slice(&signature.error.0.to_be_bytes());
        out.extend_from_slice(&length16(signature.other.len()).to_be_bytes());
        out.extend_from_slice(signature.other);
    });
}

/// Checks the signature of a request that has one.
pub(crate) fn verify(request: &Request<'_>, keys: &Keys, now: u64) -> Result<Session, Rejected> {
    let Some(at) = request.tsig else { return Err(Rejected::Malformed) };
    let message = request.message;
    let fields = Fields::read(message, at).map_err(|_| Rejected::Malformed)?;
    let reject = |error| Rejected::With { error, record: fields.unsigned(error, message) };
    let key = keys.get(&fields.name).filter(|key| key.algorithm().name() == fields.algorithm.wire());
    let key = key.ok_or_else(|| reject(Rcode::BADKEY))?;
    let full = key.algorithm().length();
    if fields.mac.len() > full || fields.mac.len() < (full / 2).max(10) {
        return Err(Rejected::Malformed);
    }
    let mut context = hmac::Context::with_key(key.key());
    let additional = u16::from_be_bytes([message[10], message[11]]).saturating_sub(1);
    context.update(&fields.id);
    context.update(&message[2..10]);
    context.update(&additional.to_be_bytes());
    context.update(&message[HEADER..at]);
    let other = &fields.other;
    variables(&mut context, &key, fields.time, fields.fudge, Rcode(fields.error), other);
    let right = context.sign();
    let equal =
        aws_lc_rs::constant_time::verify_slices_are_equal(&right.as_ref()[..fields.mac.len()], &fields.mac);
    if equal.is_err() {
        return Err(reject(Rcode::BADSIG));
    }
    if fields.mac.len() < full {
        return Err(reject(Rcode::BADTRUNC));
    }
    let session = Session { key, mac: fields.mac, first: true };
    if now.abs_diff(fields.time) > u64::from(fields.fudge.min(MAX_FUDGE)) {
        return Err(Rejected::Time { session, signed_at: fields.time });
    }
    Ok(session)
}

/// The fields of a TSIG that are signed beside the message (RFC 8945, 4.3.3).
fn variables(context: &mut hmac::Context, key: &TsigKey, time: u64, fudge: u16, error: Rcode, other: &[u8]) {
    context.update(key.name().wire());
    context.update(&[0, 255, 0, 0, 0, 0]);
    context.update(key.algorithm().name());
    context.update(&time.to_be_bytes()[2..]);
    context.update(&fudge.to_be_bytes());
    context.update(&error.0.to_be_bytes());
    context.update(&length16(other.len()).to_be_bytes());
    context.update(other);
}

impl Session {
    /// As who asks: nothing was signed before.
    #[cfg(test)]
    pub(crate) fn client(key: TsigKey) -> Self {
        Self { key: Arc::new(key), mac: Vec::new(), first: true }
    }

    /// Octets that a signature adds to a message.
    pub(crate) fn length(&self) -> usize {
        let algorithm = self.key.algorithm();
        self.key.name().wire().len() + 10 + algorithm.name().len() + 16 + algorithm.length() + 6
    }

    /// The signature of the request, by which it is known again.
    pub(crate) fn mac(&self) -> &[u8] {
        &self.mac
    }

    /// Signs an answer, or the next message of one.
    pub(crate) fn sign(&mut self, message: &mut Vec<u8>, now: u64) {
        self.sign_with(message, now, Rcode::NOERROR, &[]);
    }

    /// Signs an answer that says that the clocks differ: with the client's time, and ours beside it (RFC 8945, 5.2.3).
    pub(crate) fn sign_time(&mut self, message: &mut Vec<u8>, signed_at: u64, now: u64) {
        self.sign_with(message, signed_at, Rcode::BADTIME, &now.to_be_bytes()[2..]);
    }

    fn sign_with(&mut self, message: &mut Vec<u8>, time: u64, error: Rcode, other: &[u8]) {
        let mut context = hmac::Context::with_key(self.key.key());
        // A request has none before it, and no length of none either.
        if !self.mac.is_empty() {
            context.update(&length16(self.mac.len()).to_be_bytes());
            context.update(&self.mac);
        }
        context.update(message);
        if self.first {
            variables(&mut context, &self.key, time, MAX_FUDGE, error, other);
        } else {
            context.update(&time.to_be_bytes()[2..]);
            context.update(&MAX_FUDGE.to_be_bytes());
        }
        self.first = false;
        self.mac = context.sign().as_ref().to_vec();
        let signature = Signature {
            name: self.key.name().wire(),
            algorithm: self.key.algorithm().name(),
            time,
            fudge: MAX_FUDGE,
            mac: &self.mac,
            id: [message[0], message[1]],
            error,
            other,
        };
        record(message, &signature);
        one_more(message);
    }
}

/// Notes that the message has one more record at its end.
pub(crate) fn one_more(message: &mut [u8]) {
    let additional = u16::from_be_bytes([message[10], message[11]]).saturating_add(1);
    message[10..HEADER].copy_from_slice(&additional.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{key, question, signed};

    fn check(message: &[u8], keys: &Keys, now: u64) -> Result<Session, Rejected> {
        verify(&Request::read(message).unwrap(), keys, now)
    }

    #[test]
    fn a_signature_is_accepted_from_its_key_within_its_time() {
        let keys = Keys::new([key("k")]);
        let message = signed(&question("example.org", RecordType::A), &key("k"), 1000);
        assert_eq!(check(&message, &keys, 1300).unwrap().key.name(), key("k").name());
        assert!(matches!(check(&message, &keys, 1301), Err(Rejected::Time { signed_at: 1000, .. })));
        let of_other = signed(&question("example.org", RecordType::A), &key("other"), 1000);
        assert!(matches!(check(&of_other, &keys, 1000), Err(Rejected::With { error: Rcode::BADKEY, .. })));
    }

    #[test]
    fn no_octet_of_a_signed_message_can_be_changed() {
        let keys = Keys::new([key("k")]);
        let message = signed(&question("example.org", RecordType::A), &key("k"), 1000);
        for at in 2..message.len() {
            for bit in [1, 0x20, 0x80] {
                let mut changed = message.clone();
                changed[at] ^= bit;
                let Ok(request) = Request::read(&changed) else { continue };
                let same_name = changed.eq_ignore_ascii_case(&message);
                if request.tsig.is_some() && !same_name {
                    assert!(verify(&request, &keys, 1000).is_err(), "octet {at} ^ {bit}");
                }
            }
        }
    }

    #[test]
    fn a_signature_that_was_cut_is_refused() {
        let keys = Keys::new([key("k")]);
        let message = signed(&question("example.org", RecordType::A), &key("k"), 1000);
        let at = Request::read(&message).unwrap().tsig.unwrap();
        let mut fields = Fields::read(&message, at).unwrap();
        fields.mac.truncate(20);
        let mut cut = message[..at].to_vec();
        let (name, algorithm) = (fields.name.wire(), fields.algorithm.wire());
        let id = [message[0], message[1]];
        let (mac, error) = (&fields.mac[..], Rcode::NOERROR);
        record(&mut cut, &Signature { name, algorithm, time: 1000, fudge: 300, mac, id, error, other: &[] });
        assert!(matches!(check(&cut, &keys, 1000), Err(Rejected::With { error: Rcode::BADTRUNC, .. })));
    }
}
