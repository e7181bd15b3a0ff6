//! The name server: whatever comes by UDP, what is sent back is an answer and in bounds; whatever a server answers, our
//! client reads it or says why not.
#![no_main]

use hypermesh_dns::{Name, RecordData, Reply, Zone, answer, import};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

const ZONE: &str = "@ 60 IN SOA ns admin 1 1 1 1 1\n@ 60 IN NS ns\nns 60 IN A 192.0.2.1\nww 60 IN CNAME w\nw 60 IN TXT x\n\
                    *.x 60 IN CNAME ww\na.b.c 60 IN MX 1 ns\nd 60 IN NS ns.d\nns.d 60 IN AAAA 2001:db8::1\n";

fn zone() -> &'static Zone {
    static ZONE_OF_ALL: OnceLock<Zone> = OnceLock::new();
    ZONE_OF_ALL.get_or_init(|| {
        let origin = Name::parse("e").expect("a name");
        let records = import(ZONE, &origin).expect("a zone file");
        let RecordData::Soa(soa) = records[0].data.clone() else { panic!("the first record is the SOA") };
        Zone::build(origin, soa, 60, records).expect("a zone")
    })
}

fuzz_target!(|bytes: &[u8]| {
    if let Some(reply) = answer(zone(), bytes) {
        assert!((12..=1232).contains(&reply.len()), "{} octets", reply.len());
        assert!(reply[..2] == bytes[..2] && reply[2] & 0x80 != 0, "{reply:?}");
        // What was not cut is read by our own client.
        assert!(reply[4..6] == [0, 0] || Reply::read(&reply).is_ok(), "{reply:?}");
    }
    let _ = Reply::read(bytes);
});
