//! A hierarchy, orders, a folder, and tools run in it.

use hypermesh_model::Timestamp;
use hypermesh_pki::{
    Authority, CaOrder, Certificate, DistinguishedName, IssuerUrls, KeyAlgorithm, Names, Order, PrivateKey,
    Profile, PublicKey, SerialNumber,
};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

pub(crate) const DAY_S: u64 = 86_400;

/// A folder that tools run in.
pub(crate) struct Bench(TempDir);

impl Bench {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        std::fs::write(self.path(name), content).unwrap();
        self
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// Runs a tool to its end.
    pub(crate) fn run(&self, tool: &str, arguments: &[&str]) -> Output {
        Command::new(tool).current_dir(self.0.path()).args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a tool that must succeed, and gives what it wrote.
    pub(crate) fn must(&self, tool: &str, arguments: &[&str]) -> String {
        let output = self.run(tool, arguments);
        let text = said(&output);
        assert!(output.status.success(), "{tool} {arguments:?}: {text}");
        text
    }

    pub(crate) fn openssl(&self, arguments: &[&str]) -> String {
        self.must("openssl", arguments)
    }
}

impl Bench {
    /// Starts an OpenSSL server that chooses its port, and gives that.
    pub(crate) fn serve(&self, arguments: &[&str]) -> (Child, String) {
        let mut command = Command::new("openssl");
        command.current_dir(self.0.path()).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = command.spawn().unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map_while(Result::ok);
        let line = lines.find(|line| line.starts_with("ACCEPT")).unwrap();
        // What else it says must be read, or it would stop.
        std::thread::spawn(move || lines.for_each(drop));
        (server, line.rsplit(':').next().unwrap().trim().to_owned())
    }
}

/// Both of a tool's outputs.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Whether there is such a program; says that the test is skipped if not.
pub(crate) fn has(tool: &str, test: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| Path::new(&folder).join(tool).is_file());
    if !found {
        eprintln!("SKIPPED {test}: there is no {tool}");
    }
    found
}

/// A root and an intermediate.
pub(crate) struct Hierarchy {
    pub(crate) root: Authority,
    pub(crate) intermediate: Authority,
}

pub(crate) fn hierarchy(algorithm: KeyAlgorithm) -> Hierarchy {
    let now = Timestamp::now();
    let (from, until) = (now.minus_seconds(300), now.plus_seconds(3650 * DAY_S));
    let key = PrivateKey::generate(algorithm).unwrap();
    let subject = DistinguishedName::parse("CN=Test Root,O=Mesh").unwrap();
    let root = Authority::new_root(&subject, key, serial(), from, until).unwrap();
    let key = PrivateKey::generate(algorithm).unwrap();
    let order = CaOrder {
        subject: DistinguishedName::parse("CN=Test Intermediate,O=Mesh").unwrap(),
        key: key.public().clone(),
        serial: serial(),
        not_before: from,
        not_after: now.plus_seconds(400 * DAY_S),
        path_len: 0,
        constraints: None,
        urls: Some(urls("root")),
    };
    let intermediate = root.intermediate(&order, key).unwrap();
    Hierarchy { root, intermediate }
}

impl Hierarchy {
    /// The certificate that an order gets, with a timestamp of no log's.
    pub(crate) fn issue(&self, order: &Order) -> Certificate {
        let prepared = self.intermediate.prepare(order, &urls("int")).unwrap();
        prepared.finish(&[sct()]).unwrap()
    }

    /// `root.pem` and `int.pem`.
    pub(crate) fn write(&self, bench: &Bench) {
        bench.write("root.pem", self.root.certificate().pem());
        bench.write("int.pem", self.intermediate.certificate().pem());
    }
}

pub(crate) fn serial() -> SerialNumber {
    SerialNumber::generate().unwrap()
}

pub(crate) fn urls(issuer: &str) -> IssuerUrls {
    IssuerUrls {
        crl: format!("http://127.0.0.1:8444/crl/{issuer}.crl"),
        ocsp: "http://127.0.0.1:8444/ocsp".into(),
        ca_issuers: format!("http://127.0.0.1:8444/ca/{issuer}.cer"),
    }
}

pub(crate) fn order(profile: Profile, key: &PublicKey) -> Order {
    let (dns, uris): (&[&str], &[&str]) = match profile {
        Profile::Server => (&["a.mesh.example", "*.b.mesh.example"], &[]),
        Profile::Client => (&[], &[]),
        Profile::Node => (&["n7.mesh.example"], &["spiffe://mesh.example/node/7"]),
        Profile::CodeSigning => (&[], &["https://mesh.example/team"]),
    };
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let ips =
        if dns.is_empty() { vec![] } else { vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()] };
    let common = dns.first().copied().unwrap_or("A. Client");
    let now = Timestamp::now();
    Order {
        profile,
        subject: DistinguishedName::parse(&format!("CN={common},O=Mesh")).unwrap(),
        names: Names::new(owned(dns), ips, owned(uris), vec![]).unwrap(),
        key: key.clone(),
        serial: serial(),
        not_before: now.minus_seconds(300),
        not_after: now.plus_seconds(DAY_S),
    }
}

/// A well-formed timestamp whose signature is of no key.
pub(crate) fn sct() -> Vec<u8> {
    let mut sct = vec![0];
    sct.extend([7; 32]);
    sct.extend(1_790_000_000_000_u64.to_be_bytes());
    // No extensions; ECDSA with SHA-256 (RFC 5246 §7.4.1.4.1), and a signature of 1 and 1.
    sct.extend([0, 0, 4, 3, 0, 8, 0x30, 6, 2, 1, 1, 2, 1, 1]);
    sct
}

pub(crate) fn key() -> PrivateKey {
    PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap()
}
