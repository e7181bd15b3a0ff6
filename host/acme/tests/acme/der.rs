//! Just enough DER to write requests and certificates, right and wrong ones.

/// A value of parts.
pub(crate) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u32::try_from(content.len()).unwrap();
    let mut out = vec![tag];
    match length {
        0..=0x7f => out.push(length.to_be_bytes()[3]),
        0x80..=0xff => out.extend([0x81, length.to_be_bytes()[3]]),
        _ => out.extend([&[0x82], &length.to_be_bytes()[2..]].concat()),
    }
    out.extend(content);
    out
}

pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, parts)
}

pub(crate) const COMMON_NAME: &[u8] = &[0x06, 3, 0x55, 4, 3];
const SAN: &[u8] = &[0x06, 3, 0x55, 0x1d, 0x11];
const AKI: &[u8] = &[0x06, 3, 0x55, 0x1d, 0x23];
const ACME: &[u8] = &[0x06, 8, 0x2b, 6, 1, 5, 5, 7, 1, 0x1f];
const EXTENSION_REQUEST: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 0x0e];
const ECDSA_WITH_SHA256: &[u8] = &[0x30, 10, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

/// A distinguished name of one common name, or of nothing.
pub(crate) fn name(common: Option<&str>) -> Vec<u8> {
    let Some(common) = common else { return sequence(&[]) };
    let attribute = sequence(&[COMMON_NAME, &tlv(0x0c, &[common.as_bytes()])]);
    sequence(&[&tlv(0x31, &[&attribute])])
}

/// A general name of this kind.
pub(crate) fn general(kind: u8, value: &[u8]) -> Vec<u8> {
    tlv(0x80 | kind, &[value])
}

/// General names: `dns:` or `ip:` before each.
pub(crate) fn general_names(names: &[&str]) -> Vec<u8> {
    let one = |name: &&str| match name.split_once(':').unwrap() {
        ("dns", name) => general(2, name.as_bytes()),
        ("email", name) => general(1, name.as_bytes()),
        ("uri", name) => general(6, name.as_bytes()),
        (_, address) => match address.parse().unwrap() {
            std::net::IpAddr::V4(address) => general(7, &address.octets()),
            std::net::IpAddr::V6(address) => general(7, &address.octets()),
        },
    };
    names.iter().flat_map(one).collect()
}

fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[0x01, 1, 0xff] } else { &[] };
    sequence(&[oid, critical, &tlv(4, &[value])])
}

pub(crate) fn alternative_names(names: &[&str]) -> Vec<u8> {
    extension(SAN, false, &sequence(&[&general_names(names)]))
}

/// A list of names that is no sequence.
pub(crate) fn broken_alternative_names() -> Vec<u8> {
    extension(SAN, false, &[0x02, 1, 1])
}

pub(crate) fn acme_identifier(digest: &[u8], critical: bool) -> Vec<u8> {
    extension(ACME, critical, &tlv(4, &[digest]))
}

pub(crate) fn key_identifier(id: &[u8]) -> Vec<u8> {
    extension(AKI, false, &sequence(&[&tlv(0x80, &[id])]))
}

/// The values in a value, each with its head.
pub(crate) fn children(value: &[u8]) -> Vec<&[u8]> {
    let mut rest = &value[head(value)..];
    let mut found = Vec::new();
    while !rest.is_empty() {
        let length = head(rest) + content_length(rest);
        let (first, others) = rest.split_at(length);
        found.push(first);
        rest = others;
    }
    found
}

fn head(value: &[u8]) -> usize {
    2 + usize::from(value[1].saturating_sub(0x80).min(2) * u8::from(value[1] > 0x80))
}

fn content_length(value: &[u8]) -> usize {
    match value[1] {
        0x81 => value[2].into(),
        0x82 => usize::from(value[2]) << 8 | usize::from(value[3]),
        short => short.into(),
    }
}

/// A PKCS #10 request, unsigned parts first.
pub(crate) fn request(
    common: Option<&str>,
    spki: &[u8],
    extensions: &[u8],
    sign: impl Fn(&[u8]) -> Vec<u8>,
) -> Vec<u8> {
    let attribute = sequence(&[EXTENSION_REQUEST, &tlv(0x31, &[&sequence(&[extensions])])]);
    let info = sequence(&[&[2, 1, 0], &name(common), spki, &tlv(0xa0, &[&attribute])]);
    signed(&info, sign)
}

/// A certificate of version 3 that is valid for some decades.
pub(crate) fn certificate(
    serial: &[u8],
    subject: Option<&str>,
    spki: &[u8],
    extensions: &[u8],
    sign: impl Fn(&[u8]) -> Vec<u8>,
) -> Vec<u8> {
    let validity = sequence(&[&tlv(0x17, &[b"200101000000Z"]), &tlv(0x17, &[b"490101000000Z"])]);
    let to_be_signed = sequence(&[
        &tlv(0xa0, &[&[2, 1, 2]]),
        &tlv(2, &[serial]),
        ECDSA_WITH_SHA256,
        &name(Some("Test CA")),
        &validity,
        &name(subject),
        spki,
        &tlv(0xa3, &[&sequence(&[extensions])]),
    ]);
    signed(&to_be_signed, sign)
}

fn signed(content: &[u8], sign: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    sequence(&[content, ECDSA_WITH_SHA256, &tlv(3, &[&[0], &sign(content)])])
}
