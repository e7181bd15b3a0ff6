//! Serves a zone file: `serve ZONE FILE ADDRESS [unsigned]`, e.g. `serve example.org zone 127.0.0.1:5353`. For
//! measurements and for looking at answers by hand; it keeps nothing, and its key lives as long as it does.

use hypermesh_dns::{
    Name, PublishedKey, RecordData, Server, Settings, Zone, ZoneKey, ZoneSigner, Zones, import,
};
use std::error::Error;
use std::io::Write;
use std::sync::Arc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [origin, file, address, rest @ ..] = &arguments[..] else {
        return Err("usage: serve ZONE FILE ADDRESS [unsigned]".into());
    };
    let origin = Name::parse(origin)?;
    let records = import(&std::fs::read_to_string(file)?, &origin)?;
    let soa = records.iter().find_map(|record| {
        if let RecordData::Soa(soa) = &record.data { Some((soa.clone(), record.ttl)) } else { None }
    });
    let (soa, ttl) = soa.ok_or("the file has no SOA")?;
    let mut settings =
        Settings::new(address.parse()?, Zones::new(Zone::build(origin.clone(), soa, ttl, records)?));
    let mut out = std::io::stdout();
    if rest.is_empty() {
        let signer: Arc<dyn ZoneSigner> = Arc::new(ZoneKey::generate()?.0);
        let key = PublishedKey::new(&origin, &*signer);
        writeln!(out, "{origin} IN DNSKEY {}\n{origin} IN DS {}", key.dnskey(), key.ds())?;
        settings.signer = Some(signer);
    }
    let server = Server::start(&settings)?;
    writeln!(out, "listening at {:?}", server.addresses())?;
    out.flush()?;
    tokio::signal::ctrl_c().await?;
    writeln!(out, "{:#?}", server.stats())?;
    server.stop().await;
    Ok(())
}
