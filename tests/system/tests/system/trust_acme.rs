//! Certificates for who asks by ACME: certbot, lego, dehydrated and acme-tiny against a node on loopback.
//!
//! Names are in the node's own zone and point at loopback, where the challenges are answered on ports of the test's own;
//! a node that is bound to loopback may look there.

use crate::trust_openssl::{openssl, said};
use hypermesh_harness::{Node, Options, has_tool, skip};
use hypermesh_wire::trustchain::{CreateDnsRecord, DnsRecordType};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use tempfile::TempDir;

/// The name of the certificates.
const NAME: &str = "www.hypermesh.network";

/// A node that looks for challenges at these ports, and a folder for a client.
struct World {
    node: Node,
    folder: TempDir,
    http: u16,
    tls: u16,
}

/// A port that nobody listens on. Another program may take it before it is used; then the test says so.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl World {
    fn new() -> Self {
        let (http, tls) = (free_port(), free_port());
        let options = Options::default()
            .flags(&["--tls"])
            .environment("HYPERMESH_TRUSTCHAIN_ACME_HTTP_PORT", &http.to_string())
            .environment("HYPERMESH_TRUSTCHAIN_ACME_TLS_PORT", &tls.to_string());
        let node = Node::configured(options);
        let record = CreateDnsRecord {
            domain: NAME.into(),
            record_type: DnsRecordType::A,
            value: "127.0.0.1".into(),
            ttl: Some(60),
            priority: None,
            weight: None,
            port: None,
        };
        node.trustchain().create_dns_record(&record).unwrap();
        Self { node, folder: tempfile::tempdir().unwrap(), http, tls }
    }

    fn directory(&self) -> String {
        format!("{}/acme/directory", self.node.service_url("trustchain"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A client that trusts the node's root, whichever way it is told.
    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for name in ["REQUESTS_CA_BUNDLE", "LEGO_CA_CERTIFICATES", "SSL_CERT_FILE", "CURL_CA_BUNDLE"] {
            command.env(name, self.node.root_file());
        }
        command.env("HOME", self.folder.path()).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Checks that a file has a certificate of this node for the name, and gives its id.
    #[track_caller]
    fn judge(&self, client: &Output, file: &Path) -> String {
        let pem = fs::read_to_string(file).unwrap_or_else(|error| {
            panic!("{}: {error}: {}{}", file.display(), said(client), self.node.log())
        });
        let leaf = self.path("judged.pem");
        fs::write(&leaf, &pem).unwrap();
        let verified = openssl(&[
            "verify",
            "-x509_strict",
            "-purpose",
            "sslserver",
            "-verify_hostname",
            NAME,
            "-CAfile",
            self.node.root_file().to_str().unwrap(),
            "-untrusted",
            leaf.to_str().unwrap(),
            leaf.to_str().unwrap(),
        ]);
        assert!(verified.status.success(), "{}", said(&verified));
        let shown = openssl(&["x509", "-in", leaf.to_str().unwrap(), "-noout", "-serial"]);
        let serial = said(&shown).trim().trim_start_matches("serial=").to_lowercase();
        let all = self.node.trustchain().certificates(&Default::default()).unwrap();
        let known = all
            .into_iter()
            .find(|one| one.serial_number.trim_start_matches('0') == serial.trim_start_matches('0'));
        let known = known.unwrap_or_else(|| panic!("the node doesn't know {serial}"));
        assert!(known.log_index.is_some(), "{known:?}");
        known.id
    }
}

/// Answers `/.well-known/acme-challenge/TOKEN` from a folder, until the test ends.
fn serve_challenges(port: u16, folder: PathBuf) {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is still free");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream, &folder);
        }
    });
}

fn answer(mut stream: TcpStream, folder: &Path) -> std::io::Result<()> {
    let mut line = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    reader.read_line(&mut line)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let token = line.split(' ').nth(1).unwrap_or_default().rsplit('/').next().unwrap_or_default();
    let (status, body) = match fs::read(folder.join(token)) {
        Ok(body) if !token.is_empty() => ("200 OK", body),
        Ok(_) | Err(_) => ("404 Not Found", Vec::new()),
    };
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}

#[test]
fn certbot_gets_a_certificate_and_revokes_it() {
    if !has_tool("certbot") || !has_tool("openssl") {
        skip!("certbot or openssl is not installed");
    }
    let world = World::new();
    let folders = ["--config-dir", "c", "--work-dir", "w", "--logs-dir", "l"];
    let issued = world
        .client("certbot")
        .args(["certonly", "-n", "--agree-tos", "--register-unsafely-without-email", "--standalone"])
        .args(["--http-01-port", &world.http.to_string(), "--http-01-address", "127.0.0.1"])
        .args(["--server", &world.directory(), "-d", NAME])
        .args(folders)
        .output()
        .expect("certbot starts");
    let file = world.path(&format!("c/live/{NAME}/fullchain.pem"));
    let id = world.judge(&issued, &file);
    let revoked = world
        .client("certbot")
        .args(["revoke", "-n", "--no-delete-after-revoke", "--reason", "keycompromise"])
        .args(["--server", &world.directory(), "--cert-path", file.to_str().unwrap()])
        .args(folders)
        .output()
        .unwrap();
    assert!(revoked.status.success(), "{}", said(&revoked));
    let seen = world.node.trustchain().certificate(&id).unwrap();
    assert!(seen.revoked_at.is_some(), "{seen:?}");
}

/// lego with one way to answer challenges.
fn lego(world: &World, how: &[&str], name: &str) -> Output {
    let mut command = world.client("lego");
    command.args(["--path", "lego", "--accept-tos", "-m", "a@hypermesh.network", "-s", &world.directory()]);
    command.args(how).args(["-d", name, "run"]).output().expect("lego starts")
}

#[test]
fn lego_gets_certificates_by_http_and_by_tls() {
    if !has_tool("lego") || !has_tool("openssl") {
        skip!("lego or openssl is not installed");
    }
    for by_tls in [false, true] {
        let world = World::new();
        let (http, tls) = (format!("127.0.0.1:{}", world.http), format!("127.0.0.1:{}", world.tls));
        let how: &[&str] =
            if by_tls { &["--tls", "--tls.port", &tls] } else { &["--http", "--http.port", &http] };
        let issued = lego(&world, how, NAME);
        world.judge(&issued, &world.path(&format!("lego/certificates/{NAME}.crt")));
    }
}

#[test]
fn lego_gets_a_wildcard_by_a_record_that_its_hook_puts_into_the_zone() {
    if !has_tool("lego") || !has_tool("openssl") {
        skip!("lego or openssl is not installed");
    }
    let world = World::new();
    // lego calls the hook with `present` or `cleanup`, the record's name and its value.
    let hook = world.path("hook.sh");
    let program = hypermesh_harness::binary();
    let text = format!(
        "#!/bin/sh\nexport HYPERMESH_DATA_DIR='{}'\nname=${{2%.}}\n\
         [ \"$1\" = present ] && exec '{}' dns add \"$name\" TXT \"$3\"\nexit 0\n",
        world.node.data_dir().display(),
        program.display()
    );
    let draft = world.path("hook.txt");
    fs::write(&draft, text).unwrap();
    // By a program of its own: what another test starts meanwhile would have our file open for writing, and no kernel
    // runs such a file.
    let installed = Command::new("install").args(["-m", "755"]).arg(&draft).arg(&hook).status();
    assert!(installed.expect("install starts").success());
    let resolver = world.node.dns().to_string();
    let mut command = world.client("lego");
    let issued = command
        .env("EXEC_PATH", &hook)
        .args(["--path", "lego", "--accept-tos", "-m", "a@hypermesh.network", "-s", &world.directory()])
        .args(["--dns", "exec", "--dns.resolvers", &resolver, "--dns.disable-cp"])
        .args(["-d", "*.hypermesh.network", "run"])
        .output()
        .expect("lego starts");
    world.judge(&issued, &world.path("lego/certificates/_.hypermesh.network.crt"));
}

#[test]
fn dehydrated_gets_a_certificate() {
    if !has_tool("dehydrated") || !has_tool("openssl") || !has_tool("curl") {
        skip!("dehydrated, openssl or curl is not installed");
    }
    let world = World::new();
    let challenges = world.path("challenges");
    fs::create_dir_all(&challenges).unwrap();
    serve_challenges(world.http, challenges.clone());
    let config = format!(
        "CA=\"{}\"\nCURL_OPTS=\"--cacert {}\"\nBASEDIR=\"{}\"\nWELLKNOWN=\"{}\"\nCHALLENGETYPE=\"http-01\"\n",
        world.directory(),
        world.node.root_file().display(),
        world.folder.path().display(),
        challenges.display()
    );
    let file = world.path("config");
    fs::write(&file, config).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = world.client("dehydrated");
        command
            .args(["--config", file.to_str().unwrap()])
            .args(arguments)
            .output()
            .expect("dehydrated starts")
    };
    let registered = run(&["--register", "--accept-terms"]);
    assert!(registered.status.success(), "{}", said(&registered));
    let issued = run(&["--cron", "--domain", NAME]);
    world.judge(&issued, &world.path(&format!("certs/{NAME}/fullchain.pem")));
}

#[test]
fn acme_tiny_gets_a_certificate() {
    if !has_tool("acme-tiny") || !has_tool("openssl") {
        skip!("acme-tiny or openssl is not installed");
    }
    let world = World::new();
    let challenges = world.path("challenges");
    fs::create_dir_all(&challenges).unwrap();
    serve_challenges(world.http, challenges.clone());
    let (account, key, csr) = (world.path("account.key"), world.path("own.key"), world.path("own.csr"));
    for file in [&account, &key] {
        assert!(openssl(&["genrsa", "-out", file.to_str().unwrap(), "2048"]).status.success());
    }
    let request = openssl(&[
        "req",
        "-new",
        "-sha256",
        "-key",
        key.to_str().unwrap(),
        "-subj",
        &format!("/CN={NAME}"),
        "-out",
        csr.to_str().unwrap(),
    ]);
    assert!(request.status.success(), "{}", said(&request));
    let issued = world
        .client("acme-tiny")
        .args(["--directory-url", &world.directory(), "--disable-check"])
        .args(["--account-key", account.to_str().unwrap(), "--csr", csr.to_str().unwrap()])
        .args(["--acme-dir", challenges.to_str().unwrap()])
        .output()
        .expect("acme-tiny starts");
    assert!(issued.status.success(), "{}", said(&issued));
    let file = world.path("tiny.pem");
    fs::write(&file, &issued.stdout).unwrap();
    world.judge(&issued, &file);
}
