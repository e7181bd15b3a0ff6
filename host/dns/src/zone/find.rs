//! What the zone has to say of a name: the algorithm of RFC 1034, 4.3.2, with the wildcards of RFC 4592.

use super::{Node, Zone};
use crate::name::{MAX_LABELS, MAX_NAME};
use std::sync::Arc;

/// What a name is to the zone.
#[derive(Debug)]
pub(crate) enum Found<'z> {
    /// Nothing: it is somebody else's.
    Outside,
    /// It is at or below the beginning of another zone, which this name has delegated.
    Cut {
        /// Where the other zone begins.
        node: &'z Arc<Node>,
        /// Whether the name is that place itself.
        exact: bool,
    },
    /// It exists.
    Exact(&'z Arc<Node>),
    /// It doesn't exist; this wildcard stands for it.
    Wildcard(&'z Arc<Node>),
    /// It doesn't exist.
    Missing,
}

/// A name in lower case with the places of its labels.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    wire: [u8; MAX_NAME],
    length: usize,
    offsets: [u8; MAX_LABELS + 1],
    labels: usize,
}

impl Path {
    /// Takes the name at the beginning of these octets, which may be in any case. `None` if they begin with none that is
    /// whole and uncompressed.
    pub(crate) fn read(octets: &[u8]) -> Option<Self> {
        let mut path = Self { wire: [0; MAX_NAME], length: 0, offsets: [0; MAX_LABELS + 1], labels: 0 };
        let mut at = 0;
        loop {
            let length = usize::from(*octets.get(at)?);
            // A name has at most 127 labels, so that the place of the root's is one of 128.
            *path.offsets.get_mut(path.labels)? = u8::try_from(at).ok()?;
            if length == 0 {
                break;
            }
            if length > 63 {
                return None;
            }
            path.labels += 1;
            at += length + 1;
        }
        path.length = at + 1;
        path.wire.get_mut(..path.length)?.copy_from_slice(&octets[..path.length]);
        path.wire[..path.length].make_ascii_lowercase();
        Some(path)
    }

    /// All of it, in lower case.
    pub(crate) fn wire(&self) -> &[u8] {
        &self.wire[..self.length]
    }

    pub(crate) fn labels(&self) -> usize {
        self.labels
    }

    /// Where the name without its first `labels` labels begins.
    pub(crate) fn offset(&self, labels: usize) -> usize {
        usize::from(self.offsets[labels])
    }

    /// The name without its first `labels` labels.
    fn without(&self, labels: usize) -> &[u8] {
        &self.wire[self.offset(labels)..self.length]
    }

    /// How many labels it has more than a name that it ends in.
    pub(crate) fn below(&self, ancestor: &[u8], labels: usize) -> Option<usize> {
        let below = self.labels.checked_sub(labels)?;
        (self.without(below) == ancestor).then_some(below)
    }
}

impl Zone {
    /// Looks a name up, from the apex down: as many looks as it has labels that exist, and two.
    pub(crate) fn find(&self, path: &Path) -> Found<'_> {
        let Some(below) = path.below(self.origin.wire(), self.origin_labels) else { return Found::Outside };
        let mut node = self.apex();
        for skipped in (0..below).rev() {
            match self.node(path.without(skipped)) {
                Some(next) if next.is_cut() => return Found::Cut { node: next, exact: skipped == 0 },
                Some(next) => node = next,
                None => {
                    return self.wildcard(path.without(skipped + 1)).map_or(Found::Missing, Found::Wildcard);
                }
            }
        }
        Found::Exact(node)
    }

    /// The wildcard directly below the closest name that exists.
    fn wildcard(&self, encloser: &[u8]) -> Option<&Arc<Node>> {
        let mut wire = [0; MAX_NAME + 2];
        wire[..2].copy_from_slice(b"\x01*");
        wire[2..2 + encloser.len()].copy_from_slice(encloser);
        self.node(&wire[..2 + encloser.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{name, record, zone};
    use crate::{Change, Name, Record, RecordType};
    use proptest::prelude::*;

    fn found(zone: &Zone, text: &str) -> String {
        said(&zone.find(&Path::read(name(text).wire()).unwrap()))
    }

    fn said(found: &Found<'_>) -> String {
        match found {
            Found::Outside => "outside".into(),
            Found::Cut { node, exact } => format!("cut {} {exact}", node.name),
            Found::Exact(node) => format!("exact {}", node.name),
            Found::Wildcard(node) => format!("wildcard {}", node.name),
            Found::Missing => "missing".into(),
        }
    }

    #[test]
    fn the_examples_of_rfc_4592_come_out_as_it_says() {
        let zone = zone(
            "*.e TXT \"a wildcard\"\nhost1.e A 192.0.2.1\n_ssh._tcp.host1.e SRV 0 0 22 host1.e\n\
             subdel.e NS ns.subdel.e\nns.subdel.e A 192.0.2.2",
        );
        // What stands below a wildcard can't be entered, but the rules have it.
        let below = Record { name: name("sub.*.e.example.org"), ..record("x. 60 IN TXT below") };
        let zone = zone.apply(&[Change::Add(below)]).unwrap();
        for (asked, wanted) in [
            ("host3.e.example.org", "wildcard *.e.example.org."),
            ("foo.bar.e.example.org", "wildcard *.e.example.org."),
            ("host1.e.example.org", "exact host1.e.example.org."),
            ("sub.*.e.example.org", "exact sub.*.e.example.org."),
            ("_telnet._tcp.host1.e.example.org", "missing"),
            ("host.subdel.e.example.org", "cut subdel.e.example.org. false"),
            ("subdel.e.example.org", "cut subdel.e.example.org. true"),
            ("ghost.*.e.example.org", "missing"),
            ("_tcp.host1.e.example.org", "exact _tcp.host1.e.example.org."),
            ("example.net", "outside"),
            ("org", "outside"),
            ("xexample.org", "outside"),
        ] {
            assert_eq!(found(&zone, asked), wanted, "{asked}");
        }
    }

    #[test]
    fn what_is_no_whole_name_is_no_path() {
        let long = [&b"\x01a".repeat(127)[..], b"\0"].concat();
        assert!(Path::read(&long).is_some_and(|path| path.labels() == 127));
        let longer = [&b"\x01a".repeat(128)[..], b"\0"].concat();
        for octets in [&b""[..], b"\x01", b"\x01a", b"\xc0\x0c", b"\x40", &longer] {
            assert!(Path::read(octets).is_none(), "{octets:?}");
        }
    }

    /// Owners of few labels from a small alphabet, so that they meet.
    fn owner() -> impl Strategy<Value = String> {
        (prop::collection::vec("[ab]", 0..4), any::<bool>()).prop_map(|(labels, wildcard)| {
            let star = wildcard.then_some("*".to_owned());
            star.into_iter().chain(labels).chain(["example.org.".to_owned()]).collect::<Vec<_>>().join(".")
        })
    }

    fn some_record() -> impl Strategy<Value = Record> {
        (owner(), 0..4_u8, 0..3_u8).prop_map(|(owner, kind, number)| {
            let data = match kind {
                0 if !owner.starts_with('*') && owner != "example.org." => {
                    format!("NS ns{number}.example.net.")
                }
                1 => format!("TXT {number}"),
                _ => format!("A 192.0.2.{number}"),
            };
            record(&format!("{owner} 60 IN {data}"))
        })
    }

    /// RFC 1034, 4.3.2, and RFC 4592, 3.3.1, by looking at every record.
    fn oracle(records: &[Record], asked: &Name, apex: &Name) -> String {
        let exists = |wanted: &Name| records.iter().any(|record| record.name.is_within(wanted));
        let mut above: Vec<Name> =
            std::iter::successors(Some(asked.clone()), Name::parent).filter(|n| n.is_within(apex)).collect();
        above.reverse();
        let cut = above.iter().skip(1).find(|name| {
            records.iter().any(|record| record.name == **name && record.record_type() == RecordType::NS)
        });
        if let Some(cut) = cut {
            return format!("cut {cut} {}", cut == asked);
        }
        if exists(asked) {
            return format!("exact {asked}");
        }
        let encloser = above.iter().rev().find(|name| exists(name)).unwrap();
        let wildcard = encloser.child(b"*").unwrap();
        if exists(&wildcard) { format!("wildcard {wildcard}") } else { "missing".into() }
    }

    proptest! {
        #[test]
        fn looking_up_agrees_with_looking_at_everything(
            adding in prop::collection::vec(some_record(), 0..12),
            removing in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
            asked in prop::collection::vec(owner(), 1..12),
        ) {
            let mut zone = zone("");
            for record in &adding {
                zone = zone.apply(&[Change::Add(record.clone())]).unwrap();
            }
            for index in removing.iter().filter(|_| !adding.is_empty()) {
                zone = zone.apply(&[Change::Remove(index.get(&adding).clone())]).unwrap();
            }
            let records: Vec<_> = zone.records().collect();
            for text in asked {
                prop_assert_eq!(found(&zone, &text), oracle(&records, &name(&text), zone.origin()), "{}", text);
            }
            let built = Zone::build(zone.origin().clone(), zone.soa().clone(), zone.soa_ttl(), records).unwrap();
            prop_assert_eq!((built.names(), built.len()), (zone.names(), zone.len()));
            let shape = |zone: &Zone| {
                zone.sorted().iter().map(|node| (node.name.clone(), node.children())).collect::<Vec<_>>()
            };
            prop_assert_eq!(shape(&built), shape(&zone));
        }
    }
}
