//! Zone files (RFC 1035, 5): written so that every name server reads them, read as far as they say what is kept here.

mod lines;
mod read;

pub use read::{ImportError, import};

use crate::zone::Zone;
use std::fmt::Write;

/// Longest zone file that is read, in octets.
pub const MAX_FILE: usize = 256 << 20;

/// Writes a zone as a file, the SOA first, then by the canonical order of names, every line whole in itself.
pub fn export(zone: &Zone) -> String {
    let mut file = format!("$ORIGIN {}\n", zone.origin());
    for record in zone.records() {
        // Writing to a string can't fail.
        let _ = writeln!(file, "{record}");
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{name, zone};
    use crate::{Record, RecordData, RecordType, Soa};
    use proptest::prelude::*;

    #[test]
    fn what_was_written_is_read_back() {
        let zone = zone(
            "a 60 IN A 192.0.2.1\na IN TXT \"one \\\" two\" \"\\000\\255\"\n*.w IN MX 10 mail\nd IN NS ns.d",
        );
        let records = import(&export(&zone), &name("example.org")).unwrap();
        assert_eq!(records, zone.records().collect::<Vec<_>>());
    }

    #[test]
    fn a_file_as_people_write_it_is_read() {
        let text = "$TTL 1h ; for all\n@ IN SOA ns admin (\n  7 ; serial\n  2h 15m\n  2w 5m )\n\tNS ns\nns 300 IN A 192.0.2.1\n IN 60 AAAA 2001:db8::1\n$ORIGIN sub.example.org.\nwww CNAME ns.example.org.\n";
        let lines: Vec<_> =
            import(text, &name("example.org")).unwrap().iter().map(Record::to_string).collect();
        assert_eq!(
            lines,
            [
                "example.org.\t3600\tIN\tSOA\tns.example.org. admin.example.org. 7 7200 900 1209600 300",
                "example.org.\t3600\tIN\tNS\tns.example.org.",
                "ns.example.org.\t300\tIN\tA\t192.0.2.1",
                "ns.example.org.\t60\tIN\tAAAA\t2001:db8::1",
                "www.sub.example.org.\t3600\tIN\tCNAME\tns.example.org.",
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, line, wanted) in [
            ("@ 60 IN A 192.0.2.1\n@ 60 IN A x\n", 2, "IPv4"),
            ("@ 60 IN TXT \"open\n", 1, "no end"),
            ("@ 60 IN SOA ( a b\n", 1, "parenthesis"),
            ("$INCLUDE other\n", 1, "$INCLUDE"),
            ("@ 60 CH A 192.0.2.1\n", 1, "class"),
            ("@ IN A 192.0.2.1\n", 1, "time to live"),
            (" 60 IN A 192.0.2.1\n", 1, "owner"),
            ("@ 60 IN HINFO a b\n", 1, "HINFO"),
            ("@ 60 IN\n", 1, "type"),
            ("a.b..c 60 IN A 192.0.2.1\n", 1, "empty label"),
        ] {
            let error = import(text, &name("example.org")).unwrap_err();
            assert!(error.line == line && error.to_string().contains(wanted), "{text:?}: {error}");
        }
    }

    fn label() -> impl Strategy<Value = String> {
        "[a-z0-9_]([a-z0-9-]{0,10}[a-z0-9])?"
    }

    fn data() -> impl Strategy<Value = RecordData> {
        let host = || "[a-z]{1,8}(\\.[a-z]{1,8}){0,3}".prop_map(|text| name(&text));
        prop_oneof![
            any::<[u8; 4]>().prop_map(|octets| RecordData::A(octets.into())),
            any::<[u8; 16]>().prop_map(|octets| RecordData::Aaaa(octets.into())),
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..256), 1..4).prop_map(RecordData::Txt),
            (any::<u16>(), host()).prop_map(|(preference, exchange)| RecordData::Mx { preference, exchange }),
            (any::<[u16; 3]>(), host()).prop_map(|([priority, weight, port], target)| RecordData::Srv {
                priority,
                weight,
                port,
                target
            }),
            ("[a-z]{1,15}", prop::collection::vec(any::<u8>(), 0..40))
                .prop_map(|(tag, value)| RecordData::Caa { flags: 128, tag, value }),
            prop::collection::vec(any::<u8>(), 1..80).prop_map(|data| RecordData::Tlsa {
                usage: 3,
                selector: 1,
                matching: 0,
                data
            }),
            (host(), host(), any::<u32>()).prop_map(|(primary, mailbox, serial)| {
                RecordData::Soa(Soa { primary, mailbox, serial, refresh: 1, retry: 2, expire: 3, minimum: 4 })
            }),
        ]
    }

    proptest! {
        #[test]
        fn any_record_survives_file_value_and_wire(
            labels in prop::collection::vec(label(), 1..4), ttl in 0_u32..0x8000_0000, data in data()
        ) {
            let record = Record::new(name(&labels.join(".")), ttl, data).unwrap();
            let read = import(&format!("{record}\n"), &name("example.org")).unwrap();
            prop_assert_eq!(&read, std::slice::from_ref(&record));
            let (kind, data) = (record.record_type(), &record.data);
            let numbers = (data.priority(), data.weight(), data.port());
            let read = RecordData::parse(kind, &data.value(), numbers.0, numbers.1, numbers.2);
            prop_assert_eq!(read.as_ref(), Ok(data));
            let mut wire = Vec::new();
            data.encode(&mut wire);
            let mut reader = crate::wire::Reader::new(&wire, 0);
            prop_assert_eq!(RecordData::decode(kind, &mut reader, wire.len()), Ok(Some(data.clone())));
            prop_assert!(kind != RecordType::OPT);
        }

        #[test]
        fn no_text_is_too_much(text in "[ -~\\n\\t]{0,200}") {
            let _ = import(&text, &name("example.org"));
        }
    }
}
