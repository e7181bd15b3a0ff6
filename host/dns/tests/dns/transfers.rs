//! Whole zones, to those who have a key.

use crate::lab::{Lab, SECRET, ZONE, has, large, name, zone};
use hypermesh_dns::{Record, import};

/// The records that dig prints.
fn records(output: &str) -> Vec<Record> {
    let lines: Vec<_> =
        output.lines().filter(|line| !line.starts_with(';') && !line.contains("\tTSIG\t")).collect();
    import(&format!("{}\n", lines.join("\n")), &name(".")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn dig_gets_the_whole_zone_with_a_key_and_nothing_without() {
    if !has("dig", "dig_gets_the_whole_zone_with_a_key_and_nothing_without") {
        return;
    }
    let lab = Lab::new(zone(ZONE));
    let output = lab.dig(&format!("-y hmac-sha256:all:{SECRET} example.org AXFR"));
    let mut there = records(&output);
    assert_eq!(there.pop().as_ref(), there.first(), "the SOA is first and last: {output}");
    assert_eq!(there, lab.zones.current().records().collect::<Vec<_>>());
    assert!(!output.contains("Couldn't verify"), "{output}");
    for (arguments, wanted) in [
        (String::new(), "Transfer failed"),
        (format!("-y hmac-sha512:none:{SECRET}"), "Transfer failed"),
        ("-y hmac-sha256:all:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".into(), "Transfer failed"),
    ] {
        let output = lab.dig(&format!("{arguments} example.org AXFR"));
        assert!(output.contains(wanted), "{arguments}: {output}");
    }
    assert_eq!(lab.server.stats().transfers, 1);
    lab.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_of_fifty_thousand_names_comes_complete_in_many_signed_messages() {
    if !has("dig", "a_zone_of_fifty_thousand_names_comes_complete_in_many_signed_messages") {
        return;
    }
    let lab = Lab::new(large(50_000));
    let output = lab.dig(&format!("-y hmac-sha256:all:{SECRET} +noall +answer +stats example.org AXFR"));
    assert_eq!(records(&output).len(), 50_004, "{}", &output[output.len() - 500..]);
    let size = output.lines().find(|line| line.starts_with(";; XFR size")).unwrap();
    assert!(size.contains("50004 records"), "{size}");
    lab.server.stop().await;
}
