//! A server on a free port of the loopback with a zone, a domain that takes updates, and the programs that ask it.

use hypermesh_dns::{
    Commit, Keys, Name, RecordData, Refusal, Server, Settings, Soa, TsigAlgorithm, TsigKey, Update, Updates,
    Zone, Zones, import,
};
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// The secret of every key here, as clients write it.
pub(crate) const SECRET: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

/// What most tests ask for.
pub(crate) const ZONE: &str = r#"
$TTL 300
@       IN SOA ns admin 1 7200 900 1209600 60
@       IN NS ns
@       IN MX 10 mail
@       IN CAA 0 issue "ca.example.org"
ns      IN A 127.0.0.1
mail    IN A 192.0.2.25
mail    IN AAAA 2001:db8::25
www     IN CNAME web
web     IN A 192.0.2.80
chain   IN CNAME www
out     IN CNAME elsewhere.example.net.
dangle  IN CNAME nobody
loop1   IN CNAME loop2
loop2   IN CNAME loop1
txt     IN TXT "one" "two; \"quoted\""
*.wild  IN A 192.0.2.99
*.alias IN CNAME web
a.deep.empty IN A 192.0.2.3
_sip._tcp IN SRV 1 2 5060 web
_443._tcp.web IN TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
child   IN NS ns.child
ns.child IN A 192.0.2.54
"#;

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn zone(text: &str) -> Zone {
    let origin = name("example.org");
    let records = import(text, &origin).unwrap();
    let RecordData::Soa(soa) = records[0].data.clone() else { panic!("the first record is the SOA") };
    Zone::build(origin, soa, records[0].ttl, records).unwrap()
}

/// A zone of so many addresses.
pub(crate) fn large(names: usize) -> Zone {
    let soa = Soa {
        primary: name("ns.example.org"),
        mailbox: name("admin.example.org"),
        serial: 1,
        refresh: 7200,
        retry: 900,
        expire: 1_209_600,
        minimum: 60,
    };
    let mut lines = String::from("@ 300 IN NS ns\nns 300 IN A 127.0.0.1\n");
    for number in 0..names {
        lines.push_str(&format!(
            "host{number} 300 IN A 10.{}.{}.{}\n",
            number >> 16,
            number >> 8 & 255,
            number & 255
        ));
    }
    Zone::build(name("example.org"), soa, 300, import(&lines, &name("example.org")).unwrap()).unwrap()
}

/// A key that may update `scope` and transfer the zone.
pub(crate) fn key(text: &str, scope: &str) -> TsigKey {
    let key = TsigKey::from_base64(name(text), TsigAlgorithm::HmacSha256, SECRET).unwrap();
    key.with_updates(name(scope)).with_transfers()
}

/// A domain that keeps nothing but what it was asked.
pub(crate) struct Domain {
    pub(crate) zones: Zones,
    pub(crate) updates: Mutex<Vec<Update>>,
    /// Changes of somebody else's that come in between, before each of the next commits.
    pub(crate) races: AtomicUsize,
}

impl Updates for Domain {
    fn commit(&self, update: Update) -> Commit<'_> {
        Box::pin(async move {
            if self.races.load(Ordering::Relaxed) > 0 {
                let number = self.races.fetch_sub(1, Ordering::Relaxed);
                let record =
                    import(&format!("race{number} 1 IN TXT x\n"), &name("example.org")).unwrap().remove(0);
                self.zones.apply(&[hypermesh_dns::Change::Add(record)]).unwrap();
            }
            let mut updates = self.updates.lock().unwrap();
            if update.base_serial != self.zones.current().serial() {
                return Err(Refusal::Stale);
            }
            self.zones.apply(&update.changes).map_err(|error| Refusal::Denied(error.to_string()))?;
            updates.push(update);
            Ok(())
        })
    }
}

pub(crate) struct Lab {
    pub(crate) server: Server,
    pub(crate) zones: Zones,
    pub(crate) domain: Arc<Domain>,
}

impl Lab {
    pub(crate) fn new(zone: Zone) -> Self {
        Self::with(zone, |_| {})
    }

    pub(crate) fn with(zone: Zone, change: impl FnOnce(&mut Settings)) -> Self {
        let zones = Zones::new(zone);
        let domain =
            Arc::new(Domain { zones: zones.clone(), updates: Mutex::default(), races: AtomicUsize::new(0) });
        let mut settings = Settings::new(SocketAddr::from(([127, 0, 0, 1], 0)), zones.clone());
        settings.keys = Keys::new([
            key("all", "example.org"),
            key("acme", "_acme-challenge.example.org"),
            TsigKey::from_base64(name("none"), TsigAlgorithm::HmacSha512, SECRET).unwrap(),
        ]);
        settings.updates = Some(Arc::clone(&domain) as Arc<dyn Updates>);
        settings.workers = 2;
        change(&mut settings);
        Self { server: Server::start(&settings).unwrap(), zones, domain }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.addresses()[0]
    }

    /// What dig prints for these arguments.
    pub(crate) fn dig(&self, arguments: &str) -> String {
        let port = self.address().port().to_string();
        let mut command = Command::new("dig");
        command.args(["@127.0.0.1", "-p", &port, "+time=5", "+tries=1"]).args(arguments.split_whitespace());
        text(&command.output().unwrap())
    }

    /// What nsupdate says to these lines; and whether it went well.
    pub(crate) fn nsupdate(&self, arguments: &str, lines: &str) -> (bool, String) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lines");
        let script = format!("server 127.0.0.1 {}\nzone example.org\n{lines}\nsend\n", self.address().port());
        std::fs::write(&file, script).unwrap();
        let output = Command::new("nsupdate").args(arguments.split_whitespace()).arg(&file).output().unwrap();
        (output.status.success(), text(&output))
    }
}

pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Whether a program is there; a test that needs it is skipped if not, and says so.
pub(crate) fn has(program: &str, test: &str) -> bool {
    let found = Command::new(program).arg("-v").stdin(Stdio::null()).output().is_ok();
    if !found {
        eprintln!("SKIPPED {test}: {program} (Debian: bind9-dnsutils, bind9-utils) is not installed");
    }
    found
}
