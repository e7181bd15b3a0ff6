//! What unit tests are made of: zones of a few lines, questions, keys.

use crate::tsig::{Session, TsigAlgorithm, TsigKey};
use crate::{Name, Record, RecordData, RecordType, Zone, import};

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// One line of a zone file with absolute names.
pub(crate) fn record(line: &str) -> Record {
    import(&format!("{line}\n"), &Name::root()).unwrap().remove(0)
}

/// `example.org.` with an SOA, a name server, and these lines.
pub(crate) fn zone(lines: &str) -> Zone {
    zone_of("example.org.", lines)
}

pub(crate) fn zone_of(origin: &str, lines: &str) -> Zone {
    let head = "$TTL 3600\n@ IN SOA ns admin 1 7200 900 1209600 300\n@ IN NS ns\nns IN A 192.0.2.53\n";
    let origin = name(origin);
    let records = import(&format!("{head}{lines}\n"), &origin).unwrap();
    let RecordData::Soa(soa) = records[0].data.clone() else { panic!("the first record is the SOA") };
    Zone::build(origin, soa, 3600, records).unwrap()
}

/// A question as `dig +noedns` asks it.
pub(crate) fn question(text: &str, record_type: RecordType) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(name(text).wire());
    message.extend_from_slice(&record_type.code().to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    message
}

pub(crate) fn key(text: &str) -> TsigKey {
    TsigKey::new(name(text), TsigAlgorithm::HmacSha256, &[7; 32]).unwrap()
}

/// The message with the signature of a client.
pub(crate) fn signed(message: &[u8], key: &TsigKey, now: u64) -> Vec<u8> {
    let mut signed = message.to_vec();
    Session::client(key.clone()).sign(&mut signed, now);
    signed
}
