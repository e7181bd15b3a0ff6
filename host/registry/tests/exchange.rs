//! The client against registries that behave in ways that a real one can't be told to: token servers, redirects, answers
//! that never end.
#![allow(clippy::unwrap_used, reason = "test code")]

use hypermesh_model::BlobDigest;
use hypermesh_registry::{
    About, Artifact, Credentials, Reach, Reference, RegistryAccess, RegistryClient, RegistryError,
};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

const COMPONENT: &[u8] = b"a component";
const LARGEST: u64 = 1 << 20;

/// A request as the server saw it.
#[derive(Debug, Clone)]
struct Seen {
    target: String,
    authorization: Option<String>,
}

/// What the server answers: status, headers, body.
struct Said(u16, Vec<(&'static str, String)>, Vec<u8>);

fn ok(body: &[u8]) -> Said {
    Said(200, vec![], body.to_vec())
}

fn not_found() -> Said {
    Said(404, vec![], vec![])
}

struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Serves on a port of its own until the test's process ends.
    fn start(answer: impl Fn(&Seen, SocketAddr) -> Said + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let remember = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = read(&stream) else { continue };
                remember.lock().unwrap().push(request.clone());
                let Said(status, headers, body) = answer(&request, address);
                let mut head =
                    format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
                headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
                // A client that has seen enough hangs up.
                let _ =
                    stream.write_all(format!("{head}\r\n").as_bytes()).and_then(|()| stream.write_all(&body));
            }
        });
        Self { address, seen }
    }

    fn reference(&self) -> Reference {
        Reference::parse(&format!("{}/acme/a:1.0.0", self.address)).unwrap()
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Option<Seen> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let target = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: BTreeMap<String, String> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": ").map(|(n, v)| (n.to_lowercase(), v.to_owned())))
        .collect();
    Some(Seen { target, authorization: headers.get("authorization").cloned() })
}

fn artifact() -> Artifact {
    Artifact::build(&About {
        name: "a",
        version: "1.0.0",
        description: "",
        authors: None,
        licenses: None,
        source: None,
        homepage: None,
        revision: None,
        created: "2026-01-02T03:04:05Z".into(),
        component: &digest(COMPONENT),
        size: COMPONENT.len() as u64,
        imports: vec![],
        exports: vec![],
    })
}

fn digest(bytes: &[u8]) -> BlobDigest {
    BlobDigest::from_bytes(&Sha256::digest(bytes).into())
}

/// What a registry with the artifact answers.
fn content(target: &str) -> Said {
    let artifact = artifact();
    let blob = |bytes: &[u8]| format!("/v2/acme/a/blobs/sha256:{}", digest(bytes));
    if target == "/v2/acme/a/manifests/1.0.0" {
        ok(artifact.manifest())
    } else if target == blob(artifact.config()) {
        ok(artifact.config())
    } else if target == blob(COMPONENT) {
        ok(COMPONENT)
    } else {
        not_found()
    }
}

fn pull(server: &Server, credentials: Option<Credentials>) -> Result<Vec<u8>, RegistryError> {
    let client = RegistryClient::new(RegistryAccess::default());
    let reach = Reach { insecure: true, credentials };
    let mut component = Vec::new();
    client.pull(&server.reference(), &reach, LARGEST, &mut component).map(|_| component)
}

#[test]
fn a_token_is_fetched_where_the_registry_says_and_shown_to_it() {
    let server = Server::start(|request, address| {
        if let Some(query) = request.target.strip_prefix("/token?") {
            let asked = query == "service=reg&scope=repository:acme/a:pull";
            // `me:secret` in base64.
            let known = request.authorization.as_deref() == Some("Basic bWU6c2VjcmV0");
            return if asked && known { ok(b"{\"token\":\"t0ken\"}") } else { Said(401, vec![], vec![]) };
        }
        if request.authorization.as_deref() == Some("Bearer t0ken") {
            return content(&request.target);
        }
        let challenge = format!(
            "Bearer realm=\"http://{address}/token\",service=\"reg\",scope=\"repository:acme/a:pull\""
        );
        Said(401, vec![("www-authenticate", challenge)], vec![])
    });
    assert_eq!(pull(&server, Some(Credentials::new("me", "secret"))).unwrap(), COMPONENT);
    let tokens = server.seen().iter().filter(|seen| seen.target.starts_with("/token")).count();
    assert_eq!(tokens, 1, "one token for the whole conversation");
    let wrong = pull(&server, Some(Credentials::new("me", "guess")));
    assert!(matches!(wrong, Err(RegistryError::Unauthorized { .. })), "{wrong:?}");
    assert!(matches!(pull(&server, None), Err(RegistryError::Unauthorized { .. })));
}

#[test]
fn a_redirect_is_followed_and_gets_no_credentials() {
    let store = Server::start(|_, _| ok(COMPONENT));
    let place = store.address;
    let server = Server::start(move |request, _| {
        if request.authorization.is_none() {
            return Said(401, vec![("www-authenticate", "Basic realm=\"x\"".into())], vec![]);
        }
        if request.target.ends_with(digest(COMPONENT).as_str()) {
            return Said(307, vec![("location", format!("http://{place}/somewhere?signed=1"))], vec![]);
        }
        content(&request.target)
    });
    assert_eq!(pull(&server, Some(Credentials::new("me", "secret"))).unwrap(), COMPONENT);
    let seen = store.seen();
    assert_eq!((seen.len(), seen[0].authorization.as_deref()), (1, None), "{seen:?}");
}

#[test]
fn redirects_that_never_end_or_lead_to_plain_text_elsewhere_are_refused() {
    let circle = Server::start(|request, _| Said(302, vec![("location", request.target.clone())], vec![]));
    assert!(matches!(pull(&circle, None), Err(RegistryError::Protocol { .. })));
    assert!(circle.seen().len() < 10);
    let elsewhere = Server::start(|_, _| Said(302, vec![("location", "http://192.0.2.1/x".into())], vec![]));
    assert!(matches!(pull(&elsewhere, None), Err(RegistryError::PlainHttp { .. })));
    let token = Server::start(|_, _| {
        let realm = "Bearer realm=\"http://192.0.2.1/token\"".to_owned();
        Said(401, vec![("www-authenticate", realm)], vec![])
    });
    let refused = pull(&token, Some(Credentials::new("me", "secret")));
    assert!(
        matches!(refused, Err(RegistryError::PlainHttp { .. })),
        "no credentials in plain text: {refused:?}"
    );
}

#[test]
fn what_is_too_long_or_something_else_is_refused() {
    let manifest = Server::start(|_, _| ok(&vec![b' '; 2 << 20]));
    assert!(matches!(pull(&manifest, None), Err(RegistryError::TooLarge { .. })));
    let swapped = |with: &'static [u8]| {
        Server::start(move |request, _| {
            if request.target.ends_with(digest(COMPONENT).as_str()) {
                ok(with)
            } else {
                content(&request.target)
            }
        })
    };
    let other = pull(&swapped(b"b component"), None);
    assert!(matches!(other, Err(RegistryError::Content { .. })), "{other:?}");
    let longer = pull(&swapped(b"a component and then some"), None);
    assert!(matches!(longer, Err(RegistryError::TooLarge { .. })), "{longer:?}");
    let shorter = pull(&swapped(b"a comp"), None);
    assert!(matches!(shorter, Err(RegistryError::Content { .. })), "{shorter:?}");
    let image = Server::start(|_, _| ok(b"{\"schemaVersion\":2,\"manifests\":[]}"));
    assert!(matches!(pull(&image, None), Err(RegistryError::Artifact(_))));
}

#[test]
fn a_full_disk_is_not_the_registry_s_fault() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("no space"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let server = Server::start(|request, _| content(&request.target));
    let client = RegistryClient::new(RegistryAccess::default());
    let reach = Reach { insecure: true, credentials: None };
    let failed = client.pull(&server.reference(), &reach, LARGEST, &mut Full);
    assert!(matches!(failed, Err(RegistryError::Local { .. })), "{failed:?}");
}
