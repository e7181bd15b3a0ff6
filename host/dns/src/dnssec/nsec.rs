//! NSEC records: which types a name has, and the next name there could be.

use crate::name::{MAX_LABEL, MAX_NAME, Name};
use crate::types::RecordType;
use crate::zone::{Node, Path, Rrset};
use std::sync::Arc;

/// The types that a name's NSEC lists. At a delegation those of the parent alone; `keys` are at the apex.
pub(crate) fn types_of(node: &Node, origin: &Name, keys: &[Arc<Rrset>]) -> Vec<RecordType> {
    let is_apex = node.name == *origin;
    let is_cut = !is_apex && node.is_cut();
    let shown = |record_type: &RecordType| {
        !is_cut || *record_type == RecordType::NS || *record_type == RecordType::DS
    };
    let mut types: Vec<_> = node.sets.iter().map(|set| set.record_type).filter(shown).collect();
    if is_apex {
        types.extend(keys.iter().map(|set| set.record_type));
    }
    types.extend([RecordType::RRSIG, RecordType::NSEC]);
    types
}

/// Appends a list of types (RFC 4034, 4.1.2).
pub(crate) fn bitmap(out: &mut Vec<u8>, types: &[RecordType]) {
    let mut sorted: Vec<_> = types.iter().map(|record_type| record_type.code().to_be_bytes()).collect();
    sorted.sort_unstable();
    for window in sorted.chunk_by(|a, b| a[0] == b[0]) {
        let mut bits = [0_u8; 32];
        let mut used = 0;
        for [_, low] in window {
            let place = usize::from(low / 8);
            bits[place] |= 0x80 >> (low % 8);
            used = used.max(place + 1);
        }
        out.push(window[0][0]);
        out.push(u8::try_from(used).unwrap_or(32));
        out.extend_from_slice(&bits[..used]);
    }
}

/// The first name that could follow in canonical order, on the wire: the one with a label of a zero octet in front; for
/// names that have no room for it, one that is as close as there is room for (RFC 4471, 3.1.1).
pub(super) fn successor(path: &Path) -> Vec<u8> {
    let wire = path.wire();
    if wire.len() + 2 <= MAX_NAME {
        return [b"\x01\0", wire].concat();
    }
    let first = usize::from(wire[0]);
    if wire.len() < MAX_NAME && first < MAX_LABEL {
        let length = wire[0] + 1;
        return [&[length], &wire[1..=first], &[0], &wire[first + 1..]].concat();
    }
    let mut rest = wire;
    loop {
        let length = usize::from(rest[0]);
        let mut name = rest.to_vec();
        if let Some(last) = name[1..=length].iter().rposition(|octet| *octet < 0xff) {
            let octet = &mut name[1 + last];
            // Capital letters stand where the small ones are.
            *octet = if *octet == b'@' { b'[' } else { *octet + 1 };
            let kept: Vec<u8> = name[1..=1 + last].to_vec();
            let label = [&[u8::try_from(kept.len()).unwrap_or(1)], &kept[..]].concat();
            return [&label, &name[length + 1..]].concat();
        }
        if length == 0 {
            // Every label is of 255s alone; what follows the last name of all is the first.
            return vec![0];
        }
        rest = &rest[length + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn after(wire: &[u8]) -> Name {
        Name::from_wire(&successor(&Path::read(wire).unwrap())).unwrap()
    }

    #[test]
    fn types_are_listed_by_window() {
        let mut out = Vec::new();
        bitmap(
            &mut out,
            &[RecordType::CAA, RecordType::A, RecordType::NSEC, RecordType::RRSIG, RecordType::MX],
        );
        assert_eq!(out, b"\x00\x06\x40\x01\x00\x00\x00\x03\x01\x01\x40");
    }

    #[test]
    fn a_name_without_room_has_a_successor_too() {
        let label = [&[63][..], &[b'a'; 63]].concat();
        let full = [&label[..], &label, &label, &[61], &[b'b'; 61], &[0]].concat();
        assert_eq!(full.len(), 255);
        let name = Name::from_wire(&full).unwrap();
        assert!(after(&full) > name);
        let almost = [&label[..], &label, &label, &[60], &[b'b'; 60], &[0]].concat();
        assert!(after(&almost) > Name::from_wire(&almost).unwrap());
    }

    proptest! {
        #[test]
        fn the_successor_comes_right_behind(labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..64), 1..5)) {
            let mut wire: Vec<u8> = labels.iter().flat_map(|l| [&[u8::try_from(l.len()).unwrap()][..], l].concat()).collect();
            wire.push(0);
            prop_assume!(wire.len() <= MAX_NAME);
            let name = Name::from_wire(&wire).unwrap();
            prop_assert!(after(&wire) > name);
        }
    }
}
