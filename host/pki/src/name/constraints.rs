//! Name constraints (RFC 5280 §4.2.1.10): which names an issuer's certificates may have.

use super::{DistinguishedName, Names, is_dns_name};
use crate::der::{DerError, Reader, Writer, tag};
use std::fmt;
use std::net::IpAddr;

/// Most pairs of a name and a constraint that are compared (OpenSSL's bound, too): both come from anybody.
const MAX_COMPARISONS: usize = 1 << 20;

/// Part of a space of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subtree {
    /// A DNS name and everything below it.
    Dns(String),
    /// Addresses whose first bits are these.
    Ip {
        /// The network; bits beyond the prefix are zero.
        network: IpAddr,
        /// Bits that count, 0 to 32 or 128.
        prefix: u8,
    },
    /// A mailbox, a host's mailboxes, or (`.host`) those of hosts below it.
    Email(String),
    /// URIs of one host, or (`.host`) of hosts below it.
    Uri(String),
    /// A distinguished name and everything below it.
    Directory(DistinguishedName),
    /// Of another kind, which is not compared: nothing of the kind may be in a certificate.
    Other(u8),
}

/// What may be certified, and what may not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameConstraints {
    /// Of each kind that is named here, names must be in one of these.
    pub permitted: Vec<Subtree>,
    /// Names must be in none of these.
    pub excluded: Vec<Subtree>,
}

impl NameConstraints {
    /// The first name that is not allowed, and why; `others` says that there are names of kinds unknown here.
    pub fn violation(&self, subject: &DistinguishedName, names: &Names, others: bool) -> Option<String> {
        let mut values: Vec<Value<'_>> = names.dns().iter().map(|it| Value::Dns(it)).collect();
        values.extend(names.ips().iter().map(|it| Value::Ip(*it)));
        values.extend(names.emails().iter().map(|it| Value::Email(it)));
        // Without alternative names, a mailbox in the subject counts too.
        values.extend(subject.emails().filter(|_| names.is_empty() && !others).map(Value::Email));
        values.extend(names.uris().iter().map(|it| Value::Uri(it)));
        if !subject.is_empty() {
            values.push(Value::Directory(subject));
        }
        if values.len().saturating_mul(self.permitted.len() + self.excluded.len()) > MAX_COMPARISONS {
            return Some("there are too many names and constraints to compare".into());
        }
        for value in &values {
            let of_kind = |tree: &&Subtree| value.contained(tree).is_some();
            let inside = |tree: &Subtree| value.contained(tree) == Some(true);
            if let Some(tree) = self.excluded.iter().find(|tree| value.may_be_in(tree)) {
                return Some(format!("{value} is in the excluded {tree}"));
            }
            if self.permitted.iter().any(|tree| of_kind(&tree)) && !self.permitted.iter().any(inside) {
                return Some(format!("{value} is in none of the permitted names"));
            }
        }
        // Directory names among the alternative names are counted and not kept.
        let unknown = |tree: &Subtree| matches!(tree, Subtree::Other(_) | Subtree::Directory(_));
        if others && (self.permitted.iter().any(unknown) || self.excluded.iter().any(unknown)) {
            return Some("a name of a constrained kind can't be compared".into());
        }
        None
    }

    pub(crate) fn write(&self, w: &mut Writer) {
        w.sequence(|w| {
            for (number, trees) in [(0, &self.permitted), (1, &self.excluded)] {
                if !trees.is_empty() {
                    let number = tag::constructed(number);
                    w.nested(number, |w| trees.iter().for_each(|tree| w.sequence(|w| tree.write(w))));
                }
            }
        });
    }

    pub(crate) fn read(der: &[u8]) -> Result<Self, DerError> {
        let mut reader = Reader::only(der, tag::SEQUENCE)?;
        let mut read = |number| -> Result<Vec<Subtree>, DerError> {
            let Some(content) = reader.optional(tag::constructed(number))? else { return Ok(Vec::new()) };
            let mut trees = Reader::new(content);
            let mut read = Vec::new();
            while !trees.is_empty() {
                let mut tree = trees.sequence()?;
                let element = tree.element()?;
                // RFC 5280: `minimum` is 0 and so left out, `maximum` is absent.
                tree.end()?;
                read.push(Subtree::read(element.tag, element.content)?);
            }
            Ok(read)
        };
        let constraints = Self { permitted: read(0)?, excluded: read(1)? };
        reader.end()?;
        if constraints == Self::default() {
            return Err(DerError::Value("the name constraints are empty"));
        }
        Ok(constraints)
    }
}

impl Subtree {
    fn write(&self, w: &mut Writer) {
        match self {
            Self::Email(host) => w.element(tag::context(1), host.as_bytes()),
            Self::Dns(name) => w.element(tag::context(2), name.as_bytes()),
            Self::Directory(name) => w.nested(tag::constructed(4), |w| w.raw(name.der())),
            Self::Uri(host) => w.element(tag::context(6), host.as_bytes()),
            Self::Ip { network, prefix } => {
                let mut bytes = octets(*network);
                let ones = usize::from(*prefix);
                let width = bytes.len();
                bytes.extend((0..width).map(|byte| match ones.saturating_sub(8 * byte) {
                    bits @ 0..8 => !(0xff_u8 >> bits),
                    _ => 0xff,
                }));
                w.element(tag::context(7), &bytes);
            }
            Self::Other(kind) => debug_assert!(false, "kind {kind} is read and never written"),
        }
    }

    fn read(kind: u8, content: &[u8]) -> Result<Self, DerError> {
        let text = || {
            let text = std::str::from_utf8(content).ok().filter(|text| text.is_ascii());
            text.map(str::to_ascii_lowercase).ok_or(DerError::Value("a constraint is no ASCII"))
        };
        if kind == tag::context(1) {
            text().map(Self::Email)
        } else if kind == tag::context(2) {
            // Some write `.example` for what RFC 5280 writes `example`.
            text().map(|text| Self::Dns(text.trim_start_matches('.').to_owned()))
        } else if kind == tag::constructed(4) {
            DistinguishedName::read(content).map(Self::Directory)
        } else if kind == tag::context(6) {
            text().map(Self::Uri)
        } else if kind == tag::context(7) {
            network(content)
        } else if [tag::constructed(0), tag::constructed(3), tag::constructed(5), tag::context(8)]
            .contains(&kind)
        {
            Ok(Self::Other(kind & 0x1f))
        } else {
            Err(DerError::Value("a constraint is of no kind that exists"))
        }
    }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn network(bytes: &[u8]) -> Result<Subtree, DerError> {
    let bad = DerError::Value("a constraint on addresses is no network with a mask");
    let (address, mask) = bytes.split_at(bytes.len() / 2);
    let network = match (<[u8; 4]>::try_from(address), <[u8; 16]>::try_from(address)) {
        _ if address.len() != mask.len() => return Err(bad),
        (Ok(v4), _) => IpAddr::V4(v4.into()),
        (_, Ok(v6)) => IpAddr::V6(v6.into()),
        _ => return Err(bad),
    };
    let ones: u32 = mask.iter().map(|byte| byte.leading_ones()).sum();
    let contiguous = ones == mask.iter().map(|byte| byte.count_ones()).sum::<u32>()
        && mask.iter().skip_while(|byte| **byte == 0xff).skip(1).all(|byte| *byte == 0);
    match u8::try_from(ones) {
        Ok(prefix) if contiguous => Ok(Subtree::Ip { network, prefix }),
        _ => Err(bad),
    }
}

/// A name that is compared.
enum Value<'a> {
    Dns(&'a str),
    Ip(IpAddr),
    Email(&'a str),
    Uri(&'a str),
    Directory(&'a DistinguishedName),
}

impl Value<'_> {
    /// Whether something that it stands for is in the subtree, or may be.
    fn may_be_in(&self, tree: &Subtree) -> bool {
        match (self, tree) {
            // `*` stands for the first label of the base too (as in CVE-2025-61727).
            (Self::Dns(name), Subtree::Dns(base)) if name.starts_with("*.") => {
                let above = name.trim_start_matches("*.");
                is_below(above, base) || base.split_once('.').is_some_and(|(_, rest)| rest == above)
            }
            // Without a host's name it can't be compared, and is to be rejected (RFC 5280 §4.2.1.10).
            (Self::Uri(uri), Subtree::Uri(base)) => uri_host(uri).is_none_or(|host| of_host(&host, base)),
            _ => self.contained(tree) == Some(true),
        }
    }

    /// Whether it is in the subtree; `None` if that is of another kind.
    fn contained(&self, tree: &Subtree) -> Option<bool> {
        match (self, tree) {
            (Self::Dns(name), Subtree::Dns(base)) => Some(is_below(name.trim_start_matches("*."), base)),
            (Self::Ip(ip), Subtree::Ip { network, prefix }) => {
                let (ip, network) = (octets(*ip), octets(*network));
                let bit = |bytes: &[u8], at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
                Some(
                    ip.len() == network.len()
                        && (0..usize::from(*prefix)).all(|at| bit(&ip, at) == bit(&network, at)),
                )
            }
            (Self::Email(email), Subtree::Email(base)) => {
                let host = email.rsplit_once('@').map_or("", |(_, host)| host).to_ascii_lowercase();
                Some(if base.contains('@') { email.eq_ignore_ascii_case(base) } else { of_host(&host, base) })
            }
            (Self::Uri(uri), Subtree::Uri(base)) => {
                Some(uri_host(uri).is_some_and(|host| of_host(&host, base)))
            }
            (Self::Directory(name), Subtree::Directory(base)) => Some(name.is_within(base)),
            _ => None,
        }
    }
}

/// Whether a DNS name is `base` or below it; an empty one is above all.
fn is_below(name: &str, base: &str) -> bool {
    base.is_empty() || name == base || name.strip_suffix(base).is_some_and(|rest| rest.ends_with('.'))
}

/// A host is the one that is named, or with a leading dot one below.
fn of_host(host: &str, base: &str) -> bool {
    if base.starts_with('.') { host.ends_with(base) && host.len() > base.len() } else { host == base }
}

/// The host of a URI, if it is a DNS name in its one form.
fn uri_host(uri: &str) -> Option<String> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = host.split(':').next()?;
    let host = host.to_ascii_lowercase();
    (is_dns_name(&host) && !host.starts_with('*')).then_some(host)
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(text) | Self::Email(text) | Self::Uri(text) => write!(f, "`{text}`"),
            Self::Ip(ip) => write!(f, "`{ip}`"),
            Self::Directory(name) => write!(f, "`{name}`"),
        }
    }
}

impl fmt::Display for Subtree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(text) | Self::Email(text) | Self::Uri(text) => write!(f, "`{text}`"),
            Self::Ip { network, prefix } => write!(f, "`{network}/{prefix}`"),
            Self::Directory(name) => write!(f, "`{name}`"),
            Self::Other(kind) => write!(f, "names of kind {kind}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::to_vec;

    fn violates(
        constraints: &NameConstraints,
        subject: &str,
        dns: &[&str],
        rest: (&[&str], &[&str], &[&str]),
    ) -> bool {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let ips = rest.0.iter().map(|ip| ip.parse().unwrap()).collect();
        let names = Names::new(owned(dns), ips, owned(rest.1), owned(rest.2)).unwrap();
        constraints.violation(&DistinguishedName::parse(subject).unwrap(), &names, false).is_some()
    }

    fn constraints() -> NameConstraints {
        NameConstraints {
            permitted: vec![
                Subtree::Dns("mesh.example".into()),
                Subtree::Ip { network: "10.128.0.0".parse().unwrap(), prefix: 9 },
                Subtree::Uri("mesh.example".into()),
                Subtree::Email(".mesh.example".into()),
                Subtree::Directory(DistinguishedName::parse("O=Mesh").unwrap()),
            ],
            excluded: vec![Subtree::Dns("secret.mesh.example".into())],
        }
    }

    #[test]
    fn names_are_inside_or_outside() {
        let none: (&[&str], &[&str], &[&str]) = (&[], &[], &[]);
        let it = constraints();
        for inside in ["mesh.example", "a.b.mesh.example", "*.b.mesh.example"] {
            assert!(!violates(&it, "", &[inside], none), "{inside}");
        }
        for outside in
            ["example", "xmesh.example", "secret.mesh.example", "a.secret.mesh.example", "*.other.example"]
        {
            assert!(violates(&it, "", &[outside], none), "{outside}");
        }
        assert!(!violates(
            &it,
            "CN=x,O=MESH",
            &[],
            (&["10.200.1.1"], &["spiffe://mesh.example/node/1"], &["a@x.mesh.example"])
        ));
        assert!(violates(&it, "CN=x,O=Other", &[], none));
        for outside in ["10.1.1.1", "::1"] {
            assert!(violates(&it, "", &[], (&[outside], &[], &[])), "{outside}");
        }
        assert!(violates(&it, "", &[], (&[], &["spiffe://a.mesh.example/x"], &[])));
        assert!(violates(&it, "", &[], (&[], &["urn:x"], &[])));
        assert!(violates(&it, "", &[], (&[], &[], &["a@mesh.example"])));
        assert!(violates(&it, "E=a@b.example,O=Mesh", &[], none));
        assert!(!violates(&it, "E=a@x.mesh.example,O=Mesh", &[], none));
    }

    #[test]
    fn a_kind_that_is_not_named_is_free_and_one_that_is_not_known_is_not() {
        let only_dns =
            NameConstraints { permitted: vec![Subtree::Dns("a.example".into())], excluded: vec![] };
        assert!(!violates(&only_dns, "O=x", &[], (&["1.2.3.4"], &["urn:x"], &["a@b.c"])));
        let unknown = NameConstraints { permitted: vec![], excluded: vec![Subtree::Other(0)] };
        let check = |others| unknown.violation(&DistinguishedName::empty(), &Names::default(), others);
        assert!(check(true).is_some() && check(false).is_none());
    }

    #[test]
    fn a_wildcard_may_not_stand_for_an_excluded_name() {
        let none: (&[&str], &[&str], &[&str]) = (&[], &[], &[]);
        let it = NameConstraints { permitted: vec![], ..constraints() };
        for outside in ["*.mesh.example", "*.secret.mesh.example", "*.a.secret.mesh.example"] {
            assert!(violates(&it, "", &[outside], none), "{outside}");
        }
        // `*` is one label: none of these can be `secret.mesh.example` or below it.
        for inside in ["*.example.org", "*.b.mesh.example", "*.xmesh.example", "*.mesh.example.org"] {
            assert!(!violates(&it, "", &[inside], none), "{inside}");
        }
        let deeper =
            NameConstraints { permitted: vec![], excluded: vec![Subtree::Dns("a.b.example".into())] };
        assert!(!violates(&deeper, "", &["*.example.org", "*.example", "*.c.example"][..1], none));
        assert!(violates(&deeper, "", &["*.b.example"], none));
    }

    #[test]
    fn a_uri_without_a_host_by_name_is_in_no_free_part() {
        let it = NameConstraints { permitted: vec![], excluded: vec![Subtree::Uri("evil.example".into())] };
        for uri in [
            "urn:x",
            "spiffe://evil.example/a",
            "spiffe://evil.example./a",
            "spiffe://EVIL.example:80/a",
            "https://a@evil.example/",
            "https://evil%2eexample/",
            "https://10.0.0.1/",
            "https://[::1]/",
        ] {
            assert!(violates(&it, "", &[], (&[], &[uri], &[])), "{uri}");
        }
        for uri in ["spiffe://good.example/a", "https://a.evil.example/"] {
            assert!(!violates(&it, "", &[], (&[], &[uri], &[])), "{uri}");
        }
    }

    #[test]
    fn a_directory_name_that_is_not_compared_is_not_free() {
        let name = DistinguishedName::parse("O=Mesh").unwrap();
        let it = NameConstraints { permitted: vec![Subtree::Directory(name.clone())], excluded: vec![] };
        assert!(it.violation(&name, &Names::default(), true).is_some());
        assert!(it.violation(&name, &Names::default(), false).is_none());
    }

    #[test]
    fn a_constraint_under_the_wrong_form_of_its_tag_is_refused() {
        for tag in [0xa1, 0xa2, 0x84, 0xa6, 0xa7, 0x30, 0x89] {
            let der = to_vec(|w| {
                w.sequence(|w| w.nested(0xa1, |w| w.sequence(|w| w.element(tag, b"a.example"))));
            });
            assert!(NameConstraints::read(&der).is_err(), "{tag:02x}");
        }
        let other = to_vec(|w| w.sequence(|w| w.nested(0xa1, |w| w.sequence(|w| w.element(0xa0, &[])))));
        assert_eq!(NameConstraints::read(&other).unwrap().excluded, [Subtree::Other(0)]);
    }

    #[test]
    fn names_times_constraints_are_bounded() {
        let name = |w: &mut Writer, n: u32| w.element(0x82, format!("{n:04x}").as_bytes());
        let names = to_vec(|w| w.sequence(|w| (0..10_000).for_each(|n| name(w, n))));
        let (names, others) = Names::read(&names).unwrap();
        let excluded = (10_000..16_000).map(|n| Subtree::Dns(format!("{n:04x}"))).collect();
        let it = NameConstraints { permitted: vec![], excluded };
        let found = it.violation(&DistinguishedName::empty(), &names, others > 0);
        assert!(found.is_some_and(|why| why.contains("too many")));
    }

    #[test]
    fn constraints_come_back() {
        for prefix in 0..=32 {
            let network = Subtree::Ip { network: "10.128.0.0".parse().unwrap(), prefix };
            let it = NameConstraints { excluded: vec![network], ..constraints() };
            assert_eq!(NameConstraints::read(&to_vec(|w| it.write(w))), Ok(it));
        }
        let gap = to_vec(|w| {
            w.sequence(|w| {
                w.nested(0xa0, |w| w.sequence(|w| w.element(0x87, &[1, 2, 3, 4, 255, 0, 255, 0])))
            });
        });
        assert!(NameConstraints::read(&gap).is_err());
    }
}
